//! The way of nearly all frees: of a live block in a slab of equal slots, given back as it was taken.
//!
//! It finds what it needs once and keeps it in registers. Whatever is not so goes the long way
//! (`free_slow`), which tells what is wrong.

use core::ptr::NonNull;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::block::BlockRef;
use super::canary;
use super::check::REDZONE_LEN;
use super::claim::Claim;
use super::lane::prefetch;
use super::state::{State, StateWord};
use super::{Heap, Operation, map};
use crate::stack::StackId;

/// Length of a cache line in bytes.
const LINE_LEN: usize = 64;
/// Bytes of a block that are prefetched, at most.
const PREFETCH_LEN_MAX: usize = 1024;

/// Has a block's bytes fetched, as it is about to be freed; before the stack is captured, which gives
/// them time. The free reads or writes all of its slot.
#[inline]
pub(crate) fn expect_free(addr: NonNull<u8>, claim: Claim) {
    prefetch(addr.as_ptr());
    prefetch(addr.as_ptr().wrapping_add(LINE_LEN));
    if !claim.says_no_size() {
        prefetch_lines(addr, 2 * LINE_LEN, claim.size().unwrap_or(0).saturating_add(LINE_LEN));
    }
}

/// Has the lines fetched from `first` bytes behind the address on, up to `len`.
#[inline]
fn prefetch_lines(addr: NonNull<u8>, first: usize, len: usize) {
    let (len, mut offset) = (len.min(PREFETCH_LEN_MAX), first);
    while offset < len {
        prefetch(addr.as_ptr().wrapping_add(offset));
        offset += LINE_LEN;
    }
}

impl Heap {
    /// Takes a block back, of which the caller claims something.
    ///
    /// Any address may come here: what is no live block is told, and nothing else happens.
    ///
    /// It takes no lock but the log's, and only if there is something to tell, and that of the
    /// quarantine in that mode.
    #[inline]
    pub(crate) fn free_as(&self, addr: NonNull<u8>, claim: Claim, here: StackId) {
        let at = addr.addr().get();
        // SAFETY: chunks in the map are mapped.
        let chunk = unsafe { map::lookup(at).as_ref() };
        let Some(chunk) = chunk.filter(|chunk| chunk.owner == self.id()) else {
            return self.free_slow(addr, claim, here);
        };
        let Some(block) = chunk.block_at(at) else { return self.free_slow(addr, claim, here) };
        if claim.says_no_size() {
            // Relaxed: published with the slab.
            prefetch_lines(addr, 2 * LINE_LEN, block.slab.slot_size.load(Relaxed));
        }
        // Acquire: pairs with the Release that made the block live.
        let word = StateWord::load(&block.slot.state, Acquire);
        // The slab has a reciprocal: its blocks' sizes are in their records.
        let size = block.slot.size();
        let is_as_said = word.is_live()
            && block.is_current()
            && word.turn() == block.slab.turn.load(Relaxed)
            && claim.fits(size, word);
        if !is_as_said {
            return self.free_slow(addr, claim, here);
        }
        match word.begin(&block.slot.state, State::Freeing) {
            Ok(freeing) => self.end_slot(block, addr, freeing, size, here),
            Err(now) => self.lose(block, now, claim, here),
        }
    }

    /// Ends a block of `size` bytes at `start`, in a slab of equal slots, that this thread took out of
    /// the hands of all others.
    #[inline]
    fn end_slot(
        &self,
        block: BlockRef<'_>,
        start: NonNull<u8>,
        word: StateWord,
        size: usize,
        here: StackId,
    ) {
        // Relaxed: published with `Freed` below.
        block.slot.freed.store(here.get(), Relaxed);
        self.tags.freed(block.slot, size);
        let room = block.slab.slot_size.load(Relaxed);
        // SAFETY: `size <= room`.
        let end = unsafe { start.add(size) };
        // SAFETY: the rest of the slot is mapped.
        let is_intact = unsafe { canary::is_canary(end, room - size) };
        if !is_intact || !is_intact_before(&block, start, self.config.junk) {
            self.check_around(block, size, here);
        }
        // SAFETY: the whole slot: the block is dead, and who took it alone writes to it.
        unsafe { canary::fill_junk(start, room, self.config.junk) };
        // Publishes the junk and the stack.
        word.with(State::Freed).publish(&block.slot.state);
        self.budget.give(self.config.memory_limit, size);
        self.count_freed(1, size);
        if self.config.quarantine.is_some() {
            return self.put_in_quarantine(block);
        }
        // AcqRel: whoever counts the last one sees all junk that the others wrote.
        if block.slab.freed.fetch_add(1, AcqRel) + 1 == block.slab.count.load(Relaxed) {
            self.retire_last(block);
        }
    }

    /// Tells what stands around a block that seems not to be intact.
    #[cold]
    #[inline(never)]
    fn check_around(&self, block: BlockRef<'_>, size: usize, here: StackId) {
        self.check_canary(&block, size, here);
        self.check_before(&block, here);
    }

    /// Another thread took the block first.
    #[cold]
    #[inline(never)]
    fn lose(&self, block: BlockRef<'_>, now: StateWord, claim: Claim, here: StackId) {
        self.tell_dead(&block, now, claim, here, Operation::Free);
    }

    #[cold]
    #[inline(never)]
    fn retire_last(&self, block: BlockRef<'_>) {
        self.retire(&block);
    }
}

/// Whether the bytes just before the block at `start` are as they were left, for sure.
#[inline]
fn is_intact_before(block: &BlockRef<'_>, start: NonNull<u8>, junk: u8) -> bool {
    if block.index == 0 {
        // SAFETY: the lead before the first of equal slots is at least that long, and mapped.
        let redzone = unsafe { start.sub(REDZONE_LEN) };
        // SAFETY: as above.
        return unsafe { canary::is_canary(redzone, REDZONE_LEN) };
    }
    // The records of a slab lie side by side.
    let before = core::ptr::from_ref(block.slot).wrapping_sub(1);
    // SAFETY: the slot is not the first of its slab, so the one before it has its record there, which
    // stays mapped while the heap does; only atomics are written.
    let before = unsafe { &*before };
    // Acquire: pairs with the Release that made it live, or freed.
    let word = StateWord::load(&before.state, Acquire);
    if word.state() == State::Freed {
        // SAFETY: the slot before ends there, and is mapped: its slab has a live block. The last eight
        // bytes of a freed slot are junk that no block had.
        return unsafe { canary::is_junk_before(start, junk) };
    }
    if !word.is_live() {
        return true;
    }
    // SAFETY: the slot before ends there, and is mapped. Every slot ends with a canary of eight bytes
    // at least, at a multiple of sixteen.
    unsafe { canary::is_canary_before(start) }
}
