//! Taking the values of a typed arena out.

use core::fmt;
use core::iter::FusedIterator;
use core::ptr::{self, NonNull};

use alloc_core::Allocator;

use super::TypedArena;
use crate::Reset;

/// Takes the values out of a [`TypedArena`]. Made by [`TypedArena::drain`].
///
/// If it is forgotten, so are the values of the row that it is in; the others stay in the arena.
#[must_use = "an iterator that is not used drops the values"]
pub struct Drain<'d, T, A: Allocator> {
    arena: &'d mut TypedArena<T, A>,
    /// Invariant: `left` valid values in a row, which the arena does not own any more.
    next: NonNull<T>,
    left: usize,
}

impl<'d, T, A: Allocator> Drain<'d, T, A> {
    pub(super) const fn new(arena: &'d mut TypedArena<T, A>) -> Self {
        Self { arena, next: NonNull::dangling(), left: 0 }
    }
}

impl<T, A: Allocator> Iterator for Drain<'_, T, A> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.left == 0 {
            let (row, len) = self.arena.values.take_row()?;
            (self.next, self.left) = (row.cast(), len);
        }
        let item = self.next;
        // No row is empty.
        self.left -= 1;
        // SAFETY: within the row, or at its end (invariant), or it has no bytes.
        self.next = unsafe { item.add(1) };
        // SAFETY: valid, and not among those that are left: moved out once.
        Some(unsafe { item.read() })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<T, A: Allocator> ExactSizeIterator for Drain<'_, T, A> {
    fn len(&self) -> usize {
        self.left + self.arena.len()
    }
}

impl<T, A: Allocator> FusedIterator for Drain<'_, T, A> {}

impl<T, A: Allocator> Drop for Drain<'_, T, A> {
    fn drop(&mut self) {
        let rest = ptr::slice_from_raw_parts_mut(self.next.as_ptr(), self.left);
        // SAFETY: valid (invariant), and not used again. If a drop panics, the arena has its other values still.
        unsafe { rest.drop_in_place() };
        self.arena.reset(Reset::RetainCapacity);
    }
}

impl<T, A: Allocator> fmt::Debug for Drain<'_, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("left", &self.len()).finish_non_exhaustive()
    }
}
