//! The checking heap: hands out slots whose addresses it never uses again, and keeps a record of each.
//!
//! * `classes`: sizes and geometry, numbers only.
//! * `map`: from an address to its chunk.
//! * `chunk`, `block`, `slot`: chunks and slabs, a block with all that belongs to it, its record.
//! * `state`: the word that decides who frees a block.
//! * `canary`: the bytes that belong to no live block.
//! * `claim`: what a caller says of a block that it gives back.
//! * `records`: memory for the slots' records.
//! * `grow`: new slabs and chunks.
//! * `retire`: what happens to slabs that are all free.
//! * `kept`: what memory is held, and for what.
//! * `range`: bytes that libc or the kernel accesses for the program.
//! * `findings`: telling what was found, and the log of it.
//! * `audit`: the sweep over all blocks, for leaks and for damage that nobody met.
//! * `trapped`: what an access was that the processor refused.
//! * `fork`: a heap in two processes.
//! * `guarded`: blocks between pages that trap.
//! * `budget`: how much may be live at once.
//! * `notes`: what had to be given up.
//!
//! This file: allocation, free and resize.

use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU16, AtomicU32, AtomicU64, AtomicUsize};

use alloc_core::AllocError;

use crate::config::{self, Config, OnFinding};
use crate::finding::{Block, Detail, Finding, FindingKind, Thread};
use crate::lock::{Guard, Lock};
use crate::registry::{self, Link};
use crate::stack::{self, StackId};
use crate::sys::{self, pages};
use crate::tag::{TagFigures, TagId};
use crate::told::Callback;

pub(crate) mod audit;
mod block;
mod budget;
pub(crate) mod canary;
pub(crate) mod chunk;
pub(crate) mod claim;
pub(crate) mod classes;
mod findings;
mod fork;
mod grow;
pub(crate) mod guarded;
mod kept;
pub(crate) mod map;
pub(crate) mod notes;
pub(crate) mod range;
mod records;
mod retire;
mod slot;
pub(crate) mod state;
mod trapped;

use budget::Budget;
use canary::Damage;
use chunk::{BlockRef, Chunk, Place};
use claim::Claim;
use classes::{CANARY_LEN_MIN, CLASS_COUNT};
use findings::Findings;
use grow::Growth;
use guarded::{Guards, Setup};
use notes::{Note, Notes};
use records::Regions;
pub use state::Origin;
use state::{State, StateWord};

/// Shards: more than threads that allocate at once on a small machine, so that they seldom meet.
const SHARD_COUNT: usize = 16;
/// Bytes of the redzone before the first block of a slab that are checked.
const REDZONE_LEN: usize = 16;

/// Where the next block of a class comes from. All zero: nowhere yet.
#[derive(Clone, Copy)]
struct Current {
    chunk: *const Chunk,
    head: u32,
    /// Index of the next slot to hand out.
    next: u32,
    count: u32,
}

/// What threads allocate from without waiting for each other.
#[repr(align(128))]
struct Shard {
    currents: Lock<[Current; CLASS_COUNT]>,
    allocations: AtomicU64,
    frees: AtomicU64,
}

// SAFETY: the pointer leads to a chunk, which any thread may use; the lock guards the rest.
unsafe impl Send for Current {}

/// Numbers about one heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Successful allocations so far.
    pub allocations: u64,
    /// Frees so far.
    pub frees: u64,
    /// Bytes of live blocks, as requested.
    pub live_bytes: usize,
    /// The most that `live_bytes` has been.
    pub peak_bytes: usize,
}

