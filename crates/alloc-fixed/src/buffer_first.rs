//! A buffer, and another allocator when it is full.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

use crate::FixedBuffer;
use crate::routed::routed;

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
    /// Makes an allocator of the two. The fallback takes its memory from elsewhere, not from a block of this
    /// buffer: the process ends if it hands out a part of one, which its address would lead back to the buffer.
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
}

routed!(BufferFirst, buffer);

alloc_core::impl_foreign_allocator!(impl['buf, A: Allocator] for BufferFirst<'buf, A>);
