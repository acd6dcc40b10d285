//! What stands around a block is intact, or is told.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use super::Heap;
use super::block::BlockRef;
use super::canary::{self, Damage};
use super::classes::CANARY_LEN_MIN;
use super::state::{State, StateWord};
use crate::stack::StackId;

/// Bytes of the redzone before the first block of a slab that are checked.
pub(super) const REDZONE_LEN: usize = 16;

/// Damage just before a block.
struct Before {
    /// How many bytes there belong to no block.
    len: usize,
    /// Which of them were written.
    damage: Damage,
    /// Whether they are junk behind a freed block.
    is_freed: bool,
}

impl Heap {
    /// Checks the bytes behind a block that `here` is freeing or resizing.
    #[inline]
    pub(super) fn check_canary(&self, block: &BlockRef<'_>, size: usize, here: StackId) {
        // SAFETY: `size <= room`.
        let end = unsafe { block.start().add(size) };
        // SAFETY: the rest of the slot is mapped.
        if let Some(damage) = unsafe { canary::canary_damage(end, block.room() - size) } {
            self.tell_overflow(block, size, damage, here);
        }
    }

    /// Checks the bytes just before a block: the redzone, or the canary of the block before it.
    #[inline]
    pub(super) fn check_before(&self, block: &BlockRef<'_>, here: StackId) {
        let Some(before) = block.index.checked_sub(1) else {
            if let Some(damage) = redzone_damage(block) {
                self.tell_underflow(block, REDZONE_LEN, damage, here);
                // Whoever has the slot next did not do it.
                fill_redzone(block);
            }
            return;
        };
        let Some(before) = block.neighbour(Some(before)) else { return };
        let Some(mut told) = self.damage_before(block, &before) else { return };
        if self.config.quarantine.is_some() {
            // The slot before may have had another block in between. Now it will not.
            let Some(_held) = self.hold_memory() else { return };
            let Some(again) = self.damage_before(block, &before) else { return };
            told = again;
        }
        // The bytes stay as they are: another thread may be growing the block before. When that
        // is freed, the log knows the damage.
        self.tell_underflow(block, told.len, told.damage, here);
        if told.is_freed {
            // SAFETY: the bytes before a block that is not the first lie in the slot before it.
            let start = unsafe { block.start().sub(told.len) };
            // So that it is not told as a write to the freed block as well.
            // SAFETY: junk behind a freed block, which nobody has: its slab has a live block, and where
            // slots are used again the hold above keeps this one.
            unsafe { canary::fill_junk(start, told.len, self.config.junk) };
        }
    }

    /// Returns how many bytes there are just before a block that belong to no block, canary of the live
    /// one before it or junk behind the freed one, and where they are damaged, if it was not by that one.
    #[inline]
    fn damage_before(&self, block: &BlockRef<'_>, before: &BlockRef<'_>) -> Option<Before> {
        // Acquire: pairs with the Release that made it live, or freed.
        let word = StateWord::load(&before.slot.state, Acquire);
        let is_freed = word.state() == State::Freed;
        if !word.is_live() && !is_freed {
            return None;
        }
        let size = before.size();
        let slack = before.room() - size.min(before.room());
        let len = slack.min(CANARY_LEN_MIN);
        // SAFETY: the bytes before a block that is not the first lie in the slot before it.
        let start = unsafe { block.start().sub(len) };
        let damage = if is_freed {
            // SAFETY: mapped: the slab has a live block.
            unsafe { canary::junk_damage(start, len, self.config.junk) }?
        } else {
            // SAFETY: as above.
            unsafe { canary::canary_damage(start, len) }?
        };
        // A block that was freed in the meantime has other bytes there, rightly; of a live one these bytes are the
        // canary whatever its size.
        let unchanged = before.is_still(word, size);
        // Only damage at the far end: what comes from the block before starts at its end.
        let whole_slack_hit = damage.first == 0 && slack <= CANARY_LEN_MIN;
        (unchanged && !whole_slack_hit && damage.last + 1 == len).then_some(Before {
            len,
            damage,
            is_freed,
        })
    }
}

/// Fills the redzone before the first block of a slab.
pub(super) fn fill_redzone(first: &BlockRef<'_>) {
    if first.slab.lead.load(Relaxed) as usize >= REDZONE_LEN {
        // SAFETY: the lead before the first block is at least that long.
        let start = unsafe { first.start().sub(REDZONE_LEN) };
        // SAFETY: it belongs to no block.
        unsafe { canary::fill_canary(start, REDZONE_LEN) };
    }
}

/// Returns where the redzone before the first block of a slab is damaged.
pub(super) fn redzone_damage(first: &BlockRef<'_>) -> Option<Damage> {
    if (first.slab.lead.load(Relaxed) as usize) < REDZONE_LEN {
        return None;
    }
    // SAFETY: the lead before the first block is at least that long.
    let start = unsafe { first.start().sub(REDZONE_LEN) };
    // SAFETY: mapped.
    unsafe { canary::canary_damage(start, REDZONE_LEN) }
}
