//! Slices whose alignment is larger than their items'.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use crate::Allocator;

/// Owns a slice whose first item is aligned to `ALIGN` bytes, or to `T`'s alignment if that is
/// larger, and frees it with exactly the layout it was allocated with.
///
/// # Invariants
///
/// 1. `ptr` points to `count` valid items that this owner alone may reach.
/// 2. If they have any bytes, `ptr` is a live block of `alloc` that fits
///    [`layout`](Self::layout). Otherwise it is dangling and aligned.
#[must_use = "an `AlignedSlice` frees its memory when it is dropped"]
pub struct AlignedSlice<T, const ALIGN: usize, A: Allocator> {
    ptr: NonNull<T>,
    count: usize,
    alloc: A,
    _owns: PhantomData<T>,
}

impl<T, const ALIGN: usize, A: Allocator> AlignedSlice<T, ALIGN, A> {
    /// Takes ownership of `count` items and their block.
    ///
    /// # Safety
    ///
    /// * `ptr` points to `count` valid items that nobody else uses or owns.
    /// * If they have any bytes, `ptr` is a live block of the allocator behind `alloc` and fits the
    ///   layout of `count` items with an alignment of at least `ALIGN`; and nothing invalidates it
    ///   while the owner lives. Otherwise it is aligned.
    pub const unsafe fn from_raw_parts(ptr: NonNull<T>, count: usize, alloc: A) -> Self {
        Self { ptr, count, alloc, _owns: PhantomData }
    }

    /// The layout that the block fits, if there is one (invariant 2).
    fn layout(&self) -> Layout {
        let align = if align_of::<T>() < ALIGN { ALIGN } else { align_of::<T>() };
        // SAFETY: the same size and alignment made a valid layout when the block was allocated.
        unsafe { Layout::from_size_align_unchecked(self.count * size_of::<T>(), align) }
    }
}

impl<T, const ALIGN: usize, A: Allocator> Deref for AlignedSlice<T, ALIGN, A> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: invariant 1; the borrow of the owner guards the items.
        unsafe { NonNull::slice_from_raw_parts(self.ptr, self.count).as_ref() }
    }
}

impl<T, const ALIGN: usize, A: Allocator> DerefMut for AlignedSlice<T, ALIGN, A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: invariant 1; the unique borrow of the owner guards the items.
        unsafe { NonNull::slice_from_raw_parts(self.ptr, self.count).as_mut() }
    }
}

impl<T, const ALIGN: usize, A: Allocator> Drop for AlignedSlice<T, ALIGN, A> {
    fn drop(&mut self) {
        let layout = self.layout();
        // SAFETY: invariant 1: valid items, dropped once.
        unsafe { NonNull::slice_from_raw_parts(self.ptr, self.count).drop_in_place() };
        if layout.size() != 0 {
            // SAFETY: invariant 2: live, of this allocator, fitting; dead from here on.
            unsafe { self.alloc.raw_free(self.ptr.cast(), layout) };
        }
    }
}
