//! A block of the contract that tests can handle without `unsafe`.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use alloc_core::{AllocError, Allocator};

/// One live block, with the layout it fits: the methods of the contract as safe calls, for tests that
/// must see what `raw_resize` and `raw_remap` answer. Frees the block on drop.
///
/// Its bytes are always initialised, so they can be read: what a request, or a growth, added is
/// [`FRESH`](Self::FRESH).
pub struct RawBlock<A: Allocator> {
    alloc: A,
    /// Invariant: a live block of `alloc` that fits `layout`, all its bytes initialised.
    block: NonNull<u8>,
    layout: Layout,
}

impl<A: Allocator> RawBlock<A> {
    /// What new bytes are filled with.
    pub const FRESH: u8 = 0xA7;

    /// Requests `size` bytes aligned to `align`.
    ///
    /// # Errors
    ///
    /// The allocator's.
    ///
    /// # Panics
    ///
    /// If size and alignment make no layout, or the size is zero, which the contract excludes.
    #[track_caller]
    pub fn new(alloc: A, size: usize, align: usize) -> Result<Self, AllocError> {
        let layout = layout(size, align);
        let block = alloc.raw_alloc(layout)?;
        // SAFETY: the block spans `size` writable bytes (promise 1).
        unsafe { block.write_bytes(Self::FRESH, size) };
        Ok(Self { alloc, block, layout })
    }

    /// Requests `size` bytes of zeros aligned to `align`.
    ///
    /// # Errors
    ///
    /// The allocator's.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[track_caller]
    pub fn new_zeroed(alloc: A, size: usize, align: usize) -> Result<Self, AllocError> {
        let layout = layout(size, align);
        Ok(Self { block: alloc.raw_alloc_zeroed(layout)?, alloc, layout })
    }

    /// Asks for another size in place; returns the allocator's answer.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[track_caller]
    pub fn resize(&mut self, new_size: usize) -> bool {
        let new_layout = layout(new_size, self.layout.align());
        // SAFETY: live and fitting (invariant); the new size is not zero and makes a layout.
        let resized = unsafe { self.alloc.raw_resize(self.block, self.layout, new_size) };
        if resized {
            self.now_fits(self.block, new_layout);
        }
        resized
    }

    /// Asks for another size, moved or not; returns whether the allocator did it.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[track_caller]
    pub fn remap(&mut self, new_size: usize) -> bool {
        let new_layout = layout(new_size, self.layout.align());
        // SAFETY: live and fitting (invariant); the new size is not zero and makes a layout.
        match unsafe { self.alloc.raw_remap(self.block, self.layout, new_size) } {
            Some(block) => {
                self.now_fits(block, new_layout);
                true
            }
            None => false,
        }
    }

    /// The address of the first byte.
    pub fn addr(&self) -> usize {
        self.block.addr().get()
    }

    /// The pointer to the first byte.
    pub const fn as_ptr(&self) -> NonNull<u8> {
        self.block
    }

    /// The layout that the block fits now.
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// All bytes of the block.
    pub const fn bytes(&self) -> &[u8] {
        // SAFETY: readable for the layout's size (promise 1) and initialised (invariant); the
        // borrow of the owner guards them.
        unsafe { NonNull::slice_from_raw_parts(self.block, self.layout.size()).as_ref() }
    }

    /// All bytes of the block.
    pub const fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; the borrow of the owner is unique.
        unsafe { NonNull::slice_from_raw_parts(self.block, self.layout.size()).as_mut() }
    }

    /// Writes a pattern that differs from byte to byte and from seed to seed.
    pub fn fill(&mut self, seed: u8) {
        for (index, byte) in self.bytes_mut().iter_mut().enumerate() {
            *byte = pattern(seed, index);
        }
    }

    /// Asserts that the first `count` bytes are still those of [`fill`](Self::fill).
    ///
    /// # Panics
    ///
    /// If they are not, or the block is shorter.
    #[track_caller]
    pub fn assert_filled(&self, count: usize, seed: u8) {
        for (index, &byte) in self.bytes()[..count].iter().enumerate() {
            assert_eq!(byte, pattern(seed, index), "byte {index} of {count}");
        }
    }

    /// Gives the block up: the caller frees it, or the allocator does as a whole.
    pub fn into_raw_parts(self) -> (NonNull<u8>, Layout, A) {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped nor used again, so the handle is moved out once.
        (this.block, this.layout, unsafe { ptr::read(&raw const this.alloc) })
    }

    /// Keeps the invariant after a successful resize or remap.
    fn now_fits(&mut self, block: NonNull<u8>, new_layout: Layout) {
        let old_size = self.layout.size();
        (self.block, self.layout) = (block, new_layout);
        if let Some(added) = self.layout.size().checked_sub(old_size) {
            // SAFETY: `old_size` is within the block's new size.
            let tail = unsafe { block.add(old_size) };
            // SAFETY: the `added` bytes behind it lie in the block too, writable (promise 1).
            unsafe { tail.write_bytes(Self::FRESH, added) };
        }
    }
}

impl<A: Allocator> Drop for RawBlock<A> {
    fn drop(&mut self) {
        // SAFETY: live and fitting (invariant); dead from here on.
        unsafe { self.alloc.raw_free(self.block, self.layout) };
    }
}

/// Neighbouring bytes differ, and so do bytes 256 apart.
const fn pattern(seed: u8, index: usize) -> u8 {
    seed.wrapping_add(index as u8).wrapping_add((index >> 8) as u8)
}

#[track_caller]
fn layout(size: usize, align: usize) -> Layout {
    assert_ne!(size, 0, "the contract knows no block of zero bytes");
    Layout::from_size_align(size, align).expect("size and alignment make a layout")
}
