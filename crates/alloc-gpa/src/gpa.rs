//! `Gpa`: a checking heap that a program makes, passes on, and ends.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::num::NonZeroUsize;
use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{AcqRel, Acquire};

use alloc_core::{AllocError, Allocator, UnsizedFree};

use crate::config::{Config, Guard};
use crate::finding::{Check, Finding, LeakTotals};
use crate::heap::{Heap, Stats, claim::Claim, expect_free, notes::Note};
use crate::leaks::Leaks;
use crate::process::{self, SearchError, scan};
use crate::registry;
use crate::sample::Sampler;
use crate::snapshot::Snapshot;
use crate::stack::{StackId, thread};
use crate::stats::Breakdown;
use crate::tag::{TagStats, Tagged};
use crate::text;

mod builder;
mod sampled;

pub use builder::Builder;

/// A general-purpose allocator that finds leaks, double frees, bad frees, wrong layouts, writes past
/// the end, before the start, and after the free, each with the stacks of allocation and free.
///
/// It never hands out an address twice, unless [`quarantine`](Builder::quarantine) says when. Any thread
/// may use it, signal handlers may not. Its memory goes back to the system when it ends.
///
/// ```
/// use alloc_core::AllocatorExt;
/// use alloc_gpa::{Check, Gpa};
///
/// let gpa = Gpa::new();
/// let numbers = gpa.alloc_fill(5, 0u32)?;
/// let single = gpa.create(42u64)?;
/// gpa.destroy(single);
/// drop(numbers);
/// assert_eq!(gpa.deinit(), Check::Ok);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
pub struct Gpa {
    /// The heap, or null until the first allocation.
    ///
    /// Invariant: what is not null came from `Heap::map` and stays mapped until this is dropped.
    heap: AtomicPtr<Heap>,
    config: Config,
    /// Whether `deinit` and drop print a report to standard error if there is something to tell.
    print: bool,
    callback: Option<fn(&Finding)>,
    /// Whether it ends: all but the process's own.
    ends: bool,
    /// Which blocks are guarded, if some are.
    sampler: Sampler,
}

