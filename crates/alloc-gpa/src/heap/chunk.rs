//! Chunks, slabs and slots: the out-of-line records that say what every address is.
//!
//! ```text
//!  chunk of 4 MiB, aligned to its length           its header, mapped elsewhere
//!  +--------+--------+--------+-- ... --+           +-------------------------------+
//!  | unit 0 | unit 1 | unit 2 |         |           | Chunk: base, owner, units[]   |
//!  +--------+--------+--------+-- ... --+           | Slab  x 256 (by first unit)   |
//!  |<- 16 units: a group, trapped as one ->|        +----|--------------------------+
//!                                                        v
//!  slab = 1, 2 or 4 units cut into equal slots,     Slot x count, see `records`
//!         or as many as one large block needs
//!
//!  slab   | slot 0: redzone | slot 1 | slot 2 | ... |
//!  slot   | block: `size` bytes | canary up to the slot's end |
//! ```
//!
//! A block above 1 MiB has a mapping of its own, entered in the map for every 4 MiB that it spans;
//! its header holds one slab of one slot.
//!
//! Nothing that a program writes through a stray pointer into its blocks can reach the records.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicUsize,
};

pub(crate) use super::block::BlockRef;
use super::classes::{self, CHUNK_LEN, UNIT_COUNT, UNIT_LEN};
use super::freed::Freed;
use super::group::Done;
pub(super) use super::group::GROUP_UNITS;
use super::guarded::place::Side;
pub(crate) use super::slot::Slot;
use super::state::StateWord;
use crate::sys::pages;

/// A unit that belongs to no slab.
const NO_SLAB: u16 = u16::MAX;
/// Length of a group in bytes.
pub(super) const GROUP_LEN: usize = GROUP_UNITS * UNIT_LEN;
/// Groups of a chunk.
pub(super) const GROUP_COUNT: usize = UNIT_COUNT / GROUP_UNITS;
/// Units of the largest slab whose memory goes with its group; those of larger blocks go at once.
pub(super) const BATCHED_UNITS_MAX: usize = 4;

/// Where the memory of a slab is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Memory {
    /// Where its addresses are; once all blocks are freed, with junk in it.
    Here = 0,
    /// Gone. An access traps.
    Trapped = 1,
    /// Gone. The addresses are still mapped: a write brings a page back.
    Given = 2,
}

/// A run of units cut into equal slots.
#[repr(C, align(64))]
pub(crate) struct Slab {
    /// Slot size in bytes; for a large block the length of its slab.
    pub(crate) slot_size: AtomicUsize,
    /// The slots' records; null: given up, or never there.
    pub(super) records: AtomicPtr<Slot>,
    /// Offset of slot 0's block from the slab's start in bytes: the redzone before it.
    pub(crate) lead: AtomicU32,
    /// Number of slots that may be handed out.
    pub(crate) count: AtomicU32,
    /// See [`classes::divide`]; 0 for a large block.
    pub(super) reciprocal: AtomicU32,
    /// Slots freed so far. When all of `count` are the slab is retired.
    pub(crate) freed: Freed,
    /// Size in bytes of the one block of a slab with a reciprocal of 0.
    pub(super) large_size: AtomicUsize,
    /// The chunk that it lies in. Under the growth lock.
    chunk: AtomicPtr<Chunk>,
    /// The slab that retired after this one, while its records are history. Under the growth lock.
    pub(super) younger: AtomicPtr<Slab>,
    /// Number of units.
    pub(super) units: AtomicU16,
    /// At which end of pages of its own each block lies; 0 if the slab has no guards. See `guarded`.
    pub(super) side: AtomicU8,
    /// See [`Memory`].
    memory: AtomicU8,
    /// Tells the records from those of slabs that had the same memory before: part of each state.
    pub(super) turn: AtomicU8,
    /// Whether the memory was used before, so that it is not zero.
    pub(super) is_used: AtomicBool,
    /// Whether its records were made history. Under the growth lock.
    pub(super) is_history: AtomicBool,
    /// Which shard its blocks are taken from: its number plus one; 0: none. See `Freed`.
    pub(super) owner: AtomicU8,
}

impl Slab {
    /// Where its memory is.
    #[inline]
    pub(crate) fn memory(&self) -> Memory {
        // Acquire: pairs with the Release in `set_memory`.
        match self.memory.load(Acquire) {
            0 => Memory::Here,
            1 => Memory::Trapped,
            _ => Memory::Given,
        }
    }

    pub(super) fn set_memory(&self, memory: Memory) {
        // Release: pairs with the Acquire in `memory`.
        self.memory.store(memory as u8, Release);
    }