/// One heap. It lives in a mapping of its own and never moves; all zero bytes are an empty one,
/// but for its settings.
pub(crate) struct Heap {
    shards: [Shard; SHARD_COUNT],
    growth: Lock<Growth>,
    /// The newest chunk; the list leads to the oldest.
    pub(crate) chunks: AtomicPtr<Chunk>,
    pub(crate) config: Config,
    pub(crate) findings: Findings,
    live_bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
    /// Where the slots' records are.
    regions: Regions,
    /// Groups that are ready to be trapped, in all chunks.
    ready_count: AtomicU32,
    guards: Guards,
    /// What is taken of `memory_limit`.
    budget: Budget,
    notes: Notes,
    /// How often the process forked before it became this one.
    pub(crate) epoch: AtomicU16,
    /// The process that searches for leaks here; see `process::scan::turn`.
    pub(crate) searcher: AtomicI32,
    /// What belongs to each named part of the program.
    pub(crate) tags: TagFigures,
    /// Its place among the explicit heaps.
    pub(crate) link: Link,
    /// Told of every finding that is new; null: nobody. A `fn(&Heap, &Finding)`.
    sink: AtomicPtr<()>,
    /// Called as the heap grows; null: nobody. A [`Pulse`].
    pulse: AtomicPtr<()>,
    /// As `sink`, the program's own.
    pub(crate) callback: Callback,
    /// Told of every note that is new; null: nobody. A `fn(&str)`.
    note_sink: AtomicPtr<()>,
}

// SAFETY: all that is shared is atomic or behind a lock; `config` is not written after `map`.
unsafe impl Sync for Heap {}

/// What a sink is: told of a finding when it is new, before the policy acts.
pub(crate) type Sink = fn(&Heap, &Finding);

/// What a sink for notes is: told of one when it is new.
pub(crate) type NoteSink = fn(&str);

/// What is called as a heap grows.
pub(crate) type Pulse = fn(&Heap);

/// What a free or a resize found at the address it was given.
struct Target<'h> {
    block: BlockRef<'h>,
    word: StateWord,
}

impl Heap {
    /// Maps a new heap.
    pub(crate) fn map(config: Config) -> Option<NonNull<Heap>> {
        let heap = pages::map(Self::MAP_LEN)?.cast::<Heap>();
        // SAFETY: inside the fresh mapping.
        let slot = unsafe { &raw mut (*heap.as_ptr()).config };
        // SAFETY: mapped, aligned, and nobody else knows it. The other fields are zero, which is a
        // valid, empty heap: atomics, unlocked locks, null pointers.
        unsafe { slot.write(config) };
        // SAFETY: inside the fresh mapping.
        let slot = unsafe { &raw mut (*heap.as_ptr()).guards.setup };
        // SAFETY: as for the settings.
        unsafe { slot.write(Setup::new(&config)) };
        // A fault's handler finds the heap by its chunks, which hold its address.
        heap.as_ptr().expose_provenance();
        Some(heap)
    }

    pub(crate) const MAP_LEN: usize = size_of::<Self>().next_multiple_of(pages::PAGE_LEN);

    /// Gives the heap and all its chunks back to the system.
    ///
    /// # Safety
    ///
    /// `heap` came from [`map`](Self::map); nobody uses it or a block of it any more.
    pub(crate) unsafe fn unmap(heap: NonNull<Heap>) {
        {
            // SAFETY: mapped and initialised by `map`.
            let heap = unsafe { heap.as_ref() };
            heap.for_each_chunk(|chunk| {
                map::set(chunk.base.addr().get(), chunk.len, ptr::null_mut());
            });
            let quiet = registry::wait_for_lookers();
            // Acquire: pairs with the Release in `enter`.
            let mut next = heap.chunks.load(Acquire);
            // SAFETY: chunks of the list are mapped until the loop unmaps them.
            while let Some(chunk) = unsafe { next.as_ref() } {
                // Relaxed: nobody else uses the heap any more (contract).
                next = chunk.older.load(Relaxed);
                retire::forget_splits(chunk);
                // SAFETY: out of the map; unused by this function's contract. Other heaps look at
                // headers at most, and do not, if it is quiet.
                unsafe { chunk.unmap(quiet) };
            }
            heap.findings.unmap();
            // SAFETY: no chunk is left to lead to a record.
            unsafe { heap.regions.unmap() };
        }
        // SAFETY: mapped by `map` with this length; unused by this function's contract.
        unsafe { pages::unmap(heap.cast(), Self::MAP_LEN) };
    }

    /// Sets who is told of findings, from now on.
    pub(crate) fn set_sink(&self, sink: Sink) {
        // Release: pairs with the Acquire in `tell`.
        self.sink.store(sink as *mut (), Release);
    }

