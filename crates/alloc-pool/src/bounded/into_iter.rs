//! Iteration over a bounded array by value.

use core::fmt;
use core::iter::FusedIterator;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ops::Range;
use core::ptr;

use super::BoundedArray;

/// The items of a [`BoundedArray`]: by [`into_iter`](BoundedArray::into_iter). Those that are left are dropped
/// with it.
#[must_use = "the items are dropped"]
pub struct ArrayIntoIter<T, const N: usize> {
    items: [MaybeUninit<T>; N],
    /// Invariant: the items of this range are initialised and not moved out; it ends at `N` at most.
    alive: Range<usize>,
}

impl<T, const N: usize> IntoIterator for BoundedArray<T, N> {
    type Item = T;
    type IntoIter = ArrayIntoIter<T, N>;

    fn into_iter(self) -> ArrayIntoIter<T, N> {
        let array = ManuallyDrop::new(self);
        // SAFETY: read once: the array is not used any more, nor dropped.
        let items = unsafe { ptr::read(&raw const array.items) };
        ArrayIntoIter { items, alive: 0..array.len }
    }
}

impl<T, const N: usize> ArrayIntoIter<T, N> {
    /// Moves an item out that has just left `alive`.
    #[inline]
    fn item(&self, index: usize) -> Option<T> {
        let item = self.items.get(index)?;
        // SAFETY: it was alive until now (invariant), and is not any more: it is read once.
        Some(unsafe { item.assume_init_read() })
    }

    /// Returns the items that are left.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        let alive = self.items.get(self.alive.clone()).unwrap_or_default();
        // SAFETY: they are initialised (invariant).
        unsafe { alive.assume_init_ref() }
    }
}

impl<T, const N: usize> Iterator for ArrayIntoIter<T, N> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let index = self.alive.next()?;
        self.item(index)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.alive.size_hint()
    }
}

impl<T, const N: usize> DoubleEndedIterator for ArrayIntoIter<T, N> {
    #[inline]
    fn next_back(&mut self) -> Option<T> {
        let index = self.alive.next_back()?;
        self.item(index)
    }
}

impl<T, const N: usize> ExactSizeIterator for ArrayIntoIter<T, N> {}
impl<T, const N: usize> FusedIterator for ArrayIntoIter<T, N> {}

/// Drops the items that are left, also those behind one whose drop panics.
impl<T, const N: usize> Drop for ArrayIntoIter<T, N> {
    fn drop(&mut self) {
        let alive = self.items.get_mut(self.alive.clone()).unwrap_or_default();
        // SAFETY: they are initialised (invariant), and nobody reaches them any more.
        unsafe { alive.assume_init_drop() };
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for ArrayIntoIter<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ArrayIntoIter").field(&self.as_slice()).finish()
    }
}
