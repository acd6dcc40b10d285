//! Memory that goes from retired groups to the blocks to come: it is moved, so that there is no page fault
//! and nothing is zeroed.
//!
//! Groups wait with memory in the chunk that slabs are cut from, behind the last slab, and in the one that
//! comes next, from its first group on.

use core::ops::Range;
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

use super::Heap;
use super::chunk::{Chunk, GROUP_COUNT, GROUP_LEN, GROUP_UNITS};
use super::grow::Growth;
use super::notes::Note;
use super::retire::{BATCH_GROUPS, add_splits, bits_of, has_room_for_splits};
use crate::sys::pages::{self, Moved};

/// Groups that are kept with memory for the blocks to come, at most, at each site: 8 MiB; and where
/// little is live. Groups end in bursts: with less, memory goes back to the system and is asked for again.
const STOCK_MAX: usize = 32;
const STOCK_MIN: usize = 16;

impl Heap {
    /// Moves the memory of neighbouring groups to where the next blocks will be, as far as there is room.
    pub(super) fn stock(&self, growth: &mut Growth, chunk: &Chunk, mut groups: Range<usize>) {
        let mut count_max = GROUP_COUNT;
        while !groups.is_empty() && !growth.moves_nothing && has_room_for_splits() {
            let Some((to, room)) = self.room_for_stock(growth, groups.len()) else { return };
            let count = groups.len().min(room.len()).min(count_max);
            if self.move_groups(growth, (chunk, groups.start), (to, room.start), count) {
                groups.start += count;
            } else if count == 1 {
                return;
            } else {
                // The system moves no more than one mapping at once.
                count_max = 1;
            }
        }
    }

    /// Returns groups that blocks will be cut from and that have no memory yet, if more is to be kept
    /// there. `count` neighbours are looked for.
    fn room_for_stock<'h>(
        &'h self,
        growth: &mut Growth,
        count: usize,
    ) -> Option<(&'h Chunk, Range<usize>)> {
        let next = growth.next_unit.div_ceil(GROUP_UNITS);
        let in_current = growth.stocked.saturating_sub(next);
        let active = self.sites.active_count();
        let share = self.shards.sample() as usize / (4 * GROUP_LEN * active);
        let is_shared = self.sites.is_shared();
        let max = share.clamp(STOCK_MIN, STOCK_MAX);
        let more =
            max.checked_sub(in_current + growth.reserve_stocked).filter(|more| *more != 0)?;
        let mut free = next.max(growth.stocked);
        if is_shared && BATCH_GROUPS <= count {
            // So that what is moved together can be moved together again.
            free = free.next_multiple_of(BATCH_GROUPS);
        }
        let (to, free) = match growth.current(self) {
            Some(current) if free < GROUP_COUNT => (current, free),
            _ => (self.next_chunk(growth).ok()?, growth.reserve_stocked),
        };
        let room = free..GROUP_COUNT.min(free + more);
        (!room.is_empty()).then_some((to, room))
    }

    /// Moves the memory of `count` neighbouring groups from one place to another; returns whether it was
    /// moved.
    fn move_groups(
        &self,
        growth: &mut Growth,
        (from, group): (&Chunk, usize),
        (to, place): (&Chunk, usize),
        count: usize,
    ) -> bool {
        let (source, len) = from.units_range(group * GROUP_UNITS, count * GROUP_UNITS);
        let (target, _) = to.units_range(place * GROUP_UNITS, count * GROUP_UNITS);
        // SAFETY: all blocks of the groups are freed and verified; no slab was cut from the others, and
        // none is while the growth lock is held.
        match unsafe { pages::move_memory(source, target, len) } {
            Moved::Yes => {}
            Moved::No => return false,
            Moved::Never => {
                growth.moves_nothing = true;
                self.note(Note::NotMoved);
                return false;
            }
        }
        // Relaxed: under the growth lock.
        to.used.fetch_or(bits_of(place..place + count), Relaxed);
        add_splits(to, 1);
        if growth.current(self).is_some_and(|current| ptr::eq(current, to)) {
            growth.stocked = place + count;
        } else {
            growth.reserve_stocked = place + count;
        }
        true
    }
}
