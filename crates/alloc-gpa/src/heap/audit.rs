//! The sweep over every slot: what is live, and what was damaged without anybody meeting it.

use core::ptr::NonNull;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::chunk::{BlockRef, Memory};
use super::classes::CANARY_LEN_MIN;
use super::state::{State, StateWord};
use super::{Heap, canary, redzone_damage};
use crate::finding::LeakTotals;
use crate::stack::StackId;
use crate::sys::pages;
use crate::sys::presence::Presence;

/// Whether the slot was not handed out yet.
fn is_unused(block: &BlockRef<'_>) -> bool {
    // Acquire: pairs with the Release that made a block live.
    StateWord::load(&block.slot.state, Acquire).is_unused()
}

/// Whether a write past the end of a live block reached the end of its slot.
fn overruns(block: &BlockRef<'_>) -> bool {
    let (size, room) = (block.size(), block.room());
    if !StateWord::load(&block.slot.state, Acquire).is_allocated() || room <= size {
        return false;
    }
    // SAFETY: `size < room`.
    let end = unsafe { block.start().add(size) };
    // SAFETY: the rest of the slot is mapped.
    let damage = unsafe { canary::canary_damage(end, room - size) };
    damage.is_some_and(|damage| damage.last + 1 == room - size)
}

/// A block that is live while the sweep passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) start: NonNull<u8>,
    pub(crate) size: usize,
    pub(crate) allocated: StackId,
    /// The fork epoch that it was allocated in.
    pub(crate) epoch: u16,
}

/// The size of the two counts of a Rust `Arc` or `Rc`. One of a value without bytes has nothing else, and what
/// `into_raw` returns, or stands in a `Waker`, is where the value would be: the end of the block.
const COUNTS_LEN: usize = 2 * size_of::<usize>();

impl Heap {
    /// Calls `visit` for every live block. Blocks that other threads allocate or free meanwhile may
    /// be visited or not.
    pub(crate) fn for_each_live(&self, mut visit: impl FnMut(Live)) {
        self.for_each_slot(|block, word| {
            if word.is_allocated() {
                // Relaxed, both: published with the state.
                let allocated = StackId::from_raw(block.slot.allocated.load(Relaxed));
                let size = block.size();
                visit(Live { start: block.start(), size, allocated, epoch: word.epoch() });
            }
        });
    }

    /// Returns the live block that holds the address, whatever byte of it, and its size. A block of
    /// no bytes holds its start, and one of [`COUNTS_LEN`] bytes its end, behind which the canary lies.
    #[inline]
    pub(crate) fn live_at(&self, addr: usize) -> Option<(BlockRef<'_>, usize)> {
        // SAFETY: chunks in the map are mapped.
        let chunk = unsafe { super::map::lookup(addr).as_ref() }?;
        if chunk.owner != self.id() {
            return None;
        }
        let super::Place::Slot(block, offset) = chunk.place(addr) else { return None };
        // Acquire: pairs with the Release that made the block live.
        let word = StateWord::load(&block.slot.state, Acquire);
        // Relaxed: published with the state.
        let size = block.size();
        let past = size.max(1) + usize::from(size == COUNTS_LEN);
        let inside = usize::try_from(offset).is_ok_and(|offset| offset < past);
        (word.is_allocated() && inside).then_some((block, size))
    }

    /// Returns how many blocks of the current fork epoch are live, and their bytes.
    pub(crate) fn live_totals(&self) -> LeakTotals {
        let mut totals = LeakTotals::default();
        // Relaxed: changes in a forked child before any thread runs there.
        let epoch = self.epoch.load(Relaxed);
        self.for_each_live(|live| {
            if live.epoch == epoch {
                totals.count += 1;
                totals.bytes += live.size as u64;
            }
        });
        totals
    }

    /// Tells of damage to bytes around live blocks and in freed ones.
    pub(crate) fn audit_damage(&self) {
        // What other threads free meanwhile keeps its memory. Without that nothing can be read.
        let Some(_held) = self.hold_memory() else { return };
        let mut presence = Presence::open();
        // Relaxed: changes in a forked child before any thread runs there.
        let knows_own = self.epoch.load(Relaxed) != 0 && presence.tells_own_pages();
        self.for_each_slot(|block, word| {
            if knows_own && !may_be_damaged(block, word, &mut presence) {
                // As the parent left it, which tells of it.
                return;
            }
            if block.is_guarded() {
                // A freed one has no bytes any more.
                if word.state() == State::Live {
                    self.audit_guarded(block, word);
                }
                return;
            }
            match block.slab.memory() {
                Memory::Here => {}
                Memory::Given => return self.audit_given(block, &mut presence),
                Memory::Trapped => return,
            }
            match word.state() {
                State::Live => self.audit_live(block, word),
                // The memory of others goes while they are freed: nothing to verify.
                State::Freed if !block.goes_at_once() => self.audit_freed(block),
                _ => {}
            }
            self.audit_before(block, word);
        });
        // Slots that are used again are blank for a moment, and hold junk.
        if self.config.quarantine.is_none() {
            self.for_each_chunk(|chunk| {
                chunk.for_each_slab(|first| self.audit_unused(first, &mut presence));
            });
        }
    }

