//! Arenas: values, strings and slices, blocks of any layout, resets and scopes.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_arena::{Arena, Growth, Reset, SharedArena};
use alloc_core::{AllocError, Allocator, NeverAlloc};
use alloc_fixed::FixedBuffer;

type Over<'a> = Arena<&'a FixedBuffer<'a>>;

#[inline(never)]
pub fn put<'a>(arena: &'a Over<'_>, value: u64) -> Result<&'a mut u64, AllocError> {
    arena.put(value)
}

#[inline(never)]
pub fn put_or_return(arena: &Over<'_>, value: [u64; 9]) -> bool {
    arena.put_or_return(value).is_ok()
}

#[inline(never)]
pub fn put_with<'a>(arena: &'a Over<'_>, value: u64) -> Result<&'a mut [u64; 3], AllocError> {
    arena.put_with(|| [value; 3])
}

#[inline(never)]
pub fn put_str<'a>(arena: &'a Over<'_>, text: &str) -> Result<&'a mut str, AllocError> {
    arena.put_str(text)
}

#[inline(never)]
pub fn copied<'a>(arena: &'a Over<'_>, items: &[u32]) -> Result<&'a mut [u32], AllocError> {
    arena.put_slice_copy(items)
}

#[inline(never)]
pub fn filled<'a>(arena: &'a Over<'_>, count: usize) -> Result<&'a mut [u32], AllocError> {
    arena.put_slice_fill(count, 7)
}

#[inline(never)]
pub fn made<'a>(arena: &'a Over<'_>, count: usize) -> Result<&'a mut [usize], AllocError> {
    arena.put_slice_with(count, |index| index)
}

#[inline(never)]
pub fn zeroed<'a>(arena: &'a Over<'_>, count: usize) -> Result<&'a mut [u32], AllocError> {
    arena.put_slice_zeroed(count)
}

#[inline(never)]
pub fn collected<'a>(arena: &'a Over<'_>, items: &[u32]) -> Result<&'a mut [u32], AllocError> {
    arena.put_iter(items.iter().copied().filter(|item| item % 2 == 0))
}

#[inline(never)]
pub fn reserve(arena: &Over<'_>, bytes: usize) -> bool {
    arena.reserve(bytes).is_ok()
}

#[inline(never)]
pub fn alloc(arena: &Over<'_>, layout: Layout) -> Result<NonNull<u8>, AllocError> {
    arena.raw_alloc(layout)
}

/// # Safety
///
/// As the function that it calls.
#[inline(never)]
pub unsafe fn remap(
    arena: &Over<'_>,
    block: NonNull<u8>,
    layout: Layout,
    size: usize,
) -> Option<NonNull<u8>> {
    // SAFETY: the caller keeps the same contract.
    unsafe { arena.raw_remap(block, layout, size) }
}

/// # Safety
///
/// As the function that it calls.
#[inline(never)]
pub unsafe fn free(arena: &Over<'_>, block: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller keeps the same contract.
    unsafe { arena.raw_free(block, layout) }
}

#[inline(never)]
pub fn reset(arena: &mut Over<'_>, limit: usize) -> bool {
    arena.reset(Reset::RetainWithLimit(limit)) && arena.reset(Reset::RetainCapacity)
}

#[inline(never)]
pub fn scope(arena: &mut Over<'_>) -> usize {
    arena.scope(|inner| inner.put(5u8).is_ok());
    arena.high_water()
}

#[inline(never)]
pub fn shared(arena: &SharedArena<NeverAlloc>, value: u64) -> bool {
    arena.put(value).is_ok() && arena.local_with_growth(Growth::exact()).put(value).is_ok()
}
