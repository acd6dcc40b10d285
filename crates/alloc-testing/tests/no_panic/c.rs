//! Malloc, and handles between C and Rust.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_c::{CAllocator, CAllocatorWith, CHandle, RawCAllocator};
use alloc_core::{AllocError, Allocator, UnsizedFree};

#[inline(never)]
pub fn alloc(layout: Layout) -> Result<NonNull<u8>, AllocError> {
    CAllocator.raw_alloc(layout)
}

#[inline(never)]
pub fn alloc_zeroed(layout: Layout) -> Result<NonNull<u8>, AllocError> {
    CAllocator.raw_alloc_zeroed(layout)
}

/// # Safety
///
/// As the function that it calls.
#[inline(never)]
pub unsafe fn resize(block: NonNull<u8>, layout: Layout, size: usize) -> bool {
    // SAFETY: the caller keeps the same contract.
    unsafe { CAllocator.raw_resize(block, layout, size) }
}

/// # Safety
///
/// As the function that it calls.
#[inline(never)]
pub unsafe fn remap(block: NonNull<u8>, layout: Layout, size: usize) -> Option<NonNull<u8>> {
    // SAFETY: the caller keeps the same contract.
    unsafe { CAllocator.raw_remap(block, layout, size) }
}

/// # Safety
///
/// As the function that it calls.
#[inline(never)]
pub unsafe fn realloc(block: NonNull<u8>, layout: Layout) -> Result<NonNull<u8>, AllocError> {
    // SAFETY: the caller keeps the same contract.
    unsafe { CAllocator.realloc_unsized(block, layout) }
}

/// # Safety
///
/// As the function that it calls.
#[inline(never)]
pub unsafe fn free(block: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller keeps the same contract.
    unsafe { CAllocator.raw_free(block, layout) }
}

#[inline(never)]
pub fn raw(layout: Layout) -> Result<NonNull<u8>, AllocError> {
    RawCAllocator.raw_alloc(layout)
}

#[inline(never)]
pub fn with(heap: CAllocatorWith, layout: Layout) -> Result<NonNull<u8>, AllocError> {
    heap.raw_alloc_zeroed(layout)
}

#[inline(never)]
pub fn to_c() -> CHandle<'static> {
    CHandle::new(&CAllocator)
}

#[inline(never)]
pub fn from_c(handle: CHandle<'_>, layout: Layout) -> Result<NonNull<u8>, AllocError> {
    handle.raw_alloc_zeroed(layout)
}

/// # Safety
///
/// As the function that it calls.
#[inline(never)]
pub unsafe fn from_c_remap(
    handle: CHandle<'_>,
    block: NonNull<u8>,
    layout: Layout,
    size: usize,
) -> Option<NonNull<u8>> {
    // SAFETY: the caller keeps the same contract.
    unsafe { handle.raw_remap(block, layout, size) }
}

/// # Safety
///
/// As the function that it calls.
#[inline(never)]
pub unsafe fn from_c_free(handle: CHandle<'_>, block: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller keeps the same contract.
    unsafe { handle.raw_free(block, layout) }
}
