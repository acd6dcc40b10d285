//! Iteration over an owned slice by value.

use core::fmt;
use core::iter::FusedIterator;
use core::mem::MaybeUninit;
use core::ops::Range;
use core::slice;

use super::Owned;
use crate::Allocator;

/// Moves the items out of an owned slice, front to back or back to front; drops the rest, and frees
/// the memory, on drop.
#[must_use = "an iterator that is not used drops its items"]
pub struct IntoIter<T, A: Allocator> {
    block: Owned<[MaybeUninit<T>], A>,
    /// Invariant: the items of `alive` are initialised and not yet moved out; it lies in the block.
    alive: Range<usize>,
}

impl<T, A: Allocator> IntoIter<T, A> {
    /// Returns the items that are left.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: the items of `alive` are initialised (invariant).
        unsafe { self.block[self.alive.clone()].assume_init_ref() }
    }

    /// Returns the items that are left.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: the items of `alive` are initialised (invariant).
        unsafe { self.block[self.alive.clone()].assume_init_mut() }
    }

    /// Moves an item out that has just left `alive`.
    #[inline]
    fn take(&mut self, index: usize) -> T {
        // SAFETY: the item was alive until now (invariant), and is not any more: it is read once.
        unsafe { self.block[index].assume_init_read() }
    }
}

impl<T, A: Allocator> Iterator for IntoIter<T, A> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        let index = self.alive.next()?;
        Some(self.take(index))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.alive.size_hint()
    }

    #[inline]
    fn count(self) -> usize {
        self.alive.len()
    }
}

impl<T, A: Allocator> DoubleEndedIterator for IntoIter<T, A> {
    #[inline]
    fn next_back(&mut self) -> Option<T> {
        let index = self.alive.next_back()?;
        Some(self.take(index))
    }
}

impl<T, A: Allocator> ExactSizeIterator for IntoIter<T, A> {}
impl<T, A: Allocator> FusedIterator for IntoIter<T, A> {}

impl<T, A: Allocator> Drop for IntoIter<T, A> {
    fn drop(&mut self) {
        let alive = self.alive.clone();
        // SAFETY: the items of `alive` are initialised (invariant), and dropped once: the block does
        // not drop them. It is freed right after, by its own drop, also if one of them unwinds.
        unsafe { self.block[alive].assume_init_drop() };
    }
}

impl<T: fmt::Debug, A: Allocator> fmt::Debug for IntoIter<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IntoIter").field(&self.as_slice()).finish()
    }
}

impl<T, A: Allocator> IntoIterator for Owned<[T], A> {
    type Item = T;
    type IntoIter = IntoIter<T, A>;

    #[inline]
    fn into_iter(self) -> IntoIter<T, A> {
        let alive = 0..self.len();
        IntoIter { block: self.into_uninit_slice(), alive }
    }
}

impl<'a, T, A: Allocator> IntoIterator for &'a Owned<[T], A> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    #[inline]
    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T, A: Allocator> IntoIterator for &'a mut Owned<[T], A> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;

    #[inline]
    fn into_iter(self) -> slice::IterMut<'a, T> {
        self.iter_mut()
    }
}