    /// The chunk that it lies in.
    pub(super) fn chunk<'h>(&self, _heap: &'h super::Heap) -> Option<&'h Chunk> {
        // SAFETY: null, or a chunk of the heap, which stays mapped while the heap does.
        unsafe { self.chunk.load(Relaxed).as_ref() }
    }

    /// Takes the records away from the slab.
    pub(super) fn take_records(&self) -> Option<NonNull<Slot>> {
        // AcqRel: whoever finds the records used by another slab sees that they are not this one's.
        NonNull::new(self.records.swap(ptr::null_mut(), AcqRel))
    }

    /// Bytes of its records.
    pub(super) fn records_len(&self) -> usize {
        self.count.load(Relaxed) as usize * size_of::<Slot>()
    }
}

/// What a slab is cut into.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    lead: usize,
    slot_size: usize,
    pub(super) count: usize,
    reciprocal: u32,
    side: u8,
}

impl Shape {
    /// Equal slots.
    pub(super) const fn slots(slot_size: usize) -> Self {
        let count = classes::slot_count(slot_size);
        let reciprocal = classes::reciprocal(slot_size as u32);
        Self { lead: classes::lead(slot_size), slot_size, count, reciprocal, side: 0 }
    }

    /// One block.
    pub(super) const fn large(large: classes::Large) -> Self {
        Self { lead: large.lead, slot_size: large.len, count: 1, reciprocal: 0, side: 0 }
    }

    /// Guarded blocks: `lead` bytes before the first slot, the slots' size with the page that traps,
    /// their count.
    pub(super) const fn guarded(
        (lead, slot_size, count): (usize, usize, usize),
        side: Side,
    ) -> Self {
        Self { lead, slot_size, count, reciprocal: 0, side: side as u8 }
    }
}

/// The header of a chunk.
#[repr(C)]
pub(crate) struct Chunk {
    /// Address of the heap that the chunk belongs to: tells instances apart.
    pub(crate) owner: usize,
    /// Which of the heap's sites made it.
    pub(super) site: u8,
    /// First byte of the chunk's range.
    pub(crate) base: NonNull<u8>,
    /// Length of the range in bytes.
    pub(crate) len: usize,
    /// The mapping that this header starts: the provenance of every slab's address.
    ///
    /// Invariant: `header_len` bytes, mapped and zero at first, until `unmap`.
    header: NonNull<u8>,
    /// Length of the header's mapping in bytes.
    header_len: usize,
    /// Whether the range holds one block only.
    pub(crate) single: bool,
    /// Groups whose units are all done and verified, and that are not yet trapped: a bit for each.
    pub(super) ready: AtomicU16,
    /// Groups that are trapped. Under the growth lock.
    pub(super) trapped: AtomicU16,
    /// Groups whose memory was used before. Under the growth lock.
    pub(super) used: AtomicU16,
    /// Slabs that still have their records. Under the growth lock.
    pub(super) recorded: AtomicU32,
    /// Mappings that the chunk is cut into beyond one, about. Under the growth lock.
    pub(super) splits: AtomicI32,
    /// For each group, units whose slab is retired, or that are in none for ever.
    pub(super) done: [Done; GROUP_COUNT],
    /// The chunk that the heap made before this one.
    pub(crate) older: AtomicPtr<Chunk>,
    /// The chunk that its site made after this one. Under the growth lock.
    pub(super) newer: AtomicPtr<Chunk>,
    /// Units of retired slabs whose memory waits for their groups.
    pub(super) waiting: AtomicI32,
    /// For each unit the first unit of its slab, or `NO_SLAB`.
    heads: [AtomicU16; UNIT_COUNT],
}

const SLABS_OFFSET: usize = size_of::<Chunk>().next_multiple_of(64);
// The model checker's atomics are larger.
const _: () = assert!(cfg!(loom) || size_of::<Slab>() == 64);
const _: () = assert!(SLABS_OFFSET < pages::PAGE_LEN);
/// Length of the header of a chunk of slabs in bytes.
pub(super) const HEADER_LEN: usize =
    (SLABS_OFFSET + UNIT_COUNT * size_of::<Slab>()).next_multiple_of(pages::PAGE_LEN);
/// A single block's header: one slab.
const SINGLE_HEADER_LEN: usize =
    (SLABS_OFFSET + size_of::<Slab>()).next_multiple_of(pages::PAGE_LEN);

/// What an address is.
#[derive(Clone, Copy)]
pub(crate) enum Place<'c> {
    /// Inside the slot of a block: `offset` bytes from the block's start; negative inside a
    /// redzone before it.
    Slot(BlockRef<'c>, isize),
    /// In a chunk, but in no slot that was ever handed out.
    Unused,
    /// Of a slab that was all freed so long ago that its records were given up.
    Forgotten,
}

