//! For unit tests: which system calls a piece of code makes, and what it does when one of them fails.

use std::cell::RefCell;
use std::vec::Vec;

#[derive(Default)]
struct Watch {
    calls: Vec<&'static str>,
    /// Bytes that were mapped and not unmapped.
    mapped_len: isize,
    /// The call that fails, by its number from 0.
    fails: Option<usize>,
}

std::thread_local! {
    /// What this thread did since the watch began; `None`: nobody watches.
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Notes a call; returns whether it must not be made.
pub(crate) fn refused(name: &'static str) -> bool {
    WATCH.with_borrow_mut(|watch| {
        let Some(watch) = watch else { return false };
        watch.calls.push(name);
        watch.fails == Some(watch.calls.len() - 1)
    })
}

/// Notes that so many bytes more are mapped.
pub(crate) fn note_mapped(more: isize) {
    WATCH.with_borrow_mut(|watch| {
        if let Some(watch) = watch {
            watch.mapped_len += more;
        }
    });
}

/// The system calls that `run` makes, in order, and its result.
pub(crate) fn calls<R>(run: impl FnOnce() -> R) -> (Vec<&'static str>, R) {
    let (watch, result) = watched(None, run);
    (watch.calls, result)
}

/// The same, where the call of this number, from 0, fails; and how many bytes stayed mapped.
pub(crate) fn calls_with_failure<R>(
    number: usize,
    run: impl FnOnce() -> R,
) -> (Vec<&'static str>, isize, R) {
    let (watch, result) = watched(Some(number), run);
    (watch.calls, watch.mapped_len, result)
}

fn watched<R>(fails: Option<usize>, run: impl FnOnce() -> R) -> (Watch, R) {
    WATCH.set(Some(Watch { fails, ..Watch::default() }));
    let result = run();
    let watch = WATCH.take().expect("nobody else ends the watch of this thread");
    (watch, result)
}
