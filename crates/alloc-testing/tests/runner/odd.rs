//! Suites of tests that do what few do.

/// Attributes of the module and of its tests hold: what they are about would not compile without.
#[alloc_testing::suite]
pub(crate) mod attributes {
    #![deny(unused_variables)]
    use alloc_testing::{TestAllocator, alloc_test};

    #[alloc_test]
    fn alloc(gpa: &TestAllocator) {
        assert_eq!(gpa.gpa().detect_leaks().count, 0);
    }

    #[alloc_test]
    #[allow(unused_variables, clippy::needless_lifetimes, reason = "the test is about this")]
    fn has_a_lifetime<'a>(gpa: &'a TestAllocator) {
        let unused = 1;
    }

    #[test]
    #[expect(unused_variables, reason = "the test is about this")]
    fn expects() {
        let unused = 1;
    }
}

/// Panics of which a hook does not tell all.
#[alloc_testing::suite]
pub(crate) mod panics {
    use std::panic;

    #[test]
    fn resumes() {
        panic::resume_unwind(Box::new("why it failed"));
    }

    #[test]
    fn carries_no_text() {
        panic::resume_unwind(Box::new(7));
    }

    /// Its drop panics, which is not to end the runner.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the drop of a panic's value");
        }
    }

    #[test]
    fn carries_a_bomb() {
        panic::panic_any(Bomb);
    }

    #[test]
    #[should_panic]
    fn carries_a_bomb_as_it_should() {
        panic::panic_any(Bomb);
    }

    #[test]
    fn hushes() {
        // The runner's own hook says what the others need.
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| {}));
        let hushed = panic::catch_unwind(|| panic!("no word of this"));
        assert!(hushed.is_err());
        let failed = panic::catch_unwind(|| panic!("what was hushed"));
        panic::set_hook(hook);
        panic::resume_unwind(failed.unwrap_err());
    }
}

/// Tests that print, in part lines, too.
#[alloc_testing::suite]
pub(crate) mod prints {
    use std::io::Write;
    use std::process::Command;

    #[test]
    fn prints() {
        println!("a whole line");
        print!("half a line");
        std::io::stdout().flush().unwrap();
    }

    #[test]
    fn has_a_child_that_prints() {
        let status = Command::new("echo").arg("of a child").status();
        assert!(status.is_ok_and(|status| status.success()));
    }
}

/// Tests that abort: what they said before is not lost.
#[alloc_testing::suite]
pub(crate) mod aborts {
    #[test]
    fn panics_in_a_panic() {
        struct Second;
        impl Drop for Second {
            fn drop(&mut self) {
                panic!("the second words");
            }
        }
        let _second = Second;
        panic!("the first words");
    }

    #[test]
    fn aborts_in_a_thread() {
        let _: Result<(), _> = std::thread::spawn(|| std::process::abort()).join();
    }

    /// As one does who ends a program from outside.
    #[test]
    #[cfg(unix)]
    fn is_sent_the_signal() {
        // SAFETY: no preconditions.
        unsafe { libc::raise(libc::SIGABRT) };
    }

    /// The runner's words are about its own process.
    #[test]
    #[cfg(unix)]
    fn has_a_child_that_aborts() {
        use std::os::unix::process::{CommandExt, ExitStatusExt};
        let mut command = std::process::Command::new("true");
        // SAFETY: the closure calls nothing but `abort`, between fork and exec.
        let status = unsafe { command.pre_exec(|| std::process::abort()) }.status();
        assert!(status.is_err() || status.is_ok_and(|status| status.signal().is_some()));
    }
}

/// A test that logs a value whose text logs an error itself, and one whose text panics.
#[alloc_testing::suite]
pub(crate) mod logs {
    use core::fmt::{Display, Formatter, Result};

    struct Logs;

    impl Display for Logs {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            log::error!("inside");
            f.write_str("outside")
        }
    }

    #[test]
    fn logs_twice() {
        log::error!("{Logs}");
    }

    struct Panics;

    impl Display for Panics {
        fn fmt(&self, _: &mut Formatter<'_>) -> Result {
            panic!("words of a text")
        }
    }

    #[test]
    fn panics_in_a_text() {
        log::error!("{Panics}");
    }

    #[test]
    fn panics_without_a_text() {
        std::panic::panic_any(7);
    }
}

/// A test one of whose threads ends the process.
#[alloc_testing::suite]
pub(crate) mod exits_elsewhere {
    #[test]
    fn has_a_thread_that_ends_the_process() {
        let thread = std::thread::spawn(|| {
            let _ = std::thread::current().id();
            std::process::exit(0)
        });
        let _: Result<(), _> = thread.join();
    }
}

/// A test that ends the process, as if all were well.
#[alloc_testing::suite]
pub(crate) mod exits {
    #[test]
    fn ends_the_process() {
        std::process::exit(0);
    }
}
