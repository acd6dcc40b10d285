//! Tables in mappings of their own: for what must take no memory from a heap.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use crate::census::Place;
use crate::leaks::{Cycle, Group};
use crate::snapshot::Change;
use crate::sys::pages;

/// Types of which zero bytes are a value.
///
/// # Safety
///
/// All bytes zero are a valid value, and dropping one does nothing.
pub(crate) unsafe trait Zeroed: Copy {}

// SAFETY: a number.
unsafe impl Zeroed for usize {}
// SAFETY: two numbers.
unsafe impl Zeroed for (usize, usize) {}
// SAFETY: numbers, and a kind of which 0 is one.
unsafe impl Zeroed for Group {}
// SAFETY: numbers.
unsafe impl Zeroed for [u32; 4] {}
// SAFETY: numbers.
unsafe impl Zeroed for Cycle {}
// SAFETY: numbers.
unsafe impl Zeroed for Place {}
// SAFETY: numbers.
unsafe impl Zeroed for Change {}

/// A table of zeroes of fixed length, in a mapping of its own; given back when dropped.
pub(crate) struct Mapped<T: Zeroed> {
    /// Invariant: a mapping of `len` values that this alone uses.
    base: NonNull<T>,
    len: usize,
    owns: PhantomData<T>,
}

// SAFETY: the mapping belongs to the value alone and is bound to no thread.
unsafe impl<T: Zeroed + Send> Send for Mapped<T> {}
// SAFETY: shared access only reads.
unsafe impl<T: Zeroed + Sync> Sync for Mapped<T> {}

impl<T: Zeroed> Mapped<T> {
    /// Maps a table; it takes memory where it is touched.
    pub(crate) fn new(len: usize) -> Option<Self> {
        let len = len.max(1);
        let base = pages::map(len.checked_mul(size_of::<T>())?)?.cast();
        Some(Self { base, len, owns: PhantomData })
    }

    /// Returns where it is: start and length in bytes.
    pub(crate) fn range(&self) -> (usize, usize) {
        (self.base.addr().get(), self.len * size_of::<T>())
    }
}

impl<T: Zeroed> Deref for Mapped<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: invariant on `base`; mappings are aligned to a page and zero at first, which is
        // a valid value.
        unsafe { NonNull::slice_from_raw_parts(self.base, self.len).as_ref() }
    }
}

impl<T: Zeroed> DerefMut for Mapped<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, borrowed exclusively.
        unsafe { NonNull::slice_from_raw_parts(self.base, self.len).as_mut() }
    }
}

impl<T: Zeroed> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: invariant on `base`; nothing borrows it any more.
        unsafe { pages::unmap(self.base.cast(), self.len * size_of::<T>()) };
    }
}
