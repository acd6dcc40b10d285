//! New slabs and chunks.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use alloc_core::AllocError;

use super::chunk::{
    BATCHED_UNITS_MAX, BlockRef, Chunk, GROUP_UNITS, HEADER_LEN, Shape, Slab, Slot,
};
use super::classes::{self, LARGE_LEN_MAX, UNIT_COUNT, UNIT_LEN};
use super::records::Records;
use super::retire::Wanted;
use super::shards::Run;
use super::sites::Sites;
use super::{Heap, fill_redzone, map};
use crate::sys::pages;

/// Where new slabs come from, and where the memory of retired ones goes to, at one site. All zero, but
/// for the index: nothing yet.
pub(super) struct Growth {
    /// Which of the heap's it is.
    pub(super) index: u8,
    /// The chunk that slabs are cut from, or null.
    pub(super) chunk: *const Chunk,
    /// Its first unit that is in no slab.
    pub(super) next_unit: usize,
    /// Groups of the chunk up to here have memory, if no slab was cut from them yet: see `retire`.
    pub(super) stocked: usize,
    /// The chunk that comes next, or null; and its groups that have memory, from the first on.
    pub(super) reserve: *const Chunk,
    pub(super) reserve_stocked: usize,
    pub(super) records: Records,
    /// Counts slabs, to tell those apart that had the same records.
    turns: u8,
    /// How many ask that no memory goes; see `Heap::hold_memory`.
    pub(super) holders: u32,
    /// Retired slabs whose records are kept, oldest first, and bytes of these records.
    pub(super) oldest: *const Slab,
    pub(super) youngest: *const Slab,
    pub(super) history_len: usize,
    /// The oldest chunk that is worth a look, the newest, and the one to sweep next; null: from the
    /// oldest.
    pub(super) first: *const Chunk,
    last: *const Chunk,
    pub(super) to_sweep: *const Chunk,
    /// Whether the system was found to move no memory.
    pub(super) moves_nothing: bool,
    /// Blank memory for headers of chunks, and its length: one mapping for many.
    headers: *mut u8,
    headers_len: usize,
}

// SAFETY: the pointers lead to chunks and slabs, which any thread may use; the lock guards the rest.
unsafe impl Send for Growth {}

impl Growth {
    /// Returns the chunk that slabs are cut from.
    pub(super) fn current<'h>(&self, _heap: &'h Heap) -> Option<&'h Chunk> {
        // SAFETY: null, or a chunk of this heap, which stays mapped while the heap does.
        unsafe { self.chunk.as_ref() }
    }

    /// Returns memory for the header of a chunk, which is used by [`use_header`](Self::use_header).
    fn header(&mut self) -> Option<NonNull<u8>> {
        const HEADERS_LEN: usize = 16 * HEADER_LEN;
        if self.headers_len < HEADER_LEN {
            let (start, len) = pages::map(HEADERS_LEN)
                .map(|start| (start, HEADERS_LEN))
                .or_else(|| Some((pages::map(HEADER_LEN)?, HEADER_LEN)))?;
            (self.headers, self.headers_len) = (start.as_ptr(), len);
        }
        NonNull::new(self.headers)
    }

    fn use_header(&mut self) {
        self.headers = self.headers.wrapping_add(HEADER_LEN);
        self.headers_len -= HEADER_LEN;
    }

    /// Gives back what headers were not taken from; nobody uses the heap any more.
    pub(super) fn unmap_headers(&mut self) {
        if let Some(start) = NonNull::new(self.headers).filter(|_| self.headers_len != 0) {
            // SAFETY: the rest of a mapping of ours, which nobody uses.
            unsafe { pages::unmap(start, self.headers_len) };
        }
        self.headers_len = 0;
    }

    /// Returns the chunk that comes next, if it is there already.
    pub(super) fn reserve<'h>(&self, _heap: &'h Heap) -> Option<&'h Chunk> {
        // SAFETY: as in `current`.
        unsafe { self.reserve.as_ref() }
    }
}

