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

use core::ops::Range;
use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicIsize;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::chunk::{BlockRef, Chunk, GROUP_COUNT, GROUP_UNITS, Memory, Slab};
use super::grow::Growth;
use super::notes::Note;
use super::sites::SITE_COUNT;
use super::{Heap, canary};
use crate::stack::StackId;
use crate::sys::guards::{self, Means};
use crate::sys::pages;

/// Groups that are trapped together where several threads grow the heap: 1 MiB.
pub(super) const BATCH_GROUPS: usize = 4;
/// Groups whose page tables are given up together: 2 MiB.
const SPAN_GROUPS: usize = 8;

/// Mappings that the chunks of all heaps of the process are cut into beyond one each, about.
static SPLITS: AtomicIsize = AtomicIsize::new(0);

/// Which of the groups that are ready are to be trapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Where several threads grow the heap, those whose neighbours are ready, too: each change of the
    /// address space interrupts all other processors.
    Batches,
    /// All.
    All,
}

/// Keeps the memory of freed blocks where it is while it lives.
pub(crate) struct Held<'h>(&'h Heap);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.release_growths(SITE_COUNT);
        self.0.release_quarantine();
    }
}

impl Heap {
    /// Asks that no memory goes while the answer lives, so that the bytes of blocks can be read whose
    /// owner may free them meanwhile. `None` if a thread that was not copied by a fork has the lock.
    pub(crate) fn hold_memory(&self) -> Option<Held<'_>> {
        for (count, site) in self.sites.iter().enumerate() {
            let Some(mut growth) = site.growth.lock_within_a_second() else {
                self.release_growths(count);
                return None;
            };
            growth.holders += 1;
        }
        if self.hold_quarantine().is_none() {
            self.release_growths(SITE_COUNT);
            return None;
        }
        Some(Held(self))
    }

    /// Takes back what [`hold_memory`](Self::hold_memory) asked of the first sites.
    fn release_growths(&self, count: usize) {
        for site in self.sites.iter().take(count) {
            let mut growth = site.growth.lock();
            // A handler that forked in between may have begun anew.
            growth.holders = growth.holders.saturating_sub(1);
        }
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
        if self.finish_units(block.chunk, block.head(), units) {
            let site = self.sites.of(block.chunk);
            match site.growth.try_lock() {
                Some(mut growth) => self.trap_ready(&mut growth, block.chunk, Wanted::Batches),
                // Who has the lock cuts slabs or traps others: the next one that is ready will do.
                // Release: whoever takes the flag back sees the group; pairs with the AcqRel there.
                None => site.is_left.store(true, Release),
            }
        }
        if self.is_over(block.chunk) {
            self.sweep(block.chunk);
        }
    }

    /// Traps the memory of a large block.
    fn retire_large(&self, block: &BlockRef<'_>) {
        let (start, len) = block.slab_range();
        let growth = self.sites.of(block.chunk).growth.lock_or_give_up();
        let Some(mut growth) = growth.filter(|growth| growth.holders == 0) else {
            // SAFETY: the one block of the slab is freed: nobody needs its bytes.
            unsafe { pages::discard(start, len) };
            // Behind it: an audit in another thread takes what it finds in given memory for a late write.
            block.slab.set_memory(Memory::Given);
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
        // SAFETY: all blocks of the slab are freed: nobody needs its bytes.
        unsafe { pages::discard(start, len) };
        // As above.
        slab.set_memory(Memory::Given);
    }

    /// Counts units that are done with, and verifies the groups of which they were the last. Returns
    /// whether there are groups to trap.
    pub(super) fn finish_units(&self, chunk: &Chunk, head: usize, count: usize) -> bool {
        let end = head + count;
        // Relaxed: one that was left over is seen late at worst.
        let mut any = self.sites.of(chunk).is_left.load(Relaxed);
        for group in head / GROUP_UNITS..end.div_ceil(GROUP_UNITS) {
            let first = group * GROUP_UNITS;
            let inside = end.min(first + GROUP_UNITS) - head.max(first);
            if chunk.done[group].add(inside) {
                self.verify_group(chunk, group);
                // AcqRel: whoever traps the group sees it verified.
                chunk.ready.fetch_or(1 << group, AcqRel);
                any = true;
            }
        }
        any
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

    /// Traps groups of a chunk that are ready, unless somebody asks to keep memory; and those that were
    /// left over before. `growth` is that of the chunk's site.
    pub(super) fn trap_ready(&self, growth: &mut Growth, chunk: &Chunk, wanted: Wanted) {
        let is_left = &self.sites.of(chunk).is_left;
        if growth.holders != 0 {
            // Release: as in `retire`.
            return is_left.store(true, Release);
        }
        self.trap_ready_of(growth, chunk, wanted);
        // Relaxed: what is seen late is done later. AcqRel: sees each group that was left before; one that
        // is left after this sets the flag again.
        if !is_left.load(Relaxed) || !is_left.swap(false, AcqRel) {
            return;
        }
        // Acquire: pairs with the Release in `enter`.
        let mut next = self.chunks.load(Acquire);
        // SAFETY: chunks of the list stay mapped while the heap does.
        while let Some(chunk) = unsafe { next.as_ref() } {
            if chunk.site == growth.index {
                self.trap_ready_of(growth, chunk, wanted);
            }
            // Relaxed: written before the chunk was published.
            next = chunk.older.load(Relaxed);
        }
    }

    fn trap_ready_of(&self, growth: &mut Growth, chunk: &Chunk, wanted: Wanted) {
        // Acquire: sees the verification; pairs with the AcqRel in `finish_units`.
        let ready = chunk.ready.load(Acquire);
        let chosen = match wanted {
            Wanted::Batches if self.sites.is_shared() => {
                // Relaxed: under the growth lock.
                ready & whole_batches(ready | chunk.trapped.load(Relaxed))
            }
            _ => ready,
        };
        if chosen == 0 {
            return;
        }
        // AcqRel: as above. Only holders of the lock take bits away.
        chunk.ready.fetch_and(!chosen, AcqRel);
        let mut group = 0;
        while group < GROUP_COUNT {
            let count = (chosen >> group).trailing_ones() as usize;
            if count != 0 {
                self.trap_groups(growth, chunk, group..group + count);
            }
            group += count + 1;
        }
    }

    /// Takes the memory of neighbouring groups away.
    fn trap_groups(&self, growth: &mut Growth, chunk: &Chunk, groups: Range<usize>) {
        let mut moved = groups.start;
        for group in groups.clone() {
            if !self.is_whole(chunk, group) {
                self.stock(growth, chunk, moved..group);
                moved = group + 1;
            }
        }
        self.stock(growth, chunk, moved..groups.end);
        let memory = self.close_groups(chunk, groups.clone());
        let units = groups.start * GROUP_UNITS..groups.end * GROUP_UNITS;
        chunk.for_each_slab_in(units.clone(), |slab, _| {
            if slab.memory() == Memory::Here {
                self.count_waiting(chunk, -(slab.units.load(Relaxed) as isize));
            }
            slab.set_memory(memory);
        });
        // The last one to be forgotten blanks the headers: then there are no others to remember.
        chunk.for_each_slab_in(units, |slab, _| self.remember(growth, slab));
        blank_if_over(chunk);
    }

    /// Whether all memory of a group is where it was.
    fn is_whole(&self, chunk: &Chunk, group: usize) -> bool {
        let first = group * GROUP_UNITS;
        // What a slab of before reaches in here is a large block's.
        let mut whole = chunk.slab_at(first).is_none_or(|(_, head)| head == first);
        chunk.for_each_slab_in(first..first + GROUP_UNITS, |slab, _| {
            whole &= slab.memory() == Memory::Here;
        });
        whole
    }

    /// Lets neighbouring groups trap, and gives their memory back if it is still there.
    fn close_groups(&self, chunk: &Chunk, groups: Range<usize>) -> Memory {
        // Relaxed: under the growth lock.
        let trapped = chunk.trapped.load(Relaxed);
        let now = trapped | bits_of(groups.clone());
        let beside = has(trapped, groups.start.wrapping_sub(1)) || has(trapped, groups.end);
        if beside || has_room_for_splits() {
            // With its page tables, where the whole span is dead.
            let first = groups.start / SPAN_GROUPS * SPAN_GROUPS;
            let end = groups.end.next_multiple_of(SPAN_GROUPS);
            let is_dead = |from: usize| (from..from + SPAN_GROUPS).all(|group| has(now, group));
            let first = if is_dead(first) { first } else { groups.start };
            let end = if is_dead(end - SPAN_GROUPS) { end } else { groups.end };
            let (start, len) = chunk.units_range(first * GROUP_UNITS, (end - first) * GROUP_UNITS);
            // SAFETY: all blocks of the range are freed and verified; who reads their bytes asks
            // for their memory to be held.
            if unsafe { guards::close_for_good(start, len) } {
                chunk.trapped.store(now, Relaxed);
                count_splits(chunk, trapped, groups);
                return Memory::Trapped;
            }
        }
        self.note(Note::Mappings);
        let (start, len) =
            chunk.units_range(groups.start * GROUP_UNITS, groups.len() * GROUP_UNITS);
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

    /// Gives up the oldest records of the sites that nobody is at, as there is one site more now.
    pub(super) fn share_history(&self) {
        // Whoever has one of the locks does the same there as the next slab goes.
        for mut growth in self.sites.iter().filter_map(|site| site.growth.try_lock()) {
            self.forget_old(&mut growth);
        }
    }

    /// Gives up a site's oldest records, as far as there is more history than its share.
    fn forget_old(&self, growth: &mut Growth) {
        let share = self.config.history / self.sites.active_count();
        while share < growth.history_len {
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

/// The bits of some groups of a chunk.
pub(super) fn bits_of(groups: Range<usize>) -> u16 {
    let below = |end: usize| ((1u32 << end) - 1) as u16;
    below(groups.end) & !below(groups.start)
}

/// Whether a group is among those of the bits.
fn has(bits: u16, group: usize) -> bool {
    group < GROUP_COUNT && bits & 1 << group != 0
}

/// The groups of those batches that are there as a whole.
fn whole_batches(bits: u16) -> u16 {
    const { assert!(BATCH_GROUPS == 4 && GROUP_COUNT == 16) };
    let pairs = bits & bits >> 1;
    (pairs & pairs >> 2 & 0x1111) * 0xf
}

/// Counts the mappings that come or go as groups are closed; `trapped` are the others.
fn count_splits(chunk: &Chunk, mut trapped: u16, groups: Range<usize>) {
    for group in groups {
        let beside =
            i32::from(has(trapped, group.wrapping_sub(1))) + i32::from(has(trapped, group + 1));
        // Relaxed: under the growth lock. Moved memory is a mapping of its own already.
        let is_own = has(chunk.used.load(Relaxed), group);
        add_splits(chunk, if is_own { -beside } else { 2 - 2 * beside });
        trapped |= 1 << group;
    }
}

/// Counts mappings that a chunk is cut into.
pub(super) fn add_splits(chunk: &Chunk, count: i32) {
    // Relaxed, both: an estimate.
    chunk.splits.fetch_add(count, Relaxed);
    SPLITS.fetch_add(count as isize, Relaxed);
}

/// Forgets the mappings of a chunk that is unmapped.
pub(super) fn forget_splits(chunk: &Chunk) {
    add_splits(chunk, -chunk.splits.load(Relaxed));
}

/// Whether the process may have more mappings: a quarter of what the system allows are ours.
pub(super) fn has_room_for_splits() -> bool {
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

#[cfg(all(test, not(loom)))]
mod tests {
    use core::alloc::Layout;
    use std::vec::Vec;

    use super::*;
    use crate::config::Config;
    use crate::heap::classes::UNIT_LEN;
    use crate::sys::peek;

    #[test]
    fn groups_are_bits() {
        assert_eq!(bits_of(0..GROUP_COUNT), u16::MAX);
        assert_eq!(bits_of(3..5), 0b1_1000);
        assert!(has(0b100, 2) && !has(0b100, 1) && !has(u16::MAX, GROUP_COUNT));
        assert!(!has(u16::MAX, 0usize.wrapping_sub(1)), "no group before the first");
        assert_eq!(whole_batches(u16::MAX), u16::MAX);
        assert_eq!(whole_batches(0b1111_0111_1101_1111), 0b1111_0000_0000_1111);
        assert_eq!(whole_batches(0b0111_1000_0000_0000), 0);
    }

    /// Two threads grow the heap at two sites: what each frees traps, and the history of both is bounded.
    #[test]
    fn sites_share_what_is_kept() {
        const HISTORY: usize = 256 << 10;
        let config = Config { stacks: 0, history: HISTORY, ..Config::DEFAULT };
        let heap = Heap::map(config).expect("memory");
        // SAFETY: just mapped; unmapped below.
        let heap_ref = unsafe { heap.as_ref() };
        let layout = Layout::from_size_align(1000, 8).expect("a layout");
        let fill = || -> Vec<usize> {
            let blocks: Vec<_> = (0..40_000)
                .map(|_| heap_ref.alloc(layout, StackId::NONE).expect("memory"))
                .collect();
            blocks.iter().for_each(|block| heap_ref.free(*block, None, StackId::NONE));
            blocks.iter().map(|block| block.addr().get()).collect()
        };
        let first = fill();
        let history = || heap_ref.sites.growths().map(|growth| growth.history_len).sum::<usize>();
        assert!((1..=HISTORY).contains(&history()));
        // Threads' numbers follow each other: one of these is at another site.
        let [second, third] = [(); 2]
            .map(|()| std::thread::scope(|scope| scope.spawn(fill).join().expect("no panic")));
        assert!(heap_ref.sites.is_shared());
        let active = heap_ref.sites.active_count();
        assert!((2..=3).contains(&active), "{active}");
        assert!((1..=HISTORY).contains(&history()), "{}", history());
        for blocks in [first, second, third] {
            let readable = blocks.iter().filter(|addr| peek::read(**addr, &mut [0])).count();
            let kept = 2 * BATCH_GROUPS * GROUP_UNITS * UNIT_LEN / 1000;
            assert!(readable <= kept, "{readable} of {}", blocks.len());
        }
        // SAFETY: nobody uses the heap any more.
        unsafe { Heap::unmap(heap) };
    }
}
