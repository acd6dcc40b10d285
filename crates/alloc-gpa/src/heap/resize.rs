//! Another size for a block: in its slot, or as a new block.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

use alloc_core::AllocError;

use super::block::BlockRef;
use super::claim::Claim;
use super::classes::CANARY_LEN_MIN;
use super::notes::Note;
use super::state::State;
use super::{Heap, Operation, Origin, Target, canary};
use crate::stack::StackId;
use crate::tag::TagId;

impl Heap {
    /// Changes the size of a block inside its slot; returns whether it did.
    pub(crate) fn resize(
        &self,
        addr: NonNull<u8>,
        claimed: Option<Layout>,
        new: usize,
        here: StackId,
    ) -> bool {
        let claim = Claim::of(claimed);
        let Some(target) = self.find(addr, claim, here, Operation::Resize) else { return false };
        self.resize_found(&target, new, here)
    }

    /// Changes the size of what was found; returns whether it did.
    pub(super) fn resize_found(&self, target: &Target<'_>, new: usize, here: StackId) -> bool {
        let &Target { block, word } = target;
        if let Err(now) = word.begin(&block.slot.state, State::Resizing) {
            self.tell_dead(&block, now, Claim::NONE, here, Operation::Resize);
            return false;
        }
        let resized = self.resize_begun(&block, new, here);
        // Publishes the size and the canary.
        word.publish(&block.slot.state);
        resized
    }

    /// Changes the size of a block that this thread took out of the hands of all others; returns
    /// whether it did. If not, nothing was changed.
    pub(super) fn resize_begun(&self, block: &BlockRef<'_>, new: usize, here: StackId) -> bool {
        // Where a guarded block lies is told by its size.
        if new == 0 || block.is_guarded() || block.room().saturating_sub(CANARY_LEN_MIN) < new {
            return false;
        }
        let old = block.size();
        self.check_canary(block, old, here);
        if !self.budget.take(self.config.memory_limit, new.saturating_sub(old)) {
            self.note(Note::MemoryLimit);
            return false;
        }
        block.set_size(new);
        self.tags.resized(block.slot, old, new);
        // SAFETY: `new` is less than the slot's room.
        let end = unsafe { block.start().add(new) };
        // SAFETY: the rest of the slot; what the block loses is no longer its owner's.
        unsafe { canary::fill_canary(end, block.room() - new) };
        self.budget.give(self.config.memory_limit, old.saturating_sub(new));
        if old < new {
            self.count_allocated(0, new - old);
        } else {
            self.count_freed(0, old - new);
        }
        true
    }

    /// Gives a block another size: in its slot if it keeps its alignment, else as a new block. What
    /// is no live block is told, and is an error; so is a `claimed` layout that it does not have, and
    /// the block's own is used.
    pub(crate) fn realloc(
        &self,
        addr: NonNull<u8>,
        claimed: Option<Layout>,
        new: Layout,
        here: StackId,
    ) -> Result<NonNull<u8>, AllocError> {
        let claim = Claim::of(claimed);
        let target = self.find(addr, claim, here, Operation::Resize).ok_or(AllocError)?;
        let Target { block, word } = target;
        // Nobody else frees it, so that its memory stays, until it is copied.
        if let Err(now) = word.begin(&block.slot.state, State::Resizing) {
            self.tell_dead(&block, now, claim, here, Operation::Resize);
            return Err(AllocError);
        }
        let old_size = block.size();
        let shrinks = word.align() == new.align() && new.size() <= old_size;
        // In place a large block would keep all its memory, full of canary.
        let wastes = block.is_large() && new.size() < old_size / 2;
        if shrinks && !wastes && self.resize_begun(&block, new.size(), here) {
            // As where it moves: the block is as this call wanted it.
            // Relaxed: published by the state.
            block.slot.allocated.store(here.get(), Relaxed);
            word.publish(&block.slot.state);
            return Ok(addr);
        }
        let fresh = match self.alloc_as(new, word.origin(), here) {
            Ok(fresh) => fresh,
            Err(error) => {
                let in_place = shrinks && self.resize_begun(&block, new.size(), here);
                word.publish(&block.slot.state);
                return if in_place { Ok(addr) } else { Err(error) };
            }
        };
        // SAFETY: the old block is live, with `old_size` bytes; the new one has `new.size()`; two
        // blocks never overlap.
        unsafe { fresh.copy_from_nonoverlapping(addr, old_size.min(new.size())) };
        self.set_tag(fresh, TagId::of_slot(block.slot));
        self.end_block(&block, word.of(Origin::Moved), here);
        Ok(fresh)
    }
}