impl Gpa {
    /// Returns an allocator with the usual settings. It takes no memory before its first allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self::builder().build()
    }

    /// Begins an allocator with other settings.
    pub const fn builder() -> Builder {
        Builder { config: Config::DEFAULT, print: true, callback: None }
    }

    /// Changes the settings of an allocator that has not been used yet.
    pub(crate) const fn with_config(config: Config) -> Self {
        Self {
            heap: AtomicPtr::new(ptr::null_mut()),
            config,
            print: false,
            callback: None,
            ends: false,
            sampler: Sampler::new(),
        }
    }

    /// Returns the heap, if there was an allocation.
    #[inline]
    pub(crate) fn heap(&self) -> Option<&Heap> {
        // Acquire: pairs with the AcqRel in `heap_slow`, which publishes a mapped heap.
        // SAFETY: invariant on `heap`; the borrow of `self` keeps it mapped.
        unsafe { self.heap.load(Acquire).as_ref() }
    }

    /// Returns the heap, mapping it if need be.
    #[inline]
    pub(crate) fn heap_or_map(&self) -> Result<&Heap, AllocError> {
        match self.heap() {
            Some(heap) => Ok(heap),
            None => {
                if self.config.faults {
                    crate::fault::install();
                }
                self.heap_slow(self.config)
            }
        }
    }

    /// Maps the heap with these settings; if there is one already, its settings stay.
    #[cold]
    #[inline(never)]
    pub(crate) fn heap_slow(&self, config: Config) -> Result<&Heap, AllocError> {
        let fresh = Heap::map(config).ok_or(AllocError)?;
        // SAFETY: just mapped, and initialised; nobody else has seen it.
        unsafe { fresh.as_ref() }.callback.set(self.callback);
        if self.ends {
            registry::enter(fresh);
        }
        // AcqRel: publishes the heap, or sees the winner's; pairs with the Acquire in `heap`.
        let set = self.heap.compare_exchange(ptr::null_mut(), fresh.as_ptr(), AcqRel, Acquire);
        if set.is_err() {
            if self.ends {
                registry::leave(fresh);
            }
            // SAFETY: just mapped, and nobody has seen it.
            unsafe { Heap::unmap(fresh) };
        }
        let heap = self.heap().ok_or(AllocError)?;
        if let Guard::Sampled(_) = config.guard {
            heap.enter_note(Note::Sampled);
        }
        Ok(heap)
    }

    /// Ends the allocator: checks all blocks once more, prints a report to standard error if there
    /// is something to tell (unless [`quiet`](Builder::quiet)), and gives all memory back.
    ///
    /// Nothing can still borrow from it. Blocks whose owner was leaked are dead from here on.
    pub fn deinit(self) -> Check {
        let check = self.check();
        self.print_report();
        // The drop shall not check again.
        let this = core::mem::ManuallyDrop::new(self);
        this.unmap();
        check
    }

    /// Checks all blocks now: damage becomes findings, and what is live counts as leaked.
    pub fn check(&self) -> Check {
        let Some(heap) = self.heap() else { return Check::Ok };
        heap.audit_damage();
        let leaks = heap.live_totals();
        match heap.findings.count() as u64 {
            0 if leaks.count == 0 => Check::Ok,
            0 => Check::Leak(leaks),
            findings => Check::Misuse { findings, leaks },
        }
    }

    /// Returns what would count as leaked if the allocator ended now.
    #[must_use]
    pub fn detect_leaks(&self) -> LeakTotals {
        self.heap().map(Heap::live_totals).unwrap_or_default()
    }

    /// Finds what would count as leaked if the allocator ended now, by the stack that allocated it,
    /// and which of it is held by other leaked blocks: a list that lost its head is one leak that
    /// holds the rest, and a cycle is shown as one.
    ///
    /// It takes no memory from any heap. It reads the live blocks; who changes them meanwhile, or
    /// allocates, gets an answer that is of no single moment. Not for signal handlers.
    ///
    /// ```
    /// use alloc_core::AllocatorExt;
    /// use alloc_gpa::{Gpa, LeakKind};
    /// use std::mem::ManuallyDrop;
    ///
    /// let gpa = Gpa::builder().quiet().build();
    /// let name = ManuallyDrop::new(gpa.dupe_str("held")?);
    /// let _owner = ManuallyDrop::new(gpa.create(&raw const **name)?);
    /// let leaks = gpa.find_leaks()?;
    /// let kinds: Vec<_> = leaks.iter().map(|leak| (leak.kind, leak.bytes)).collect();
    /// assert_eq!(kinds, [(LeakKind::Lost, 16), (LeakKind::Indirect, 4)]);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the system has no memory for the search, or lets no process read its own memory
    /// (`process_vm_readv(2)` and `/proc/self/mem`); or if a lock of the allocator cannot be had for a
    /// second, as in a process that was copied, past libc, while another thread had it.
    pub fn find_leaks(&self) -> Result<Leaks, AllocError> {
        let heap = self.heap_or_map()?;
        let inside = thread::enter();
        let leaks = scan::search_exact(heap).map_err(|_| AllocError);
        drop(inside);
        leaks
    }

    /// Finds live blocks that nothing leads to any more, and goes on: what statics, thread-local
    /// values, stacks, other heaps or registers lead to is in use, and so is what that leads to. For a heap
    /// whose blocks may be kept on purpose: what a program's first use of a library
    /// allocates.
    ///
    /// It follows pointers through all of the process's memory, one search at a time. The other threads keep
    /// still meanwhile, on Linux and x86-64: a signal asks them to, and their system calls go on afterwards. If
    /// one cannot (it blocks all signals past libc, or waits where no signal reaches it), nothing is
    /// [lost](crate::LeakKind::Lost) for certain: it is [possibly lost](crate::LeakKind::Possible), and a note says so.
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use alloc_core::{AllocatorExt, Owned};
    /// use alloc_gpa::{Gpa, LeakKind};
    ///
    /// static GPA: Gpa = Gpa::builder().quiet().build();
    /// static KEPT: Mutex<Option<Owned<u64, &Gpa>>> = Mutex::new(None);
    ///
    /// *KEPT.lock().unwrap() = Some(GPA.create(1u64)?);
    /// let leaks = GPA.find_lost().expect("it can be searched");
    /// assert!(leaks.is_empty());
    /// assert_eq!(leaks.total(LeakKind::Reachable).count, 1);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Why it could not: as [`find_leaks`](Self::find_leaks).
    #[inline(never)]
    pub fn find_lost(&self) -> Result<Leaks, SearchError> {
        process::find_lost(self)
    }

    /// Returns a number that tells this allocator's blocks from those of others, as
    /// [`owner_of`](crate::owner_of) does; maps its memory if need be.
    ///
    /// # Errors
    ///
    /// If the system has no memory.
    #[doc(hidden)]
    pub fn id(&self) -> Result<NonZeroUsize, AllocError> {
        NonZeroUsize::new(self.heap_or_map()?.id()).ok_or(AllocError)
    }

    /// Gives a block another size, and may move it, as [`realloc_unsized`](UnsizedFree::realloc_unsized),
    /// and tells if `layout` is not the block's: what a global allocator over this one needs.
    ///
    /// # Errors
    ///
    /// As [`realloc_unsized`](UnsizedFree::realloc_unsized).
    ///
    /// # Safety
    ///
    /// As [`realloc_unsized`](UnsizedFree::realloc_unsized).
    #[doc(hidden)]
    pub unsafe fn realloc_claimed(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        // SAFETY: this function's contract.
        unsafe { self.realloc_as(block, Some(layout), new_layout) }
    }

    /// Gives a block another size. `claimed` is the layout that the caller says it has, if it says one.
    ///
    /// # Safety
    ///
    /// As [`realloc_unsized`](UnsizedFree::realloc_unsized).
    unsafe fn realloc_as(
        &self,
        block: NonNull<u8>,
        claimed: Option<Layout>,
        new_layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        if self.is_systems(block) {
            // SAFETY: live, by the caller's contract, and in no heap: the system's.
            return unsafe { Self::realloc_systems(block, new_layout) };
        }
        let heap = self.heap_or_map()?;
        with_stack(heap, |here| heap.realloc(block, claimed, new_layout, here))
    }

    /// Counts what is live now by the stack that allocated it: the difference of two snapshots says
    /// what grew in between. See [`Snapshot`] for an example.
    ///
    /// It takes no memory from any heap. Blocks that other threads allocate or free meanwhile may
    /// count or not. Its time grows with the number of blocks, freed ones included.
    ///
    /// # Errors
    ///
    /// If the system has no memory for the counts.
    pub fn snapshot(&self) -> Result<Snapshot, AllocError> {
        Snapshot::take(self.heap_or_map()?).ok_or(AllocError)
    }

    /// Returns the findings so far, each distinct one once; at most 1,024 are kept.
    pub fn findings(&self) -> impl Iterator<Item = Finding> + '_ {
        let heap = self.heap();
        (0..).map_while(move |index| heap?.findings.get(index))
    }

    /// Returns what the allocator had to refuse or to give up so far, each once: one line that begins
    /// with a word such as `limit:` or `degraded:`.
    pub fn notes(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.heap().into_iter().flat_map(Heap::notes)
    }

    /// Returns a handle whose blocks carry a name: that of a part of the program.
    ///
    /// The names of a process, 255 of them, are kept for ever; the blocks of a further one have none.
    /// With [`Guard::Sampled`] all blocks of the handle are guarded, as others have no record that could
    /// hold the name.
    ///
    /// ```
    /// use alloc_core::AllocatorExt;
    /// use alloc_gpa::Gpa;
    ///
    /// let gpa = Gpa::new();
    /// let cache = gpa.tagged("cache");
    /// let page = cache.alloc_fill(4096, 0u8)?;
    /// let other = gpa.create(5u64)?;
    /// let tags: Vec<_> = gpa.tags().map(|tag| (tag.name, tag.live_bytes)).collect();
    /// assert_eq!(tags, [("cache", 4096)]);
    /// # drop((page, other));
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    #[must_use]
    pub fn tagged(&self, name: &'static str) -> Tagged<'_> {
        Tagged::new(self, name)
    }

    /// Returns where the memory goes: by size class, by name, and what is kept. It looks at every
    /// block's record.
    #[must_use]
    pub fn breakdown(&self) -> Breakdown<'_> {
        Breakdown::of(self.heap())
    }

    /// Tells now of what would only be found at the end: damage around live blocks and in freed ones.
    /// Returns how many distinct findings there are.
    pub fn flush(&self) -> usize {
        let Some(heap) = self.heap() else { return 0 };
        heap.audit_damage();
        heap.findings.count()
    }

    /// Returns the figures of every name that blocks of this allocator were given.
    pub fn tags(&self) -> impl Iterator<Item = TagStats> + '_ {
        self.heap().into_iter().flat_map(|heap| heap.tags.iter())
    }

    /// Returns the numbers of allocations and bytes.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.heap().map(Heap::stats).unwrap_or_default()
    }

    /// Writes what was found and what is live, with stacks resolved to functions and lines.
    ///
    /// It takes long the first time: symbols are read from the program's file.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn report(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        match self.heap() {
            Some(heap) => text::report(heap, out),
            None => Ok(()),
        }
    }

    /// Prints the report if there is something to tell and printing is on.
    fn print_report(&self) {
        let Some(heap) = self.heap() else { return };
        if self.print && (heap.findings.count() != 0 || heap.live_totals().count != 0) {
            // Standard error may be closed; there is nowhere else to say so.
            let _ = text::report(heap, &mut text::StandardError);
        }
    }

    /// Gives all memory back.
    fn unmap(&self) {
        // AcqRel: takes the heap out once.
        if let Some(heap) = NonNull::new(self.heap.swap(ptr::null_mut(), AcqRel)) {
            if self.ends {
                registry::leave(heap);
            }
            // SAFETY: invariant on `heap`; the callers own `self`, so nobody borrows from it.
            unsafe { Heap::unmap(heap) };
        }
    }
}