    /// Tells of a write to slots of a slab that were never handed out: it jumped over all that stands
    /// behind blocks. The last block before is named; whose the write was nobody knows.
    fn audit_unused(&self, first: BlockRef<'_>, presence: &mut Presence) {
        let slab = first.slab;
        // Memory that was used before holds what it held, and a large block has no slots behind it.
        let is_blank = !slab.is_used.load(Relaxed) && slab.memory() == Memory::Here;
        if !is_blank || !first.is_current() || first.is_guarded() || first.is_large() {
            return;
        }
        let mut last = None;
        for index in 0..slab.count.load(Relaxed) {
            let block = first.neighbour(Some(index)).filter(|block| !is_unused(block));
            last = block.or(last);
        }
        let Some(last) = last else { return };
        let Some(unused) = last.neighbour(Some(last.index + 1)) else { return };
        if overruns(&last) {
            return;
        }
        let (base, len) = unused.slab_range();
        let (start, end) = (unused.start(), base.addr().get() + len);
        let mut offset = 0;
        while let Some(rest) =
            end.checked_sub(start.addr().get() + offset).filter(|rest| *rest != 0)
        {
            let addr = start.addr().get() + offset;
            let len = (pages::PAGE_LEN - addr % pages::PAGE_LEN).min(rest);
            // SAFETY: inside the slab.
            let at = unsafe { start.add(offset) };
            if presence.has_memory(addr) != Some(false) {
                // SAFETY: the slab's memory is held, and was never given out.
                if let Some(hit) = unsafe { canary::first_stray(at, len) } {
                    self.tell_stray(&last, &unused, addr + hit);
                    return;
                }
            }
            offset += len;
        }
    }

    /// Tells of a byte that was written behind `last`, in slots of which `unused` is the first, unless
    /// they were handed out meanwhile, or the write ran on from `last`, of which is told already.
    #[cold]
    fn tell_stray(&self, last: &BlockRef<'_>, unused: &BlockRef<'_>, addr: usize) {
        // Acquire: orders the reads of states after that of the byte.
        core::sync::atomic::fence(Acquire);
        let (room, offset) = (unused.room().max(1), addr - unused.start().addr().get());
        if offset < CANARY_LEN_MIN {
            return;
        }
        let index = unused.index + (offset / room) as u32;
        // Behind the last slot is less than another one.
        let hit = unused.neighbour(Some(index));
        if is_unused(unused) && hit.is_none_or(|hit| is_unused(&hit)) {
            self.tell_unused(last, addr);
        }
    }

    /// Tells of a write to a freed block whose memory was given back: it left a page where there
    /// should be none, with bytes that are not zero.
    fn audit_given(&self, block: &BlockRef<'_>, presence: &mut Presence) {
        let (start, room) = (block.start(), block.room());
        let mut offset = 0;
        while offset < room {
            let addr = start.addr().get() + offset;
            let len = (pages::PAGE_LEN - addr % pages::PAGE_LEN).min(room - offset);
            if presence.has_memory(addr) == Some(true) {
                // SAFETY: inside the slot.
                let at = unsafe { start.add(offset) };
                // SAFETY: the slot's addresses stay mapped while the heap does.
                if let Some(hit) = unsafe { canary::first_nonzero(at, len) } {
                    self.tell_late_write(block, offset + hit);
                    return;
                }
            }
            offset += len;
        }
    }

    /// Tells of writes to a freed block whose memory is still there.
    fn audit_freed(&self, block: &BlockRef<'_>) {
        // SAFETY: the slot is freed, so its bytes are junk; its memory is held.
        let damage = unsafe { canary::junk_damage(block.start(), block.room(), self.config.junk) };
        if let Some(damage) = damage {
            self.tell_written(block, damage, StackId::NONE);
        }
    }

    /// Tells of damage behind a live block.
    fn audit_live(&self, block: &BlockRef<'_>, word: StateWord) {
        self.audit_behind(block, word, block.size());
    }

    /// The same, of a block that had this size after its state was read.
    fn audit_behind(&self, block: &BlockRef<'_>, word: StateWord, size: usize) {
        let room = block.room();
        // A size that is not the block's yet: it is being resized, and its bytes are what they were.
        if room < size || !block.is_still(word, size) {
            return;
        }
        // SAFETY: `size <= room`.
        let end = unsafe { block.start().add(size) };
        // SAFETY: the rest of the slot is mapped.
        let Some(damage) = (unsafe { canary::canary_damage(end, room - size) }) else { return };
        if block.is_still(word, size) {
            self.tell_overflow(block, size, damage, StackId::NONE);
        }
    }

