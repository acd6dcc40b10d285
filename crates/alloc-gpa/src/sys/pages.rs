//! Pages. Sizes and addresses are in bytes, multiples of the page size unless said otherwise.

use core::ptr::{self, NonNull};

/// The page size that the arithmetic of the heap is built on. Systems with larger pages work too:
/// all lengths below are multiples of [`UNIT_LEN`](crate::heap::classes::UNIT_LEN), 16 KiB.
pub(crate) const PAGE_LEN: usize = 4096;

const PROT_RW: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;
const FLAGS: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;

/// Maps `len` zero bytes, readable and writable, rounded up to pages; takes memory when they are
/// touched. `None` if the system refuses. May change `errno`, as may all here.
pub(crate) fn map(len: usize) -> Option<NonNull<u8>> {
    // SAFETY: a new private mapping at an address of the kernel's choice touches nothing.
    let start = unsafe { libc::mmap(ptr::null_mut(), len, PROT_RW, FLAGS, -1, 0) };
    if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) }
}

/// Whether the system would give a program `len` bytes now. [`map`] does not ask: it reserves more than
/// is used, and the system grants reservations that it would refuse as memory.
pub(crate) fn is_granted(len: usize) -> bool {
    let flags = FLAGS & !libc::MAP_NORESERVE;
    // SAFETY: as in `map`.
    let start = unsafe { libc::mmap(ptr::null_mut(), len, PROT_RW, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return false;
    }
    // SAFETY: just mapped, unused.
    unsafe { libc::munmap(start, len) };
    true
}

/// As [`map`], at an address that is a multiple of `align`, a power of two.
pub(crate) fn map_aligned(len: usize, align: usize) -> Option<NonNull<u8>> {
    if align <= PAGE_LEN {
        return map(len);
    }
    // Most often the next addresses are aligned if the ones before were: no hole is left between.
    let start = map(len)?;
    if start.addr().get().is_multiple_of(align) {
        return Some(start);
    }
    // SAFETY: just mapped, unused.
    unsafe { unmap(start, len) };
    let over = len.checked_add(align)?;
    let start = map(over)?;
    let head = start.addr().get().wrapping_neg() & (align - 1);
    let tail = over - head - len;
    if head != 0 {
        // SAFETY: the first `head` bytes of the mapping just made, which nobody uses.
        unsafe { unmap(start, head) };
    }
    // SAFETY: `head + len <= over`: inside the mapping.
    let aligned = unsafe { start.add(head) };
    if tail != 0 {
        // SAFETY: inside the mapping, or at its end.
        let end = unsafe { aligned.add(len) };
        // SAFETY: the last `tail` bytes of the mapping just made, which nobody uses.
        unsafe { unmap(end, tail) };
    }
    Some(aligned)
}

/// As [`map_aligned`], for blocks that a search for leaks will look for: not where the lower half of the first
/// addresses is a small number. Half of an old pointer that a small number has overwritten would lead there,
/// and hide a block that is lost. Alignments of more than 16 MiB have to do without.
pub(crate) fn map_distinct(len: usize, align: usize) -> Option<NonNull<u8>> {
    let start = map_aligned(len, align)?;
    if !is_mistakable(start.addr().get()) || MISTAKABLE_LEN < align {
        return Some(start);
    }
    // SAFETY: just mapped, unused.
    unsafe { unmap(start, len) };
    // Whatever place this has, one of its ends will do.
    let whole = len.checked_add(MISTAKABLE_LEN)?;
    let start = map_aligned(whole, align)?;
    let head = if is_mistakable(start.addr().get()) { MISTAKABLE_LEN } else { 0 };
    // SAFETY: `head` is at most `MISTAKABLE_LEN`, by which the mapping is longer than `len`.
    let distinct = unsafe { start.add(head) };
    let (unused, unused_len) = if head == 0 {
        // SAFETY: inside the mapping.
        (unsafe { start.add(len) }, MISTAKABLE_LEN)
    } else {
        (start, head)
    };
    // SAFETY: an end of the mapping just made, which nobody uses.
    unsafe { unmap(unused, unused_len) };
    Some(distinct)
}

/// How many addresses from each multiple of 4 GiB on are easily mistaken: a multiple of the chunks' length.
const MISTAKABLE_LEN: usize = 16 << 20;

/// Whether the lower half of an address is a small number.
const fn is_mistakable(addr: usize) -> bool {
    addr % (1 << 32) < MISTAKABLE_LEN
}

/// Gives a range back to the system, addresses included.
///
/// # Safety
///
/// The range was mapped by this module and nothing uses it any more.
pub(crate) unsafe fn unmap(start: NonNull<u8>, len: usize) {
    // SAFETY: the range is ours by this function's contract.
    unsafe { libc::munmap(start.as_ptr().cast(), len) };
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

/// Gives the memory of a range back and keeps the addresses: the bytes read as zero afterwards.
///
/// # Safety
///
/// The range was mapped by this module and nobody needs its bytes any more.
pub(crate) unsafe fn discard(start: NonNull<u8>, len: usize) {
    // SAFETY: a private anonymous mapping of ours, whose content may be lost (contract).
    if unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_DONTNEED) } == 0 {
        return;
    }
    // The kernel keeps locked pages, which all are in a process that called mlockall(2).
    // SAFETY: as above; the range needs no lock any more, as nobody needs its bytes.
    unsafe { libc::munlock(start.as_ptr().cast(), len) };
    // SAFETY: as above.
    if unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_DONTNEED) } != 0 {
        // SAFETY: mapped, readable and writable, and nobody needs its bytes (contract).
        unsafe { start.write_bytes(0, len) };
    }
}

