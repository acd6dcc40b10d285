//! Iteration over an owned slice by value.

use core::mem::MaybeUninit;

use super::Owned;
use crate::Allocator;

/// Moves the items out of an owned slice, front to back or back to front; drops the rest, and frees
/// the memory, on drop.
pub struct IntoIter<T, A: Allocator> {
    block: Owned<[MaybeUninit<T>], A>,
    /// Invariant: the items of `alive` are initialised and not yet moved out.
    alive: core::ops::Range<usize>,
}
