//! What happens to memory that is taken back while its chunk stays: it is filled in debug builds, and
//! the address sanitizer learns that nobody may touch it.

use core::ptr::NonNull;

/// What dead bytes are filled with: the byte that Zig's allocators use for freed memory of a kind.
#[cfg(any(debug_assertions, alloc_check))]
const DEAD: u8 = 0x55;

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
