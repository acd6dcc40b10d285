//! POSIX `mmap`, and what Linux adds.

use core::ffi::c_int;
use core::ptr::{self, NonNull};

use crate::pages::{Cut, Place};

mod calls;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod relocate;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use relocate::{extend, relocate, relocate_placed};

use calls::{keep_errno, madvise, mlock, mmap, mprotect, munmap};

const ACCESSIBLE: c_int = libc::PROT_READ | libc::PROT_WRITE;
const ANONYMOUS: c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

/// Addresses without memory. `MAP_NORESERVE`, where there is such a flag: nothing is set aside.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
const RESERVED: c_int = ANONYMOUS | libc::MAP_NORESERVE;
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
const RESERVED: c_int = ANONYMOUS;

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
    // SAFETY: no MAP_FIXED.
    unsafe { mmap(ptr::null_mut(), len, ACCESSIBLE, ANONYMOUS, -1) }
}

pub(crate) fn map_placed(place: Place, page: usize) -> Option<NonNull<u8>> {
    let total = place.over_len(page)?;
    // SAFETY: just mapped, `over_len` bytes; nobody has it yet.
    unsafe { cut(map(total)?, total, place) }
}

pub(crate) fn reserve(place: Place, page: usize) -> Option<NonNull<u8>> {
    let total = place.over_len(page)?;
    // SAFETY: no MAP_FIXED.
    let mapping = unsafe { mmap(ptr::null_mut(), total, libc::PROT_NONE, RESERVED, -1) }?;
    // SAFETY: just mapped, `over_len` bytes; nobody has it yet.
    unsafe { cut(mapping, total, place) }
}

/// Cuts off what lies before and behind a place. On `None` nothing of the mapping is left.
///
/// # Safety
///
/// The mapping is ours, has `total` bytes, which is the place's `over_len`, and nobody uses it.
unsafe fn cut(mapping: NonNull<u8>, total: usize, place: Place) -> Option<NonNull<u8>> {
    let Cut { head, tail } = place.cut(mapping.addr().get(), total);
    // SAFETY: `cut` promises `head + len + tail == total`, the bytes of the mapping.
    let start = unsafe { mapping.add(head) };
    // SAFETY: as above.
    let end = unsafe { start.add(place.len) };
    // SAFETY: `head` bytes of whole pages of the mapping, or none; nobody uses them.
    if head != 0 && !unsafe { munmap(mapping, head) } {
        // SAFETY: the whole mapping, which nobody uses. If that fails too, its pages were never
        // touched: only addresses are lost.
        unsafe { munmap(mapping, total) };
        return None;
    }
    // SAFETY: `tail` bytes of whole pages of the mapping, or none; nobody uses them.
    if tail != 0 && !unsafe { munmap(end, tail) } {
        // SAFETY: what is left of the mapping, which nobody uses.
        unsafe { munmap(start, place.len + tail) };
        return None;
    }
    Some(start)
}

/// # Safety
///
/// The `len` bytes at `start` are pages mapped by this file, and nobody uses them any more if the
/// result is `true`.
#[inline]
pub(crate) unsafe fn unmap(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: this function's own contract.
    unsafe { munmap(start, len) }
}

/// # Safety
///
/// The `len` bytes at `tail` are the last pages of a block mapped by this file, and nobody uses them
/// any more if the result is `true`.
#[inline]
pub(crate) unsafe fn unmap_tail(tail: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the same contract: any pages of a mapping can be unmapped.
    unsafe { munmap(tail, len) }
}

/// # Safety
///
/// The `len` bytes at `block` are pages mapped by this file, and nobody uses them any more.
#[cold]
pub(crate) unsafe fn discard(block: NonNull<u8>, len: usize) {
    // SAFETY: whole pages of ours that nobody uses (contract). A failure leaves them resident, which
    // nothing depends on.
    let _ = unsafe { not_needed(block, len) };
}

/// Gives physical memory back, also of pages that are locked, where the kernel does that (Linux 5.18).
///
/// # Safety
///
/// The `len` bytes at `start` are pages mapped by this file, whose content nobody needs.
#[cfg(any(target_os = "linux", target_os = "android"))]
unsafe fn not_needed(start: NonNull<u8>, len: usize) -> Result<(), c_int> {
    /// Of linux/mman.h; the libc crate does not have it.
    const MADV_DONTNEED_LOCKED: c_int = 24;
    // SAFETY: this function's own contract.
    match unsafe { madvise(start, len, libc::MADV_DONTNEED) } {
        // Some of the pages are locked, most likely by `lock_all`.
        // SAFETY: as above.
        Err(libc::EINVAL) => unsafe { madvise(start, len, MADV_DONTNEED_LOCKED) },
        result => result,
    }
}

