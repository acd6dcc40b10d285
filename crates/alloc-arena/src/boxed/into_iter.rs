//! Iteration over the items of an owned slice.

use core::fmt;
use core::iter::FusedIterator;
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::slice;

use super::ArenaBox;

/// The items of an [`ArenaBox`] of a slice, by value. Those that are left are dropped with it.
///
/// ```
/// use alloc_arena::Arena;
///
/// let arena = Arena::new();
/// let names = arena.put_box_iter(["a", "b", "c"].map(String::from))?;
/// let mut names = names.into_iter();
/// assert_eq!(names.next_back().as_deref(), Some("c"));
/// assert_eq!(names.as_slice(), ["a", "b"]);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
#[must_use = "an iterator that is not used drops its items"]
pub struct BoxIntoIter<'a, T> {
    items: ManuallyDrop<ArenaBox<'a, [T]>>,
    /// Invariant: within the slice; the items of this range are valid and not moved out yet.
    alive: Range<usize>,
}

impl<T> BoxIntoIter<'_, T> {
    /// Returns the items that are left.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        let first = self.items.ptr.cast::<T>();
        // SAFETY: within the slice, or at its end (invariant).
        let first = unsafe { first.add(self.alive.start) };
        // SAFETY: valid, and nobody else's (invariant).
        unsafe { slice::from_raw_parts(first.as_ptr(), self.alive.len()) }
    }

    /// Returns the items that are left.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        let first = self.items.ptr.cast::<T>();
        // SAFETY: as above.
        let first = unsafe { first.add(self.alive.start) };
        // SAFETY: as above; the borrow is unique.
        unsafe { slice::from_raw_parts_mut(first.as_ptr(), self.alive.len()) }
    }

    /// Moves an item out that has just left `alive`.
    #[inline]
    fn take(&mut self, index: usize) -> T {
        // SAFETY: it was in `alive`, so it lies in the slice.
        let item = unsafe { self.items.ptr.cast::<T>().add(index) };
        // SAFETY: valid until now, and not in `alive` any more: it is read once.
        unsafe { item.read() }
    }
}

impl<T> Iterator for BoxIntoIter<'_, T> {
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
}

impl<T> DoubleEndedIterator for BoxIntoIter<'_, T> {
    #[inline]
    fn next_back(&mut self) -> Option<T> {
        let index = self.alive.next_back()?;
        Some(self.take(index))
    }
}

impl<T> ExactSizeIterator for BoxIntoIter<'_, T> {}

impl<T> FusedIterator for BoxIntoIter<'_, T> {}

impl<T> Drop for BoxIntoIter<'_, T> {
    fn drop(&mut self) {
        let items: *mut [T] = self.as_mut_slice();
        // SAFETY: valid (invariant), and not used again.
        unsafe { items.drop_in_place() };
    }
}

impl<T: fmt::Debug> fmt::Debug for BoxIntoIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BoxIntoIter").field(&self.as_slice()).finish()
    }
}

impl<'a, T> IntoIterator for ArenaBox<'a, [T]> {
    type Item = T;
    type IntoIter = BoxIntoIter<'a, T>;

    #[inline]
    fn into_iter(self) -> BoxIntoIter<'a, T> {
        let alive = 0..self.len();
        BoxIntoIter { items: ManuallyDrop::new(self), alive }
    }
}

impl<'s, T> IntoIterator for &'s ArenaBox<'_, [T]> {
    type Item = &'s T;
    type IntoIter = slice::Iter<'s, T>;

    #[inline]
    fn into_iter(self) -> slice::Iter<'s, T> {
        self.iter()
    }
}

impl<'s, T> IntoIterator for &'s mut ArenaBox<'_, [T]> {
    type Item = &'s mut T;
    type IntoIter = slice::IterMut<'s, T>;

    #[inline]
    fn into_iter(self) -> slice::IterMut<'s, T> {
        self.iter_mut()
    }
}
