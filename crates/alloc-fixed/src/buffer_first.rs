//! A buffer, and another allocator when it is full.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

use crate::FixedBuffer;

/// Serves requests from a fixed buffer, and those that do not fit from a `fallback`; what is small
/// and short-lived costs no call of the fallback at all.
///
/// A block stays where it came from: growing one that the buffer holds no further moves it by a copy,
/// as for any allocator whose `remap` declines.
///
/// ```
/// use alloc_core::{AllocatorExt, Counting, FromGlobal};
/// use alloc_fixed::StackBuffer;
/// use std::alloc::System;
///
/// let heap = Counting::new(FromGlobal::new(System));
/// let mut stack = StackBuffer::<64>::new();
/// let alloc = stack.first(&heap);
/// let small = alloc.create([1u8; 60])?;
/// assert_eq!(heap.counts().live_bytes, 0);
/// let large = alloc.create([2u8; 60])?;
/// assert_eq!(heap.counts().live_bytes, 60);
/// # drop((small, large));
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// A second one over the same buffer, which would hand the same bytes out again, does not compile while
/// the first is in use:
///
/// ```compile_fail,E0499
/// # use alloc_core::{AllocatorExt, NeverAlloc};
/// # let mut stack = alloc_fixed::StackBuffer::<64>::new();
/// let first = stack.first(NeverAlloc);
/// let block = first.create(5u8).unwrap();
/// let second = stack.first(NeverAlloc);
/// assert_eq!(*block, 5);
/// ```
#[derive(Debug)]
pub struct BufferFirst<'buf, A> {
    buffer: FixedBuffer<'buf>,
    fallback: A,
}

impl<'buf, A: Allocator> BufferFirst<'buf, A> {
    /// Makes an allocator of the two.
    #[inline]
    pub const fn new(buffer: FixedBuffer<'buf>, fallback: A) -> Self {
        Self { buffer, fallback }
    }

    /// Returns the allocator over the buffer.
    #[inline]
    pub const fn buffer(&self) -> &FixedBuffer<'buf> {
        &self.buffer
    }

    /// Returns the allocator that serves what does not fit.
    #[inline]
    pub const fn fallback(&self) -> &A {
        &self.fallback
    }

    /// Whether the buffer holds the block.
    #[inline]
    fn in_buffer(&self, block: NonNull<u8>) -> bool {
        self.buffer.owns_ptr(block.as_ptr())
    }
}

// SAFETY: every block is one of the buffer's or one of the fallback's, each of which keeps the
// promises 1 to 7. Which of the two is told by its address: a block of the fallback overlaps none of
// the buffer's bytes, since the buffer is borrowed uniquely. 3: moving this moves both.
unsafe impl<A: Allocator> Allocator for BufferFirst<'_, A> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        match self.buffer.raw_alloc(layout) {
            Ok(block) => Ok(block),
            Err(AllocError) => self.fallback.raw_alloc(layout),
        }
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        match self.buffer.raw_alloc_zeroed(layout) {
            Ok(block) => Ok(block),
            Err(AllocError) => self.fallback.raw_alloc_zeroed(layout),
        }
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        if self.in_buffer(block) {
            // SAFETY: the caller's contract; it is the buffer's block.
            unsafe { self.buffer.raw_resize(block, layout, new_size) }
        } else {
            // SAFETY: the caller's contract; it is the fallback's block.
            unsafe { self.fallback.raw_resize(block, layout, new_size) }
        }
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        if self.in_buffer(block) {
            // SAFETY: the caller's contract; it is the buffer's block.
            unsafe { self.buffer.raw_remap(block, layout, new_size) }
        } else {
            // SAFETY: the caller's contract; it is the fallback's block.
            unsafe { self.fallback.raw_remap(block, layout, new_size) }
        }
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        if self.in_buffer(block) {
            // SAFETY: the caller's contract; it is the buffer's block.
            unsafe { self.buffer.raw_free(block, layout) }
        } else {
            // SAFETY: the caller's contract; it is the fallback's block.
            unsafe { self.fallback.raw_free(block, layout) }
        }
    }
}

alloc_core::impl_foreign_allocator!(impl['buf, A: Allocator] for BufferFirst<'buf, A>);