    /// Tells of damage before the first block of a slab, unless it is freed: then it was told.
    fn audit_before(&self, block: &BlockRef<'_>, word: StateWord) {
        if block.index != 0 || matches!(word.state(), State::Freed | State::Freeing) {
            return;
        }
        let size = block.size();
        let Some(damage) = redzone_damage(block) else { return };
        if block.is_still(word, size) {
            self.tell_underflow(block, super::REDZONE_LEN, damage, StackId::NONE);
        }
    }

    /// Calls `visit` for every slot that was handed out and whose record is kept.
    pub(crate) fn for_each_slot(&self, mut visit: impl FnMut(&BlockRef<'_>, StateWord)) {
        self.for_each_chunk(|chunk| {
            chunk.for_each_slab(|first| {
                let mut next = Some(first);
                while let Some(block) = next {
                    // Acquire: pairs with the Release that made the block live.
                    let word = StateWord::load(&block.slot.state, Acquire);
                    if !word.is_unused() && block.is_current() {
                        visit(&block, word);
                    }
                    next = block.neighbour(Some(block.index + 1));
                }
            });
        });
    }
}

/// Whether the bytes that tell of damage to a block may have been written to since the process was forked.
fn may_be_damaged(block: &BlockRef<'_>, word: StateWord, presence: &mut Presence) -> bool {
    let (start, room, size) = (block.start().addr().get(), block.room(), block.size());
    let before = (start - super::REDZONE_LEN, super::REDZONE_LEN);
    let rest = match word.state() {
        State::Live => (start + size, room.saturating_sub(size)),
        _ => (start, room),
    };
    block.is_guarded()
        || presence.may_be_written(rest)
        || block.index == 0 && presence.may_be_written(before)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::alloc::Layout;

    use super::*;
    use crate::config::Config;

    fn with_heap(test: impl FnOnce(&Heap)) {
        let heap = Heap::map(Config { stacks: 0, ..Config::DEFAULT }).expect("memory");
        // SAFETY: just mapped; unmapped below.
        test(unsafe { heap.as_ref() });
        // SAFETY: nobody uses the heap any more.
        unsafe { Heap::unmap(heap) };
    }

    /// A large block's memory goes when it is freed, even while it is audited: what stood around it is gone as well,
    /// and was not damaged.
    #[test]
    fn a_block_that_is_freed_meanwhile_is_not_damaged() {
        with_heap(|heap| {
            let layout = Layout::from_size_align(100_000, 8).expect("a layout");
            let start = heap.alloc(layout, StackId::NONE).expect("memory");
            let held = heap.hold_memory().expect("no other thread");
            let (block, size) = heap.live_at(start.addr().get()).expect("a live block");
            assert!(block.goes_at_once() && size == 100_000);
            let word = StateWord::load(&block.slot.state, Acquire);
            heap.free(start, None, StackId::NONE);
            assert!(redzone_damage(&block).is_some(), "its memory is gone");
            heap.audit_live(&block, word);
            heap.audit_before(&block, word);
            assert_eq!(heap.findings.count(), 0);
            drop(held);
        });
    }

    /// A block that shrinks has its new size before the bytes behind it are what they shall be, and its state is the
    /// same again afterwards.
    #[test]
    fn a_block_that_is_resized_meanwhile_is_not_damaged() {
        with_heap(|heap| {
            let layout = Layout::from_size_align(100, 8).expect("a layout");
            let start = heap.alloc(layout, StackId::NONE).expect("memory");
            let (block, _) = heap.live_at(start.addr().get()).expect("a live block");
            let word = StateWord::load(&block.slot.state, Acquire);
            word.begin(&block.slot.state, State::Resizing).expect("it is live");
            // The size is set, and the bytes behind it are still what the program wrote.
            block.set_size(40);
            // SAFETY: the block's own bytes.
            unsafe { start.write_bytes(7, 100) };
            heap.audit_behind(&block, word, 40);
            assert_eq!(heap.findings.count(), 0);
            // SAFETY: behind the 40 bytes that the block has now, in its slot.
            let end = unsafe { start.add(40) };
            // SAFETY: as above, to the end of the slot.
            unsafe { canary::fill_canary(end, block.room() - 40) };
            word.publish(&block.slot.state);
            heap.audit_behind(&block, word, 40);
            heap.audit_behind(&block, word, 100);
            assert_eq!(heap.findings.count(), 0);
            // SAFETY: as above: in the slot.
            unsafe { end.write(7) };
            heap.audit_live(&block, word);
            assert_eq!(heap.findings.count(), 1);
        });
    }
}
