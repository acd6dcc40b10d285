//! The checking heap: hands out slots whose addresses it never uses again, and keeps a record of each.
//!
//! * `classes`: sizes and geometry, numbers only.
//! * `map`: from an address to its chunk.
//! * `chunk`, `block`, `slot`: chunks and slabs, a block with all that belongs to it, its record.
//! * `state`: the word that decides who frees a block.
//! * `freed`: who frees the last block of a slab.
//! * `canary`: the bytes that belong to no live block.
//! * `slack`: the same of a slot of a size class, quickly.
//! * `small`: blocks in slots of size classes.
//! * `lane`: sixteen bytes at a time.
//! * `check`: that what stands around a block is intact.
//! * `claim`: what a caller says of a block that it gives back.
//! * `quick`: the way of nearly all frees.
//! * `ways`: which settings keep a block from the short way.
//! * `shards`: what each thread allocates from, and what it counts.
//! * `records`: memory for the slots' records.
//! * `grow`, `sites`: new slabs and chunks, at several places.
//! * `retire`, `group`, `stock`: what happens to slabs that are all free, and to their memory.
//! * `sweep`: retired slabs that do not wait for the others of their group.
//! * `kept`: what memory is held, and for what.
//! * `range`: bytes that libc or the kernel accesses for the program.
//! * `findings`: telling what was found, and the log of it.
//! * `audit`: the sweep over all blocks, for leaks and for damage that nobody met.
//! * `trapped`: what an access was that the processor refused.
//! * `fork`: a heap in two processes.
//! * `quarantine`: freed slots that wait until they are handed out again.
//! * `guarded`: blocks between pages that trap.
//! * `budget`, `notes`: how much may be live at once; what had to be given up.
//! * `resize`: other sizes for blocks.
//!
//! This file: allocation and free.

use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU16};

use alloc_core::AllocError;

use crate::config::{self, Config, OnFinding};
use crate::finding::{Block, Detail, Finding, FindingKind, Thread};
use crate::lock::Lock;
use crate::registry::{self, Link};
use crate::stack::{self, StackId};
use crate::sys::{self, pages};
use crate::tag::TagFigures;
use crate::told::Callback;

pub(crate) mod audit;
mod block;
mod budget;
pub(crate) mod canary;
mod check;
pub(crate) mod chunk;
pub(crate) mod claim;
pub(crate) mod classes;
mod findings;
mod fork;
pub(crate) mod freed;
mod group;
mod grow;
pub(crate) mod guarded;
mod kept;
mod lane;
pub(crate) mod map;
pub(crate) mod notes;
mod quarantine;
mod quick;
pub(crate) mod range;
mod records;
mod resize;
mod retire;
mod shards;
mod sites;
mod slack;
mod slot;
mod small;
pub(crate) mod state;
mod stock;
mod sweep;
mod trapped;
mod ways;

use budget::Budget;
pub use kept::Kept;

use check::{REDZONE_LEN, fill_redzone, redzone_damage};
use chunk::{BlockRef, Chunk, Place, Slab};
use claim::Claim;
use findings::Findings;
use guarded::{Guards, Setup};
use notes::{Note, Notes};
use quarantine::Quarantine;
pub(crate) use quick::expect_free;
use records::Regions;
use shards::Shards;
pub use shards::Stats;
use sites::Sites;
pub use state::Origin;
use state::{State, StateWord};
use ways::Ways;

/// One heap. It lives in a mapping of its own and never moves; all zero bytes are an empty one,
/// but for its settings.
pub(crate) struct Heap {
    shards: Shards,
    sites: Sites,
    /// The newest chunk; the list leads to the oldest.
    pub(crate) chunks: AtomicPtr<Chunk>,
    pub(crate) config: Config,
    pub(crate) findings: Findings,
    /// Where the slots' records are.
    regions: Regions,
    guards: Guards,
    /// Freed slots that will be handed out again, where they are.
    quarantine: Lock<Quarantine>,
    /// What is taken of `memory_limit`.
    budget: Budget,
    notes: Notes,
    /// How often the process forked before it became this one.
    pub(crate) epoch: AtomicU16,
    /// The process that searches for leaks here; see `turn`.
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
    /// A slab of which nobody saw the last free, perhaps; or null.
    almost: AtomicPtr<Slab>,
    ways: Ways,
}

