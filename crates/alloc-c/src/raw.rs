//! Malloc for the alignments that it has by itself.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator, UnsizedFree};

use crate::CAllocator;
use crate::route::ALIGN_MAX;

/// The C library's heap by `malloc`, `calloc`, `realloc` and `free` alone: what [`CAllocator`] is, for
/// alignments up to that of C's `max_align_t`, and an error for larger ones. Zero-sized, thread-safe.
///
/// For blocks that go to C code which may pass them to `realloc`: an alignment that is larger would be lost
/// there, so it is refused here.
///
/// ```
/// use alloc_c::RawCAllocator;
/// use alloc_core::{AllocatorExt, Owned};
///
/// let (ptr, _) = Owned::into_raw_parts(RawCAllocator.create(5u64)?);
/// // SAFETY: a live block of malloc, given up above; C code may grow it.
/// let grown = unsafe { libc::realloc(ptr.as_ptr().cast(), 1000) };
/// assert!(!grown.is_null());
/// // SAFETY: a live block of malloc.
/// unsafe { libc::free(grown) };
/// assert!(RawCAllocator.aligned_alloc::<u8, 4096>(1).is_err());
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RawCAllocator;

// SAFETY: promises 1 to 7 are those of `CAllocator`, which serves every layout that is not refused; a
// refusal changes nothing (7). Blocks come from layouts that are served, so `raw_resize`, `raw_remap` and
// `raw_free` see no others.
unsafe impl Allocator for RawCAllocator {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if ALIGN_MAX < layout.align() { Err(AllocError) } else { CAllocator.raw_alloc(layout) }
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if ALIGN_MAX < layout.align() {
            Err(AllocError)
        } else {
            CAllocator.raw_alloc_zeroed(layout)
        }
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        // SAFETY: the caller keeps the same contract.
        unsafe { CAllocator.raw_resize(block, layout, new_size) }
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller keeps the same contract.
        unsafe { CAllocator.raw_remap(block, layout, new_size) }
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller keeps the same contract.
        unsafe { CAllocator.raw_free(block, layout) };
    }
}

// SAFETY: the sizes are those that `CAllocator` tells.
unsafe impl UnsizedFree for RawCAllocator {
    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        // SAFETY: the caller keeps the same contract.
        unsafe { CAllocator.usable_size(block) }
    }

    #[inline]
    unsafe fn free_unsized(&self, block: NonNull<u8>) {
        // SAFETY: the caller keeps the same contract.
        unsafe { CAllocator.free_unsized(block) };
    }

    #[inline]
    fn owns(&self, ptr: *const u8) -> bool {
        CAllocator.owns(ptr)
    }

    #[inline]
    unsafe fn realloc_unsized(
        &self,
        block: NonNull<u8>,
        new_layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        if ALIGN_MAX < new_layout.align() {
            return Err(AllocError);
        }
        // SAFETY: the caller keeps the same contract.
        unsafe { CAllocator.realloc_unsized(block, new_layout) }
    }
}

alloc_core::impl_foreign_allocator!(impl[] for RawCAllocator);
