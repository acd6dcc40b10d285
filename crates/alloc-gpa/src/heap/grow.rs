//! New slabs and chunks, and the way back: slabs that are all free give up their memory, chunks that
//! are all done their page tables, and the oldest of those their records.

use core::ptr;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use alloc_core::AllocError;

use super::chunk::{BlockRef, Chunk};
use super::classes::{self, LARGE_LEN_MAX, UNIT_COUNT, UNIT_LEN};
use super::{Current, Growth, Heap, fill_redzone, map};
use crate::config::Guard;
use crate::stack::StackId;
use crate::sys::{guards, pages};

impl Heap {
    /// Cuts a new slab for a class.
    #[cold]
    #[inline(never)]
    pub(super) fn new_slab(&self, class: usize) -> Result<Current, AllocError> {
        let slot_size = classes::SLOT_SIZES[class] as usize;
        let units = classes::slab_len(slot_size) / UNIT_LEN;
        let mut growth = self.growth.lock();
        let (chunk, head) = self.take_units(&mut growth, units, 1)?;
        let first = chunk.make_slab(head, units, slot_size, None);
        drop(growth);
        fill_redzone(&first);
        let count = classes::slot_count(slot_size) as u32;
        Ok(Current { chunk, head: head as u32, next: 0, count })
    }

