//! The way of nearly all frees: of a live block in a slab of equal slots, given back as it was taken.
//!
//! It finds what it needs once and keeps it in registers. Whatever is not so goes the long way
//! (`free_slow`), which tells what is wrong.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::block::BlockRef;
use super::canary;
use super::check::REDZONE_LEN;
use super::chunk::Slab;
use super::claim::Claim;
use super::classes::CANARY_LEN_MIN;
use super::freed::Count;
use super::lane::prefetch;
use super::slack;
use super::state::{State, StateWord};
use super::{Heap, Operation, map};
use crate::stack::StackId;
use crate::stack::thread::Guard;

/// Length of a cache line in bytes.
const LINE_LEN: usize = 64;
/// Lines of a block behind the first that are prefetched, at most.
const PREFETCH_LINES: usize = 16;

/// Has a block's bytes fetched, as it is about to be freed; before the stack is captured, which gives
/// them time. The free reads or writes all of its slot.
#[inline]
pub(crate) fn expect_free(addr: NonNull<u8>, claim: Claim) {
    prefetch(addr.as_ptr());
    if let Some(size) = claim.size() {
        prefetch_lines(addr, size.wrapping_add(CANARY_LEN_MIN));
    } else {
        prefetch(addr.as_ptr().wrapping_add(LINE_LEN));
    }
}

/// Has the lines fetched behind that of the address, up to `len` bytes from there. Where there are
/// several, as many as there may be, some of them twice: of sizes that vary nothing is foretold.
#[inline(always)]
fn prefetch_lines(addr: NonNull<u8>, len: usize) {
    let line = |index: usize| prefetch(addr.as_ptr().wrapping_add(len.min(index * LINE_LEN)));
    line(1);
    if 2 * LINE_LEN < len {
        (2..=PREFETCH_LINES).for_each(line);
    }
}

impl Heap {
    /// Takes a block back, of which the caller claims something. `inside` is the proof that this call of
    /// the thread is not one that interrupted another, if it is not.
    ///
    /// Any address may come here: what is no live block is told, and nothing else happens.
    ///
    /// It takes no lock but the log's, and only if there is something to tell, and that of the
    /// quarantine in that mode.
    #[inline(always)]
    pub(crate) fn free_as(
        &self,
        addr: NonNull<u8>,
        claim: Claim,
        here: StackId,
        inside: Option<&Guard>,
    ) {
        let at = addr.addr().get();
        // SAFETY: chunks in the map are mapped.
        let chunk = unsafe { map::lookup(at).as_ref() };
        let Some(chunk) = chunk.filter(|chunk| chunk.owner == self.id()) else {
            return self.free_slow(addr, claim, here);
        };
        let Some(block) = chunk.block_at(at) else { return self.free_slow(addr, claim, here) };
        if claim.says_no_size() {
            // Relaxed: published with the slab.
            prefetch_lines(addr, block.slab.slot_size.load(Relaxed));
        }
        // Acquire: pairs with the Release that made the block live.
        let word = StateWord::load(&block.slot.state, Acquire);
        // The slab has a reciprocal: its blocks' sizes are in their records.
        let extent = block.slot.extent();
        // Relaxed: what the records are, the slab and the word tell together.
        if !claim.fits_live(extent, word, block.slab.turn.load(Relaxed)) || !block.is_current() {
            return self.free_slow(addr, claim, here);
        }
        match word.begin(&block.slot.state, State::Freeing) {
            Ok(freeing) => self.end_slot(block, addr, freeing, extent, here, inside),
            Err(now) => self.lose(addr, now, claim, here),
        }
    }

