//! One buffer, as large as the largest request.

use core::alloc::Layout;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

/// A buffer for one value at a time, that grows to the largest request and then asks for no memory any
/// more: for a loop in which each round needs a list of another length.
///
/// What was handed out before ends where the next begins; the borrow says so.
///
/// ```
/// use alloc_core::{Counting, FromGlobal};
/// use alloc_fixed::MaxHeap;
/// use std::alloc::System;
///
/// let heap = Counting::new(FromGlobal::new(System));
/// let mut scratch = MaxHeap::new(&heap);
/// for count in [100, 20, 80, 100] {
///     let numbers = scratch.alloc::<u32>(count)?;
///     assert_eq!(numbers.len(), count);
/// }
/// assert_eq!((heap.counts().total_blocks, scratch.capacity()), (1, 400));
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// A second list while the first is in use does not compile:
///
/// ```compile_fail,E0499
/// # use alloc_core::NeverAlloc;
/// let mut scratch = alloc_fixed::MaxHeap::new(NeverAlloc);
/// let first = scratch.alloc::<u8>(1).unwrap();
/// let second = scratch.alloc::<u8>(1).unwrap();
/// first[0].write(1);
/// ```
pub struct MaxHeap<A: Allocator> {
    alloc: A,
    /// Invariant: a live block of `alloc` that fits `layout`, if that has bytes.
    block: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it is a handle and plain bytes that nobody else reaches.
unsafe impl<A: Allocator + Send> Send for MaxHeap<A> {}
// SAFETY: a shared one gives out sizes only.
unsafe impl<A: Allocator + Sync> Sync for MaxHeap<A> {}

impl<A: Allocator> MaxHeap<A> {
    /// Makes a heap that holds nothing yet.
    #[inline]
    pub const fn new(alloc: A) -> Self {
        Self { alloc, block: NonNull::dangling(), layout: Layout::new::<()>() }
    }

    /// Returns memory for `count` items, not initialised; what was handed out before is gone.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows; the buffer is as it was then.
    #[inline]
    pub fn alloc<T>(&mut self, count: usize) -> Result<&mut [MaybeUninit<T>], AllocError> {
        let Ok(wanted) = Layout::array::<T>(count) else { return Err(AllocError) };
        if self.layout.size() < wanted.size() || self.layout.align() < wanted.align() {
            self.grow(wanted)?;
        }
        let items = NonNull::slice_from_raw_parts(self.block.cast(), count);
        // SAFETY: the block has the size and the alignment at least (above), or `wanted` has no bytes
        // and the address its alignment; any content is a `MaybeUninit`; it is borrowed from `self`.
        Ok(unsafe { &mut *items.as_ptr() })
    }

    /// Returns the size of the buffer in bytes: that of the largest request so far.
    #[inline]
    pub const fn capacity(&self) -> usize {
        self.layout.size()
    }

    /// Gives the buffer back.
    pub fn clear(&mut self) {
        if self.layout.size() != 0 {
            // SAFETY: the invariant; `layout` has no bytes afterwards.
            unsafe { self.alloc.raw_free(self.block, self.layout) };
        }
        (self.block, self.layout) = (NonNull::dangling(), Layout::new::<()>());
    }

    /// Makes the buffer fit a layout as well as what it fits now. Its content is of no use to anybody,
    /// so it is not copied. The old buffer goes when the new one is there.
    #[cold]
    fn grow(&mut self, wanted: Layout) -> Result<(), AllocError> {
        let size = self.layout.size().max(wanted.size());
        let align = self.layout.align().max(wanted.align());
        let Ok(layout) = Layout::from_size_align(size, align) else { return Err(AllocError) };
        if size == 0 {
            (self.block, self.layout) = (layout.dangling_ptr(), layout);
            return Ok(());
        }
        if self.layout.size() != 0 && align == self.layout.align() {
            // SAFETY: the invariant; the new size is not zero and makes a valid layout.
            if unsafe { self.alloc.raw_resize(self.block, self.layout, size) } {
                self.layout = layout;
                return Ok(());
            }
        }
        let block = self.alloc.raw_alloc(layout)?;
        self.clear();
        (self.block, self.layout) = (block, layout);
        Ok(())
    }
}

impl<A: Allocator> Drop for MaxHeap<A> {
    #[inline]
    fn drop(&mut self) {
        self.clear();
    }
}

impl<A: Allocator> fmt::Debug for MaxHeap<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaxHeap").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}
