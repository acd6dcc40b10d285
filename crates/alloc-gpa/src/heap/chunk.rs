//! Chunks, slabs and slots: the out-of-line records that say what every address is.
//!
//! ```text
//!  chunk of 4 MiB, aligned to its length           its records, mapped elsewhere
//!  +--------+--------+--------+-- ... --+           +-------------------------------+
//!  | unit 0 | unit 1 | unit 2 |         |           | Chunk: base, owner, units[]   |
//!  +--------+--------+--------+-- ... --+           | Slab  x 256 (by first unit)   |
//!  slab = 1, 2 or 4 units cut into equal slots,     | Slot  x 512 for each unit     |
//!         or as many as one large block needs       +-------------------------------+
//!
//!  slab   | slot 0: redzone | slot 1 | slot 2 | ... |
//!  slot   | block: `size` bytes | canary up to the slot's end |
//! ```
//!
//! A block above 1 MiB has a mapping of its own, entered in the map for every 4 MiB that it spans;
//! its records hold one slab of one slot.
//!
//! Nothing that a program writes through a stray pointer into its blocks can reach the records.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
};

use super::classes::{self, CHUNK_LEN, SLOT_COUNT_MAX, UNIT_COUNT, UNIT_LEN};
use super::guarded::place::Side;
use super::state::{self, StateWord};
use crate::sys::pages;

/// A unit that belongs to no slab.
const NO_SLAB: u16 = u16::MAX;

/// What is known of one block, live or freed; all zero: the slot was never handed out.
#[repr(C)]
pub(crate) struct Slot {
    /// State, alignment, fork epoch: see [`StateWord`].
    pub(crate) state: state::AtomicU32,
    /// Stack of the allocation.
    pub(crate) allocated: AtomicU32,
    /// Stack of the free.
    pub(crate) freed: AtomicU32,
    /// What the search for leaks found out about the block; see `process::scan`.
    pub(crate) mark: AtomicU8,
    /// The part of the program that the block belongs to, as a number; see `tag`.
    pub(crate) tag: AtomicU8,
    /// Size of the block in bytes.
    pub(crate) size: AtomicUsize,
}

/// A run of units cut into equal slots.
#[repr(C)]
pub(crate) struct Slab {
    /// Slot size in bytes; for a large block the length of its slab.
    pub(crate) slot_size: AtomicUsize,
    /// Offset of slot 0's block from the slab's start in bytes: the redzone before it.
    pub(crate) lead: AtomicU32,
    /// Number of slots that may be handed out.
    pub(crate) count: AtomicU32,
    /// See [`classes::divide`]; 0 for a large block.
    reciprocal: AtomicU32,
    /// Slots freed so far. When it reaches `count` the slab is retired.
    pub(crate) freed: AtomicU32,
    /// Number of units.
    units: AtomicU32,
    /// At which end of pages of its own each block lies; 0 if the slab has no guards. See `guarded`.
    pub(super) side: AtomicU32,
    /// Whether all blocks are freed and verified and the memory was given back; the addresses stay.
    pub(crate) retired: AtomicBool,
}

/// The records of a chunk.
#[repr(C)]
pub(crate) struct Chunk {
    /// Address of the heap that the chunk belongs to: tells instances apart.
    pub(crate) owner: usize,
    /// First byte of the chunk's range.
    pub(crate) base: NonNull<u8>,
    /// Length of the range in bytes.
    pub(crate) len: usize,
    /// The mapping that this header starts: the provenance of every record's address.
    ///
    /// Invariant: `records_len` bytes, mapped and zero at first, until `unmap`.
    records: NonNull<u8>,
    /// Length of this record's mapping in bytes.
    records_len: usize,
    /// Whether the range holds one block only.
    pub(crate) single: bool,
    /// Units whose slab is retired, or that are in none for ever.
    pub(crate) units_retired: AtomicU32,
    /// Whether all units are retired and the records count as history.
    pub(crate) is_history: AtomicBool,
    /// Whether the slots' records were given up: what was freed here has no stacks any more.
    pub(crate) forgotten: AtomicBool,
    /// Slots of all slabs of this chunk: what its history costs.
    pub(crate) slots: AtomicU64,
    /// The chunk that the heap made before this one.
    pub(crate) older: AtomicPtr<Chunk>,
    /// For each unit the first unit of its slab, or `NO_SLAB`.
    heads: [AtomicU16; UNIT_COUNT],
}

