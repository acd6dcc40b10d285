//! Wrappers: allocators that change one thing about another.

mod counters;
mod counting;
mod limited;
#[cfg(feature = "lock_api")]
mod locked;

pub use counters::Counts;
pub use counting::{Counting, Tag, Tagged};
pub use limited::{Limited, Refusal};
#[cfg(feature = "lock_api")]
pub use locked::Locked;