    /// Ends a block of `size` bytes at `start`, in a slab of equal slots, that this thread took out of
    /// the hands of all others.
    #[inline(always)]
    fn end_slot(
        &self,
        block: BlockRef<'_>,
        start: NonNull<u8>,
        word: StateWord,
        size: usize,
        here: StackId,
        inside: Option<&Guard>,
    ) {
        // Relaxed: published with `Freed` below.
        block.slot.freed.store(here.get(), Relaxed);
        let room = block.slab.slot_size.load(Relaxed);
        // SAFETY: the slot of a live block of that size, with its canary; slots are multiples of 16.
        let is_intact = unsafe { slack::is_intact(start, size, room) };
        if !is_intact || !is_intact_before(&block, start, self.ways.junk) {
            self.check_around(start, size, here);
        }
        // SAFETY: the whole slot: the block is dead, and who took it alone writes to it.
        unsafe { slack::fill_junk(start, room, self.ways.junk) };
        // Publishes the junk and the stack.
        word.with(State::Freed).publish(&block.slot.state);
        if self.ways.free_is_special {
            return self.end_special(start, size);
        }
        let Some((shard, number)) = inside.and_then(|inside| self.shards.of(inside)) else {
            return self.count_slot_shared(start, Some(size));
        };
        shard.count_freed(size);
        // Relaxed: written before the first block was taken.
        if block.slab.owner.load(Relaxed) != number {
            self.count_slot_shared(start, None);
        } else if block.slab.freed.add_own(block.slab.count.load(Relaxed)) {
            self.retire_last(start);
        }
    }

    // What is rare finds the block again: so what is not keeps all it needs in registers.

    /// Returns the block at an address of this heap's, of a slab that has not retired.
    fn block_again(&self, addr: NonNull<u8>) -> Option<BlockRef<'_>> {
        let at = addr.addr().get();
        // SAFETY: chunks in the map are mapped.
        unsafe { map::lookup(at).as_ref() }?.block_at(at)
    }

    /// The end of a free where there is a limit or a quarantine.
    #[cold]
    #[inline(never)]
    fn end_special(&self, addr: NonNull<u8>, size: usize) {
        let Some(block) = self.block_again(addr) else { return };
        self.budget.give(self.config.memory_limit, size);
        self.count_freed(1, size);
        if self.config.quarantine.is_some() {
            self.put_in_quarantine(block);
        } else {
            self.count_slot(&block);
        }
    }

    /// The end of a free by a thread that does not own the slab's shard, and of one without a shard.
    #[cold]
    #[inline(never)]
    fn count_slot_shared(&self, addr: NonNull<u8>, uncounted: Option<usize>) {
        if let Some(size) = uncounted {
            self.count_freed(1, size);
        }
        if let Some(block) = self.block_again(addr) {
            self.count_slot(&block);
        }
    }

    /// Counts a slot of a slab as freed, and ends the slab if it was the last one.
    pub(super) fn count_slot(&self, block: &BlockRef<'_>) {
        match block.slab.freed.add_other(block.slab.count.load(Relaxed)) {
            Count::One => {}
            Count::Last => self.retire(block),
            Count::Almost => {
                let slab = ptr::from_ref(block.slab).cast_mut();
                // AcqRel: publishes what this thread saw of the slab; pairs with itself and with the
                // exchange in `look_again`.
                let before = self.almost.swap(slab, AcqRel);
                if before != slab {
                    self.end_if_all(before);
                }
            }
        }
    }

    /// Ends the slab of which nobody saw the last free, if there is one.
    pub(super) fn look_again(&self) {
        // Relaxed: a look; the exchange is what counts.
        if !self.almost.load(Relaxed).is_null() {
            // AcqRel: pairs with that in `count_slot`.
            self.end_if_all(self.almost.swap(ptr::null_mut(), AcqRel));
        }
    }

    #[cold]
    fn end_if_all(&self, slab: *mut Slab) {
        // SAFETY: null, or a slab of this heap, whose header stays mapped while the heap does.
        let Some(slab) = (unsafe { slab.as_ref() }) else { return };
        // Relaxed: written before the slab's first block was taken; 0 if its header was blanked.
        if slab.freed.end_if_all(slab.count.load(Relaxed))
            && let Some(first) = slab.chunk(self).and_then(|chunk| chunk.first_of(slab))
        {
            self.retire(&first);
        }
    }

    /// Tells what the header of the slab that begins with this block shall say of its owner; nobody else
    /// has a block of it yet.
    pub(super) fn set_owner(&self, first: *mut u8, owner: u8) {
        if let Some(block) = NonNull::new(first).and_then(|first| self.block_again(first)) {
            // Relaxed: published with the state of each block.
            block.slab.owner.store(owner, Relaxed);
        }
    }

    /// Tells what stands around a block that seems not to be intact.
    #[cold]
    #[inline(never)]
    fn check_around(&self, addr: NonNull<u8>, size: usize, here: StackId) {
        if let Some(block) = self.block_again(addr) {
            self.check_canary(&block, size, here);
            self.check_before(&block, here);
        }
    }

    /// Another thread took the block first.
    #[cold]
    #[inline(never)]
    fn lose(&self, addr: NonNull<u8>, now: StateWord, claim: Claim, here: StackId) {
        match self.block_again(addr) {
            Some(block) => self.tell_dead(&block, now, claim, here, Operation::Free),
            // It was freed, and its record given up meanwhile.
            None => self.free_slow(addr, claim, here),
        }
    }

    #[cold]
    #[inline(never)]
    fn retire_last(&self, addr: NonNull<u8>) {
        if let Some(block) = self.block_again(addr) {
            self.retire(&block);
        }
    }
}

