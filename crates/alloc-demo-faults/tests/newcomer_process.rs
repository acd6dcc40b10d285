//! Section 7 of `docs/testing.md`: what goes through the global allocator.

include!(concat!(env!("OUT_DIR"), "/tests_process.rs"));
