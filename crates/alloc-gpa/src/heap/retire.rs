//! What becomes of slabs that are all freed: their memory goes, their addresses trap.
//!
//! ```text
//!   slab all freed ──► its units are done ──► all 16 units of the group are
//!                                                 │ junk verified
//!                                                 ▼
//!            growing chunk  |used|...|used|stock|stock|fresh|fresh|      memory is moved there:
//!                                               ▲                        no page fault, no zeroing
//!                                               └── one mremap of 64 pages
//!                                                 │
//!            the group: one mapping without access, which joins its neighbours
//! ```
//!
//! * Addresses are never free in between, so nobody else's mapping lands there.
//! * Where the stock is full, or the system moves nothing, the memory goes back to the system.
//! * Each group that stays alone among others costs mappings, of which a process has some 65,000
//!   (`vm.max_map_count`). Long before they are used up, groups are guarded by markers instead, which
//!   split no mapping, and nothing is moved.
//! * Large blocks' memory goes at once when they are freed. So does that of other slabs, where much
//!   memory waits for groups that one block keeps: see `sweep`.
//! * The records of what is trapped are history: the oldest go when it is longer than `history`.
//!
//! Whoever looks at blocks' bytes all over the heap (the audit, the search for leaks) asks that no
//! memory goes meanwhile: [`Heap::hold_memory`]. Groups that are ready then are trapped later.

use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicIsize;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::chunk::{BlockRef, Chunk, GROUP_COUNT, GROUP_LEN, GROUP_UNITS, Memory, Slab};
use super::grow::Growth;
use super::notes::Note;
use super::{Heap, canary};
use crate::stack::StackId;
use crate::sys::guards::{self, Means};
use crate::sys::pages::{self, Moved};

/// Groups that are kept with memory for the blocks to come, at most: 4 MiB; and where little is live.
const STOCK_MAX: usize = 16;
const STOCK_MIN: usize = 4;
/// Groups whose page tables are given up together: 2 MiB.
const SPAN_GROUPS: usize = 8;

/// Mappings that the chunks of all heaps of the process are cut into beyond one each, about.
static SPLITS: AtomicIsize = AtomicIsize::new(0);

/// Keeps the memory of freed blocks where it is while it lives.
pub(crate) struct Held<'h>(&'h Heap);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut growth = self.0.growth.lock();
        // A handler that forked in between may have begun anew.
        growth.holders = growth.holders.saturating_sub(1);
        drop(growth);
        self.0.release_quarantine();
    }
}

