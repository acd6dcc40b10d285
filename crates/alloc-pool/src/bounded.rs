//! An array with room for a fixed number of items, inside itself.

use core::fmt;
use core::mem::{self, MaybeUninit};
use core::ops::{Deref, DerefMut};
use core::ptr;
use core::slice;
use core::{borrow::Borrow, cmp::Ordering, hash};

mod bulk;
mod into_iter;

pub use into_iter::ArrayIntoIter;

/// Up to `N` items in place, without an allocator; derefs to the slice of those that are there.
///
/// A value that does not fit comes back. Costs: `push` and `pop` are constant, `insert` and `remove`
/// move what lies behind.
///
/// ```
/// let mut array = alloc_pool::BoundedArray::<u8, 3>::new();
/// array.push(1)?;
/// array.push(3)?;
/// array.insert(1, 2)?;
/// assert_eq!(*array, [1, 2, 3]);
/// assert_eq!(array.push(4), Err(4));
/// # Ok::<(), u8>(())
/// ```
pub struct BoundedArray<T, const N: usize> {
    /// Invariant: the first `len` items are initialised, and `len <= N`.
    items: [MaybeUninit<T>; N],
    len: usize,
}

impl<T, const N: usize> BoundedArray<T, N> {
    /// Makes an array without items.
    #[inline]
    pub const fn new() -> Self {
        Self { items: [const { MaybeUninit::uninit() }; N], len: 0 }
    }

    /// Returns how many more items fit.
    #[inline]
    pub const fn room(&self) -> usize {
        N - self.len
    }

    /// Adds an item at the end.
    ///
    /// # Errors
    ///
    /// The item, if the array is full.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), T> {
        let Some(place) = self.items.get_mut(self.len) else { return Err(item) };
        place.write(item);
        self.len += 1;
        Ok(())
    }

    /// Takes the last item out.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        let last = self.items.get(self.len)?;
        // SAFETY: it was initialised (invariant), and is behind the new `len`: nobody reads it again.
        Some(unsafe { last.assume_init_read() })
    }

    /// Puts an item at `index`, and what is from there on one place further.
    ///
    /// # Errors
    ///
    /// The item, if the array is full or `index` lies behind its end.
    pub fn insert(&mut self, index: usize, item: T) -> Result<(), T> {
        if self.len == N || self.len < index {
            return Err(item);
        }
        let behind = self.len - index;
        self.len += 1;
        if let Some(tail) = self.items.get_mut(index..self.len) {
            let from = tail.as_mut_ptr();
            // SAFETY: `tail` has `behind + 1` places, so the second is inside or at its end.
            let to = unsafe { from.add(1) };
            // SAFETY: `behind` places from both lie inside `tail`; the moved-from first one is written
            // below, and an item is neither lost nor doubled.
            unsafe { ptr::copy(from, to, behind) };
        }
        if let Some(place) = self.items.get_mut(index) {
            place.write(item);
        }
        Ok(())
    }

    /// Takes the item at `index` out, and moves what lies behind one place closer. `None` if there is
    /// none.
    pub fn remove(&mut self, index: usize) -> Option<T> {
        let tail = self.items.get_mut(index..self.len)?;
        let behind = tail.len().checked_sub(1)?;
        let first = tail.as_mut_ptr();
        let item = tail.first()?;
        // SAFETY: initialised (invariant: `index < len`); its place is overwritten or left behind `len`.
        let item = unsafe { item.assume_init_read() };
        // SAFETY: `tail` has `behind + 1` places: the second is inside or at its end.
        let second = unsafe { first.add(1) };
        // SAFETY: `behind` places from both lie inside `tail`.
        unsafe { ptr::copy(second, first, behind) };
        self.len -= 1;
        Some(item)
    }

    /// Takes the item at `index` out and puts the last one in its place. `None` if there is none.
    pub fn swap_remove(&mut self, index: usize) -> Option<T> {
        if self.len <= index {
            return None;
        }
        let last = self.pop()?;
        match self.get_mut(index) {
            Some(place) => Some(mem::replace(place, last)),
            // It was the last itself.
            None => Some(last),
        }
    }

    /// Drops all items behind the first `len`, in their order, also those behind one whose drop panics.
    pub fn truncate(&mut self, len: usize) {
        let Some(behind) = self.items.get_mut(len..self.len) else { return };
        // Before the drops, which may panic: nothing is dropped twice.
        self.len = len;
        // SAFETY: they were initialised (invariant), and nobody reaches them any more: they are behind `len`.
        unsafe { behind.assume_init_drop() };
    }

    /// Drops all items, as [`truncate`](Self::truncate) does.
    pub fn clear(&mut self) {
        self.truncate(0);
    }
}

impl<T, const N: usize> Deref for BoundedArray<T, N> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` items are initialised (invariant), of one array, borrowed with `self`.
        unsafe { slice::from_raw_parts(self.items.as_ptr().cast(), self.len) }
    }
}

impl<T, const N: usize> DerefMut for BoundedArray<T, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the borrow is unique.
        unsafe { slice::from_raw_parts_mut(self.items.as_mut_ptr().cast(), self.len) }
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a BoundedArray<T, N> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a mut BoundedArray<T, N> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;

    fn into_iter(self) -> slice::IterMut<'a, T> {
        self.iter_mut()
    }
}

impl<T, const N: usize> Drop for BoundedArray<T, N> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T, const N: usize> Default for BoundedArray<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone, const N: usize> Clone for BoundedArray<T, N> {
    fn clone(&self) -> Self {
        let mut clone = Self::new();
        for item in self.iter() {
            // There is room: both have `N` places.
            let _ = clone.push(item.clone());
        }
        clone
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for BoundedArray<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: PartialEq, const N: usize> PartialEq for BoundedArray<T, N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq, const N: usize> Eq for BoundedArray<T, N> {}

impl<T: PartialEq, const N: usize> PartialEq<[T]> for BoundedArray<T, N> {
    fn eq(&self, other: &[T]) -> bool {
        **self == *other
    }
}

impl<T: PartialOrd, const N: usize> PartialOrd for BoundedArray<T, N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: Ord, const N: usize> Ord for BoundedArray<T, N> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: hash::Hash, const N: usize> hash::Hash for BoundedArray<T, N> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T, const N: usize> Borrow<[T]> for BoundedArray<T, N> {
    fn borrow(&self) -> &[T] {
        self
    }
}

impl<T, const N: usize> AsRef<[T]> for BoundedArray<T, N> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T, const N: usize> AsMut<[T]> for BoundedArray<T, N> {
    fn as_mut(&mut self) -> &mut [T] {
        self
    }
}
