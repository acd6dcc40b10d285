//! Tests that fail on leaks, failure injection, and a conformance kit for allocators.

mod raw_block;

pub use raw_block::RawBlock;
