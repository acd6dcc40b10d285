//! A block with all that belongs to it: chunk, slab, record.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::sync::atomic::fence;

use super::chunk::{BATCHED_UNITS_MAX, Chunk, Slab};
use super::slot::Slot;
use super::state::StateWord;

/// One slot, with all that belongs to it.
#[derive(Clone, Copy)]
pub(crate) struct BlockRef<'c> {
    pub(crate) chunk: &'c Chunk,
    pub(crate) slab: &'c Slab,
    pub(crate) slot: &'c Slot,
    /// First byte of the slab.
    pub(crate) slab_base: NonNull<u8>,
    /// Index of the slot in its slab.
    pub(crate) index: u32,
    /// First unit of the slab.
    pub(super) head: u16,
}

impl BlockRef<'_> {
    /// Returns the first byte of the block.
    #[inline]
    pub(crate) fn start(&self) -> NonNull<u8> {
        let slab = self.slab;
        let offset =
            slab.lead.load(Relaxed) as usize + self.index as usize * slab.slot_size.load(Relaxed);
        let offset = offset + self.gap();
        // SAFETY: `index < count`, and `count` slots after the lead lie inside the slab, which lies
        // inside the chunk's mapping.
        unsafe { self.slab_base.add(offset) }
    }

    /// Returns how many bytes the slot has from the block's start: block and canary.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        let slab = self.slab;
        let slot_size = slab.slot_size.load(Relaxed);
        if slab.reciprocal.load(Relaxed) != 0 {
            slot_size
        } else if self.is_guarded() {
            self.pages_len() - self.gap()
        } else {
            slot_size.saturating_sub(slab.lead.load(Relaxed) as usize)
        }
    }

    /// Returns the block's size in bytes.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        // Relaxed, both: published with the state.
        if self.is_large() { self.slab.large_size.load(Relaxed) } else { self.slot.size() }
    }

    /// Whether the block is what it was when its state and size were read: if not, bytes that were read since
    /// may be of what came after, or of memory that was given back.
    ///
    /// A block that is resized has another size before its state says so, and other bytes only then. So who asks
    /// about bytes of a live block asks before they are read, too: else its size may be of a resize that ends
    /// meanwhile.
    pub(crate) fn is_still(&self, word: StateWord, size: usize) -> bool {
        // Acquire: orders the loads after those of the bytes; pairs with the Release fence in `StateWord::begin`: who saw a
        // byte that was written after it sees that state, too.
        fence(Acquire);
        // Acquire: pairs with the Release in `publish`; bytes that are read from here on are what the state says. But
        // for blocks that are resized, a state never is again what it was.
        StateWord::load(&self.slot.state, Acquire) == word && self.size() == size
    }

    /// Writes the record of a new block, all but its state.
    #[inline]
    pub(super) fn begin(&self, allocated: u32, size: usize) {
        self.slot.begin(allocated, size);
        if self.is_large() {
            // Relaxed: published with the state.
            self.slab.large_size.store(size, Relaxed);
        }
    }

    /// Changes the block's size; for whoever resizes it.
    pub(super) fn set_size(&self, size: usize) {
        if self.is_large() {
            // Relaxed: published with the state.
            self.slab.large_size.store(size, Relaxed);
        } else {
            self.slot.set_size(size);
        }
    }

    /// Whether the block is in a slot of a size class.
    #[inline]
    pub(crate) fn is_of_class(&self) -> bool {
        self.slab.reciprocal.load(Relaxed) != 0
    }

    /// Whether the block has a slab of its own.
    #[inline]
    pub(crate) fn is_large(&self) -> bool {
        self.slab.reciprocal.load(Relaxed) == 0 && self.slab.count.load(Relaxed) == 1
    }

    /// Whether the memory goes as soon as the block is freed, not with its group.
    #[inline]
    pub(crate) fn goes_at_once(&self) -> bool {
        self.slab.reciprocal.load(Relaxed) == 0
            && (self.is_guarded()
                || self.chunk.single
                || BATCHED_UNITS_MAX < self.slab.units.load(Relaxed) as usize)
    }

    /// Whether the slab still has the record: else it tells of another slab's block by now. Asked
    /// after the state was read with Acquire.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        // Relaxed: ordered by the caller's Acquire. Whoever uses the records again has taken them
        // away from this slab before.
        let records = self.slab.records.load(Relaxed);
        records.wrapping_add(self.index as usize).addr() == ptr::from_ref(self.slot).addr()
    }

    /// Returns the slot before or after this one in the slab, if there is one that can be handed
    /// out.
    #[inline]
    pub(crate) fn neighbour(&self, index: Option<u32>) -> Option<Self> {
        let index = index?;
        if self.slab.count.load(Relaxed) <= index {
            return None;
        }
        Some(Self { slot: self.chunk.slot(self.slab, index as usize)?, index, ..*self })
    }

    /// Returns the slab's first byte and its length.
    pub(crate) fn slab_range(&self) -> (NonNull<u8>, usize) {
        (self.slab_base, self.chunk.slab_len(self.slab))
    }

    /// Returns the number of units of the slab.
    pub(crate) fn units(&self) -> u32 {
        u32::from(self.slab.units.load(Relaxed))
    }

    /// Returns the first unit of the slab.
    pub(crate) fn head(&self) -> usize {
        self.head.into()
    }
}
