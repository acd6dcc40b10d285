//! A general heap, and another allocator when it is full.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator, UnsizedFree};

use crate::TlsfHeap;
use crate::routed::routed;

/// Serves requests from a general heap, and what it refuses from a `fallback`: another heap, for memory in
/// several pieces, or an allocator that does something about a lack of memory.
///
/// A block stays where it came from: growing one that its heap holds no further moves it by a copy, as for any
/// allocator whose `remap` declines. Which of the two a block is of takes two comparisons.
///
/// Two pieces of memory as the heap of a program:
///
/// ```
/// use alloc_core::{AsGlobal, Locked};
/// use alloc_fixed::{HeapFirst, StaticBytes, TlsfHeap};
///
/// static FAST: StaticBytes<4096> = StaticBytes::new();
/// static LARGE: StaticBytes<{ 1 << 20 }> = StaticBytes::new();
///
/// type Heaps = HeapFirst<'static, TlsfHeap<'static>>;
///
/// #[global_allocator]
/// static HEAP: AsGlobal<Locked<parking_lot::RawMutex, Heaps>> = AsGlobal::new(Locked::new(
///     HeapFirst::new(TlsfHeap::over(&FAST), TlsfHeap::over(&LARGE)),
/// ));
///
/// let text = vec![0u8; 10_000];
/// assert!(HEAP.get().with(|heaps| heaps.fallback().owns_ptr(text.as_ptr())));
/// ```
#[derive(Debug)]
pub struct HeapFirst<'buf, A> {
    heap: TlsfHeap<'buf>,
    fallback: A,
}

impl<'buf, A> HeapFirst<'buf, A> {
    /// Makes an allocator of the two. The fallback takes its memory from elsewhere, not from a block of this
    /// heap: the process ends if it hands out a part of one, which its address would lead back to the heap.
    #[inline]
    pub const fn new(heap: TlsfHeap<'buf>, fallback: A) -> Self {
        Self { heap, fallback }
    }

    /// Returns the heap.
    #[inline]
    pub const fn heap(&self) -> &TlsfHeap<'buf> {
        &self.heap
    }

    /// Returns the allocator that serves what the heap refuses.
    #[inline]
    pub const fn fallback(&self) -> &A {
        &self.fallback
    }
}

routed!(HeapFirst, heap);

// SAFETY: the sizes are those that the heap or the fallback tells, of its own blocks.
unsafe impl<A: UnsizedFree> UnsizedFree for HeapFirst<'_, A> {
    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        if self.in_first(block) {
            // SAFETY: the caller's contract; it is the heap's block.
            unsafe { self.heap.usable_size(block) }
        } else {
            // SAFETY: the caller's contract; it is the fallback's block.
            unsafe { self.fallback.usable_size(block) }
        }
    }

    #[inline]
    unsafe fn free_unsized(&self, block: NonNull<u8>) {
        if self.in_first(block) {
            // SAFETY: the caller's contract; it is the heap's block.
            unsafe { self.heap.free_unsized(block) }
        } else {
            // SAFETY: the caller's contract; it is the fallback's block.
            unsafe { self.fallback.free_unsized(block) }
        }
    }

    #[inline]
    fn owns(&self, ptr: *const u8) -> bool {
        self.heap.owns_ptr(ptr) || self.fallback.owns(ptr)
    }
}

alloc_core::impl_foreign_allocator!(impl['buf, A: Allocator] for HeapFirst<'buf, A>);
