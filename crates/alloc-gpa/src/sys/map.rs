//! Private anonymous mappings for this crate's own tables.

use core::ptr::{self, NonNull};

/// Maps `len` bytes of zeroes, readable and writable, aligned to a page; `None` if the system
/// refuses. May change `errno`.
pub(crate) fn map(len: usize) -> Option<NonNull<u8>> {
    // SAFETY: a new anonymous private mapping at an address of the kernel's choice touches no
    // memory that exists; `len` of 0 is an error that is looked at below.
    let base = unsafe {
        libc::mmap(
            ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if base == libc::MAP_FAILED { None } else { NonNull::new(base.cast()) }
}

/// Gives the `len` bytes at `base` back to the system. May change `errno`.
///
/// # Safety
///
/// * `base` and `len` are those of one [`map`] or [`grow`] that was not unmapped since.
/// * Nothing reads or writes the memory any more.
pub(crate) unsafe fn unmap(base: NonNull<u8>, len: usize) {
    // SAFETY: by this function's contract the range is one whole mapping of ours, out of use.
    unsafe { libc::munmap(base.as_ptr().cast(), len) };
}

/// Makes the mapping `new_len` bytes long, at another address if need be; `None`, and the mapping
/// as before, if the system refuses. May change `errno`.
///
/// # Safety
///
/// * `base` and `len` are those of one [`map`] or [`grow`] that was not unmapped since.
/// * Nothing uses the memory through another pointer afterwards, unless `None` was returned.
pub(crate) unsafe fn grow(base: NonNull<u8>, len: usize, new_len: usize) -> Option<NonNull<u8>> {
    // SAFETY: by this function's contract the range is one whole mapping of ours, and nobody keeps
    // a pointer into it.
    let new = unsafe { libc::mremap(base.as_ptr().cast(), len, new_len, libc::MREMAP_MAYMOVE) };
    if new == libc::MAP_FAILED { None } else { NonNull::new(new.cast()) }
}
