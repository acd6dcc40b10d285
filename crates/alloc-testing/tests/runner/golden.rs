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