impl Default for Gpa {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Gpa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpa").field("config", &self.config).field("stats", &self.stats()).finish()
    }
}

impl Drop for Gpa {
    /// As [`deinit`](Self::deinit), for those who do not ask for the verdict.
    fn drop(&mut self) {
        if self.heap().is_some() {
            let _ = self.check();
            self.print_report();
            self.unmap();
        }
    }
}

/// Enters the allocator for one call on a heap, with the caller's stack.
///
/// A call from code that the allocator itself called, or from a signal handler that interrupted it,
/// has no stack: capturing is not re-entrant.
#[inline]
pub(crate) fn with_stack<R>(heap: &Heap, call: impl FnOnce(StackId) -> R) -> R {
    let inside = thread::enter();
    call(heap.stack_of(inside.as_ref()))
}

// SAFETY: by number:
//   Blocks of the system's (`sampled`): as std promises of `System`.
// 1 Fit: a slot has room for the block and its canary at the block's alignment (`classes`, tested
//   exhaustively); a zero size is served as a slot whose block has no bytes.
// 2 Exclusive: a slot is handed out once, under a shard's lock; once more as `quarantine` says; records lie
// in other mappings.
// 3 Stable: the heap is mapped elsewhere; `self` holds its address. No `&self` method frees.
// 4 No unwind: no indexing that the geometry does not bound, no arithmetic that can overflow past
//   `classes::large`'s check; reports are written by `deinit` and drop with errors ignored.
// 5 Hands off: `free` writes to dead bytes only, `alloc` before the block is handed out; canaries lie
//   outside the block.
// 6 Kept: `resize` writes only past the new size. 7 Clean failure: nothing is counted before the
//   slot is taken.
unsafe impl Allocator for Gpa {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let unpicked = self.alloc_unpicked(layout, |system, layout| {
            // SAFETY: the caller's contract, that of `System::alloc`.
            unsafe { system.alloc(layout) }
        });
        if let Some(block) = unpicked {
            return block;
        }
        let heap = self.heap_or_map()?;
        with_stack(heap, |here| heap.alloc(layout, here))
    }

    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let unpicked = self.alloc_unpicked(layout, |system, layout| {
            // SAFETY: as in `raw_alloc`.
            unsafe { system.alloc_zeroed(layout) }
        });
        if let Some(block) = unpicked {
            return block;
        }
        let heap = self.heap_or_map()?;
        with_stack(heap, |here| heap.alloc_zeroed(layout, here))
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        if self.is_systems(block) {
            return new_size <= layout.size();
        }
        let Ok(heap) = self.heap_or_map() else { return false };
        with_stack(heap, |here| heap.resize(block, Some(layout), new_size, here))
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        if self.is_systems(block) {
            let new_layout = Layout::from_size_align(new_size, layout.align()).ok()?;
            // SAFETY: live, by the caller's contract, and in no heap: the system's.
            return unsafe { Self::realloc_systems(block, new_layout) }.ok();
        }
        let heap = self.heap_or_map().ok()?;
        let resized = with_stack(heap, |here| heap.resize(block, Some(layout), new_size, here));
        resized.then_some(block)
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        if self.is_systems(block) {
            // SAFETY: live, by the caller's contract, and in no heap: the system's.
            return unsafe { Self::free_systems(block) };
        }
        let claim = Claim::of(Some(layout));
        expect_free(block, claim);
        if let Ok(heap) = self.heap_or_map() {
            let inside = thread::enter();
            let here = heap.stack_of(inside.as_ref());
            heap.free_as(block, claim, here, inside.as_ref());
        }
    }
}