    /// Takes a slab for one block.
    #[cold]
    #[inline(never)]
    pub(super) fn take_large(&self, size: usize, align: usize) -> Result<BlockRef<'_>, AllocError> {
        let large = classes::large(size, align).ok_or(AllocError)?;
        let block = if large.len <= LARGE_LEN_MAX && align <= LARGE_LEN_MAX {
            let units = large.len.div_ceil(UNIT_LEN);
            let mut growth = self.growth.lock();
            let (chunk, head) = self.take_units(&mut growth, units, align.div_ceil(UNIT_LEN))?;
            chunk.make_slab(head, units, 0, Some(large))
        } else {
            let chunk = Chunk::map_single(self.id(), large.len, align).ok_or(AllocError)?;
            let block = chunk.make_slab(0, 1, 0, Some(large));
            let _growth = self.growth.lock();
            if !self.enter(chunk) {
                // SAFETY: in no map and no list: nobody else has seen it.
                unsafe { chunk.unmap() };
                return Err(AllocError);
            }
            block
        };
        fill_redzone(&block);
        self.count_alloc();
        Ok(block)
    }

    /// Takes `count` units whose first is a multiple of `align` units, both powers of two or the
    /// count of a large block.
    pub(super) fn take_units<'h>(
        &'h self,
        growth: &mut Growth,
        count: usize,
        align: usize,
    ) -> Result<(&'h Chunk, usize), AllocError> {
        // SAFETY: null, or a chunk of this heap, which stays mapped while the heap does.
        let current = unsafe { growth.chunk.as_ref() };
        let head = growth.next_unit.next_multiple_of(align.max(1));
        if let Some(chunk) = current.filter(|_| head + count <= UNIT_COUNT) {
            self.lose_units(chunk, head - growth.next_unit);
            growth.next_unit = head + count;
            return Ok((chunk, head));
        }
        let chunk = Chunk::map_shared(self.id()).ok_or(AllocError)?;
        if !self.enter(chunk) {
            // SAFETY: in no map and no list: nobody else has seen it.
            unsafe { chunk.unmap() };
            return Err(AllocError);
        }
        let rest = UNIT_COUNT - growth.next_unit;
        *growth = Growth { chunk, next_unit: count };
        if let Some(full) = current {
            self.lose_units(full, rest);
        }
        Ok((chunk, 0))
    }

    /// Counts units that will never be in a slab.
    fn lose_units(&self, chunk: &Chunk, count: usize) {
        // A chunk that is used to its end may be done with already: it is counted once.
        if count == 0 {
            return;
        }
        self.retire_units(chunk, count as u32);
    }

    /// Enters a chunk into the map and the heap's list; returns whether it could. Under the growth
    /// lock.
    pub(super) fn enter(&self, chunk: &'static Chunk) -> bool {
        // Relaxed: only holders of the growth lock write the list.
        chunk.older.store(self.chunks.load(Relaxed), Relaxed);
        let entry = ptr::from_ref(chunk).cast_mut();
        let entered = map::set(chunk.base.addr().get(), chunk.len, entry);
        if entered {
            // Release: publishes the header; pairs with the Acquires that walk the list.
            self.chunks.store(entry, Release);
        }
        entered
    }

    /// Gives the memory of a slab back whose blocks are all freed, and verifies it before.
    #[cold]
    #[inline(never)]
    pub(super) fn retire(&self, block: &BlockRef<'_>) {
        let (base, len) = block.slab_range();
        if block.is_guarded() {
            self.close_slab(block);
        } else {
            if block.slab.count.load(Relaxed) != 1 {
                self.verify_freed(block);
            }
            // SAFETY: all blocks of the slab are freed: nobody needs its bytes.
            unsafe { pages::discard(base, len) };
        }
        // Release: pairs with the Acquire of the audit.
        block.slab.retired.store(true, Release);
        let units = if block.chunk.single { UNIT_COUNT as u32 } else { block.units() };
        self.retire_units(block.chunk, units);
    }

    /// Counts units of a chunk that are done with; gives up its page tables, and the oldest
    /// history, when all are.
    fn retire_units(&self, chunk: &Chunk, count: u32) {
        // AcqRel: whoever counts the last unit sees what was done to all.
        let retired = chunk.units_retired.fetch_add(count, AcqRel) + count;
        if retired as usize != UNIT_COUNT {
            return;
        }
        if self.config.guard == Guard::Off {
            // SAFETY: every unit is retired or was never in a slab: nobody needs the bytes.
            unsafe { pages::discard_with_tables(chunk.base, chunk.len) };
        } else {
            // What is closed stays closed, if the system cannot make it one mapping.
            // SAFETY: as above.
            unsafe { guards::close_for_good(chunk.base, chunk.len) };
        }
        let len = chunk.history_len();
        // Relaxed: a sum; two threads that both find it too large both give up what is old.
        let sum = self.history_len.fetch_add(len, Relaxed) + len;
        // Release: what is given up was counted; pairs with the Acquire in `forget_old`.
        chunk.is_history.store(true, Release);
        if self.config.history < sum {
            self.forget_old();
        }
    }

    /// Tells of every freed block of a slab whose bytes were written after the free.
    fn verify_freed(&self, any: &BlockRef<'_>) {
        let mut next = any.neighbour(Some(0));
        while let Some(block) = next {
            self.check_freed(&block, StackId::NONE);
            next = block.neighbour(Some(block.index + 1));
        }
    }

    /// Calls `visit` for every chunk, newest first.
    pub(crate) fn for_each_chunk(&self, mut visit: impl FnMut(&Chunk)) {
        // Acquire: pairs with the Release in `enter`.
        let mut next = self.chunks.load(Acquire);
        // SAFETY: chunks of the list stay mapped while the heap does.
        while let Some(chunk) = unsafe { next.as_ref() } {
            visit(chunk);
            // Relaxed: written before the chunk was published.
            next = chunk.older.load(Relaxed);
        }
    }

    /// Gives up the records of old retired chunks, so that half of the history is left: the list is
    /// long, and is not walked for each chunk.
    #[cold]
    fn forget_old(&self) {
        let mut kept = 0;
        self.for_each_chunk(|chunk| {
            // Acquire: pairs with the Release in `retire_units`.
            if !chunk.is_history.load(Acquire) || chunk.forgotten.load(Relaxed) {
                return;
            }
            let len = chunk.history_len();
            kept += len;
            // Relaxed: only decides which thread forgets it.
            if self.config.history / 2 < kept && !chunk.forgotten.swap(true, Relaxed) {
                self.history_len.fetch_sub(len, Relaxed);
                chunk.forget();
            }
        });
    }
}
