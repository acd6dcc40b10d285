//! Which test this thread runs.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::thread;

thread_local! {
    /// The test that this crate's runner runs on this thread.
    static NAME: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Runs a test under its name; nothing is allocated for that.
pub(crate) fn within<R>(name: &'static str, test: impl FnOnce() -> R) -> R {
    /// Ends it, also when the test unwinds.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            NAME.set(None);
        }
    }
    NAME.set(Some(name));
    let _end = End;
    test()
}

/// Returns the name of the test that the runner runs on this thread. It takes no memory and no lock.
pub(crate) fn of_runner() -> Option<&'static str> {
    NAME.get()
}

/// Returns the name of the test that this thread runs: as the runner told it, or as the standard harness
/// does, which names its threads after tests. With one thread it runs them on the main thread: then the
/// name is not known.
pub(crate) fn name() -> Option<String> {
    let told = of_runner().map(str::to_owned);
    told.or_else(|| thread::current().name().filter(|name| *name != "main").map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runner's word goes before the thread's name, for the test and no longer.
    #[test]
    fn the_runner_names_its_tests() {
        let thread = || thread::current().name().filter(|name| *name != "main").map(str::to_owned);
        assert_eq!(within("suite::parses", name).as_deref(), Some("suite::parses"));
        assert_eq!(name(), thread());
        assert!(
            std::panic::catch_unwind(|| within("suite::fails", || panic!("as asked"))).is_err()
        );
        assert_eq!(name(), thread());
    }
}