/// Gives physical memory back, if the system likes to.
///
/// # Safety
///
/// As on Linux.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
unsafe fn not_needed(start: NonNull<u8>, len: usize) -> Result<(), c_int> {
    // SAFETY: this function's own contract.
    unsafe { madvise(start, len, libc::MADV_DONTNEED) }
}

/// # Safety
///
/// The `len` bytes at `start` are pages of a reservation of this file that is not in use.
pub(crate) unsafe fn commit(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: pages of ours; more access disturbs nobody.
    unsafe { mprotect(start, len, ACCESSIBLE) }
}

/// # Safety
///
/// The `len` bytes at `start` are committed pages of a reservation of this file, whose content nobody
/// needs.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) unsafe fn zero(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: private memory of ours: on Linux it reads as zeros from now on, which nobody minds.
    unsafe { not_needed(start, len) }.is_ok()
}

/// # Safety
///
/// As on Linux.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) unsafe fn zero(start: NonNull<u8>, len: usize) -> bool {
    // Elsewhere the advice promises no zeros: new pages take the place of the old ones.
    let flags = ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: pages of ours whose content nobody needs (contract).
    unsafe { mmap(start.as_ptr(), len, ACCESSIBLE, flags, -1) }.is_some()
}

/// # Safety
///
/// The `len` bytes at `start` are pages of a reservation of this file that nobody uses.
pub(crate) unsafe fn decommit(start: NonNull<u8>, len: usize) -> bool {
    let flags = RESERVED | libc::MAP_FIXED;
    // SAFETY: pages of ours that nobody uses (contract).
    unsafe { mmap(start.as_ptr(), len, libc::PROT_NONE, flags, -1) }.is_some()
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

/// Always `None`, as `relocate`.
///
/// # Safety
///
/// None.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) unsafe fn relocate_placed(
    _: NonNull<u8>,
    _: usize,
    _: Place,
    _: usize,
) -> Option<NonNull<u8>> {
    None
}

/// Pages of 2 MiB that were set aside for the purpose: `vm.nr_hugepages`.
#[cfg(target_os = "linux")]
pub(crate) fn map_huge(len: usize) -> Option<NonNull<u8>> {
    let flags = ANONYMOUS | libc::MAP_HUGETLB | libc::MAP_HUGE_2MB;
    // SAFETY: no MAP_FIXED.
    unsafe { mmap(ptr::null_mut(), len, ACCESSIBLE, flags, -1) }
}

/// Asks the kernel to use large pages here when it can.
///
/// # Safety
///
/// The `len` bytes at `start` are pages mapped by this file.
#[cfg(target_os = "linux")]
pub(crate) unsafe fn advise_huge(start: NonNull<u8>, len: usize) {
    // SAFETY: it changes no content. Where it fails, the pages stay small.
    let _ = unsafe { madvise(start, len, libc::MADV_HUGEPAGE) };
}

/// Always `None`: no such pages are known here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn map_huge(_: usize) -> Option<NonNull<u8>> {
    None
}

/// Does nothing: these systems choose by themselves, if they can.
///
/// # Safety
///
/// None.
#[cfg(not(target_os = "linux"))]
pub(crate) unsafe fn advise_huge(_: NonNull<u8>, _: usize) {}

/// Memory that is never written to a disk; outside the kernel's own address space, where the kernel can.
pub(crate) fn map_secret(place: Place, page: usize) -> Option<NonNull<u8>> {
    #[cfg(target_os = "linux")]
    {
        let total = place.over_len(page)?;
        if let Some(mapping) = map_secret_file(total) {
            // SAFETY: just mapped, `over_len` bytes; nobody has it yet.
            let start = unsafe { cut(mapping, total, place) }?;
            // The kernel leaves such memory out of dumps, and locks it.
            // SAFETY: just mapped, and nobody has it.
            if unsafe { keep_from_children(start, place.len) } {
                return Some(start);
            }
            // SAFETY: as above.
            unsafe { munmap(start, place.len) };
            return None;
        }
    }
    let start = map_placed(place, page)?;
    // SAFETY: just mapped, and nobody has it.
    if mlock(start, place.len) && unsafe { hide(start, place.len) } {
        return Some(start);
    }
    // SAFETY: just mapped, and nobody has it.
    unsafe { munmap(start, place.len) };
    None
}

