//! The process's own heap: for `malloc`, and for a Rust program's global allocator.
//!
//! One heap for the whole process, and the side heap for what is asked for while a thread is already
//! inside the allocator: by the allocator's own code, by what it calls, and by signal handlers that
//! interrupted it. Blocks of the two are told apart by address.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator, UnsizedFree};

use crate::SideHeap;
use crate::gpa::Gpa;
use crate::heap::claim::Claim;
use crate::heap::{Heap, Origin, expect_free};
use crate::stack::thread;
use crate::sys::errno::KeepErrno;

mod env;
mod family;
mod range;
mod line;
mod set;
mod records;
mod tell;
pub(crate) mod sampled;
mod start;
mod fork;
mod ask;
mod asked;
mod leave;
mod growth;
mod lines;
pub(crate) mod scan;

pub(crate) use ask::find_lost;
pub use ask::{SearchError, breakdown, detect_leaks, flush, set_sink, snapshot, stats};
#[doc(hidden)]
pub use ask::{keep_snapshot, print_error, print_growth, print_leaks};
pub use range::{check_range, check_start, room_at};
pub use start::{Start, library_closed, note_unchecked, start};
#[doc(hidden)]
pub use tell::write_line;

/// The process's heap; its settings come from the environment at the first allocation.
pub(crate) static PROCESS: Gpa = Gpa::with_config(crate::Config::DEFAULT);

/// The handle of the process's own checking heap: zero-sized, usable by any thread at any time,
/// also in a signal handler and before `main`.
///
/// Every method keeps `errno`, whatever happens inside; the caller sets it on failure if its own
/// rules ask for that.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessHeap;

impl ProcessHeap {
    /// Returns the heap, starting it if this is the first call.
    #[inline]
    fn heap(kind: Start) -> Result<&'static Heap, AllocError> {
        match PROCESS.heap() {
            Some(heap) => Ok(heap),
            None => start::first_use(kind),
        }
    }

    /// Allocates from the process's heap, or from the side heap if the thread is inside already.
    #[inline]
    pub(crate) fn alloc(layout: Layout, kind: Start) -> Result<NonNull<u8>, AllocError> {
        Self::alloc_as(layout, Origin::Malloc, kind)
    }

    /// As [`alloc`](Self::alloc), for the functions that the block belongs to.
    #[inline]
    fn alloc_as(layout: Layout, origin: Origin, kind: Start) -> Result<NonNull<u8>, AllocError> {
        let Some(inside) = thread::enter() else { return SideHeap.raw_alloc(layout) };
        let _errno = KeepErrno::new();
        let heap = Self::heap(kind)?;
        heap.alloc_as(layout, origin, heap.stack(&inside))
    }

    /// As [`alloc`](Self::alloc), all bytes zero.
    #[inline]
    pub(crate) fn alloc_zeroed(layout: Layout, kind: Start) -> Result<NonNull<u8>, AllocError> {
        let Some(inside) = thread::enter() else {
            let block = SideHeap.raw_alloc(layout)?;
            // SAFETY: just allocated; the side heap uses memory again.
            unsafe { block.write_bytes(0, layout.size()) };
            return Ok(block);
        };
        let _errno = KeepErrno::new();
        let heap = Self::heap(kind)?;
        heap.alloc_zeroed(layout, heap.stack(&inside))
    }

    /// Gives a block of either heap another size. `claimed` is the layout that the caller says it
    /// has, if it says one.
    ///
    /// # Safety
    ///
    /// `block` is live if it belongs to the side heap.
    pub(crate) unsafe fn realloc(
        block: NonNull<u8>,
        claimed: Option<Layout>,
        new_layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        let _errno = KeepErrno::new();
        if !SideHeap::contains(block.addr().get())
            && let Some(inside) = thread::enter()
        {
            let heap = Self::heap(Start::Preload)?;
            return heap.realloc(block, claimed, new_layout, heap.stack(&inside));
        }
        // A block of the side heap, or a call from inside: allocate, copy, free.
        // SAFETY: live by the caller's contract.
        let old_size = unsafe { Self.usable_size(block) };
        let new_block = Self::alloc(new_layout, Start::Preload)?;
        let count = old_size.min(new_layout.size());
        // SAFETY: the old block is readable for its size, the new one writable for its own.
        unsafe { new_block.copy_from_nonoverlapping(block, count) };
        Self::free(block, Claim::NONE);
        Ok(new_block)
    }

    /// Frees a block of either heap.
    #[inline]
    fn free(block: NonNull<u8>, claim: Claim) {
        if SideHeap::contains(block.addr().get()) {
            // SAFETY: a block of the side heap by its address; that it is live is the caller's
            // contract, which the side heap does not check.
            unsafe { SideHeap::free(block) };
            return;
        }
        expect_free(block, claim);
        let _errno = KeepErrno::new();
        let inside = thread::enter();
        let Ok(heap) = Self::heap(Start::Preload) else { return };
        let here = heap.stack_of(inside.as_ref());
        heap.free_as(block, claim, here, inside.as_ref());
    }

    /// Resizes a block of either heap in place.
    fn resize(block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        if SideHeap::contains(block.addr().get()) {
            // SAFETY: a live block of the side heap, by its address and the caller's contract.
            return unsafe { SideHeap.raw_resize(block, layout, new_size) };
        }
        let _errno = KeepErrno::new();
        let Some(inside) = thread::enter() else { return false };
        let Ok(heap) = Self::heap(Start::Preload) else { return false };
        heap.resize(block, Some(layout), new_size, heap.stack(&inside))
    }
}

// SAFETY: by number: 1, 2, 5, 6, 7: the promises of `Gpa` and `SideHeap`, one of which serves each
// call; their memory is disjoint. 3 Stable: the type has no state. 4 No unwind: neither does.
unsafe impl Allocator for ProcessHeap {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        Self::alloc(layout, Start::Preload)
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        Self::alloc_zeroed(layout, Start::Preload)
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        Self::resize(block, layout, new_size)
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        Self::resize(block, layout, new_size).then_some(block)
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        Self::free(block, Claim::of(Some(layout)));
    }
}

// SAFETY: both heaps know their blocks' sizes.
unsafe impl UnsizedFree for ProcessHeap {
    unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        if SideHeap::contains(block.addr().get()) {
            // SAFETY: a live block of the side heap, by its address and the caller's contract.
            return unsafe { SideHeap::usable_size(block) };
        }
        Self::heap(Start::Preload).ok().and_then(|heap| heap.size_of_live(block)).unwrap_or(0)
    }

    #[inline]
    unsafe fn free_unsized(&self, block: NonNull<u8>) {
        Self::free(block, Claim::NONE);
    }

    fn owns(&self, ptr: *const u8) -> bool {
        SideHeap::contains(ptr.addr()) || PROCESS.heap().is_some_and(|heap| heap.owns(ptr.addr()))
    }

    unsafe fn realloc_unsized(
        &self,
        block: NonNull<u8>,
        new_layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        // SAFETY: live by the caller's contract.
        unsafe { Self::realloc(block, None, new_layout) }
    }
}