impl Heap {
    /// Cuts a new slab for a class.
    #[cold]
    #[inline(never)]
    pub(super) fn new_slab(&self, class: usize) -> Result<Run, AllocError> {
        let slot_size = classes::SLOT_SIZES[class] as usize;
        let units = classes::slab_len(slot_size) / UNIT_LEN;
        let shape = Shape::slots(slot_size);
        let mut growth = self.sites.own().growth.lock();
        let (chunk, head) = self.cut_slab(&mut growth, units, 1, shape)?;
        drop(growth);
        self.shards.sample();
        let first = chunk.block_ref(head, 0).ok_or(AllocError)?;
        fill_redzone(&first);
        Ok(Run {
            start: first.start().as_ptr(),
            slot: first.slot,
            slot_size: slot_size as u32,
            left: shape.count as u32,
            // Relaxed, both: written by this thread.
            turn: first.slab.turn.load(Relaxed),
            is_used: first.slab.is_used.load(Relaxed),
        })
    }

    /// Takes a slab for one block.
    #[cold]
    #[inline(never)]
    pub(super) fn take_large(&self, size: usize, align: usize) -> Result<BlockRef<'_>, AllocError> {
        let large = classes::large(size, align).ok_or(AllocError)?;
        let shape = Shape::large(large);
        let (chunk, head) = if large.len <= LARGE_LEN_MAX && align <= LARGE_LEN_MAX {
            let units = large.len.div_ceil(UNIT_LEN).max(self.large_units_min());
            let mut growth = self.sites.own().growth.lock();
            self.cut_slab(&mut growth, units, align.div_ceil(UNIT_LEN), shape)?
        } else {
            (self.single(large.len, align, shape)?, 0)
        };
        let block = chunk.block_ref(head, 0).ok_or(AllocError)?;
        give_tail(&block, large.len);
        fill_redzone(&block);
        self.shards.sample();
        Ok(block)
    }

    /// Maps a chunk for one block.
    pub(super) fn single(
        &self,
        len: usize,
        align: usize,
        shape: Shape,
    ) -> Result<&Chunk, AllocError> {
        let site = Sites::own_index();
        let chunk = Chunk::map_single((self.id(), site), len, align).ok_or(AllocError)?;
        let mut growth = self.sites.at(site).growth.lock();
        if let Some(records) = self.take_records(&mut growth, 1) {
            let slab = chunk.make_slab((0, 1), shape, records);
            if self.enter(&mut growth, chunk) {
                return Ok(chunk);
            }
            slab.take_records().into_iter().for_each(|slots| growth.records.give(slots));
        }
        // SAFETY: in no map and no list: nobody else has seen it.
        unsafe { chunk.unmap(true) };
        Err(AllocError)
    }

    /// Cuts a slab off: `units` units, the first a multiple of `align`.
    pub(super) fn cut_slab<'h>(
        &'h self,
        growth: &mut Growth,
        units: usize,
        align: usize,
        shape: Shape,
    ) -> Result<(&'h Chunk, usize), AllocError> {
        let records = self.take_records(growth, shape.count).ok_or(AllocError)?;
        match self.take_units(growth, units, align) {
            Ok((chunk, head)) => {
                chunk.make_slab((head, units), shape, records);
                Ok((chunk, head))
            }
            Err(error) => {
                growth.records.give(records.0);
                Err(error)
            }
        }
    }

    /// Takes blank records, and the number that tells them from others at the same place.
    fn take_records(&self, growth: &mut Growth, count: usize) -> Option<(NonNull<Slot>, u8)> {
        growth.turns = growth.turns.wrapping_add(1) & 0xf;
        Some((growth.records.take(count, &self.regions)?, growth.turns))
    }

    /// Takes `count` units whose first is a multiple of `align` units, both powers of two or the
    /// count of a large block. Only large blocks' units lie in several groups.
    fn take_units<'h>(
        &'h self,
        growth: &mut Growth,
        count: usize,
        align: usize,
    ) -> Result<(&'h Chunk, usize), AllocError> {
        crate::fault::heap_grows();
        let current = growth.current(self);
        let mut head = growth.next_unit.next_multiple_of(align.max(1));
        if count <= BATCHED_UNITS_MAX && GROUP_UNITS < head % GROUP_UNITS + count {
            head = head.next_multiple_of(GROUP_UNITS).next_multiple_of(align.max(1));
        }
        if let Some(chunk) = current.filter(|_| head + count <= UNIT_COUNT) {
            let next = growth.next_unit;
            growth.next_unit = head + count;
            self.lose_units(growth, chunk, next, head - next);
            return Ok((chunk, head));
        }
        let fresh = self.next_chunk(growth)?;
        let next = growth.next_unit;
        growth.chunk = fresh;
        growth.next_unit = count;
        growth.stocked = core::mem::take(&mut growth.reserve_stocked);
        growth.reserve = ptr::null();
        if let Some(full) = current {
            self.lose_units(growth, full, next, UNIT_COUNT - next);
        }
        Ok((fresh, 0))
    }

    /// Returns the chunk that comes next, mapping it if need be; it becomes the reserve.
    pub(super) fn next_chunk<'h>(&'h self, growth: &mut Growth) -> Result<&'h Chunk, AllocError> {
        if let Some(chunk) = growth.reserve(self) {
            return Ok(chunk);
        }
        let header = growth.header().ok_or(AllocError)?;
        let chunk = Chunk::map_shared((self.id(), growth.index), header).ok_or(AllocError)?;
        growth.use_header();
        if !self.enter(growth, chunk) {
            // SAFETY: in no map and no list: nobody else has seen it.
            unsafe { chunk.unmap(true) };
            return Err(AllocError);
        }
        growth.reserve = chunk;
        growth.reserve_stocked = 0;
        Ok(chunk)
    }

    /// Counts units as done that will never be in a slab.
    fn lose_units(&self, growth: &mut Growth, chunk: &Chunk, head: usize, count: usize) {
        if count != 0 && self.finish_units(chunk, head, count) {
            self.trap_ready(growth, chunk, Wanted::Batches);
        }
    }

    /// Enters a chunk into the map and the heap's list; returns whether it could.
    fn enter(&self, growth: &mut Growth, chunk: &'static Chunk) -> bool {
        let entry = ptr::from_ref(chunk).cast_mut();
        let entered = map::set(chunk.base.addr().get(), chunk.len, entry);
        if entered {
            // Other sites enter theirs at the same time.
            // Relaxed: what is there is only passed on.
            let mut older = self.chunks.load(Relaxed);
            loop {
                chunk.older.store(older, Relaxed);
                // Release: publishes the header, and passes on what the older ones published, as all
                // are written by exchanges; pairs with the Acquires that walk the list.
                match self.chunks.compare_exchange_weak(older, entry, Release, Relaxed) {
                    Ok(_) => break,
                    Err(now) => older = now,
                }
            }
            // SAFETY: null, or a chunk of this heap, which stays mapped while the heap does.
            match unsafe { growth.last.as_ref() } {
                Some(last) => last.newer.store(entry, Relaxed),
                None => {
                    growth.first = entry;
                    self.sites.count_active();
                    self.share_history();
                }
            }
            growth.last = entry;
        }
        entered
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

    /// Calls `visit` for every mapping that holds records: start and length.
    pub(crate) fn for_each_region(&self, mut visit: impl FnMut((usize, usize))) {
        self.regions.for_each(|start, len| visit((start.addr().get(), len)));
    }
}

/// Gives back what memory moved in behind a block that has a slab of its own: whole pages that no
/// block will ever have.
fn give_tail(block: &BlockRef<'_>, len: usize) {
    // Relaxed: written by this thread.
    if !block.slab.is_used.load(Relaxed) {
        return;
    }
    let (start, whole) = block.slab_range();
    if len < whole {
        // SAFETY: less than the slab's length.
        let tail = unsafe { start.add(len) };
        // SAFETY: behind the block's canary, in the slab that was just cut for it: nobody's bytes.
        unsafe { pages::discard(tail, whole - len) };
    }
}
