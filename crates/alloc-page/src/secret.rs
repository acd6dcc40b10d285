//! Memory for secrets.

use core::alloc::Layout;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::slice;

use alloc_core::{AllocError, Allocator};

use crate::pages::{self, Place};
use crate::{page_size, sys};

/// Serves every request with pages that are never written to a disk: locked in memory, and in no core
/// dump; and wipes them when they come back. Zero-sized, thread-safe, without any state.
///
/// On Linux the pages come from `memfd_secret(2)`, where the kernel has it: such memory is not even mapped
/// by the kernel itself, so neither a debugger nor a fault of the kernel's reads it. Where not, they are
/// locked with `mlock(2)` and hidden with `MADV_DONTDUMP`. A request whose pages cannot be locked fails.
///
/// A block is wiped by `raw_free`, hence by the drop of its owner, and also when a growth moved its
/// content to another block; bytes that a shrink cuts off are wiped at once. No compiler removes that.
///
/// ```
/// use alloc_core::AllocatorExt;
/// use alloc_page::SecretPages;
///
/// let mut key = SecretPages.alloc_zeroed::<u8>(32)?;
/// key.copy_from_slice(&[7; 32]); // to be read straight from a file or a socket
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// # Drawbacks
///
/// * Four to six system calls to take a block, and a page at the least.
/// * `RLIMIT_MEMLOCK` bounds all of a process's locked memory, often to 8 MiB.
/// * Copies that the program makes elsewhere are its own business: registers, the stack, a `String`.
/// * A child of `fork` has no such memory. It must neither touch a block nor free one, so no owner may be
///   dropped there: a fatal signal follows, or where the child has mapped something at the address since,
///   that is wiped and unmapped.
/// * A `fork` in another thread, between the call that maps a block of `memfd_secret` and the one that keeps it from
///   children, gives the child that block: the kernel has no single call for both.
/// * Only Linux and FreeBSD keep it out of core dumps and children; macOS and Windows lock it, no more.
/// * Grows in place within its last page, and shrinks within it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SecretPages;

// SAFETY: by number, on invariants 1 and 2 of the crate:
// 1 Fit: `map_secret` returns at least `size` readable and writable bytes at the alignment.
// 2 Exclusive: the system returns ranges where nothing is mapped; nothing is stored in them.
// 3 Stable: there is no state to move; only `raw_free` unmaps.
// 4 No unwind: no function here panics: `pages` is checked.
// 5 Hands off: bytes are written when they are no longer the block's: after a free or a shrink.
// 6 Kept: a resize touches no byte below the new size, and none at all when it is refused.
// 7 Clean failure: nothing is counted; what was mapped for a request that fails is unmapped.
unsafe impl Allocator for SecretPages {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let page = page_size();
        let len = pages::round_up(layout.size(), page).ok_or(AllocError)?;
        sys::map_secret(Place { len, lead: 0, align: layout.align() }, page).ok_or(AllocError)
    }

    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        // Invariant 2: the system's pages are zero.
        self.raw_alloc(layout)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let page = page_size();
        let old_len = pages::round_up(layout.size(), page);
        if old_len.is_none() || old_len != pages::round_up(new_size, page) {
            return false;
        }
        if new_size < layout.size() {
            // SAFETY: below the old size, which the block spans.
            let cut_off = unsafe { block.add(new_size) };
            // SAFETY: bytes of the block behind its new end, which nobody uses.
            unsafe { wipe(cut_off, layout.size() - new_size) };
        }
        true
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // A block that moves is wiped where it was: by the free that follows the caller's copy.
        // SAFETY: the caller keeps the same contract towards `raw_resize`.
        unsafe { self.raw_resize(block, layout, new_size) }.then_some(block)
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the block spans that many bytes, and is dead to the caller.
        unsafe { wipe(block, layout.size()) };
        // SAFETY: the block owns the pages that hold its bytes (invariant 1), and is dead to the caller.
        // Where that fails they stay mapped, and hold zeros.
        unsafe { sys::unmap(block, layout.size()) };
    }
}

alloc_core::impl_foreign_allocator!(impl[] for SecretPages);

/// Writes zeros that no compiler leaves out.
///
/// # Safety
///
/// The `len` bytes at `start` may be written, and nobody else uses them.
unsafe fn wipe(start: NonNull<u8>, len: usize) {
    // SAFETY: writable and nobody else's (contract); any bytes will do for a `MaybeUninit`.
    let bytes: &mut [MaybeUninit<u8>] =
        unsafe { slice::from_raw_parts_mut(start.as_ptr().cast(), len) };
    // SAFETY: `MaybeUninit<u64>` takes any bytes, too.
    let (head, words, tail) = unsafe { bytes.align_to_mut::<MaybeUninit<u64>>() };
    for byte in head.iter_mut().chain(tail) {
        // SAFETY: a place of the slice.
        unsafe { ptr::write_volatile(byte, MaybeUninit::new(0)) };
    }
    for word in words {
        // SAFETY: as above.
        unsafe { ptr::write_volatile(word, MaybeUninit::new(0)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every place and length in a few words: all of it, and nothing beside it.
    #[test]
    fn wipe_writes_exactly_the_range() {
        for start in 0..20 {
            for end in start..20 {
                let mut bytes = [7u8; 20];
                let range = NonNull::from(&mut bytes[start..end]);
                // SAFETY: bytes of the array, which nobody else uses meanwhile.
                unsafe { wipe(range.cast(), end - start) };
                for (index, byte) in bytes.iter().enumerate() {
                    assert_eq!(*byte, if (start..end).contains(&index) { 0 } else { 7 });
                }
            }
        }
    }
}
