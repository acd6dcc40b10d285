//! Suites whose results are known to the letter.

use alloc_core::{AllocatorExt, Owned};
use alloc_testing::{TestAllocator, alloc_test};

#[alloc_testing::suite]
pub(crate) mod suite {
    use super::*;

    #[alloc_test]
    fn passes(gpa: &TestAllocator) {
        drop(gpa.create(1u64).unwrap());
    }

    #[alloc_test]
    fn leaks(gpa: &TestAllocator) {
        Owned::leak(gpa.create(1u64).unwrap());
    }

    #[test]
    fn logs_an_error() {
        log::warn!("no error");
        log::error!(target: "golden", "what went <wrong>");
    }

    #[alloc_test]
    #[ignore = "skipped"]
    fn is_skipped(_: &TestAllocator) {
        panic!("never run");
    }

    pub(crate) mod inner {
        #[test]
        fn fails() {
            assert_eq!(1 + 1, 3, "sums");
        }

        #[test]
        #[should_panic(expected = "sums")]
        fn panics_as_it_should() {
            panic!("of sums");
        }
    }
}

/// An error that a thread logs which runs no test.
#[alloc_testing::suite]
pub(crate) mod strays {
    #[test]
    fn a_thread_logs() {
        std::thread::spawn(|| log::error!("of a thread")).join().unwrap();
    }
}

/// Attributes that the compiler resolves: `unix` holds, `any()` does not.
#[alloc_testing::suite]
pub(crate) mod conditional {
    use super::*;

    #[test]
    #[cfg_attr(unix, ignore = "plain")]
    fn skipped_plain() {
        panic!("never run");
    }

    #[alloc_test]
    #[cfg_attr(unix, ignore)]
    fn skipped(_: &TestAllocator) {
        panic!("never run");
    }

    #[test]
    #[cfg_attr(all(), cfg_attr(unix, should_panic(expected = "of sums")))]
    fn panics_plain() {
        panic!("of sums");
    }

    #[cfg_attr(unix, should_panic)]
    #[alloc_test]
    fn panics(_: &TestAllocator) {
        panic!("of sums");
    }

    #[test]
    #[cfg_attr(any(), ignore, should_panic)]
    fn passes() {}

    #[test]
    #[cfg_attr(unix, ignore, cfg(any()))]
    fn is_not_there() {}

    #[alloc_test]
    #[cfg_attr(all(), cfg_attr(unix, cfg(any())))]
    fn is_not_there_either(_: &TestAllocator) {}

    #[cfg_attr(unix, cfg(any()))]
    mod is_no_module {
        #[test]
        fn is_not_there() {}
    }
}
