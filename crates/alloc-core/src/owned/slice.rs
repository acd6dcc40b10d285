//! Slices: initialisation, growth, shrinking.

use core::alloc::Layout;
use core::mem::{self, MaybeUninit};
use core::ptr::{self, NonNull};

use super::Owned;
use crate::sizes::array_layout;
use crate::{AllocError, Allocator};

/// A slice that is filled item by item from the front; drops what it wrote, and frees, if the
/// filling unwinds.
pub(crate) struct Filling<T, A: Allocator> {
    block: Owned<[MaybeUninit<T>], A>,
    /// Invariant: the first `len` items are initialised.
    len: usize,
}

impl<T, A: Allocator> Filling<T, A> {
    /// Starts with `len` items that are written already.
    ///
    /// # Safety
    ///
    /// The first `len` items of `block` are initialised, and nobody else owns them.
    #[inline]
    pub(crate) unsafe fn new(block: Owned<[MaybeUninit<T>], A>, len: usize) -> Self {
        crate::check!(len <= block.len(), "{len} items written of {}", block.len());
        Self { block, len }
    }

    /// Writes the rest, each item from its index, and returns the whole slice.
    #[inline]
    pub(crate) fn fill_with(mut self, mut item: impl FnMut(usize) -> T) -> Owned<[T], A> {
        while self.len < self.block.len() {
            let index = self.len;
            self.block[index].write(item(index));
            self.len += 1;
        }
        // The items now belong to the slice that is returned.
        self.len = 0;
        let this = mem::ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped nor used again, so the block is moved out once.
        let block = unsafe { ptr::read(&raw const this.block) };
        // SAFETY: the loop wrote every item from `len` on; those before were written (invariant).
        unsafe { block.assume_init() }
    }
}

