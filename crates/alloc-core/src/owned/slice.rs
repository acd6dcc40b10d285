//! Slices: initialisation, growth, shrinking.

use core::mem::{self, MaybeUninit};
use core::ptr::NonNull;

use super::Owned;
use crate::block::FreeOnDrop;
use crate::filling::fill_from;
use crate::sizes::array_layout;
use crate::{AllocError, Allocator, block};

impl<T, A: Allocator> Owned<[MaybeUninit<T>], A> {
    /// Asserts that every item was written.
    ///
    /// # Safety
    ///
    /// All items are initialised.
    #[inline]
    pub unsafe fn assume_init(self) -> Owned<[T], A> {
        let (ptr, alloc) = Self::into_raw_parts(self);
        let ptr = NonNull::slice_from_raw_parts(ptr.cast::<T>(), ptr.len());
        // SAFETY: initialised by this function's contract; same layout, same block.
        unsafe { Owned::from_raw_parts(ptr, alloc) }
    }

    /// Writes every item, from its index, which makes the owner that of an initialised slice.
    #[inline]
    pub fn write_with(mut self, item: impl FnMut(usize) -> T) -> Owned<[T], A> {
        // SAFETY: nothing is claimed to be written.
        unsafe { fill_from(&mut self, 0, item) };
        // SAFETY: all items are written.
        unsafe { self.assume_init() }
    }

    /// Changes the number of items without moving them; returns whether it did.
    #[track_caller]
    pub(crate) fn resize_in_place(&mut self, new_count: usize) -> bool {
        let Ok(new) = array_layout::<T>(new_count) else { return false };
        // SAFETY: invariant 2; on `Some` the owner has the new block below.
        match unsafe { block::resize(&self.alloc, self.ptr.cast(), self.layout(), new) } {
            Some(block) => self.set_block(block, new_count),
            None => return false,
        }
        true
    }

    /// Changes the number of items by the allocator's remap; returns whether it did. The items may
    /// have moved then.
    #[track_caller]
    pub(crate) fn remap_in_owner(&mut self, new_count: usize) -> bool {
        let Ok(new) = array_layout::<T>(new_count) else { return false };
        // SAFETY: invariant 2; on `Some` the owner has the new block below.
        match unsafe { block::remap(&self.alloc, self.ptr.cast(), self.layout(), new) } {
            Some(block) => self.set_block(block, new_count),
            None => return false,
        }
        true
    }

    /// Changes the number of items, moving them if it must. On an error nothing has changed.
    #[track_caller]
    pub(crate) fn realloc_in_owner(&mut self, new_count: usize) -> Result<(), AllocError> {
        let new = array_layout::<T>(new_count)?;
        // SAFETY: invariant 2; on success the owner has the new block below.
        let block = unsafe { block::reallocate(&self.alloc, self.ptr.cast(), self.layout(), new) }?;
        self.set_block(block, new_count);
        Ok(())
    }

    /// Points the owner at another block, or at the same one with another length.
    #[inline]
    fn set_block(&mut self, block: NonNull<u8>, count: usize) {
        self.ptr = NonNull::slice_from_raw_parts(block.cast(), count);
    }
}

impl<T, A: Allocator> Owned<[T], A> {
    /// The same block as one whose items nobody drops.
    #[inline]
    pub(super) fn into_uninit_slice(self) -> Owned<[MaybeUninit<T>], A> {
        let (ptr, alloc) = Self::into_raw_parts(self);
        let ptr = NonNull::slice_from_raw_parts(ptr.cast::<MaybeUninit<T>>(), ptr.len());
        // SAFETY: any bytes are valid for `MaybeUninit<T>`, which has `T`'s layout.
        unsafe { Owned::from_raw_parts(ptr, alloc) }
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
        let mut block = this.into_uninit_slice();
        if let Err(error) = block.realloc_in_owner(new_len) {
            // SAFETY: unchanged on an error, so all items are as they were.
            return Err((unsafe { block.assume_init() }, error));
        }
        // SAFETY: the first `len` items were initialised and are kept (promise 6); the block itself
        // drops none.
        unsafe { fill_from(&mut block, len, item) };
        // SAFETY: all items are written.
        Ok(unsafe { block.assume_init() })
    }

    /// Grows the slice to `new_len` items, each new one a clone of `value`.
    ///
    /// # Errors
    ///
    /// The slice as it was, if no memory can be had.
    ///
    /// # Panics
    ///
    /// If `new_len` is less than the length, or if `clone` panics.
    #[track_caller]
    pub fn grow_fill(this: Self, new_len: usize, value: T) -> Result<Self, (Self, AllocError)>
    where
        T: Clone,
    {
        Self::grow_with(this, new_len, |_| value.clone())
    }

    /// Drops the items from `new_len` on and gives their memory back.
    ///
    /// # Errors
    ///
    /// The slice as it was, if the block cannot shrink in place and no memory can be had for a
    /// smaller one. No item has been dropped then.
    ///
    /// # Panics
    ///
    /// If `new_len` is more than the length.
    #[track_caller]
    pub fn shrink(this: Self, new_len: usize) -> Result<Self, (Self, AllocError)> {
        let len = this.len();
        assert!(new_len <= len, "shrink from {len} to {new_len} items");
        if mem::needs_drop::<T>() && new_len < len {
            return Self::shrink_and_drop(this, new_len);
        }
        let mut block = this.into_uninit_slice();
        match block.realloc_in_owner(new_len) {
            // SAFETY: the first `new_len` items were initialised and are kept (promise 6).
            Ok(()) => Ok(unsafe { block.assume_init() }),
            // SAFETY: unchanged on an error.
            Err(error) => Err((unsafe { block.assume_init() }, error)),
        }
    }

    /// Shrinks a slice whose items have destructors. The memory of the tail must be there while it
    /// is dropped, and no step may fail after it was dropped; so the head moves to a block of its
    /// own first.
    #[track_caller]
    fn shrink_and_drop(this: Self, new_len: usize) -> Result<Self, (Self, AllocError)> {
        let (len, layout) = (this.len(), this.layout());
        let Ok(head_layout) = array_layout::<T>(new_len) else { return Err((this, AllocError)) };
        let fresh = match block::allocate(&this.alloc, head_layout) {
            Ok(fresh) => fresh.cast::<T>(),
            Err(error) => return Err((this, error)),
        };
        let (old, alloc) = Owned::into_raw_parts(this);
        let items = old.cast::<T>();
        // SAFETY: `new_len <= len` items are readable in the old block and writable in the new one
        // (its layout's size); the two live blocks do not overlap (promise 2). Where nothing has
        // bytes, nothing is copied.
        unsafe { fresh.copy_from_nonoverlapping(items, new_len) };
        let head = NonNull::slice_from_raw_parts(fresh, new_len);
        // SAFETY: the head's block is of this allocator and fits `[T; new_len]`; its items were
        // moved there, and nobody reads them in the old block again. The owner is made before
        // anything can unwind.
        let head = unsafe { Owned::from_raw_parts(head, alloc) };
        // SAFETY: invariant 2 of the owner that was taken apart: no bytes, or a live block that fits
        // its layout; nobody uses it after the tail was dropped.
        let old_block = unsafe { FreeOnDrop::new(&head.alloc, old.cast(), layout) };
        // SAFETY: `new_len <= len`: the offset lies in or at the end of the old slice.
        let tail = unsafe { items.add(new_len) };
        // SAFETY: the tail's items are initialised, were not moved, and are dropped once.
        unsafe { NonNull::slice_from_raw_parts(tail, len - new_len).drop_in_place() };
        old_block.free();
        Ok(head)
    }
}
