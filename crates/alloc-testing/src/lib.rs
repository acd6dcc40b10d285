//! Tests that fail on leaks, failure injection, and a conformance kit for allocators.

mod rng;
mod ledger;
mod raw_block;
mod validated;
mod macros;
pub mod hostile;
pub mod conformance;

pub use ledger::Misuse;
pub use raw_block::RawBlock;
pub use validated::Validated;
