//! The record of a slot: sixteen bytes, out of the block's reach.
#![forbid(unsafe_code)]

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use super::state;

/// What is known of one block, live or freed; all zero: the slot was never handed out.
#[repr(C, align(16))]
pub(crate) struct Slot {
    /// State, alignment, fork epoch: see [`StateWord`].
    pub(crate) state: state::AtomicU32,
    /// Stack of the allocation.
    pub(crate) allocated: AtomicU32,
    /// Of a freed block, the stack of the free. Of a live one, what the search for leaks found out
    /// about it: a number from `MARKS` on.
    pub(crate) freed: AtomicU32,
    /// Size of the block in bytes (24 bits; of a block with a slab of its own, see `Slab`), and a
    /// number that says which part of the program it belongs to (8 bits).
    extent: AtomicU32,
}

const SIZE_BITS: u32 = 24;
const SIZE_MASK: u32 = (1 << SIZE_BITS) - 1;
/// Above all numbers of stacks.
const MARKS: u32 = 0xffff_ff00;

impl Slot {
    /// Writes the record of a new block, all but its state.
    #[inline]
    pub(super) fn begin(&self, allocated: u32, size: usize) {
        // Relaxed, all: published by the Release of the state.
        self.allocated.store(allocated, Relaxed);
        self.freed.store(0, Relaxed);
        self.extent.store(size as u32 & SIZE_MASK, Relaxed);
    }

    /// Size and number as the record holds them: of a block that belongs to no part of the program it is
    /// the size.
    #[inline]
    pub(super) fn extent(&self) -> usize {
        // Relaxed: published with the state.
        self.extent.load(Relaxed) as usize
    }

    /// The size that the record holds; see `extent`.
    #[inline]
    pub(super) fn size(&self) -> usize {
        // Relaxed: published with the state.
        self.extent.load(Relaxed) as usize & SIZE_MASK as usize
    }

    /// Changes that size.
    pub(super) fn set_size(&self, size: usize) {
        // Relaxed: published with the state.
        let tag = self.extent.load(Relaxed) & !SIZE_MASK;
        self.extent.store(size as u32 & SIZE_MASK | tag, Relaxed);
    }

    /// Returns what [`set_mark`](Self::set_mark) left, or 0.
    #[inline]
    pub(crate) fn mark(&self) -> u8 {
        // Relaxed: marks are one thread's.
        let value = self.freed.load(Relaxed);
        if MARKS <= value { value as u8 } else { 0 }
    }

    /// Leaves a mark, unless the block is freed meanwhile.
    #[inline]
    pub(crate) fn set_mark(&self, mark: u8) {
        let now = self.freed.load(Relaxed);
        if now == 0 || MARKS <= now {
            // Relaxed, both: marks are one thread's; a free that comes first wins.
            let _ = self.freed.compare_exchange(now, MARKS | u32::from(mark), Relaxed, Relaxed);
        }
    }

    /// Returns the number that says which part of the program the block belongs to.
    #[inline]
    pub(crate) fn tag(&self) -> u8 {
        // Relaxed: published with the state.
        (self.extent.load(Relaxed) >> SIZE_BITS) as u8
    }

    /// Sets that number; for the owner of a block.
    #[inline]
    pub(crate) fn set_tag(&self, tag: u8) {
        let size = self.extent.load(Relaxed) & SIZE_MASK;
        // Relaxed: as above.
        self.extent.store(size | u32::from(tag) << SIZE_BITS, Relaxed);
    }
}
