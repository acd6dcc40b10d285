//! Slices whose alignment is larger than their items'.

use core::alloc::Layout;
use core::borrow::{Borrow, BorrowMut};
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use core::slice;

use crate::block::FreeOnDrop;
use crate::filling::fill_from;
use crate::owned::into_iter;
use crate::sizes::aligned_array_layout;
use crate::{AllocError, Allocator, block};

/// Owns a slice whose first item is aligned to `ALIGN` bytes, or to `T`'s alignment if that is
/// larger, and frees it with exactly the layout it was allocated with.
///
/// ```
/// use alloc_core::{AlignedSlice, AllocatorExt, FromGlobal};
/// use std::alloc::System;
///
/// let heap = FromGlobal::new(System);
/// let sector = heap.aligned_alloc::<u8, 512>(1024)?;
/// assert!(sector.as_ptr().addr().is_multiple_of(512));
/// let sector = sector.write_with(|index| index as u8);
/// let sector = AlignedSlice::grow_with(sector, 2048, |_| 0).map_err(|(_, error)| error)?;
/// assert!(sector.as_ptr().addr().is_multiple_of(512) && sector[1023] == 255);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// # Invariants
///
/// 1. `ptr` points to `count` valid items that this owner alone may reach.
/// 2. If they have any bytes, `ptr` is a live block of `alloc` that fits the layout of `count` items
///    with the larger of the two alignments. Otherwise it is dangling and aligned.
#[must_use = "an `AlignedSlice` frees its memory when it is dropped, which is at once if not used"]
pub struct AlignedSlice<T, const ALIGN: usize, A: Allocator> {
    ptr: NonNull<T>,
    count: usize,
    alloc: A,
    _owns: PhantomData<T>,
}

// SAFETY: it is its items and its handle (invariant 1); sending it sends both.
unsafe impl<T: Send, const ALIGN: usize, A: Allocator + Send> Send for AlignedSlice<T, ALIGN, A> {}
// SAFETY: a shared one gives out `&[T]` and `&A` only.
unsafe impl<T: Sync, const ALIGN: usize, A: Allocator + Sync> Sync for AlignedSlice<T, ALIGN, A> {}

impl<T, const ALIGN: usize, A: Allocator> AlignedSlice<T, ALIGN, A> {
    /// Takes ownership of `count` items and their block.
    ///
    /// # Safety
    ///
    /// * `ptr` points to `count` valid items that nobody else uses or owns.
    /// * If they have any bytes, `ptr` is a live block of the allocator behind `alloc` that fits the
    ///   layout of `count` items with the alignment `ALIGN`, or `T`'s if that is larger; and nothing
    ///   invalidates it while the owner lives. Otherwise it is aligned to that.
    #[inline]
    pub const unsafe fn from_raw_parts(ptr: NonNull<T>, count: usize, alloc: A) -> Self {
        const { assert!(ALIGN.is_power_of_two(), "ALIGN is a power of two") };
        Self { ptr, count, alloc, _owns: PhantomData }
    }

    /// Gives up ownership: the caller drops the items and frees the block with
    /// [`layout`](Self::layout), or leaks them.
    #[inline]
    pub fn into_raw_parts(this: Self) -> (NonNull<T>, usize, A) {
        let this = ManuallyDrop::new(this);
        // SAFETY: `this` is never used again nor dropped, so the handle is moved out once.
        (this.ptr, this.count, unsafe { ptr::read(&raw const this.alloc) })
    }

    /// Gives up ownership for good: the items live as long as their allocator may be borrowed, and
    /// are never dropped or freed by this library.
    #[inline]
    pub fn leak<'a>(this: Self) -> &'a mut [T]
    where
        A: 'a,
    {
        let this = ManuallyDrop::new(this);
        // SAFETY: invariant 1: valid items that nobody else reaches, now or later. The block stays
        // live for `'a`: the handle lives that long and is not dropped, and by promise 3 (Stable)
        // no safe call through a shared handle invalidates a block.
        unsafe { NonNull::slice_from_raw_parts(this.ptr, this.count).as_mut() }
    }

    /// Returns the handle of the allocator that the memory came from.
    #[inline]
    pub const fn allocator(this: &Self) -> &A {
        &this.alloc
    }