impl Chunk {
    /// Maps a chunk for slabs; it is not in the map yet. `owner` is the heap, and which of its sites;
    /// `header` is blank memory of [`HEADER_LEN`].
    pub(super) fn map_shared(owner: (usize, u8), header: NonNull<u8>) -> Option<&'static Chunk> {
        let base = pages::map_distinct(CHUNK_LEN, CHUNK_LEN)?;
        // SAFETY: blank pages that nobody else uses.
        Some(unsafe { Self::with_header(owner, (base, CHUNK_LEN), (header, HEADER_LEN), false) })
    }

    /// Maps a chunk for one block of `len` bytes with its redzones, and its header; it is not in
    /// the map yet. It spans whole chunk lengths, so that nothing else lies in its map entries.
    pub(super) fn map_single(
        owner: (usize, u8),
        len: usize,
        align: usize,
    ) -> Option<&'static Chunk> {
        let align = if align < CHUNK_LEN { CHUNK_LEN } else { align };
        let whole = len.checked_next_multiple_of(CHUNK_LEN)?;
        if !pages::is_granted(whole) {
            return None;
        }
        let base = pages::map_distinct(whole, align)?;
        let Some(header) = pages::map(SINGLE_HEADER_LEN) else {
            // SAFETY: just mapped, unused.
            unsafe { pages::unmap(base, whole) };
            return None;
        };
        // SAFETY: just mapped.
        Some(unsafe { Self::with_header(owner, (base, whole), (header, SINGLE_HEADER_LEN), true) })
    }

    /// # Safety
    ///
    /// Both ranges are mapped, blank, and nobody else's.
    unsafe fn with_header(
        (owner, site): (usize, u8),
        (base, len): (NonNull<u8>, usize),
        (header, header_len): (NonNull<u8>, usize),
        single: bool,
    ) -> &'static Chunk {
        let chunk = header.cast::<Chunk>();
        let value = Chunk {
            owner,
            site,
            base,
            len,
            header,
            header_len,
            single,
            ready: AtomicU16::new(0),
            trapped: AtomicU16::new(0),
            used: AtomicU16::new(0),
            recorded: AtomicU32::new(0),
            splits: AtomicI32::new(0),
            done: core::array::from_fn(|_| Done::new()),
            older: AtomicPtr::new(ptr::null_mut()),
            newer: AtomicPtr::new(ptr::null_mut()),
            waiting: AtomicI32::new(0),
            heads: [const { AtomicU16::new(NO_SLAB) }; UNIT_COUNT],
        };
        // SAFETY: a fresh mapping of at least the header's size, aligned to a page.
        unsafe { chunk.write(value) };
        // SAFETY: written above; it stays mapped until `unmap`, whose contract is that no reference
        // is used any more.
        unsafe { chunk.as_ref() }
    }

    /// Gives the memory of the slabs' headers back: all are trapped, and none has records. Under the
    /// growth lock.
    pub(super) fn blank_slabs(&self) {
        // SAFETY: inside the header, which is longer.
        let slabs = unsafe { self.header.add(pages::PAGE_LEN) };
        let len = self.header_len - pages::PAGE_LEN;
        if !self.single {
            // SAFETY: a mapping of ours; a slab of zero bytes is a valid one, that of none.
            unsafe { pages::discard(slabs, len) };
        }
    }

    /// Gives the chunk and, with `header_too`, its header back to the system.
    ///
    /// # Safety
    ///
    /// It was taken out of the map, and nobody uses a block in it any more, nor the header, if that
    /// goes.
    pub(crate) unsafe fn unmap(&'static self, header_too: bool) {
        let (base, len) = (self.base, self.len);
        let (header, header_len) = (self.header, self.header_len);
        // SAFETY: mapped in `map_shared` or `map_single`, unused by this function's contract.
        unsafe { pages::unmap(base, len) };
        if header_too {
            // SAFETY: given to `with_header`, unused by this function's contract.
            unsafe { pages::unmap(header, header_len) };
        }
    }

    /// Returns the ranges of the chunk and of its header: start and length.
    pub(crate) fn ranges(&self) -> [(usize, usize); 2] {
        [(self.base.addr().get(), self.len), (self.header.addr().get(), self.header_len)]
    }

    /// Returns the slab whose first unit is `head`.
    #[inline]
    fn slab(&self, head: usize) -> &Slab {
        let offset = SLABS_OFFSET + head * size_of::<Slab>();
        alloc_core::check!(offset < self.header_len, "slab at {offset} of {}", self.header_len);
        // SAFETY: the offset lies inside the mapping (invariant on `header`): the callers pass a
        // unit that the chunk has.
        let slab = unsafe { self.header.add(offset) }.cast::<Slab>();
        // SAFETY: inside the header, aligned (64-byte offset, size a multiple of the alignment),
        // and all zero bytes are a valid slab; only atomics are written later.
        unsafe { slab.as_ref() }
    }

    /// Returns the record of slot `index` of a slab, which has more slots than that; `None` if its
    /// records were given up.
    #[inline]
    pub(crate) fn slot<'c>(&'c self, slab: &'c Slab, index: usize) -> Option<&'c Slot> {
        // Acquire: pairs with the Release in `make_slab`: the records are blank or later.
        let records = NonNull::new(slab.records.load(Acquire))?;
        // SAFETY: a slab has as many records as slots.
        let slot = unsafe { records.add(index) };
        // SAFETY: records stay mapped while the heap does, also when they are another slab's by now;
        // only atomics are written.
        Some(unsafe { slot.as_ref() })
    }

    pub(super) fn slab_len(&self, slab: &Slab) -> usize {
        if self.single { self.len } else { slab.units.load(Relaxed) as usize * UNIT_LEN }
    }

    /// Makes a slab of `units` units at unit `head`. `records` are blank, one for each slot, with
    /// what tells them from others at their place. Called under the growth lock.
    pub(super) fn make_slab(
        &self,
        (head, units): (usize, usize),
        shape: Shape,
        (records, turn): (NonNull<Slot>, u8),
    ) -> &Slab {
        let slab = self.slab(head);
        // Relaxed, all: published by the Release of the slot's state, and of the heads below.
        slab.slot_size.store(shape.slot_size, Relaxed);
        slab.lead.store(shape.lead as u32, Relaxed);
        slab.count.store(shape.count as u32, Relaxed);
        slab.reciprocal.store(shape.reciprocal, Relaxed);
        slab.side.store(shape.side, Relaxed);
        slab.units.store(units as u16, Relaxed);
        slab.turn.store(turn, Relaxed);
        slab.owner.store(0, Relaxed);
        let (first, last) = (head / GROUP_UNITS, (head + units - 1) / GROUP_UNITS);
        let used = (first..=last).any(|group| self.used.load(Relaxed) & 1 << group != 0);
        slab.is_used.store(used && !self.single, Relaxed);
        slab.chunk.store(ptr::from_ref(self).cast_mut(), Relaxed);
        self.recorded.fetch_add(1, Relaxed);
        // Release: publishes the blank records; pairs with the Acquire in `slot`.
        slab.records.store(records.as_ptr(), Release);
        let heads = if self.single { 0..1 } else { head..head + units };
        for unit in &self.heads[heads] {
            // Release: publishes the slab's fields; pairs with the Acquire in `place`.
            unit.store(head as u16, Release);
        }
        slab
    }

    /// Returns the slot `index` of the slab at unit `head`, if that has so many and its records were
    /// not given up.
    #[inline(always)]
    pub(crate) fn block_ref(&self, head: usize, index: u32) -> Option<BlockRef<'_>> {
        let slab = self.slab(head);
        Some(BlockRef {
            chunk: self,
            slab,
            slot: self.slot(slab, index as usize)?,
            // SAFETY: `head` is a unit of the chunk: the offset lies inside its mapping.
            slab_base: unsafe { self.base.add(head * UNIT_LEN) },
            index,
            head: head as u16,
        })
    }

    /// Returns the slot that begins at `addr`, which the map leads to this chunk, if it is one of
    /// equal slots: quickly, without a look at its record.
    #[inline(always)]
    pub(super) fn block_at(&self, addr: usize) -> Option<BlockRef<'_>> {
        let offset = addr.wrapping_sub(self.base.addr().get());
        // Acquire: pairs with the Release in `make_slab`.
        let head = self.heads.get(offset / UNIT_LEN)?.load(Acquire);
        if head == NO_SLAB {
            return None;
        }
        let slab = self.slab(head.into());
        // Relaxed, all: published by the head.
        let slot_size = slab.slot_size.load(Relaxed);
        let reciprocal = slab.reciprocal.load(Relaxed);
        let into =
            (offset - usize::from(head) * UNIT_LEN).wrapping_sub(slab.lead.load(Relaxed) as usize);
        let index = classes::divide(into, reciprocal);
        let is_start = index.wrapping_mul(slot_size) == into
            && index < slab.count.load(Relaxed) as usize
            && reciprocal != 0;
        if is_start { self.block_ref(head.into(), index as u32) } else { None }
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
        // Relaxed: a slot that was handed out is told by its state word. A slab without slots was
        // blanked with all of its chunk.
        match slab.count.load(Relaxed) as usize {
            0 => return Place::Forgotten,
            count if count <= index => return Place::Unused,
            _ => {}
        }
        let Some(block) = self.block_ref(head, index as u32) else { return Place::Forgotten };
        // Acquire: pairs with the Release of the store that made the block live.
        let word = StateWord::load(&block.slot.state, Acquire);
        if !block.is_current() || (word.turn() != slab.turn.load(Relaxed) && !word.is_unused()) {
            return Place::Forgotten;
        }
        if word.is_unused() { Place::Unused } else { Place::Slot(block, into) }
    }

    /// Says which guarded block the address is in, or nearest to where it traps.
    #[cold]
    #[inline(never)]
    fn place_guarded(&self, head: usize, in_slab: usize, addr: usize) -> Place<'_> {
        let Some(first) = self.block_ref(head, 0) else { return Place::Forgotten };
        let slot_size = first.slab.slot_size.load(Relaxed);
        let in_slots = in_slab.saturating_sub(first.slab.lead.load(Relaxed) as usize);
        let count = first.slab.count.load(Relaxed) as usize;
        // Blanked meanwhile, with all of its chunk: its last records were given up.
        let (Some(in_order), Some(last)) = (in_slots.checked_div(slot_size), count.checked_sub(1))
        else {
            return Place::Forgotten;
        };
        let index = in_order.min(last);
        let is_used = |block: &BlockRef<'_>| {
            // Acquire: pairs with the Release of the store that made the block live.
            let word = StateWord::load(&block.slot.state, Acquire);
            !word.is_unused() && block.is_current() && word.turn() == block.slab.turn.load(Relaxed)
        };
        let start = |block: &BlockRef<'_>| block.start().addr().get();
        let before = self.block_ref(head, index as u32).filter(is_used);
        // In the page between two blocks: whose it is, the distance says.
        let is_between = first.pages_len() <= in_slots - index * slot_size;
        let after =
            first.neighbour(Some(index as u32 + 1)).filter(|next| is_between && is_used(next));
        let block = match (before, after) {
            (Some(before), Some(after)) => {
                let past = addr.wrapping_sub(start(&before) + before.size());
                if start(&after).wrapping_sub(addr) < past { after } else { before }
            }
            (Some(block), None) | (None, Some(block)) => block,
            (None, None) => return Place::Unused,
        };
        Place::Slot(block, addr.wrapping_sub(start(&block)).cast_signed())
    }

    /// Returns the slab that a unit belongs to, and its first unit.
    pub(super) fn slab_at(&self, unit: usize) -> Option<(&Slab, usize)> {
        // Acquire: pairs with the Release in `make_slab`.
        let head = self.heads[unit].load(Acquire);
        (head != NO_SLAB).then(|| (self.slab(head.into()), head.into()))
    }

    /// Returns the first slot of a slab of this chunk.
    pub(super) fn first_of(&self, slab: &Slab) -> Option<BlockRef<'_>> {
        let offset = ptr::from_ref(slab).addr() - self.header.addr().get() - SLABS_OFFSET;
        self.block_ref(offset / size_of::<Slab>(), 0)
    }

    /// Calls `visit` for every slab of the units, first unit first, that begins there.
    pub(super) fn for_each_slab_in<'c>(
        &'c self,
        units: core::ops::Range<usize>,
        mut visit: impl FnMut(&'c Slab, usize),
    ) {
        let mut unit = units.start;
        while unit < units.end {
            let slab = self.slab_at(unit);
            if let Some((slab, head)) = slab.filter(|(_, head)| *head == unit) {
                visit(slab, head);
                unit += usize::from(slab.units.load(Relaxed)).max(1);
            } else {
                unit += 1;
            }
            if self.single {
                return;
            }
        }
    }

    /// Calls `visit` for the first slot of every slab whose records were not given up.
    pub(crate) fn for_each_slab<'c>(&'c self, mut visit: impl FnMut(BlockRef<'c>)) {
        self.for_each_slab_in(0..UNIT_COUNT, |_, head| {
            if let Some(block) = self.block_ref(head, 0) {
                visit(block);
            }
        });
    }

    /// Returns first byte and length of a run of units.
    pub(super) fn units_range(&self, head: usize, count: usize) -> (NonNull<u8>, usize) {
        // SAFETY: the callers pass units that the chunk has.
        (unsafe { self.base.add(head * UNIT_LEN) }, count * UNIT_LEN)
    }
}