impl Heap {
    /// Asks that no memory goes while the answer lives, so that the bytes of blocks can be read whose
    /// owner may free them meanwhile. `None` if a thread that was not copied by a fork has the lock.
    pub(crate) fn hold_memory(&self) -> Option<Held<'_>> {
        let mut growth = self.growth.lock_within_a_second()?;
        self.hold_quarantine()?;
        growth.holders += 1;
        Some(Held(self))
    }

    /// Ends a slab whose blocks are all freed.
    #[cold]
    #[inline(never)]
    pub(super) fn retire(&self, block: &BlockRef<'_>) {
        crate::fault::heap_grows();
        if block.goes_at_once() {
            self.retire_large(block);
        }
        if block.chunk.single {
            return;
        }
        let units = block.units() as usize;
        if !block.goes_at_once() {
            self.count_waiting(block.chunk, units.cast_signed());
        }
        let is_ready = self.finish_units(block.chunk, block.head(), units);
        if is_ready
            // Who cannot have the lock for long interrupted its holder: another thread does it.
            && let Some(mut growth) = self.growth.lock_or_give_up()
        {
            self.trap_ready(&mut growth, block.chunk);
        }
        if self.is_over() {
            self.sweep();
        }
    }

    /// Traps the memory of a large block.
    fn retire_large(&self, block: &BlockRef<'_>) {
        let (start, len) = block.slab_range();
        let growth = self.growth.lock_or_give_up().filter(|growth| growth.holders == 0);
        let Some(mut growth) = growth else {
            block.slab.set_memory(Memory::Given);
            // SAFETY: the one block of the slab is freed: nobody needs its bytes.
            unsafe { pages::discard(start, len) };
            return;
        };
        block.slab.set_memory(Memory::Trapped);
        // A mapping of its own costs no other one. Guarded blocks are cut into some already.
        let trapped = if block.chunk.single || block.is_guarded() {
            // SAFETY: as above.
            unsafe { guards::close_for_good(start, len) }
        } else {
            // SAFETY: as above.
            unsafe { self.close_pages(block.chunk, start, len) }
        };
        if !trapped {
            self.give(block.slab, start, len);
        }
        if block.chunk.single {
            self.remember(&mut growth, block.slab);
        }
    }

    /// Lets pages trap that are no whole group, and gives their memory back; returns whether it could.
    ///
    /// # Safety
    ///
    /// All blocks there are freed.
    unsafe fn close_pages(&self, chunk: &Chunk, start: NonNull<u8>, len: usize) -> bool {
        let Some(means) = self.guards.setup.means else { return false };
        if means == Means::Mprotect {
            if !has_room_for_splits() {
                return false;
            }
            add_splits(chunk, 2);
        }
        // SAFETY: nobody needs the bytes (contract).
        unsafe { means.close(start, len) }
    }

    /// Gives memory back whose addresses cannot be made to trap.
    fn give(&self, slab: &Slab, start: NonNull<u8>, len: usize) {
        self.note(Note::NotTrapped);
        slab.set_memory(Memory::Given);
        // SAFETY: all blocks of the slab are freed: nobody needs its bytes.
        unsafe { pages::discard(start, len) };
    }

    /// Counts units that are done with, and verifies the groups of which they were the last. Returns
    /// whether there are groups to trap.
    pub(super) fn finish_units(&self, chunk: &Chunk, head: usize, count: usize) -> bool {
        let end = head + count;
        let mut any = false;
        for group in head / GROUP_UNITS..end.div_ceil(GROUP_UNITS) {
            let first = group * GROUP_UNITS;
            let inside = end.min(first + GROUP_UNITS) - head.max(first);
            // AcqRel: whoever counts the last unit sees what was done to all.
            let done = chunk.done[group].fetch_add(inside as u8, AcqRel) as usize + inside;
            if done == GROUP_UNITS {
                self.verify_group(chunk, group);
                // Relaxed: how many bits there are to look for; counted before the bit is set.
                self.ready_count.fetch_add(1, Relaxed);
                // AcqRel: whoever traps the group sees it verified.
                chunk.ready.fetch_or(1 << group, AcqRel);
                any = true;
            }
        }
        // Relaxed: one that was left over by a holder.
        any || self.ready_count.load(Relaxed) != 0
    }

    /// Tells of every freed block of a group whose bytes were written after the free.
    fn verify_group(&self, chunk: &Chunk, group: usize) {
        let first = group * GROUP_UNITS;
        chunk.for_each_slab_in(first..first + GROUP_UNITS, |slab, head| {
            let Some(block) = chunk.block_ref(head, 0) else { return };
            match slab.memory() {
                Memory::Here => self.verify_slab(&block),
                // A large one may reach into a group that is closed.
                Memory::Given if !block.goes_at_once() => self.verify_given(&block),
                Memory::Given | Memory::Trapped => {}
            }
        });
    }

    /// The same of a slab.
    pub(super) fn verify_slab(&self, first: &BlockRef<'_>) {
        let count = first.slab.count.load(Relaxed) as usize;
        let len = first.room() * count;
        // SAFETY: the slots of a slab lie side by side, and its memory is there until the caller
        // lets it go.
        let damage = unsafe { canary::junk_damage(first.start(), len, self.config.junk) };
        if damage.is_none() {
            return;
        }
        let mut next = first.neighbour(Some(0));
        while let Some(block) = next {
            self.check_freed(&block, StackId::NONE);
            next = block.neighbour(Some(block.index + 1));
        }
    }

    /// Traps all groups that are ready, unless somebody asks to keep memory. Those of `chunk` first:
    /// most often there are no others.
    pub(super) fn trap_ready(&self, growth: &mut Growth, chunk: &Chunk) {
        if growth.holders != 0 {
            return;
        }
        self.trap_ready_of(growth, chunk);
        // Acquire: pairs with the AcqRel in `finish_units`.
        let mut next = self.chunks.load(Acquire);
        while self.ready_count.load(Relaxed) != 0 {
            // SAFETY: chunks of the list stay mapped while the heap does.
            let Some(chunk) = (unsafe { next.as_ref() }) else { return };
            self.trap_ready_of(growth, chunk);
            // Relaxed: written before the chunk was published.
            next = chunk.older.load(Relaxed);
        }
    }

    fn trap_ready_of(&self, growth: &mut Growth, chunk: &Chunk) {
        // AcqRel: sees the verification; pairs with that in `finish_units`.
        let ready = chunk.ready.swap(0, AcqRel);
        for group in (0..GROUP_COUNT).filter(|group| ready & 1 << group != 0) {
            self.trap_group(growth, chunk, group);
        }
        // Relaxed: how many bits there are to look for.
        self.ready_count.fetch_sub(ready.count_ones(), Relaxed);
    }

    /// Takes the memory of a group away.
    fn trap_group(&self, growth: &mut Growth, chunk: &Chunk, group: usize) {
        let first = group * GROUP_UNITS;
        // What a slab of before reaches in here is a large block's.
        let mut whole = chunk.slab_at(first).is_none_or(|(_, head)| head == first);
        chunk.for_each_slab_in(first..first + GROUP_UNITS, |slab, _| {
            whole &= slab.memory() == Memory::Here;
        });
        if whole {
            self.stock(growth, chunk, group);
        }
        let memory = self.close_group(chunk, group);
        chunk.for_each_slab_in(first..first + GROUP_UNITS, |slab, _| {
            if slab.memory() == Memory::Here {
                self.count_waiting(chunk, -(slab.units.load(Relaxed) as isize));
            }
            slab.set_memory(memory);
        });
        // The last one to be forgotten blanks the headers: then there are no others to remember.
        chunk.for_each_slab_in(first..first + GROUP_UNITS, |slab, _| self.remember(growth, slab));
        blank_if_over(chunk);
    }

    /// Moves the memory of a group to where the next blocks will be, if there is room.
    fn stock(&self, growth: &mut Growth, chunk: &Chunk, group: usize) {
        if growth.moves_nothing || !has_room_for_splits() {
            return;
        }
        let next = growth.next_unit.div_ceil(GROUP_UNITS);
        let in_current = growth.stocked.saturating_sub(next);
        let share = self.shards.sample() as usize / (4 * GROUP_LEN);
        if share.clamp(STOCK_MIN, STOCK_MAX) <= in_current + growth.reserve_stocked {
            return;
        }
        let free = next.max(growth.stocked);
        let (to, place) = match growth.current(self) {
            Some(current) if free < GROUP_COUNT => (current, free),
            _ => match self.next_chunk(growth) {
                Ok(reserve) if growth.reserve_stocked < GROUP_COUNT => {
                    (reserve, growth.reserve_stocked)
                }
                _ => return,
            },
        };
        let (from, len) = chunk.units_range(group * GROUP_UNITS, GROUP_UNITS);
        let (target, _) = to.units_range(place * GROUP_UNITS, GROUP_UNITS);
        // SAFETY: all blocks of the group are freed and verified; no slab was cut from the other
        // group, and none is while the growth lock is held.
        match unsafe { pages::move_memory(from, target, len) } {
            Moved::Yes => {}
            Moved::No => return,
            Moved::Never => {
                growth.moves_nothing = true;
                self.note(Note::NotMoved);
                return;
            }
        }
        to.used.fetch_or(1 << place, Relaxed);
        add_splits(to, 1);
        if growth.current(self).is_some_and(|current| ptr::eq(current, to)) {
            growth.stocked = place + 1;
        } else {
            growth.reserve_stocked = place + 1;
        }
    }

    /// Lets a group trap, and gives its memory back if it is still there.
    fn close_group(&self, chunk: &Chunk, group: usize) -> Memory {
        // Relaxed: under the growth lock.
        let trapped = chunk.trapped.load(Relaxed);
        let has = |group: usize| trapped & 1 << group != 0;
        let before = group != 0 && has(group - 1);
        let after = group + 1 < GROUP_COUNT && has(group + 1);
        let (start, len) = chunk.units_range(group * GROUP_UNITS, GROUP_UNITS);
        if before || after || has_room_for_splits() {
            let span = group / SPAN_GROUPS * SPAN_GROUPS;
            let others = (span..span + SPAN_GROUPS).filter(|other| *other != group);
            // With its page tables, once the whole span is dead.
            let (start, len) = match others.clone().all(has) {
                true => chunk.units_range(span * GROUP_UNITS, SPAN_GROUPS * GROUP_UNITS),
                false => (start, len),
            };
            // SAFETY: all blocks of the range are freed and verified; who reads their bytes asks
            // for their memory to be held.
            if unsafe { guards::close_for_good(start, len) } {
                chunk.trapped.store(trapped | 1 << group, Relaxed);
                // Relaxed: as above. Moved memory is a mapping of its own already.
                let own = chunk.used.load(Relaxed) & 1 << group != 0;
                let beside = i32::from(before) + i32::from(after);
                add_splits(chunk, if own { -beside } else { 2 - 2 * beside });
                return Memory::Trapped;
            }
        }
        self.note(Note::Mappings);
        // SAFETY: as above.
        if unsafe { self.close_pages(chunk, start, len) } {
            return Memory::Trapped;
        }
        self.note(Note::NotTrapped);
        // SAFETY: as above.
        unsafe { pages::discard(start, len) };
        Memory::Given
    }

    /// Makes the records of a slab history, unless they are or were.
    pub(super) fn remember(&self, growth: &mut Growth, slab: &Slab) {
        // Relaxed, all: under the growth lock.
        if slab.is_history.swap(true, Relaxed) || slab.records.load(Relaxed).is_null() {
            return;
        }
        growth.history_len += slab.records_len();
        let this = ptr::from_ref(slab);
        // SAFETY: null, or a slab of this heap, which stays mapped while the heap does.
        match unsafe { growth.youngest.as_ref() } {
            Some(youngest) => youngest.younger.store(this.cast_mut(), Relaxed),
            None => growth.oldest = this,
        }
        growth.youngest = this;
        self.forget_old(growth);
    }

    /// Gives up the oldest records, as far as there is more history than wanted.
    fn forget_old(&self, growth: &mut Growth) {
        while self.config.history < growth.history_len {
            // SAFETY: null, or a slab of this heap, which stays mapped while the heap does.
            let Some(oldest) = (unsafe { growth.oldest.as_ref() }) else { return };
            // Relaxed: under the growth lock.
            growth.oldest = oldest.younger.load(Relaxed);
            if growth.oldest.is_null() {
                growth.youngest = ptr::null();
            }
            growth.history_len -= oldest.records_len();
            if let Some(slots) = oldest.take_records() {
                growth.records.give(slots);
            }
            if let Some(chunk) = oldest.chunk(self) {
                // Relaxed: under the growth lock.
                chunk.recorded.fetch_sub(1, Relaxed);
                blank_if_over(chunk);
            }
        }
    }
}

