//! The attribute macro of alloc-testing.
