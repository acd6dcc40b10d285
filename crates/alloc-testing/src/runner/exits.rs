//! A test that ends the process: the run has not passed.

#[cfg(unix)]
pub(super) use unix::Running;

#[cfg(not(unix))]
pub(super) use elsewhere::Running;

#[cfg(unix)]
mod unix {
    use core::ffi::c_int;
    use core::mem::MaybeUninit;
    use core::ptr;
    use core::sync::atomic::AtomicU32;
    use core::sync::atomic::Ordering::Relaxed;
    use std::process;
    use std::sync::Once;

    use super::super::watch;
    use crate::current_test;

    /// The process that runs tests; 0: none. A forked child may end as it likes. Relaxed: a number that
    /// publishes nothing.
    static RUNS_TESTS: AtomicU32 = AtomicU32::new(0);

    /// As long as it lives, the end of the process is a failure.
    #[derive(Debug)]
    pub(in super::super) struct Running;

    impl Running {
        pub(in super::super) fn begin() -> Self {
            static SEEN_TO: Once = Once::new();
            // SAFETY: `at_exit` has the type that is asked for, is there as long as the program, and unwinds
            // into nobody. Where the system has no place for it nothing is told.
            SEEN_TO.call_once(|| _ = unsafe { libc::atexit(at_exit) });
            handle_aborts();
            RUNS_TESTS.store(process::id(), Relaxed);
            Self
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            RUNS_TESTS.store(0, Relaxed);
        }
    }

    const NOBODY: &str = "a thread that runs no test";

    /// Asks to be called once if the process aborts, unless somebody else has.
    fn handle_aborts() {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: asks for what is set, and writes it to a place of ours.
        if unsafe { libc::sigaction(libc::SIGABRT, ptr::null(), action.as_mut_ptr()) } != 0 {
            return;
        }
        // SAFETY: written by the call above.
        let mut action = unsafe { action.assume_init() };
        if action.sa_sigaction != libc::SIG_DFL {
            return;
        }
        let handler: extern "C" fn(c_int) = on_abort;
        action.sa_sigaction = (handler as *const ()).addr();
        // On the stack for signals: after an overflow there is no other.
        action.sa_flags = libc::SA_RESETHAND | libc::SA_ONSTACK;
        // SAFETY: a handler of the kind that the flags say, which does nothing that a handler may not. Where it is
        // refused, nothing is told.
        unsafe { libc::sigaction(libc::SIGABRT, &raw const action, ptr::null_mut()) };
    }

    /// Tells of it, and ends the process as it would have ended: `abort` would do so by itself, one who only sent the
    /// signal would not.
    extern "C" fn on_abort(signal: c_int) {
        if RUNS_TESTS.load(Relaxed) == process::id() {
            tell_abort();
        }
        // The handler is gone (`SA_RESETHAND`). The signal waits until this returns.
        // SAFETY: no preconditions; a handler may call it.
        unsafe { libc::raise(signal) };
    }

    /// Names the test that aborts, and tells the words of its panics, which nobody would tell any more. The heap may
    /// be what is broken, or locked: it only looks, and writes.
    fn tell_abort() {
        let say = |text: &str| {
            // SAFETY: as many bytes as there are. What cannot be written can be told to nobody.
            _ = unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
        };
        let test = current_test::of_runner();
        say("error: ");
        say(test.unwrap_or(NOBODY));
        say(" aborted the process, and the run with it\n");
        if test.is_some() {
            watch::with_panics(say);
        }
    }

    extern "C" fn at_exit() {
        if RUNS_TESTS.load(Relaxed) != process::id() {
            return;
        }
        let who = current_test::name();
        let who = who.as_deref().unwrap_or(NOBODY);
        crate::report::print(format_args!("error: {who} ended the process, and the run with it\n"));
        // SAFETY: it takes any status, and does not return.
        unsafe { libc::_exit(1) };
    }
}

#[cfg(not(unix))]
mod elsewhere {
    /// Here nobody looks.
    #[derive(Debug)]
    pub(in super::super) struct Running;

    impl Running {
        pub(in super::super) fn begin() -> Self {
            Self
        }
    }
}
