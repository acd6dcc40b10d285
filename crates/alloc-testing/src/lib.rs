//! Tests that fail on leaks, failure injection, and a conformance kit for allocators.

mod rng;
mod seed;
mod panics;
mod report;
mod ledger;
mod raw_block;
mod validated;
mod failing;
mod failures;
mod test_allocator;
mod macros;
pub mod hostile;
pub mod conformance;

pub use alloc_testing_macros::alloc_test;
pub use failing::{Fail, FailingAllocator, FailingCounts, InducedFailure};
pub use failures::{
    FailureAllocator, FailurePoint, FailureSummary, Verdict, all_alloc_failures,
    check_all_alloc_failures,
};
pub use ledger::Misuse;
pub use raw_block::RawBlock;
pub use seed::{SEED_VARIABLE, seed};
pub use test_allocator::{TestAllocator, TestGuard, run};
pub use validated::Validated;
