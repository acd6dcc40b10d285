//! Wrappers: allocators that change one thing about another.
//!
//! Those with counters are for targets with atomic additions, which the smallest ones lack.

#[cfg(target_has_atomic = "ptr")]
mod counters;
#[cfg(target_has_atomic = "ptr")]
mod counting;
#[cfg(target_has_atomic = "ptr")]
mod limited;
#[cfg(feature = "lock_api")]
mod locked;
mod never;

#[cfg(target_has_atomic = "ptr")]
pub use counters::Counts;
#[cfg(target_has_atomic = "ptr")]
pub use counting::{Counting, Tag, Tagged};
#[cfg(target_has_atomic = "ptr")]
pub use limited::{Limited, Refusal};
#[cfg(feature = "lock_api")]
pub use locked::Locked;
pub use never::NeverAlloc;
