//! Freed slots that will be handed out again: the mode `quarantine=BYTES`, for programs that run long.
//!
//! ```text
//!  free ─► waiting: all classes, oldest first ── more than BYTES wait ──► verified ─► reusable: its class
//!            state Freed, junk, stacks                                                  │ verified again
//!                                                                                       ▼
//!                                      Live ◄── record, canary ── Unused ◄── an allocation of the class
//! ```
//!
//! * Slabs of size classes never retire in this mode: nothing counts their freed slots. A block with a
//!   slab of its own traps when it is freed, as ever, and its addresses are never used again.
//! * A slot is in one of the lists, or in the hands of the one thread that took it off, or in none for
//!   ever: if a list has no memory to grow, or if the lock cannot be had in a signal handler that
//!   interrupted its holder. It stays freed then.
//! * Nobody frees a freed block, as `begin` begins with a live word. So whoever took a slot off a list
//!   owns its state. Under the lock it becomes `Unused`, and by `publish` a live block. A thread that is
//!   about to free the block of before meets one of these words, and is told; or the new live one,
//!   which it frees: a free of the new block is what that is.
//! * While somebody holds memory (`Heap::hold_memory`), no slot leaves its list: what was freed keeps
//!   its junk, and no word becomes what it was before.
//! * Findings are told with the lock open: who is told of them may allocate.
//! * Lists hold addresses inverted: the search for leaks finds none in them.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::Relaxed;

use super::block::BlockRef;
use super::chunk::BATCHED_UNITS_MAX;
use super::classes::{self, CLASS_COUNT};
use super::shards::Taken;
use super::state::{State, StateWord};
use super::{Heap, canary, map};
use crate::lock::Guard;
use crate::stack::StackId;
use crate::sys::pages;

/// Slots that leave at once, at most.
const BATCH_LEN: usize = 16;
/// Slots that are taken between two looks at how much is live.
const SAMPLE_DISTANCE: u32 = 128;

/// Freed slots, in the order in which they were freed. All zero: none.
pub(super) struct Quarantine {
    waiting: Ring,
    /// Bytes of the slots that wait.
    waiting_len: usize,
    /// Slots of each class that may be handed out.
    reusable: [Ring; CLASS_COUNT],
    /// How many ask that all slots stay where they are; see `Heap::hold_memory`.
    holders: u32,
    /// Counts slots that were taken.
    taken: u32,
}

impl Quarantine {
    /// Gives the memory of the lists back.
    pub(super) fn unmap(&mut self) {
        self.waiting.unmap();
        self.reusable.iter_mut().for_each(Ring::unmap);
    }

    /// Takes the slots off that have waited longest, while more than `len_max` bytes wait.
    fn take_leaving<'h>(&mut self, heap: &'h Heap, len_max: usize) -> Leaving<'h> {
        let mut leaving = [None; BATCH_LEN];
        if self.holders == 0 {
            for place in &mut leaving {
                if self.waiting_len <= len_max {
                    break;
                }
                let Some(addr) = self.waiting.pop() else { break };
                *place = heap.slot_at(addr);
                self.waiting_len -= place.map_or(0, |block| block.room());
            }
        }
        leaving
    }
}

type Leaving<'h> = [Option<BlockRef<'h>>; BATCH_LEN];

impl Heap {
    fn lock_quarantine(&self) -> Option<Guard<'_, Quarantine>> {
        self.quarantine.try_lock().or_else(|| self.quarantine.lock_or_give_up())
    }

    fn slot_at(&self, addr: usize) -> Option<BlockRef<'_>> {
        // SAFETY: chunks in the map are mapped; those of this heap while it is borrowed.
        unsafe { map::lookup(addr).as_ref() }?.block_at(addr)
    }

    /// Lets a block wait that was just freed.
    #[cold]
    #[inline(never)]
    pub(super) fn put_in_quarantine(&self, block: BlockRef<'_>) {
        let Some(len_max) = self.config.quarantine else { return };
        let Some(mut lists) = self.lock_quarantine() else { return };
        if lists.waiting.push(block.start().addr().get()) {
            lists.waiting_len += block.room();
        }
        loop {
            let leaving = lists.take_leaving(self, len_max);
            drop(lists);
            if leaving[0].is_none() {
                return;
            }
            leaving.iter().flatten().for_each(|block| self.end_wait(block));
            let Some(again) = self.lock_quarantine() else { return };
            lists = again;
            for block in leaving.iter().flatten() {
                // Relaxed: written before the block was handed out.
                let slot_size = block.slab.slot_size.load(Relaxed) as u32;
                if let Ok(class) = classes::SLOT_SIZES.binary_search(&slot_size) {
                    // If it has no place there it is never used again.
                    let _ = lists.reusable[class].push(block.start().addr().get());
                }
            }
        }
    }

    /// Tells if a slot was written while it waited, and makes it all junk again.
    fn end_wait(&self, block: &BlockRef<'_>) {
        let (start, room, junk) = (block.start(), block.room(), self.config.junk);
        // SAFETY: the slot is mapped, and all junk but for what was written since.
        if let Some(damage) = unsafe { canary::junk_damage(start, room, junk) } {
            self.tell_written(block, damage, StackId::NONE);
            // SAFETY: the slot is freed, and in this thread's hands.
            unsafe { canary::fill_junk(start, room, junk) };
        }
    }

    /// Takes a slot of a class that was freed long enough ago, if there is one, for a block of `size`
    /// bytes, and counts it.
    pub(super) fn take_reusable(&self, class: usize, size: usize) -> Option<Taken<'_>> {
        self.config.quarantine?;
        let mut lists = self.lock_quarantine()?;
        if lists.holders != 0 {
            return None;
        }
        let block = self.slot_at(lists.reusable[class].pop()?)?;
        let slot = block.slot;
        // Relaxed: the lock orders it behind the `publish` of the free.
        let word = StateWord::load(&slot.state, Relaxed);
        word.with(State::Unused).publish(&slot.state);
        lists.taken = lists.taken.wrapping_add(1);
        let is_first = lists.taken.is_multiple_of(SAMPLE_DISTANCE);
        drop(lists);
        self.check_freed(&block, StackId::NONE);
        self.count_allocated(1, size);
        if is_first {
            // No slab begins any more at some time: what else would look.
            self.shards.sample();
        }
        let (start, slot_size, turn) = (block.start(), block.room(), word.turn());
        Some(Taken { start, slot, slot_size, turn, is_used: true, is_first })
    }

    /// Asks that all slots stay where they are; `None` if the lock cannot be had.
    pub(super) fn hold_quarantine(&self) -> Option<()> {
        self.quarantine.lock_within_a_second()?.holders += 1;
        Some(())
    }

    /// Takes back what [`hold_quarantine`](Self::hold_quarantine) asked.
    pub(super) fn release_quarantine(&self) {
        let mut lists = self.quarantine.lock();
        // As where memory is held.
        lists.holders = lists.holders.saturating_sub(1);
    }

    /// Forgets who asked in the process that this one was forked from.
    pub(super) fn forget_holds(&self) {
        if let Some(mut lists) = self.lock_quarantine() {
            lists.holders = 0;
        }
    }

    /// Units that a block with a slab of its own has at least. In this mode it shall go at once: the
    /// group around it may never be all free.
    pub(super) fn large_units_min(&self) -> usize {
        if self.config.quarantine.is_some() { BATCHED_UNITS_MAX + 1 } else { 1 }
    }
}