/// Whether the bytes just before the block at `start` are as they were left, for sure.
#[inline]
fn is_intact_before(block: &BlockRef<'_>, start: NonNull<u8>, junk: u64) -> bool {
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
    let (is_freed, is_live) = (word.state() == State::Freed, word.is_live());
    // SAFETY: the slot before ends there, and is mapped: its slab has a live block. It ends with a canary
    // of eight bytes at least, at a multiple of sixteen, or once freed with junk there that no block had.
    // Neither is foretold well: no branch.
    let is_as_left = unsafe { canary::is_word_before(start, junk, is_freed) };
    is_as_left || !(is_freed || is_live)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::alloc::Layout;

    use super::super::chunk::Memory;
    use super::*;
    use crate::config::Config;
    use crate::stack::thread;

    /// Of blocks of one thread, which that and another free at the same time, every slab ends, but for
    /// those that may wait to be looked at once more.
    #[test]
    fn slabs_end_whoever_frees_their_blocks() {
        const COUNT: usize = 200_000;
        let heap = Heap::map(Config::DEFAULT).expect("memory");
        // SAFETY: just mapped; unmapped below.
        let heap_ref = unsafe { heap.as_ref() };
        let layout = Layout::new::<[u8; 40]>();
        let blocks: Vec<usize> = (0..COUNT)
            .map(|_| {
                heap_ref.alloc(layout, StackId::NONE).expect("memory").expose_provenance().get()
            })
            .collect();
        let free = |parity: usize| {
            for addr in blocks.iter().skip(parity).step_by(2) {
                let block = NonNull::new(ptr::with_exposed_provenance_mut(*addr)).expect("a block");
                let inside = thread::enter();
                heap_ref.free_as(block, Claim::of(Some(layout)), StackId::NONE, inside.as_ref());
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| free(1));
            free(0);
        });
        heap_ref.look_again();
        let (mut ended, mut waiting) = (0, 0);
        heap_ref.for_each_chunk(|chunk| {
            chunk.for_each_slab(|first| {
                let slab = first.slab;
                let is_all = slab.freed.get() == slab.count.load(Relaxed);
                if is_all && slab.freed.end_if_all(slab.count.load(Relaxed)) {
                    waiting += 1;
                } else if is_all || slab.memory() != Memory::Here {
                    ended += 1;
                }
            });
        });
        assert!(100 < ended, "{ended}");
        assert!(waiting <= 1, "{waiting} slabs of {ended}");
        assert_eq!(heap_ref.findings.count(), 0);
        assert_eq!(heap_ref.stats().live_bytes, 0);
        // SAFETY: nobody uses the heap or a block of it any more.
        unsafe { Heap::unmap(heap) };
    }
}