    /// Returns the layout that the block was allocated with, if it has bytes.
    #[inline]
    pub const fn layout(this: &Self) -> Layout {
        let align = if align_of::<T>() < ALIGN { ALIGN } else { align_of::<T>() };
        // SAFETY: invariant 2: the same size and alignment made a valid layout when the block was
        // allocated; without bytes, any power of two is.
        unsafe { Layout::from_size_align_unchecked(this.count * size_of::<T>(), align) }
    }

    /// The same block as one whose items nobody drops.
    #[inline]
    fn into_uninit(self) -> AlignedSlice<MaybeUninit<T>, ALIGN, A> {
        let (ptr, count, alloc) = Self::into_raw_parts(self);
        // SAFETY: any bytes are valid for `MaybeUninit<T>`, which has `T`'s layout.
        unsafe { AlignedSlice::from_raw_parts(ptr.cast(), count, alloc) }
    }

    /// Grows the slice to `new_len` items, each new one made from its index.
    ///
    /// # Errors
    ///
    /// The slice as it was, if no memory can be had; `item` has not been called then.
    ///
    /// # Panics
    ///
    /// If `new_len` is less than the length. If `item` panics, the slice is dropped whole.
    #[track_caller]
    pub fn grow_with(
        this: Self,
        new_len: usize,
        item: impl FnMut(usize) -> T,
    ) -> Result<Self, (Self, AllocError)> {
        let len = this.len();
        assert!(len <= new_len, "grow_with from {len} to {new_len} items");
        let mut block = match this.into_uninit().realloc(new_len) {
            Ok(block) => block,
            // SAFETY: unchanged on an error, so all items are as they were.
            Err((block, error)) => return Err((unsafe { block.assume_init() }, error)),
        };
        // SAFETY: the first `len` items were initialised and are kept (promise 6); the block itself
        // drops none.
        unsafe { fill_from(&mut block, len, item) };
        // SAFETY: all items are written.
        Ok(unsafe { block.assume_init() })
    }
}

impl<T, const ALIGN: usize, A: Allocator> AlignedSlice<MaybeUninit<T>, ALIGN, A> {
    /// Asserts that every item was written.
    ///
    /// # Safety
    ///
    /// All items are initialised.
    #[inline]
    pub unsafe fn assume_init(self) -> AlignedSlice<T, ALIGN, A> {
        let (ptr, count, alloc) = Self::into_raw_parts(self);
        // SAFETY: initialised by this function's contract; same layout, same block.
        unsafe { AlignedSlice::from_raw_parts(ptr.cast(), count, alloc) }
    }

    /// Writes every item, from its index, which makes the owner that of an initialised slice.
    #[inline]
    pub fn write_with(mut self, item: impl FnMut(usize) -> T) -> AlignedSlice<T, ALIGN, A> {
        // SAFETY: nothing is claimed to be written.
        unsafe { fill_from(&mut self, 0, item) };
        // SAFETY: all items are written.
        unsafe { self.assume_init() }
    }

    /// Changes the number of items without moving them; returns whether it did. On `false` nothing
    /// has changed. Zero items free the memory; an empty slice cannot grow in place.
    #[track_caller]
    pub fn resize(&mut self, new_count: usize) -> bool {
        let Ok(new) = aligned_array_layout::<T>(new_count, ALIGN) else { return false };
        // SAFETY: invariant 2; on `Some` the owner has the new block below.
        match unsafe { block::resize(&self.alloc, self.ptr.cast(), Self::layout(self), new) } {
            Some(block) => (self.ptr, self.count) = (block.cast(), new_count),
            None => return false,
        }
        true
    }

    /// Changes the number of items, in place or by a copy. New items are not initialised.
    ///
    /// # Errors
    ///
    /// The slice, unchanged, and [`AllocError`] if no memory can be had or the size overflows.
    #[track_caller]
    pub fn realloc(mut self, new_count: usize) -> Result<Self, (Self, AllocError)> {
        let new = match aligned_array_layout::<T>(new_count, ALIGN) {
            Ok(new) => new,
            Err(error) => return Err((self, error)),
        };
        let (block, old) = (self.ptr.cast(), Self::layout(&self));
        // SAFETY: invariant 2; on success the owner has the new block below.
        match unsafe { block::reallocate(&self.alloc, block, old, new) } {
            Ok(block) => (self.ptr, self.count) = (block.cast(), new_count),
            Err(error) => return Err((self, error)),
        }
        Ok(self)
    }
}

