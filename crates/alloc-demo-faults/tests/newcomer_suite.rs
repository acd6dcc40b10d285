//! Section 6 of `docs/testing.md`: a runner that starts without a heap.

/// The reader's library.
pub mod words {
    include!(concat!(env!("OUT_DIR"), "/src_lib.rs"));
}

include!(concat!(env!("OUT_DIR"), "/tests_suite.rs"));