/// Asks for huge pages where the system has them.
///
/// # Safety
///
/// The range was mapped by this module.
pub(crate) unsafe fn prefer_huge(start: NonNull<u8>, len: usize) {
    // SAFETY: a mapping of ours; the advice changes no content.
    unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
}

/// What became of an attempt to move memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// The memory is at the new addresses; the old ones read as zero.
    Yes,
    /// This range cannot be moved; others may.
    No,
    /// The system moves nothing.
    Never,
}

/// Moves the memory behind a range to other addresses. The old addresses stay mapped, without memory.
///
/// # Safety
///
/// Both ranges were mapped by this module, are `len` bytes long, and do not overlap; nobody needs the
/// bytes of either, or uses them at the same time.
pub(crate) unsafe fn move_memory(from: NonNull<u8>, to: NonNull<u8>, len: usize) -> Moved {
    // The kernel unmaps the destination before it compares with the limits: a process that is above
    // one, as it was lowered, would be left with a hole there.
    if is_limited(libc::RLIMIT_AS) || is_limited(libc::RLIMIT_DATA) {
        return Moved::No;
    }
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
    let at = to.as_ptr().cast::<libc::c_void>();
    // SAFETY: the source stays mapped (DONTUNMAP), the destination is a mapping of ours that may be
    // replaced (contract).
    if unsafe { libc::mremap(from.as_ptr().cast(), len, len, flags, at) } != libc::MAP_FAILED {
        return Moved::Yes;
    }
    let error = super::errno::get();
    fill_hole(to, len);
    match error {
        // The range is of several mappings, or there is no memory for one more right now.
        libc::EFAULT | libc::ENOMEM | libc::EAGAIN => Moved::No,
        _ => Moved::Never,
    }
}

/// Whether the process has a limit of this kind. May change `errno`.
fn is_limited(resource: libc::__rlimit_resource_t) -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a limit's number, and a place of ours for it.
    let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
    result != 0 || limit.rlim_cur != libc::RLIM_INFINITY
}

/// Maps a range again if a move that failed has unmapped it. Of a process that has no memory for it the
/// end comes here, with a word, and not where the addresses have become somebody else's.
fn fill_hole(start: NonNull<u8>, len: usize) {
    let flags = FLAGS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: replaces nothing (NOREPLACE): only addresses that are free, and were this crate's.
    let mapped = unsafe { libc::mmap(start.as_ptr().cast(), len, PROT_RW, flags, -1, 0) };
    if mapped == libc::MAP_FAILED && !is_mapped(start, len) {
        super::standard_error::write(
            b"alloc-gpa: no memory: a range of the heap was lost while its memory was moved\n",
        );
        super::abort();
    }
}

/// Whether every page of a range is mapped.
fn is_mapped(start: NonNull<u8>, len: usize) -> bool {
    // It answers ENOMEM where a page is not mapped (msync(2)), and writes nothing back.
    // SAFETY: changes no memory.
    unsafe { libc::msync(start.as_ptr().cast(), len, libc::MS_ASYNC) == 0 }
}