impl<T, const ALIGN: usize, A: Allocator> Drop for AlignedSlice<T, ALIGN, A> {
    fn drop(&mut self) {
        let layout = Self::layout(self);
        // The guard frees the block also when an item's drop unwinds.
        // SAFETY: invariant 2: no bytes, or live, of this allocator, fitting; dead from here on.
        let _block = unsafe { FreeOnDrop::new(&self.alloc, self.ptr.cast(), layout) };
        // SAFETY: invariant 1: valid items, dropped once.
        unsafe { NonNull::slice_from_raw_parts(self.ptr, self.count).drop_in_place() };
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

impl<T, const ALIGN: usize, A: Allocator> Unpin for AlignedSlice<T, ALIGN, A> {}

impl<T, const ALIGN: usize, A: Allocator> AsRef<[T]> for AlignedSlice<T, ALIGN, A> {
    #[inline]
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T, const ALIGN: usize, A: Allocator> AsMut<[T]> for AlignedSlice<T, ALIGN, A> {
    #[inline]
    fn as_mut(&mut self) -> &mut [T] {
        self
    }
}

impl<T, const ALIGN: usize, A: Allocator> Borrow<[T]> for AlignedSlice<T, ALIGN, A> {
    #[inline]
    fn borrow(&self) -> &[T] {
        self
    }
}

impl<T, const ALIGN: usize, A: Allocator> BorrowMut<[T]> for AlignedSlice<T, ALIGN, A> {
    #[inline]
    fn borrow_mut(&mut self) -> &mut [T] {
        self
    }
}

impl<T: fmt::Debug, const ALIGN: usize, A: Allocator> fmt::Debug for AlignedSlice<T, ALIGN, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T, const ALIGN: usize, A: Allocator> fmt::Pointer for AlignedSlice<T, ALIGN, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ptr.fmt(f)
    }
}

/// Compares the items; where they live, and how aligned, makes no difference.
impl<T, U, const M: usize, const N: usize, A, B> PartialEq<AlignedSlice<U, N, B>>
    for AlignedSlice<T, M, A>
where
    T: PartialEq<U>,
    A: Allocator,
    B: Allocator,
{
    #[inline]
    fn eq(&self, other: &AlignedSlice<U, N, B>) -> bool {
        **self == **other
    }
}

impl<T: Eq, const ALIGN: usize, A: Allocator> Eq for AlignedSlice<T, ALIGN, A> {}

/// Compares the items; where they live, and how aligned, makes no difference.
impl<T, const M: usize, const N: usize, A, B> PartialOrd<AlignedSlice<T, N, B>>
    for AlignedSlice<T, M, A>
where
    T: PartialOrd,
    A: Allocator,
    B: Allocator,
{
    #[inline]
    fn partial_cmp(&self, other: &AlignedSlice<T, N, B>) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: Ord, const ALIGN: usize, A: Allocator> Ord for AlignedSlice<T, ALIGN, A> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: Hash, const ALIGN: usize, A: Allocator> Hash for AlignedSlice<T, ALIGN, A> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

into_iter! {
    /// Moves the items out of an aligned slice, front to back or back to front; drops the rest, and
    /// frees the memory, on drop.
    AlignedIntoIter, [T, const ALIGN: usize, A: Allocator], [T, ALIGN, A],
    AlignedSlice<MaybeUninit<T>, ALIGN, A>
}

impl<T, const ALIGN: usize, A: Allocator> IntoIterator for AlignedSlice<T, ALIGN, A> {
    type Item = T;
    type IntoIter = AlignedIntoIter<T, ALIGN, A>;

    #[inline]
    fn into_iter(self) -> AlignedIntoIter<T, ALIGN, A> {
        // SAFETY: the slice's items are initialised, and the block of memory drops none.
        unsafe { AlignedIntoIter::new(self.into_uninit()) }
    }
}

impl<'a, T, const ALIGN: usize, A: Allocator> IntoIterator for &'a AlignedSlice<T, ALIGN, A> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    #[inline]
    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T, const ALIGN: usize, A: Allocator> IntoIterator for &'a mut AlignedSlice<T, ALIGN, A> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;

    #[inline]
    fn into_iter(self) -> slice::IterMut<'a, T> {
        self.iter_mut()
    }
}
