//! What happens to memory that is taken back while its chunk stays: it is filled in debug builds, and
//! the address sanitizer learns that nobody may touch it.

use core::ptr::NonNull;

use alloc_core::{AllocError, Layout};

/// What dead bytes are filled with: the byte that Zig's allocators use for freed memory of a kind.
#[cfg(any(debug_assertions, alloc_check))]
const DEAD: u8 = 0x55;

/// How many bytes a byte of the sanitizer's shadow stands for.
const GRANULE: usize = 8;

/// Bytes that nobody may use until they are handed out again.
///
/// # Safety
///
/// The `len` bytes are writable and no part of a live block.
#[inline]
pub(crate) unsafe fn bury(start: NonNull<u8>, len: usize) {
    #[cfg(any(debug_assertions, alloc_check))]
    {
        // Some of it may be forbidden already: blocks that were freed one by one.
        allow(start, len);
        // SAFETY: this function's contract.
        unsafe { start.write_bytes(DEAD, len) };
    }
    forbid(start, len);
}

/// Tells the sanitizer that nobody may touch the bytes.
#[inline]
pub(crate) fn forbid(start: NonNull<u8>, len: usize) {
    #[cfg(sanitized)]
    crate::sanitizer::poison(start, len);
    #[cfg(not(sanitized))]
    let _ = (start, len);
}

/// Takes that back.
#[inline]
pub(crate) fn allow(start: NonNull<u8>, len: usize) {
    #[cfg(sanitized)]
    crate::sanitizer::unpoison(start, len);
    #[cfg(not(sanitized))]
    let _ = (start, len);
}

/// How many bytes an arena of many threads takes for a block. Under the sanitizer that is whole granules: its
/// shadow has a byte for eight of memory, which it reads, changes and writes, so two threads may not each have
/// a part of one.
#[inline]
pub(crate) fn apart(size: usize) -> usize {
    if cfg!(sanitized) {
        size.checked_next_multiple_of(GRANULE).unwrap_or(usize::MAX)
    } else {
        size
    }
}

/// The same of a layout.
#[inline]
pub(crate) fn layout_apart(layout: Layout) -> Result<Layout, AllocError> {
    if !cfg!(sanitized) {
        return Ok(layout);
    }
    let align = layout.align().max(GRANULE);
    Layout::from_size_align(apart(layout.size()), align).map_err(|_| AllocError)
}