// SAFETY: all that is shared is atomic or behind a lock; `config` is not written after `map`.
unsafe impl Sync for Heap {}

/// What a sink is: told of a finding when it is new, before the policy acts.
pub(crate) type Sink = fn(&Heap, &Finding);

/// What a sink for notes is: told of one when it is new.
pub(crate) type NoteSink = fn(&str);

/// What is called as a heap grows.
pub(crate) type Pulse = fn(&Heap);

/// A block that was handed out, and whether its memory was used before.
///
/// It is made before the block is live, and kept until it is handed on: a thread that is stopped in between, or
/// looks for leaks itself, has the address in a register or on its stack.
pub(crate) struct Fresh {
    pub(crate) start: NonNull<u8>,
    is_used: bool,
}

impl Fresh {
    fn of(block: &BlockRef<'_>) -> Self {
        // Relaxed: written before the block was taken.
        Self { start: block.start(), is_used: block.slab.is_used.load(Relaxed) }
    }
}

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
        let config = Config { quarantine: config.reuse_after(), ..config };
        // SAFETY: mapped, aligned, and nobody else knows it. The other fields are zero, which is a
        // valid, empty heap: atomics, unlocked locks, null pointers.
        unsafe { slot.write(config) };
        // SAFETY: inside the fresh mapping.
        let slot = unsafe { &raw mut (*heap.as_ptr()).ways };
        // SAFETY: as for the settings.
        unsafe { slot.write(Ways::of(&config)) };
        // SAFETY: inside the fresh mapping.
        let slot = unsafe { &raw mut (*heap.as_ptr()).guards.setup };
        // SAFETY: as for the settings.
        unsafe { slot.write(Setup::new(&config)) };
        // SAFETY: initialised above; nobody else knows it.
        unsafe { heap.as_ref() }.sites.number();
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
            heap.sites.iter().for_each(|site| site.growth.lock().unmap_headers());
            heap.quarantine.lock().unmap();
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

    /// Captures the caller's stack, if stacks are on. The calling thread is inside the allocator.
    #[inline]
    pub(crate) fn stack(&self, _inside: &stack::thread::Guard) -> StackId {
        match self.config.stacks {
            0 => StackId::NONE,
            depth => stack::capture_id(depth as usize),
        }
    }

    /// The same where the thread may have been inside before: then there is no stack.
    #[inline]
    pub(crate) fn stack_of(&self, inside: Option<&stack::thread::Guard>) -> StackId {
        inside.map_or(StackId::NONE, |inside| self.stack(inside))
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
        match self.alloc_quick(layout, origin, here) {
            Some(start) => Ok(start),
            None => self.alloc_fresh(layout, origin, here).map(|fresh| fresh.start),
        }
    }

    /// Hands out a block whose bytes are zero.
    pub(crate) fn alloc_zeroed(
        &self,
        layout: Layout,
        here: StackId,
    ) -> Result<NonNull<u8>, AllocError> {
        let Fresh { start, is_used } = self.alloc_fresh(layout, Origin::Malloc, here)?;
        // Memory is used twice, and in quarantine mode addresses are.
        if is_used {
            // SAFETY: just allocated with that size.
            unsafe { start.write_bytes(0, layout.size()) };
        }
        Ok(start)
    }

    /// Hands out a block of any size, in any mode.
    #[inline(never)]
    fn alloc_fresh(
        &self,
        layout: Layout,
        origin: Origin,
        here: StackId,
    ) -> Result<Fresh, AllocError> {
        let (size, align) = (layout.size(), layout.align());
        if self.ways.alloc_is_special {
            return self.alloc_limited(layout, origin, here);
        }
        match classes::class_of(size, align) {
            Some(class) => self.alloc_small(class, layout, origin, here),
            None => self.alloc_large(layout, origin, here),
        }
    }

    /// As `alloc_fresh`, where there is a limit, or blocks are guarded or used again.
    #[cold]
    #[inline(never)]
    fn alloc_limited(
        &self,
        layout: Layout,
        origin: Origin,
        here: StackId,
    ) -> Result<Fresh, AllocError> {
        let (size, align) = (layout.size(), layout.align());
        if !self.budget.take(self.config.memory_limit, size) {
            self.note(Note::MemoryLimit);
            return Err(AllocError);
        }
        // Where blocks are sampled, only those that were picked come here.
        if self.config.guard != config::Guard::Off
            && let Some(fresh) = self.alloc_guarded(layout, origin, here)
        {
            return Ok(fresh);
        }
        let fresh = match classes::class_of(size, align) {
            Some(class) if let Some(taken) = self.take_reusable(class, size) => {
                Ok(self.begin_small(&taken, layout, origin, here))
            }
            Some(class) => self.alloc_small(class, layout, origin, here),
            None => self.alloc_large(layout, origin, here),
        };
        if fresh.is_err() {
            self.budget.give(self.config.memory_limit, size);
        }
        fresh
    }

    #[cold]
    #[inline(never)]
    fn alloc_large(
        &self,
        layout: Layout,
        origin: Origin,
        here: StackId,
    ) -> Result<Fresh, AllocError> {
        let (size, align) = (layout.size(), layout.align());
        let block = self.take_large(size, align)?;
        block.begin(here.get(), size);
        // SAFETY: `room` bytes from the start are the slot's, of which the block takes `size`.
        let end = unsafe { block.start().add(size) };
        // SAFETY: the rest of the slot, which nobody else has: it was just taken.
        unsafe { canary::fill_canary(end, block.room() - size) };
        self.count_allocated(1, size);
        let fresh = Fresh::of(&block);
        // Relaxed: written before the block is taken. Publishes the record and the canary.
        let turn = block.slab.turn.load(Relaxed);
        self.word(turn, align, origin).publish(&block.slot.state);
        self.beat();
        Ok(fresh)
    }

    /// The state of a block that is live from now on.
    #[inline]
    fn word(&self, turn: u8, align: usize, origin: Origin) -> StateWord {
        // Relaxed: it changes in a forked child before any thread runs there.
        StateWord::live(align, self.epoch.load(Relaxed)).of(origin).at_turn(turn)
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

    /// What tells this heap from others: the address of its mapping.
    pub(crate) fn id(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    /// Takes a block back. `claimed` is the layout that the caller says it has, if it says one.
    #[cfg(test)]
    pub(crate) fn free(&self, addr: NonNull<u8>, claimed: Option<Layout>, here: StackId) {
        self.free_as(addr, Claim::of(claimed), here, None);
    }

    /// As [`free_as`](Self::free_as), of any kind of block and of no block.
    #[cold]
    #[inline(never)]
    fn free_slow(&self, addr: NonNull<u8>, claim: Claim, here: StackId) {
        if let Some(target) = self.find(addr, claim, here, Operation::Free) {
            let origin = target.word.origin();
            self.free_found(&target, origin, claim, here);
        }
        // A search that stops this thread before the block is dead finds its address here, and nowhere else perhaps.
        core::hint::black_box(addr);
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
        self.budget.give(self.config.memory_limit, size);
        self.count_freed(1, size);
        if self.config.quarantine.is_some() && block.is_of_class() {
            return self.put_in_quarantine(*block);
        }
        self.count_slot(block);
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
    #[inline(never)]
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
            self.tell_foreign(at, chunk, claim, here, operation);
            return None;
        };
        let block = match chunk.block_at(at) {
            Some(block) => block,
            None => match chunk.place(at) {
                Place::Slot(block, 0) => block,
                _ => {
                    self.tell_no_start(at, chunk, claim, here, operation);
                    return None;
                }
            },
        };
        // Acquire: pairs with the Release that made the block live.
        let word = StateWord::load(&block.slot.state, Acquire);
        if !block.is_current() || word.turn() != block.slab.turn.load(Relaxed) {
            self.tell_no_start(at, chunk, claim, here, operation);
            return None;
        }
        if !word.is_live() {
            self.tell_dead(&block, word, claim, here, operation);
            return None;
        }
        if !claim.fits(block.size(), word) {
            self.tell_mismatch(&block, word, claim, here, operation);
        }
        Some(Target { block, word })
    }
}

/// What a caller wants with a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Free,
    Resize,
}
