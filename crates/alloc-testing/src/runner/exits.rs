//! A test that ends the process: the run has not passed.

#[cfg(unix)]
pub(super) use unix::Running;

#[cfg(not(unix))]
pub(super) use elsewhere::Running;

#[cfg(unix)]
mod unix {
    use core::sync::atomic::AtomicU32;
    use core::sync::atomic::Ordering::Relaxed;
    use std::process;
    use std::sync::Once;

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
            RUNS_TESTS.store(process::id(), Relaxed);
            Self
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            RUNS_TESTS.store(0, Relaxed);
        }
    }

    extern "C" fn at_exit() {
        if RUNS_TESTS.load(Relaxed) != process::id() {
            return;
        }
        let who = crate::current_test::name();
        let who = who.as_deref().unwrap_or("a thread that runs no test");
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