/// `MADV_GUARD_REMOVE` of Linux 6.13.
const GUARD_REMOVE: libc::c_int = 103;

/// Makes one page of a trapped range readable and writable again, whichever way it was trapped; returns
/// whether it is. Its bytes are zero, or what they were. For a fault's handler: takes no lock.
pub(crate) fn reopen(page: usize) -> bool {
    let start = ptr::without_provenance_mut::<u8>(page).cast();
    // SAFETY: takes a guard marker away, if there is one; the page's bytes stay as they are. Older
    // kernels refuse the number.
    unsafe { libc::madvise(start, PAGE_LEN, GUARD_REMOVE) };
    // SAFETY: the page is of a range of this crate's, which the heap's records say (caller).
    unsafe { libc::mprotect(start, PAGE_LEN, PROT_RW) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A range that could not be moved leaves both ranges mapped: under a limit that the process is
    /// above already nothing is tried, and a hole is filled. In a child, as limits are the whole
    /// process's, and nobody else maps anything there.
    #[test]
    fn nothing_is_unmapped_by_a_move_that_fails() {
        let len = 64 * PAGE_LEN;
        let [from, to] = [(); 2].map(|()| map(len).expect("some pages"));
        // SAFETY: the child calls nothing but the kernel.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: mapped above.
            unsafe { unmap(to, len) };
            fill_hole(to, len);
            fill_hole(from, len);
            let half = len / 2;
            // SAFETY: mapped above.
            unsafe { unmap(to, half) };
            let is_seen = !is_mapped(to, len) && is_mapped(from, len);
            fill_hole(to, half);
            // SAFETY: mapped above.
            unsafe { from.write_bytes(1, len) };
            let limit = libc::rlimit { rlim_cur: 1 << 16, rlim_max: 1 << 16 };
            // SAFETY: a valid limit.
            let limited = unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) } == 0;
            // SAFETY: both mapped above, with that length; nobody needs their bytes.
            let moved = unsafe { move_memory(from, to, len) };
            // A page that is not there ends the child by a signal.
            // SAFETY: mapped above.
            unsafe { to.write_bytes(2, len) };
            // SAFETY: no preconditions.
            unsafe { libc::_exit(i32::from(!limited || !is_seen || moved != Moved::No)) };
        }
        let mut status = 0;
        // SAFETY: a place of ours for the status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        for range in [from, to] {
            // SAFETY: mapped above.
            unsafe { unmap(range, len) };
        }
    }

    /// Locked pages read as zero too, once they are discarded; and are not locked any more.
    #[test]
    fn locked_pages_are_discarded() {
        let len = 4 * PAGE_LEN;
        let start = map(len).expect("a few pages");
        // SAFETY: mapped above.
        unsafe { start.write_bytes(0xff, len) };
        // SAFETY: as above.
        if unsafe { libc::mlock(start.as_ptr().cast(), len) } != 0 {
            std::println!("not run: this process may lock no memory");
            return;
        }
        // SAFETY: mapped above; only this test knows it.
        unsafe { discard(start, len) };
        // SAFETY: mapped, and initialised by the kernel.
        let bytes = unsafe { NonNull::slice_from_raw_parts(start, len).as_ref() };
        assert!(bytes.iter().all(|byte| *byte == 0));
        // SAFETY: mapped above; `bytes` is not used any more.
        unsafe { unmap(start, len) };
    }

    /// Goal: no place that is easily mistaken. Method: places below one another until 4 GiB are passed; only
    /// those beside the refused ones are touched.
    #[test]
    fn no_distinct_place_has_a_small_lower_half() {
        const LEN: usize = 4 << 20;
        let places: Vec<_> = (0..1100).filter_map(|_| map_distinct(LEN, LEN)).collect();
        for start in &places {
            let addr = start.addr().get();
            assert!(!is_mistakable(addr) && addr.is_multiple_of(LEN), "{addr:#x}");
            if is_mistakable(addr.wrapping_sub(MISTAKABLE_LEN)) || is_mistakable(addr + LEN) {
                // SAFETY: a place that was just mapped.
                unsafe { start.write_bytes(1, LEN) };
            }
        }
        for start in places {
            // SAFETY: mapped above, and used no more.
            unsafe { unmap(start, LEN) };
        }
    }
}
