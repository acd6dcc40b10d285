//! POSIX `mmap`, and Linux's `mremap`.

use core::ptr::{self, NonNull};

use crate::pages::{self, Cut};

/// `sysconf(3)`. POSIX defines `_SC_PAGESIZE` on every system, so the fallback is not reached.
pub(crate) fn page_size() -> usize {
    keep_errno(|| {
        // SAFETY: `sysconf` takes any number; it only reads.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        match usize::try_from(size) {
            Ok(size) if size.is_power_of_two() => size,
            _ => 4096,
        }
    })
}

#[inline]
pub(crate) fn map(len: usize) -> Option<NonNull<u8>> {
    keep_errno(|| {
        // SAFETY: without MAP_FIXED `mmap` touches no mapping that exists; any length is allowed,
        // and an anonymous mapping takes file -1 and offset 0.
        let block = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        mapped(block)
    })
}

/// Maps too much, and cuts off what lies before and behind.
pub(crate) fn map_aligned(len: usize, align: usize, page: usize) -> Option<NonNull<u8>> {
    let total = pages::over_len(len, align, page)?;
    let mapping = map(total)?;
    let Cut { head, tail } = pages::cut(mapping.addr().get(), total, len, align);
    // SAFETY: `cut` promises `head + len + tail == total`, the bytes of the mapping.
    let block = unsafe { mapping.add(head) };
    // SAFETY: as above.
    let end = unsafe { block.add(len) };
    // SAFETY: `head` bytes of whole pages of the mapping just made, or none; nobody uses them.
    if head != 0 && !unsafe { unmap(mapping, head) } {
        // SAFETY: the whole mapping, which nobody uses. If that fails too, its pages were never
        // touched: only addresses are lost.
        unsafe { unmap(mapping, total) };
        return None;
    }
    // SAFETY: `tail` bytes of whole pages of the mapping just made, or none; nobody uses them.
    if tail != 0 && !unsafe { unmap(end, tail) } {
        // SAFETY: what is left of the mapping, which nobody uses.
        unsafe { unmap(block, len + tail) };
        return None;
    }
    Some(block)
}

/// # Safety
///
/// The `len` bytes at `block` are pages mapped by this file, and nobody uses them any more if the
/// result is `true`.
#[inline]
pub(crate) unsafe fn unmap(block: NonNull<u8>, len: usize) -> bool {
    // SAFETY: whole pages of ours that nobody uses (contract).
    keep_errno(|| unsafe { libc::munmap(block.as_ptr().cast(), len) } == 0)
}

/// # Safety
///
/// The `len` bytes at `tail` are the last pages of a block mapped by this file, and nobody uses them
/// any more if the result is `true`.
#[inline]
pub(crate) unsafe fn unmap_tail(tail: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the same contract: any pages of a mapping can be unmapped.
    unsafe { unmap(tail, len) }
}

/// # Safety
///
/// The `len` bytes at `block` are pages mapped by this file, and nobody uses them any more.
#[cold]
pub(crate) unsafe fn discard(block: NonNull<u8>, len: usize) {
    keep_errno(|| {
        // SAFETY: whole pages of ours that nobody uses (contract). A failure leaves them resident,
        // which nothing depends on.
        unsafe { libc::madvise(block.as_ptr().cast(), len, libc::MADV_DONTNEED) };
    });
}

/// # Safety
///
/// The `old_len` bytes at `block` are pages mapped by this file; `old_len < new_len`.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
pub(crate) unsafe fn extend(block: NonNull<u8>, old_len: usize, new_len: usize) -> bool {
    // SAFETY: a private anonymous mapping of ours (contract). Without MREMAP_MAYMOVE it grows where
    // nothing is mapped, or the call fails and changes nothing: mremap(2).
    let grown = keep_errno(|| unsafe { libc::mremap(block.as_ptr().cast(), old_len, new_len, 0) });
    grown != libc::MAP_FAILED
}

/// # Safety
///
/// The `old_len` bytes at `block` are pages mapped by this file; `old_len < new_len`. On `Some`
/// nobody uses the old address any more.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
pub(crate) unsafe fn relocate(
    block: NonNull<u8>,
    old_len: usize,
    new_len: usize,
) -> Option<NonNull<u8>> {
    keep_errno(|| {
        // SAFETY: a private anonymous mapping of ours (contract); it is moved as a whole, or the
        // call fails and changes nothing: mremap(2).
        let moved =
            unsafe { libc::mremap(block.as_ptr().cast(), old_len, new_len, libc::MREMAP_MAYMOVE) };
        mapped(moved)
    })
}

/// Always `false`: only Linux grows a mapping.
///
/// # Safety
///
/// None.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) unsafe fn extend(_: NonNull<u8>, _: usize, _: usize) -> bool {
    false
}

/// Always `None`: only Linux moves a mapping.
///
/// # Safety
///
/// None.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) unsafe fn relocate(_: NonNull<u8>, _: usize, _: usize) -> Option<NonNull<u8>> {
    None
}

/// The start of a new mapping, or `None` for `MAP_FAILED`.
#[inline]
fn mapped(start: *mut libc::c_void) -> Option<NonNull<u8>> {
    if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) }
}

/// Runs a call of the C library, and puts `errno` back to what it was.
///
/// A growth that is refused is not yet a failure of the request it serves: the caller may copy
/// instead. So `errno` must not show it.
#[inline]
fn keep_errno<R>(call: impl FnOnce() -> R) -> R {
    // SAFETY: it has no preconditions; the address is valid as long as the thread is.
    let errno = unsafe { errno_location() };
    // SAFETY: valid for this thread, and no other thread's business.
    let before = unsafe { errno.read() };
    let result = call();
    // SAFETY: as above.
    unsafe { errno.write(before) };
    result
}

#[cfg(any(target_os = "solaris", target_os = "illumos"))]
use libc::___errno as errno_location;
#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
use libc::__errno as errno_location;
#[cfg(any(target_os = "linux", target_os = "dragonfly", target_os = "emscripten"))]
use libc::__errno_location as errno_location;
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
use libc::__error as errno_location;