const SLABS_OFFSET: usize = size_of::<Chunk>().next_multiple_of(64);
const SLOTS_OFFSET: usize =
    (SLABS_OFFSET + UNIT_COUNT * size_of::<Slab>()).next_multiple_of(pages::PAGE_LEN);
const SLOTS_STRIDE: usize = SLOT_COUNT_MAX * size_of::<Slot>();
const RECORDS_LEN: usize = SLOTS_OFFSET + UNIT_COUNT * SLOTS_STRIDE;
/// A single block's records: the header, one slab, one slot.
const SINGLE_RECORDS_LEN: usize = SLOTS_OFFSET + pages::PAGE_LEN;

/// What an address is.
#[derive(Clone, Copy)]
pub(crate) enum Place<'c> {
    /// Inside the slot of a block: `offset` bytes from the block's start; negative inside a
    /// redzone before it.
    Slot(BlockRef<'c>, isize),
    /// In a chunk, but in no slot that was ever handed out.
    Unused,
}

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
    head: u16,
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
            slot_size - slab.lead.load(Relaxed) as usize
        }
    }

    /// Returns the slot before or after this one in the slab, if there is one that can be handed
    /// out.
    pub(crate) fn neighbour(&self, index: Option<u32>) -> Option<Self> {
        let index = index?;
        (index < self.slab.count.load(Relaxed)).then(|| Self {
            slot: self.chunk.slot(self.head as usize, index as usize),
            index,
            ..*self
        })
    }

    /// Returns the slab's first byte and its length.
    pub(crate) fn slab_range(&self) -> (NonNull<u8>, usize) {
        (self.slab_base, self.chunk.slab_len(self.slab))
    }

    /// Returns the number of units of the slab.
    pub(crate) fn units(&self) -> u32 {
        self.slab.units.load(Relaxed)
    }
}

