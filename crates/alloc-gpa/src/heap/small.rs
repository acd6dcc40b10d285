//! Allocation of blocks in slots of size classes.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::AllocError;

use super::shards::Taken;
use super::state::Origin;
use super::{Fresh, Heap, classes, slack};
use crate::stack::StackId;

impl Heap {
    /// The way of nearly all allocations: of a small block, where nothing is special and a slab has been
    /// begun; `None` if it is not so.
    #[inline(always)]
    pub(super) fn alloc_quick(
        &self,
        layout: Layout,
        origin: Origin,
        here: StackId,
    ) -> Option<NonNull<u8>> {
        if self.ways.alloc_is_special {
            return None;
        }
        let class = classes::class_of(layout.size(), layout.align())?;
        let taken = self.take_next(class, layout.size())?;
        Some(self.begin_small(&taken, layout, origin, here).start)
    }

    /// Hands out a block of a class.
    pub(super) fn alloc_small(
        &self,
        class: usize,
        layout: Layout,
        origin: Origin,
        here: StackId,
    ) -> Result<Fresh, AllocError> {
        let taken = self.take_slot(class, layout.size())?;
        Ok(self.begin_small(&taken, layout, origin, here))
    }

    /// Begins a block in a slot that was taken for it.
    #[inline(always)]
    pub(super) fn begin_small(
        &self,
        taken: &Taken<'_>,
        layout: Layout,
        origin: Origin,
        here: StackId,
    ) -> Fresh {
        let (size, align) = (layout.size(), layout.align());
        let &Taken { start, slot, .. } = taken;
        slot.begin(here.get(), size);
        // SAFETY: a slot of a size class, which holds the block and its canary, and which nobody else
        // has: it was just taken.
        unsafe { slack::fill(start, size, taken.slot_size) };
        // Publishes the record and the canary.
        self.word(taken.turn, align, origin).publish(&slot.state);
        if taken.is_first {
            self.beat();
        }
        Fresh { start, is_used: taken.is_used }
    }
}