/// Addresses, first in, first out, in a mapping of its own. All zero: none.
struct Ring {
    /// `capacity` entries, or null; the addresses are inverted.
    entries: *mut usize,
    /// 0 or a power of two.
    capacity: usize,
    /// Where the first one is.
    first: usize,
    len: usize,
}

// SAFETY: the pointer leads to a mapping of the ring's own.
unsafe impl Send for Ring {}

impl Ring {
    const CAPACITY_FIRST: usize = pages::PAGE_LEN / size_of::<usize>();

    /// The place of the entry `index`, of which there are `capacity`.
    fn entry(&self, index: usize) -> *mut usize {
        self.entries.wrapping_add((self.first + index) & (self.capacity - 1))
    }

    /// Enters an address behind all others; returns whether there was memory for it.
    fn push(&mut self, addr: usize) -> bool {
        if self.len == self.capacity && self.grow().is_none() {
            return false;
        }
        // SAFETY: below the capacity, in the ring's own mapping.
        unsafe { self.entry(self.len).write(!addr) };
        self.len += 1;
        true
    }

    /// Takes the first address off.
    fn pop(&mut self) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        // SAFETY: in the ring's own mapping, and written by `push`.
        let inverted = unsafe { self.entry(0).read() };
        self.first = (self.first + 1) & (self.capacity - 1);
        self.len -= 1;
        Some(!inverted)
    }

    /// Makes room for twice as many; `None` if there is no memory.
    fn grow(&mut self) -> Option<()> {
        let Some(old) = NonNull::new(self.entries) else {
            self.entries = pages::map(Self::CAPACITY_FIRST * size_of::<usize>())?.cast().as_ptr();
            self.capacity = Self::CAPACITY_FIRST;
            return Some(());
        };
        let len = self.capacity * size_of::<usize>();
        // SAFETY: the ring's whole mapping, to which nobody else has a pointer.
        let new = unsafe { pages::grow(old.cast(), len, len.checked_mul(2)?) }?.cast::<usize>();
        // The ring is full: what stood before its first entry comes behind its last.
        // SAFETY: inside the mapping, which is twice as long as `capacity`.
        let behind = unsafe { new.add(self.capacity) };
        // SAFETY: `first` is less than `capacity`, so both ranges are mapped and do not overlap.
        unsafe { behind.copy_from_nonoverlapping(new, self.first) };
        self.entries = new.as_ptr();
        self.capacity *= 2;
        Some(())
    }

    fn unmap(&mut self) {
        let len = self.capacity * size_of::<usize>();
        if let Some(entries) = NonNull::new(core::mem::replace(&mut self.entries, ptr::null_mut()))
        {
            // SAFETY: the ring's whole mapping, which nobody uses any more.
            unsafe { pages::unmap(entries.cast(), len) };
        }
        (self.capacity, self.first, self.len) = (0, 0, 0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A ring is a queue, however it grows and wherever it wraps.
    #[test]
    fn a_ring_is_a_queue() {
        let (entries, capacity) = (ptr::null_mut(), 0);
        let mut ring = Ring { entries, capacity, first: 0, len: 0 };
        let mut queue = std::collections::VecDeque::new();
        let mut random = 1usize;
        for step in 0..200_000usize {
            random = random * 16_807 % 0x7fff_ffff;
            // It grows on the whole, then shrinks to nothing, twice.
            let pushes = if step / 50_000 % 2 == 0 { 6 } else { 2 };
            if random % 8 < pushes {
                assert!(ring.push(step));
                queue.push_back(step);
            } else {
                assert_eq!(ring.pop(), queue.pop_front());
            }
            assert_eq!(ring.len, queue.len());
        }
        assert!(Ring::CAPACITY_FIRST * 16 <= ring.capacity);
        ring.unmap();
        assert_eq!(ring.pop(), None);
    }
}