impl<T, A: Allocator> Drop for Filling<T, A> {
    fn drop(&mut self) {
        let written =
            ptr::slice_from_raw_parts_mut(Owned::as_ptr(&self.block).cast::<T>(), self.len);
        // SAFETY: the first `len` items are initialised (invariant) and the block itself does not
        // drop them; it is freed right after, by its own drop.
        unsafe { ptr::drop_in_place(written) };
    }
}

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
    pub fn write_with(self, item: impl FnMut(usize) -> T) -> Owned<[T], A> {
        // SAFETY: nothing is claimed to be written.
        unsafe { Filling::new(self, 0) }.fill_with(item)
    }

    /// Changes the number of items without moving them; returns whether it did.
    pub(crate) fn resize_in_place(&mut self, new_count: usize) -> bool {
        let Ok(new_layout) = array_layout::<T>(new_count) else { return false };
        let old_layout = self.layout();
        if mem::size_of::<T>() == 0 || new_count == self.len() {
            self.set_block(self.ptr.cast(), new_count);
            return true;
        }
        if old_layout.size() == 0 {
            return false;
        }
        let block = self.ptr.cast::<u8>();
        if new_count == 0 {
            // SAFETY: invariant 2: a live block that fits; the owner forgets it below.
            unsafe { self.alloc.raw_free(block, old_layout) };
            self.set_block(NonNull::dangling(), 0);
            return true;
        }
        // SAFETY: invariant 2: a live block of this allocator that fits `old_layout`; the new size
        // is not zero, and `array_layout` made a valid layout of it.
        let resized = unsafe { self.alloc.raw_resize(block, old_layout, new_layout.size()) };
        if resized {
            self.set_block(block.cast(), new_count);
        }
        resized
    }

    /// Changes the number of items by the allocator's remap; returns whether it did. The items may
    /// have moved then.
    pub(crate) fn remap_in_owner(&mut self, new_count: usize) -> bool {
        let Ok(new_layout) = array_layout::<T>(new_count) else { return false };
        let old_layout = self.layout();
        if new_layout.size() == 0 || old_layout.size() == 0 || new_count == self.len() {
            return self.resize_in_place(new_count);
        }
        let block = self.ptr.cast::<u8>();
        // SAFETY: invariant 2: a live block of this allocator that fits `old_layout`; the new size
        // is not zero, and `array_layout` made a valid layout of it.
        match unsafe { self.alloc.raw_remap(block, old_layout, new_layout.size()) } {
            Some(moved) => {
                self.set_block(moved.cast(), new_count);
                true
            }
            None => false,
        }
    }

    /// Changes the number of items, moving them if it must. On an error nothing has changed.
    pub(crate) fn realloc_in_owner(&mut self, new_count: usize) -> Result<(), AllocError> {
        let new_layout = array_layout::<T>(new_count)?;
        if self.remap_in_owner(new_count) {
            return Ok(());
        }
        // Only a block that must move comes here, or a first one.
        let new_block = self.alloc.raw_alloc(new_layout)?;
        let old_layout = self.layout();
        if old_layout.size() != 0 {
            let old_block = self.ptr.cast::<u8>();
            let count = old_layout.size().min(new_layout.size());
            // SAFETY: the old block is readable for its layout's size (invariant 2), the new one
            // writable for its own (promise 1); both are live and so do not overlap (promise 2).
            unsafe { new_block.copy_from_nonoverlapping(old_block, count) };
            // SAFETY: invariant 2: live and fitting; the owner forgets it below.
            unsafe { self.alloc.raw_free(old_block, old_layout) };
        }
        self.set_block(new_block.cast(), new_count);
        Ok(())
    }

    /// Points the owner at another block, or at the same one with another length.
    #[inline]
    fn set_block(&mut self, block: NonNull<MaybeUninit<T>>, count: usize) {
        self.ptr = NonNull::slice_from_raw_parts(block, count);
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
    pub fn grow_with(
        this: Self,
        new_len: usize,
        item: impl FnMut(usize) -> T,
    ) -> Result<Self, (Self, AllocError)> {
        let len = this.len();
        assert!(len <= new_len, "grow_with from {len} to {new_len} items");
        let mut block = this.into_uninit_slice();
        match block.realloc_in_owner(new_len) {
            // SAFETY: the first `len` items were initialised and are kept (promise 6).
            Ok(()) => Ok(unsafe { Filling::new(block, len) }.fill_with(item)),
            // SAFETY: unchanged on an error, so all items are as they were.
            Err(error) => Err((unsafe { block.assume_init() }, error)),
        }
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
    pub fn shrink(this: Self, new_len: usize) -> Result<Self, (Self, AllocError)> {
        let len = this.len();
        assert!(new_len <= len, "shrink from {len} to {new_len} items");
        let mut block = this.into_uninit_slice();
        if !mem::needs_drop::<T>() || new_len == len {
            return match block.realloc_in_owner(new_len) {
                // SAFETY: the first `new_len` items were initialised and are kept (promise 6).
                Ok(()) => Ok(unsafe { block.assume_init() }),
                // SAFETY: unchanged on an error.
                Err(error) => Err((unsafe { block.assume_init() }, error)),
            };
        }
        // Items with a destructor: the memory of the tail must be there while it is dropped, and no
        // step may fail after it was dropped. So the head moves to a block of its own first.
        let head =
            match Layout::array::<T>(new_len).map_err(|_| AllocError).and_then(
                |layout| match layout.size() {
                    0 => Ok(NonNull::dangling()),
                    _ => block.alloc.raw_alloc(layout),
                },
            ) {
                Ok(head) => head.cast::<MaybeUninit<T>>(),
                // SAFETY: nothing was touched.
                Err(error) => return Err((unsafe { block.assume_init() }, error)),
            };
        let items = block.ptr.cast::<MaybeUninit<T>>();
        // SAFETY: `new_len <= len` items are readable in the old block and writable in the new one
        // (its layout's size); the two live blocks do not overlap (promise 2). For `new_len` 0
        // nothing is copied.
        unsafe { head.copy_from_nonoverlapping(items, new_len) };
        let (old, alloc) = Owned::into_raw_parts(block);
        // SAFETY: the head's block is live, of this allocator and fits `[T; new_len]`; its items
        // were moved there, and nobody reads them in the old block again. The handle moves along;
        // the old block is freed through it just below, while the owner lives.
        let shrunk: Self = unsafe {
            Owned::from_raw_parts(NonNull::slice_from_raw_parts(head.cast::<T>(), new_len), alloc)
        };
        /// Frees the old block also when an item's drop unwinds.
        struct FreeOld<'a, A: Allocator>(NonNull<u8>, Layout, &'a A);
        impl<A: Allocator> Drop for FreeOld<'_, A> {
            fn drop(&mut self) {
                if self.1.size() != 0 {
                    // SAFETY: the old block: live, of this allocator, fitting; forgotten after.
                    unsafe { self.2.raw_free(self.0, self.1) };
                }
            }
        }
        // SAFETY: the old slice is still allocated, so its layout may be asked.
        let old_layout = Layout::for_value(unsafe { old.as_ref() });
        let free_old = FreeOld(old.cast(), old_layout, &shrunk.alloc);
        // SAFETY: `new_len <= len`: the offset lies in or at the end of the old slice.
        let tail = unsafe { items.cast::<T>().add(new_len) };
        // SAFETY: the tail's items are initialised, were not moved, and are dropped once.
        unsafe { NonNull::slice_from_raw_parts(tail, len - new_len).drop_in_place() };
        drop(free_old);
        Ok(shrunk)
    }
}