/// Gives most of a chunk's header back once nothing is told of its blocks any more.
fn blank_if_over(chunk: &Chunk) {
    // Relaxed, both: under the growth lock.
    if chunk.recorded.load(Relaxed) == 0 && chunk.trapped.load(Relaxed) == u16::MAX {
        chunk.blank_slabs();
    }
}

/// Counts mappings that a chunk is cut into.
fn add_splits(chunk: &Chunk, count: i32) {
    // Relaxed, both: an estimate.
    chunk.splits.fetch_add(count, Relaxed);
    SPLITS.fetch_add(count as isize, Relaxed);
}

/// Forgets the mappings of a chunk that is unmapped.
pub(super) fn forget_splits(chunk: &Chunk) {
    add_splits(chunk, -chunk.splits.load(Relaxed));
}

/// Whether the process may have more mappings: a quarter of what the system allows are ours.
fn has_room_for_splits() -> bool {
    // Relaxed: an estimate.
    SPLITS.load(Relaxed) < splits_max()
}

/// A quarter of the mappings that the system lets a process have.
fn splits_max() -> isize {
    static MAX: AtomicIsize = AtomicIsize::new(0);
    // Relaxed, both: every thread finds out the same.
    let known = MAX.load(Relaxed);
    if known != 0 {
        return known;
    }
    let max = (guards::map_count_max() as isize / 4).max(1);
    MAX.store(max, Relaxed);
    max
}