/// Keeps memory out of dumps and out of children; returns whether that was done.
///
/// # Safety
///
/// Nobody has it yet.
#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "dragonfly"
))]
unsafe fn hide(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: nobody's bytes change.
    let is_hidden = unsafe { hide_from_dumps(start, len) }.is_ok();
    // SAFETY: this function's own contract.
    is_hidden && unsafe { keep_from_children(start, len) }
}

/// The same where a system has neither: nothing can be done.
///
/// # Safety
///
/// None.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "dragonfly"
)))]
unsafe fn hide(_: NonNull<u8>, _: usize) -> bool {
    true
}

/// A child of `fork` does not get these pages.
///
/// # Safety
///
/// Nobody has them yet.
#[cfg(any(target_os = "linux", target_os = "android"))]
unsafe fn keep_from_children(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: pages of ours; this process sees no change.
    unsafe { madvise(start, len, libc::MADV_DONTFORK) }.is_ok()
}

/// # Safety
///
/// As on Linux.
#[cfg(any(target_os = "freebsd", target_os = "dragonfly"))]
unsafe fn keep_from_children(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: pages of ours; this process sees no change.
    calls::done(|| unsafe { libc::minherit(start.as_ptr().cast(), len, libc::INHERIT_NONE) })
        .is_ok()
}

#[cfg(all(target_os = "linux", feature = "file"))]
pub(crate) use calls::file_may_have;

/// A mapping of `memfd_secret(2)`: locked, in no core dump, and not mapped by the kernel itself, so that
/// not even a bug of the kernel's reads it. `None` where it is not to be had.
#[cfg(target_os = "linux")]
fn map_secret_file(len: usize) -> Option<NonNull<u8>> {
    let file = calls::memfd_secret()?;
    let mapping = if calls::file_may_have(len) && calls::ftruncate(file, len) {
        // SAFETY: no MAP_FIXED. The file is this mapping's alone: nobody truncates it.
        unsafe { mmap(ptr::null_mut(), len, ACCESSIBLE, libc::MAP_SHARED, file) }
    } else {
        None
    };
    // SAFETY: made above, and known here only. The mapping keeps the file.
    unsafe { calls::close(file) };
    mapping
}

/// # Errors
///
/// The system's number.
///
/// # Safety
///
/// None of memory: nobody's bytes change.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) unsafe fn hide_from_dumps(start: NonNull<u8>, len: usize) -> Result<(), c_int> {
    // SAFETY: what a core dump holds is all that changes.
    unsafe { madvise(start, len, libc::MADV_DONTDUMP) }
}

/// # Errors
///
/// The system's number.
///
/// # Safety
///
/// As on Linux.
#[cfg(any(target_os = "freebsd", target_os = "dragonfly"))]
pub(crate) unsafe fn hide_from_dumps(start: NonNull<u8>, len: usize) -> Result<(), c_int> {
    // SAFETY: what a core dump holds is all that changes.
    unsafe { madvise(start, len, libc::MADV_NOCORE) }
}

/// # Errors
///
/// Always: there is no such advice here. A secret stays in dumps then, which is told by the docs.
///
/// # Safety
///
/// None.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "dragonfly"
)))]
pub(crate) unsafe fn hide_from_dumps(_: NonNull<u8>, _: usize) -> Result<(), c_int> {
    Err(libc::ENOTSUP)
}

/// # Errors
///
/// The system's number.
pub(crate) fn lock_all() -> Result<(), c_int> {
    // On Linux a page is locked when it is first touched, and not fetched for that.
    #[cfg(target_os = "linux")]
    let flags = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    #[cfg(not(target_os = "linux"))]
    let flags = libc::MCL_CURRENT | libc::MCL_FUTURE;
    calls::mlockall(flags)
}

/// # Errors
///
/// The system's number.
#[cfg(not(target_os = "openbsd"))]
pub(crate) fn limit_address_space(len: usize) -> Result<(), c_int> {
    let limit = libc::rlim_t::try_from(len).unwrap_or(libc::RLIM_INFINITY);
    let mut both = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: it fills the structure.
    calls::done(|| unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut both) })?;
    // The hard limit stays, so that a child may be given more.
    both.rlim_cur = limit.min(both.rlim_max);
    // SAFETY: it reads the structure.
    calls::done(|| unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const both) })
}

/// OpenBSD bounds data alone, not addresses.
///
/// # Errors
///
/// Always `ENOSYS`.
#[cfg(target_os = "openbsd")]
pub(crate) fn limit_address_space(_: usize) -> Result<(), c_int> {
    Err(libc::ENOSYS)
}