impl Chunk {
    /// Maps a chunk for slabs and its records; it is not in the map yet.
    pub(crate) fn map_shared(owner: usize) -> Option<&'static Chunk> {
        let base = pages::map_aligned(CHUNK_LEN, CHUNK_LEN)?;
        Self::with_records(owner, base, CHUNK_LEN, false)
    }

    /// Maps a chunk for one block of `len` bytes with its redzones, and its records; it is not in
    /// the map yet. It spans whole chunk lengths, so that nothing else lies in its map entries.
    pub(crate) fn map_single(owner: usize, len: usize, align: usize) -> Option<&'static Chunk> {
        let align = if align < CHUNK_LEN { CHUNK_LEN } else { align };
        let whole = len.checked_next_multiple_of(CHUNK_LEN)?;
        if !pages::is_granted(whole) {
            return None;
        }
        let base = pages::map_aligned(whole, align)?;
        Self::with_records(owner, base, whole, true)
    }

    fn with_records(
        owner: usize,
        base: NonNull<u8>,
        len: usize,
        single: bool,
    ) -> Option<&'static Chunk> {
        let records_len = if single { SINGLE_RECORDS_LEN } else { RECORDS_LEN };
        let Some(records) = pages::map(records_len) else {
            // SAFETY: just mapped by the caller, unused.
            unsafe { pages::unmap(base, len) };
            return None;
        };
        let chunk = records.cast::<Chunk>();
        let header = Chunk {
            owner,
            base,
            len,
            records,
            records_len,
            single,
            units_retired: AtomicU32::new(0),
            is_history: AtomicBool::new(false),
            forgotten: AtomicBool::new(false),
            slots: AtomicU64::new(0),
            older: AtomicPtr::new(ptr::null_mut()),
            heads: [const { AtomicU16::new(NO_SLAB) }; UNIT_COUNT],
        };
        // SAFETY: a fresh mapping of at least the header's size, aligned to a page.
        unsafe { chunk.write(header) };
        // SAFETY: written above; it stays mapped until `unmap`, whose contract is that no reference
        // is used any more.
        Some(unsafe { chunk.as_ref() })
    }

    /// Gives the chunk and its records back to the system.
    ///
    /// # Safety
    ///
    /// It was taken out of the map, and nobody uses it or a block in it any more.
    pub(crate) unsafe fn unmap(&'static self) {
        let (base, len) = (self.base, self.len);
        let (records, records_len) = (self.records, self.records_len);
        // SAFETY: mapped in `map_shared` or `map_single`, unused by this function's contract.
        unsafe { pages::unmap(base, len) };
        // SAFETY: mapped in `with_records`, unused by this function's contract.
        unsafe { pages::unmap(records, records_len) };
    }

    /// Returns the ranges of the chunk and of its records: start and length.
    pub(crate) fn ranges(&self) -> [(usize, usize); 2] {
        [(self.base.addr().get(), self.len), (self.records.addr().get(), self.records_len)]
    }

    /// Returns the address of the record at `offset`, which lies inside the records.
    #[inline]
    fn record(&self, offset: usize) -> NonNull<u8> {
        alloc_core::check!(offset < self.records_len, "record {offset} of {}", self.records_len);
        // SAFETY: the offset lies inside the mapping (invariant on `records`): the callers compute
        // it from a unit and a slot that the chunk has.
        unsafe { self.records.add(offset) }
    }

    /// Returns the slab whose first unit is `head`.
    #[inline]
    fn slab(&self, head: usize) -> &Slab {
        let slab = self.record(SLABS_OFFSET + head * size_of::<Slab>()).cast::<Slab>();
        // SAFETY: inside the records, aligned (64-byte offset, size a multiple of the alignment),
        // and all zero bytes are a valid slab; only atomics are written later.
        unsafe { slab.as_ref() }
    }

    /// Returns the record of slot `index` of the slab whose first unit is `head`.
    #[inline]
    pub(crate) fn slot(&self, head: usize, index: usize) -> &Slot {
        let offset = SLOTS_OFFSET + head * SLOTS_STRIDE + index * size_of::<Slot>();
        let slot = self.record(offset).cast::<Slot>();
        // SAFETY: inside the records, aligned, and all zero bytes are a valid slot; only atomics
        // are written later.
        unsafe { slot.as_ref() }
    }

    fn slab_len(&self, slab: &Slab) -> usize {
        if self.single { self.len } else { slab.units.load(Relaxed) as usize * UNIT_LEN }
    }

    /// Makes a slab of `units` units at unit `head`: equal slots of `slot_size` bytes, or, with
    /// `large`, one block. Called under the heap's lock.
    pub(crate) fn make_slab(
        &self,
        head: usize,
        units: usize,
        slot_size: usize,
        large: Option<classes::Large>,
    ) -> BlockRef<'_> {
        let (size, lead, count, reciprocal) = match large {
            Some(large) => (large.len, large.lead, 1, 0),
            None => {
                let count = units * UNIT_LEN / slot_size - 1;
                (slot_size, slot_size, count, classes::reciprocal(slot_size as u32))
            }
        };
        self.slab(head).reciprocal.store(reciprocal, Relaxed);
        self.enter_slab(head, units, (lead, size, count))
    }

    /// Makes a slab of `units` units at unit `head` for guarded blocks: `lead` bytes before the first
    /// slot, the slots' size with the page that traps, their count. Called under the heap's lock.
    pub(super) fn make_guarded_slab(
        &self,
        head: usize,
        units: usize,
        shape: (usize, usize, usize),
        side: Side,
    ) -> BlockRef<'_> {
        // Relaxed: as in `enter_slab`.
        self.slab(head).side.store(side as u32, Relaxed);
        self.enter_slab(head, units, shape)
    }

    /// Enters a slab of this shape: lead, slot size, count.
    fn enter_slab(
        &self,
        head: usize,
        units: usize,
        (lead, slot_size, count): (usize, usize, usize),
    ) -> BlockRef<'_> {
        let slab = self.slab(head);
        // Relaxed: a sum that is read when the chunk is retired.
        self.slots.fetch_add(count as u64, Relaxed);
        // Relaxed: published by the Release of the slot's state, and of the heads below.
        slab.slot_size.store(slot_size, Relaxed);
        slab.lead.store(lead as u32, Relaxed);
        slab.count.store(count as u32, Relaxed);
        slab.units.store(units as u32, Relaxed);
        let heads = if self.single { 0..1 } else { head..head + units };
        for unit in &self.heads[heads] {
            // Release: publishes the slab's fields; pairs with the Acquire in `place`.
            unit.store(head as u16, core::sync::atomic::Ordering::Release);
        }
        self.block_ref(head, 0)
    }

    /// Returns the slot `index` of the slab at unit `head`, which exists.
    #[inline]
    pub(crate) fn block_ref(&self, head: usize, index: u32) -> BlockRef<'_> {
        BlockRef {
            chunk: self,
            slab: self.slab(head),
            slot: self.slot(head, index as usize),
            // SAFETY: `head` is a unit of the chunk: the offset lies inside its mapping.
            slab_base: unsafe { self.base.add(head * UNIT_LEN) },
            index,
            head: head as u16,
        }
    }

    /// Says what the address `addr`, which the map leads to this chunk, is.
    #[inline]
    pub(crate) fn place(&self, addr: usize) -> Place<'_> {
        let offset = addr.wrapping_sub(self.base.addr().get());
        if self.len <= offset {
            return Place::Unused;
        }
        let unit = if self.single { 0 } else { offset / UNIT_LEN };
        // Acquire: pairs with the Release in `make_slab`.
        let head = self.heads[unit].load(Acquire);
        if head == NO_SLAB {
            return Place::Unused;
        }
        let head = head as usize;
        let slab = self.slab(head);
        let in_slab = offset - head * UNIT_LEN;
        let lead = slab.lead.load(Relaxed) as usize;
        let reciprocal = slab.reciprocal.load(Relaxed);
        if reciprocal == 0 && slab.side.load(Relaxed) != 0 {
            return self.place_guarded(head, in_slab, addr);
        }
        let (index, into) = if reciprocal == 0 || in_slab < lead {
            (0, in_slab as isize - lead as isize)
        } else {
            let index = classes::divide(in_slab - lead, reciprocal);
            (index, (in_slab - lead - index * slab.slot_size.load(Relaxed)) as isize)
        };
        // Relaxed: a slot that was handed out is told by its state word.
        if slab.count.load(Relaxed) as usize <= index {
            return Place::Unused;
        }
        let block = self.block_ref(head, index as u32);
        // Acquire: pairs with the Release of the store that made the block live.
        if StateWord::load(&block.slot.state, Acquire).is_unused() {
            return Place::Unused;
        }
        Place::Slot(block, into)
    }

    /// Says which guarded block the address is in, or nearest to where it traps.
    #[cold]
    #[inline(never)]
    fn place_guarded(&self, head: usize, in_slab: usize, addr: usize) -> Place<'_> {
        let first = self.block_ref(head, 0);
        let slot_size = first.slab.slot_size.load(Relaxed);
        let in_slots = in_slab.saturating_sub(first.slab.lead.load(Relaxed) as usize);
        let last = first.slab.count.load(Relaxed) as usize - 1;
        let index = (in_slots / slot_size).min(last);
        let is_used = |block: &BlockRef<'_>| {
            // Acquire: pairs with the Release of the store that made the block live.
            !StateWord::load(&block.slot.state, Acquire).is_unused()
        };
        let start = |block: &BlockRef<'_>| block.start().addr().get();
        let before = Some(self.block_ref(head, index as u32)).filter(is_used);
        // In the page between two blocks: whose it is, the distance says.
        let is_between = first.pages_len() <= in_slots - index * slot_size;
        let after =
            first.neighbour(Some(index as u32 + 1)).filter(|next| is_between && is_used(next));
        let block = match (before, after) {
            (Some(before), Some(after)) => {
                let past = addr.wrapping_sub(start(&before) + before.slot.size.load(Relaxed));
                if start(&after).wrapping_sub(addr) < past { after } else { before }
            }
            (Some(block), None) | (None, Some(block)) => block,
            (None, None) => return Place::Unused,
        };
        Place::Slot(block, addr.wrapping_sub(start(&block)).cast_signed())
    }

    /// Calls `visit` for the first slot of every slab.
    pub(crate) fn for_each_slab<'c>(&'c self, mut visit: impl FnMut(BlockRef<'c>)) {
        let mut unit = 0;
        while unit < UNIT_COUNT {
            // Acquire: pairs with the Release in `make_slab`.
            let head = self.heads[unit].load(Acquire);
            if head as usize == unit {
                let block = self.block_ref(unit, 0);
                visit(block);
                unit += (block.units() as usize).max(1);
            } else {
                unit += 1;
            }
            if self.single {
                return;
            }
        }
    }

    /// Returns how many bytes [`forget`](Self::forget) gives back, once the chunk is retired.
    pub(super) fn history_len(&self) -> usize {
        // Relaxed: a sum; no slab is made in a retired chunk.
        let slots = self.slots.load(Relaxed) as usize;
        if self.single { self.records_len - SLOTS_OFFSET } else { slots * size_of::<Slot>() }
    }

    /// Gives up the slots' records: no stacks and sizes for what was freed here.
    ///
    /// The addresses of the records stay, and read as never handed out from now on.
    pub(crate) fn forget(&self) {
        let slots = self.record(SLOTS_OFFSET);
        // SAFETY: the record mapping is ours; the slots are atomics for which zero is valid, and
        // all their blocks are dead (the chunk is retired).
        unsafe { pages::discard(slots, self.records_len - SLOTS_OFFSET) };
    }
}