    /// Sets who is told of notes, from now on.
    pub(crate) fn set_note_sink(&self, sink: NoteSink) {
        // Release: pairs with the Acquire in `note`.
        self.note_sink.store(sink as *mut (), Release);
    }

    /// Enters what the report says and nobody is told at once.
    pub(crate) fn enter_note(&self, note: Note) {
        self.notes.add(note);
    }

    /// Says something once.
    #[cold]
    #[inline(never)]
    fn note(&self, note: Note) {
        if !self.notes.add(note) {
            return;
        }
        // Acquire: pairs with the Release in `set_note_sink`.
        let sink = self.note_sink.load(Acquire);
        if !sink.is_null() {
            // SAFETY: only `set_note_sink` writes it, from a `NoteSink`.
            let sink = unsafe { core::mem::transmute::<*mut (), NoteSink>(sink) };
            sink(note.text());
        }
    }

    /// Returns what was said.
    pub(crate) fn notes(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.notes.iter().map(Note::text)
    }

    /// Returns the heap's numbers; each is exact, all together only while nobody allocates.
    pub(crate) fn stats(&self) -> Stats {
        // Relaxed, all: sums of counters that order nothing.
        let sum = |field: fn(&Shard) -> &AtomicU64| {
            self.shards.iter().map(|shard| field(shard).load(Relaxed)).sum()
        };
        Stats {
            allocations: sum(|shard| &shard.allocations),
            frees: sum(|shard| &shard.frees),
            live_bytes: self.live_bytes.load(Relaxed),
            peak_bytes: self.peak_bytes.load(Relaxed),
        }
    }

    /// Captures the caller's stack, if stacks are on. The calling thread is inside the allocator.
    #[inline]
    pub(crate) fn stack(&self, _inside: &stack::thread::Guard) -> StackId {
        match self.config.stacks {
            0 => StackId::NONE,
            depth => stack::capture_id(depth as usize),
        }
    }

    /// This thread's shard. Threads may share one.
    #[inline]
    fn shard_index() -> usize {
        stack::thread::current().index() as usize % SHARD_COUNT
    }

    /// Takes the lock of this thread's shard, or of the next that is free.
    #[inline]
    fn lock_shard(&self) -> (&Shard, Guard<'_, [Current; CLASS_COUNT]>) {
        let own = Self::shard_index();
        for step in 0..SHARD_COUNT {
            let shard = &self.shards[(own + step) % SHARD_COUNT];
            if let Some(guard) = shard.currents.try_lock() {
                return (shard, guard);
            }
        }
        let shard = &self.shards[own];
        (shard, shard.currents.lock())
    }

    /// Hands out a block.
    #[inline]
    pub(crate) fn alloc(&self, layout: Layout, here: StackId) -> Result<NonNull<u8>, AllocError> {
        self.alloc_as(layout, Origin::Malloc, here)
    }

    /// As [`alloc`](Self::alloc), for the functions that the block belongs to.
    #[inline]
    pub(crate) fn alloc_as(
        &self,
        layout: Layout,
        origin: Origin,
        here: StackId,
    ) -> Result<NonNull<u8>, AllocError> {
        self.alloc_block(layout, origin, here).map(|block| block.start())
    }

    /// Hands out a block whose bytes are zero.
    pub(crate) fn alloc_zeroed(
        &self,
        layout: Layout,
        here: StackId,
    ) -> Result<NonNull<u8>, AllocError> {
        let block = self.alloc_block(layout, Origin::Malloc, here)?;
        let start = block.start();
        // Relaxed: written before the block was taken. Addresses are never used twice, memory is.
        if block.slab.is_used.load(Relaxed) {
            // SAFETY: just allocated with that size.
            unsafe { start.write_bytes(0, layout.size()) };
        }
        Ok(start)
    }