// SAFETY: the record of a block holds its size.
unsafe impl UnsizedFree for Gpa {
    unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        if self.is_systems(block) {
            // SAFETY: live, by the caller's contract, and in no heap: the system's.
            return unsafe { Self::usable_size_of_systems(block) };
        }
        self.heap().and_then(|heap| heap.size_of_live(block)).unwrap_or(0)
    }

    unsafe fn free_unsized(&self, block: NonNull<u8>) {
        if self.is_systems(block) {
            // SAFETY: live, by the caller's contract, and in no heap: the system's.
            return unsafe { Self::free_systems(block) };
        }
        expect_free(block, Claim::NONE);
        if let Ok(heap) = self.heap_or_map() {
            let inside = thread::enter();
            let here = heap.stack_of(inside.as_ref());
            heap.free_as(block, Claim::NONE, here, inside.as_ref());
        }
    }

    fn owns(&self, ptr: *const u8) -> bool {
        // The system keeps no map that could be asked: a guess.
        let is_systems =
            |ptr: *const u8| NonNull::new(ptr.cast_mut()).is_some_and(|ptr| self.is_systems(ptr));
        is_systems(ptr) || self.heap().is_some_and(|heap| heap.owns(ptr.addr()))
    }

    unsafe fn realloc_unsized(
        &self,
        block: NonNull<u8>,
        new_layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        // SAFETY: this function's contract.
        unsafe { self.realloc_as(block, None, new_layout) }
    }
}

alloc_core::impl_foreign_allocator!(impl[] for Gpa);
