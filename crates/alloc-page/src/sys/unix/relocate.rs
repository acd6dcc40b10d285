//! Growth of a mapping on Linux: where it lies, or by moving its page tables. No byte is copied.

use core::ptr::{self, NonNull};

use super::calls::{MREMAP_MAYMOVE, mmap, mremap, mremap_to, munmap};
use crate::pages::{Cut, Place};

/// # Safety
///
/// The `old_len` bytes at `block` are pages mapped by `unix.rs`; `old_len < new_len`.
#[inline]
pub(crate) unsafe fn extend(block: NonNull<u8>, old_len: usize, new_len: usize) -> bool {
    // SAFETY: a private mapping of ours (contract). Without MREMAP_MAYMOVE it grows where nothing is
    // mapped, or the call fails.
    unsafe { mremap(block, old_len, new_len, 0) }.is_ok()
}

/// # Safety
///
/// The `old_len` bytes at `block` are pages mapped by `unix.rs`; `old_len < new_len`. On `Some`
/// nobody uses the old address any more.
#[inline]
pub(crate) unsafe fn relocate(
    block: NonNull<u8>,
    old_len: usize,
    new_len: usize,
) -> Option<NonNull<u8>> {
    // SAFETY: a private mapping of ours, whose old address is forgotten (contract).
    unsafe { mremap(block, old_len, new_len, MREMAP_MAYMOVE) }.ok()
}

/// As [`relocate`], where the block stays or comes to lie at an address that is aligned;
/// `old_len < place.len`. The place begins with the block.
///
/// # Safety
///
/// The `old_len` bytes at `block` are pages mapped by `unix.rs`, aligned as the place. On `Some` nobody uses
/// the old address any more.
#[cold]
pub(crate) unsafe fn relocate_placed(
    block: NonNull<u8>,
    old_len: usize,
    place: Place,
    page: usize,
) -> Option<NonNull<u8>> {
    // SAFETY: a private mapping of ours (contract), which stays where it is.
    match unsafe { mremap(block, old_len, place.len, 0) } {
        Ok(block) => return Some(block),
        // Others are in the way, or a limit was reached.
        Err(libc::ENOMEM) => {}
        // The block itself is none that grows: its pages were set aside (EINVAL), the program has split it
        // (EFAULT). It does not move to grow either.
        Err(_) => return None,
    }
    let target = Target::reserve(place, page)?;
    // SAFETY: as above, and the old address is forgotten on `Some` (contract). The target's pages are
    // nobody's; `release` asks whose they are now.
    let is_moved = unsafe { mremap_to(block, old_len, place.len, target.start) };
    // SAFETY: the move is over.
    unsafe { target.release(is_moved, page) };
    is_moved.then_some(target.start)
}

/// A place for a block that moves: addresses without memory, with more of them around.
///
/// ```text
///  mapping   | head | target: len bytes | tail: two pages at the least |
///                   ^ start, aligned
/// ```
///
/// The kernel unmaps the target before it moves the block there. If it refuses the move, then either before
/// that or after it, and it does not say which; another thread may have mapped something there since. So
/// the tail is the witness: the reservation is a shared mapping, hence an object of its own that the kernel
/// joins with no other mapping, and whoever is at `start` in one mapping with the tail is our reservation.
struct Target {
    start: NonNull<u8>,
    len: usize,
    cut: Cut,
}

impl Target {
    fn reserve(place: Place, page: usize) -> Option<Self> {
        let total = Place { len: place.len.checked_add(2 * page)?, ..place }.over_len(page)?;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: no MAP_FIXED.
        let mapping = unsafe { mmap(ptr::null_mut(), total, libc::PROT_NONE, flags, -1) }?;
        let cut = place.cut(mapping.addr().get(), total);
        // SAFETY: `cut` promises `head + len + tail == total`, the bytes of the mapping.
        let start = unsafe { mapping.add(cut.head) };
        Some(Self { start, len: place.len, cut })
    }

    /// Unmaps what is not the block's, after a move or one that was refused.
    ///
    /// # Safety
    ///
    /// A move to the target was tried, and `is_moved` says whether it was done.
    unsafe fn release(&self, is_moved: bool, page: usize) {
        let Cut { head, tail } = self.cut;
        // SAFETY: `cut` promises that so many bytes before the start belong to the mapping.
        let mapping = unsafe { self.start.sub(head) };
        if !is_moved && self.is_ours(page) {
            // SAFETY: the whole mapping, which nobody uses.
            unsafe { munmap(mapping, head + self.len + tail) };
            return;
        }
        // Both are mappings by themselves now, which no lack of mappings keeps.
        if head != 0 {
            // SAFETY: what lies before the target, which nobody uses.
            unsafe { munmap(mapping, head) };
        }
        // SAFETY: `cut` promises so many bytes from the start on.
        let end = unsafe { self.start.add(self.len) };
        // SAFETY: what lies behind the target, which nobody uses.
        unsafe { munmap(end, tail) };
    }

    /// Whether the pages of the target are still of the reservation, after a move was refused.
    ///
    /// Asks for a growth of all from the start up to the last page but one. That page is there, so it cannot
    /// be had (ENOMEM, or EAGAIN where the process locks all of its memory); but before the kernel sees that,
    /// it looks whether one mapping holds it all (EFAULT).
    fn is_ours(&self, page: usize) -> bool {
        let witnessed_len = self.len + self.cut.tail - page;
        // SAFETY: the page behind is mapped: the last one of the tail.
        let refusal = unsafe { mremap(self.start, witnessed_len, witnessed_len + page, 0) };
        matches!(refusal, Err(libc::ENOMEM | libc::EAGAIN))
    }
}