    #[inline]
    fn alloc_block(
        &self,
        layout: Layout,
        origin: Origin,
        here: StackId,
    ) -> Result<BlockRef<'_>, AllocError> {
        let (size, align) = (layout.size(), layout.align());
        if !self.budget.take(self.config.memory_limit, size) {
            self.note(Note::MemoryLimit);
            return Err(AllocError);
        }
        // Where blocks are sampled, only those that were picked come here.
        if self.config.guard != config::Guard::Off
            && let Some(block) = self.alloc_guarded(layout, origin, here)
        {
            return Ok(block);
        }
        let block = match classes::class_of(size, align) {
            Some(class) => self.take_slot(class),
            None => self.take_large(size, align),
        };
        let block = match block {
            Ok(block) => block,
            Err(error) => {
                self.budget.give(self.config.memory_limit, size);
                return Err(error);
            }
        };
        block.begin(here.get(), size);
        // SAFETY: `room` bytes from the start are the slot's, of which the block takes `size`.
        let end = unsafe { block.start().add(size) };
        // SAFETY: the rest of the slot, which nobody else has: the slot was just taken.
        unsafe { canary::fill_canary(end, block.room() - size) };
        // Publishes the record and the canary.
        self.word(&block, align, origin).publish(&block.slot.state);
        self.add_live(size);
        if block.index == 0 {
            self.beat();
        }
        Ok(block)
    }

    /// The state of a block that is live from now on.
    #[inline]
    fn word(&self, block: &BlockRef<'_>, align: usize, origin: Origin) -> StateWord {
        // Relaxed, both: the epoch changes in a forked child before any thread runs there; the turn
        // is written before the block is taken.
        let word = StateWord::live(align, self.epoch.load(Relaxed)).of(origin);
        word.at_turn(block.slab.turn.load(Relaxed))
    }

    /// A slab's first slot was taken: tells whoever watches the heap's growth.
    #[cold]
    #[inline(never)]
    fn beat(&self) {
        // Acquire: pairs with the Release in `set_pulse`.
        let pulse = self.pulse.load(Acquire);
        if !pulse.is_null() {
            // SAFETY: only `set_pulse` writes it, from a `Pulse`.
            let pulse = unsafe { core::mem::transmute::<*mut (), Pulse>(pulse) };
            pulse(self);
        }
    }

    /// Sets who is called, with no lock held, when a thread took the first slot of a slab.
    pub(crate) fn set_pulse(&self, pulse: Pulse) {
        // Release: pairs with the Acquire in `beat`.
        self.pulse.store(pulse as *mut (), Release);
    }

    /// Takes the next slot of a class.
    #[inline]
    fn take_slot(&self, class: usize) -> Result<BlockRef<'_>, AllocError> {
        let (shard, mut currents) = self.lock_shard();
        let current = &mut currents[class];
        if current.next == current.count {
            *current = self.new_slab(class)?;
        }
        let index = current.next;
        current.next += 1;
        // Relaxed: a counter that orders nothing.
        shard.allocations.fetch_add(1, Relaxed);
        // SAFETY: a current whose `next` is below its `count` names a chunk of this heap, which
        // stays mapped while the heap does.
        let chunk = unsafe { &*current.chunk };
        chunk.block_ref(current.head as usize, index).ok_or(AllocError)
    }

    /// What tells this heap from others: the address of its mapping.
    pub(crate) fn id(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    /// Counts an allocation that no shard's lock is held for.
    fn count_alloc(&self) {
        // Relaxed: a counter that orders nothing.
        self.shards[Self::shard_index()].allocations.fetch_add(1, Relaxed);
    }

    #[inline]
    fn add_live(&self, size: usize) {
        // Relaxed: counters that order nothing.
        let live = self.live_bytes.fetch_add(size, Relaxed) + size;
        if self.peak_bytes.load(Relaxed) < live {
            self.peak_bytes.fetch_max(live, Relaxed);
        }
    }

    /// Takes a block back. `claimed` is the layout that the caller says it has, if it says one.
    #[inline]
    pub(crate) fn free(&self, addr: NonNull<u8>, claimed: Option<Layout>, here: StackId) {
        self.free_as(addr, Claim::of(claimed), here);
    }

    /// Takes a block back, of which the caller claims something.
    ///
    /// Any address may come here: what is no live block is told, and nothing else happens.
    ///
    /// It takes no lock but the log's, and only if there is something to tell.
    pub(crate) fn free_as(&self, addr: NonNull<u8>, claim: Claim, here: StackId) {
        if let Some(target) = self.find(addr, claim, here, Operation::Free) {
            let origin = target.word.origin();
            self.free_found(&target, origin, claim, here);
        }
    }

    /// Takes back what was found; `origin` is what its word shall say from now on.
    fn free_found(&self, target: &Target<'_>, origin: Origin, claim: Claim, here: StackId) {
        let &Target { block, word } = target;
        match word.begin(&block.slot.state, State::Freeing) {
            Ok(freeing) => self.end_block(&block, freeing.of(origin), here),
            Err(now) => self.tell_dead(&block, now, claim, here, Operation::Free),
        }
    }

    /// Ends a block that this thread took out of the hands of all others.
    #[inline]
    fn end_block(&self, block: &BlockRef<'_>, word: StateWord, here: StackId) {
        // Relaxed: published with `Freed` below.
        block.slot.freed.store(here.get(), Relaxed);
        let size = block.size();
        self.tags.freed(block.slot, size);
        if block.is_guarded() {
            self.close_freed(block, size, here);
        } else {
            self.check_canary(block, size, here);
            self.check_before(block, here);
            let (start, room) = (block.start(), block.room());
            if !block.goes_at_once() {
                // SAFETY: the whole slot: the block is dead, and who took it alone writes to it.
                unsafe { canary::fill_junk(start, room, self.config.junk) };
            }
        }
        // Publishes the junk and the stack.
        word.with(State::Freed).publish(&block.slot.state);
        // Relaxed: counters that order nothing.
        self.live_bytes.fetch_sub(size, Relaxed);
        self.budget.give(self.config.memory_limit, size);
        self.shards[Self::shard_index()].frees.fetch_add(1, Relaxed);
        // AcqRel: whoever counts the last one sees all junk that the others wrote.
        if block.slab.freed.fetch_add(1, AcqRel) + 1 == block.slab.count.load(Relaxed) {
            self.retire(block);
        }
    }

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
    fn resize_found(&self, target: &Target<'_>, new: usize, here: StackId) -> bool {
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
    fn resize_begun(&self, block: &BlockRef<'_>, new: usize, here: StackId) -> bool {
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
        // Relaxed: a counter that orders nothing.
        self.live_bytes.fetch_sub(old, Relaxed);
        self.budget.give(self.config.memory_limit, old.saturating_sub(new));
        self.add_live(new);
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

    /// Lets a block that was just allocated belong to other functions; nobody else uses it yet.
    pub(crate) fn set_origin(&self, addr: NonNull<u8>, origin: Origin) {
        // SAFETY: chunks in the map are mapped.
        let chunk = unsafe { map::lookup(addr.addr().get()).as_ref() };
        let Some(chunk) = chunk.filter(|chunk| chunk.owner == self.id()) else { return };
        if let Place::Slot(block, 0) = chunk.place(addr.addr().get()) {
            // Acquire: pairs with the Release that made the block live.
            let word = StateWord::load(&block.slot.state, Acquire);
            if word.is_live() {
                word.of(origin).publish(&block.slot.state);
            }
        }
    }

    /// Returns the size of the live block at `addr`, or `None` if there is none.
    pub(crate) fn size_of_live(&self, addr: NonNull<u8>) -> Option<usize> {
        // SAFETY: chunks in the map are mapped.
        let chunk = unsafe { map::lookup(addr.addr().get()).as_ref() }?;
        match chunk.place(addr.addr().get()) {
            Place::Slot(block, 0) if chunk.owner == self.id() => {
                // Acquire: pairs with the Release that made the block live.
                let word = StateWord::load(&block.slot.state, Acquire);
                word.is_allocated().then(|| block.size())
            }
            _ => None,
        }
    }

    /// Whether the address lies in a chunk of this heap.
    pub(crate) fn owns(&self, addr: usize) -> bool {
        let is_ours = || {
            // SAFETY: chunks in the map are mapped; those of a heap that is ending stay so while
            // somebody looks.
            let chunk = unsafe { map::lookup(addr).as_ref() };
            chunk.is_some_and(|chunk| chunk.owner == self.id())
        };
        if map::lookup(addr).is_null() {
            return false;
        }
        // The process's own heap never ends, and mostly there is no other.
        if registry::may_end() { registry::looking(is_ours) } else { is_ours() }
    }

    /// Finds the live block at `addr`, or tells what is wrong with the address. A wrong layout is
    /// told too, and the block's own is used.
    #[inline]
    fn find(
        &self,
        addr: NonNull<u8>,
        claim: Claim,
        here: StackId,
        operation: Operation,
    ) -> Option<Target<'_>> {
        let at = addr.addr().get();
        // SAFETY: chunks in the map are mapped.
        let chunk = unsafe { map::lookup(at).as_ref() };
        let Some(chunk) = chunk.filter(|chunk| chunk.owner == self.id()) else {
            self.tell_foreign(at, chunk, claim, here);
            return None;
        };
        let Place::Slot(block, 0) = chunk.place(at) else {
            self.tell_no_start(at, chunk, claim, here);
            return None;
        };
        // Acquire: pairs with the Release that made the block live.
        let word = StateWord::load(&block.slot.state, Acquire);
        if !word.is_live() {
            self.tell_dead(&block, word, claim, here, operation);
            return None;
        }
        if !claim.fits(block.size(), word) {
            self.tell_mismatch(&block, word, claim, here, operation);
        }
        Some(Target { block, word })
    }

    /// Checks the bytes behind a block that `here` is freeing or resizing.
    #[inline]
    fn check_canary(&self, block: &BlockRef<'_>, size: usize, here: StackId) {
        // SAFETY: `size <= room`.
        let end = unsafe { block.start().add(size) };
        // SAFETY: the rest of the slot is mapped.
        if let Some(damage) = unsafe { canary::canary_damage(end, block.room() - size) } {
            self.tell_overflow(block, size, damage, here);
        }
    }

    /// Checks the bytes just before a block: the redzone, or the canary of the block before it.
    #[inline]
    fn check_before(&self, block: &BlockRef<'_>, here: StackId) {
        let Some(before) = block.index.checked_sub(1) else {
            if let Some(damage) = redzone_damage(block) {
                self.tell_underflow(block, REDZONE_LEN, damage, here);
            }
            return;
        };
        let Some(before) = block.neighbour(Some(before)) else { return };
        // Acquire: pairs with the Release that made it live.
        let word = StateWord::load(&before.slot.state, Acquire);
        if !word.is_live() {
            return;
        }
        let size = before.size();
        let slack = before.room() - size.min(before.room());
        let len = slack.min(CANARY_LEN_MIN);
        // SAFETY: the bytes before a block that is not the first lie in the slot before it.
        let start = unsafe { block.start().sub(len) };
        // SAFETY: mapped.
        let Some(damage) = (unsafe { canary::canary_damage(start, len) }) else { return };
        // Acquire: orders this read after the canary's. A block that was resized or freed in the
        // meantime has other bytes there, rightly.
        core::sync::atomic::fence(Acquire);
        let unchanged =
            StateWord::load(&before.slot.state, Relaxed) == word && before.size() == size;
        // Only damage at the far end: what comes from the block before starts at its end.
        let whole_slack_hit = damage.first == 0 && slack <= CANARY_LEN_MIN;
        if unchanged && !whole_slack_hit && damage.last + 1 == len {
            // The bytes stay as they are: another thread may be growing the block before. When that
            // is freed, the log knows the damage.
            self.tell_underflow(block, len, damage, here);
        }
    }
}

/// What a caller wants with a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Free,
    Resize,
}

/// Fills the redzone before the first block of a slab.
fn fill_redzone(first: &BlockRef<'_>) {
    if first.slab.lead.load(Relaxed) as usize >= REDZONE_LEN {
        // SAFETY: the lead before the first block is at least that long.
        let start = unsafe { first.start().sub(REDZONE_LEN) };
        // SAFETY: it belongs to no block.
        unsafe { canary::fill_canary(start, REDZONE_LEN) };
    }
}

/// Returns where the redzone before the first block of a slab is damaged.
fn redzone_damage(first: &BlockRef<'_>) -> Option<Damage> {
    if (first.slab.lead.load(Relaxed) as usize) < REDZONE_LEN {
        return None;
    }
    // SAFETY: the lead before the first block is at least that long.
    let start = unsafe { first.start().sub(REDZONE_LEN) };
    // SAFETY: mapped.
    unsafe { canary::canary_damage(start, REDZONE_LEN) }
}
