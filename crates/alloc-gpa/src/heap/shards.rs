//! What each thread allocates from, and what it counts.
//!
//! A shard belongs to the first thread that comes by its number, for as long as that lives: it needs no
//! lock and no atomic exchange. Threads that come by the number of a shard that has an owner share the
//! common one, under a lock, and ask now and then whether the owner has ended: then it is theirs.
//! Counters are each shard's own; sums are made when they are asked for.
//!
//! `busy` keeps a signal handler away from a shard whose owner it interrupted.
//!
//! | atomic | orderings | partner |
//! | --- | --- | --- |
//! | `Shard::thread` | `AcqRel` exchange from an ended thread's | itself: who takes over; the kernel orders a thread's end before the answer that it is gone |
//! | `Shard::owner`, `busy`, counters | `Relaxed` | the owner's own |

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, compiler_fence, fence};

use alloc_core::AllocError;

use super::Heap;
use super::classes::{CANARY_LEN_MIN, CLASS_COUNT};
use super::lane::prefetch;
use super::slot::Slot;
use crate::lock::Lock;
use crate::stack::thread::{self, Guard};
use crate::sys::errno::KeepErrno;
use crate::sys::{self, signal};

/// Shards with an owner, at most.
const SHARD_COUNT: usize = 16;

/// Where the next blocks of a class come from. All zero: nowhere yet.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// The next block, and its record.
    pub(super) start: *mut u8,
    pub(super) slot: *const Slot,
    pub(super) slot_size: u32,
    /// Blocks that are left.
    pub(super) left: u32,
    /// What tells the records from others at their place.
    pub(super) turn: u8,
    /// Whether the memory was used before.
    pub(super) is_used: bool,
}

// SAFETY: the pointers lead to memory of the heap's own that nobody else hands out.
unsafe impl Send for Run {}

/// A slot that is being handed out.
pub(super) struct Taken<'h> {
    pub(super) start: NonNull<u8>,
    pub(super) slot: &'h Slot,
    pub(super) slot_size: usize,
    pub(super) turn: u8,
    pub(super) is_used: bool,
    /// Whether it is the first of its slab.
    pub(super) is_first: bool,
}

impl Taken<'_> {
    /// Takes the next slot of a run that has one.
    #[inline(always)]
    fn next_of(run: &mut Run) -> Option<Self> {
        let start = NonNull::new(run.start)?;
        // SAFETY: a run with slots left has a record for each, which stay mapped while the heap does.
        let slot = unsafe { &*run.slot };
        let Run { slot_size, turn, is_used, .. } = *run;
        run.left -= 1;
        // At the run's end these are not used any more.
        run.start = run.start.wrapping_add(slot_size as usize);
        run.slot = run.slot.wrapping_add(1);
        // The next block's first bytes, which its owner writes, and its canary.
        prefetch(run.start);
        prefetch(run.start.wrapping_add(slot_size as usize - CANARY_LEN_MIN));
        Some(Self { start, slot, slot_size: slot_size as usize, turn, is_used, is_first: false })
    }
}

/// Sums of one shard.
struct Counts {
    allocations: AtomicU64,
    allocated_bytes: AtomicU64,
    frees: AtomicU64,
    freed_bytes: AtomicU64,
    /// The most that allocated less freed bytes were; the owner's only.
    peak: AtomicU64,
}

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
    /// Bytes that were ever allocated: every block's size, and what blocks grew by.
    pub total_bytes: u64,
}

/// What its owner allocates from. All zero: without an owner.
#[repr(align(128))]
pub(super) struct Shard {
    /// The owner's number plus one, or 0.
    owner: AtomicU32,
    /// 1 while the owner is at the runs or counts.
    busy: AtomicU32,
    /// The owner's process in the upper half, its id in the lower; 0: none yet.
    thread: AtomicU64,
    counts: Counts,
    runs: UnsafeCell<[Run; CLASS_COUNT]>,
}

// SAFETY: `runs` is the owner's alone, as `owner` and `busy` say; the rest is atomic.
unsafe impl Sync for Shard {}

impl Shard {
    /// Counts, by the owner: a signal handler that comes in between counts elsewhere, else a sum that is
    /// read and written here would lose what it adds.
    #[inline]
    fn counting(&self, count: impl FnOnce(&Counts)) {
        self.busy.store(1, Relaxed);
        compiler_fence(SeqCst);
        count(&self.counts);
        compiler_fence(SeqCst);
        self.busy.store(0, Relaxed);
    }

    /// Counts a free of its owner's.
    #[inline]
    pub(super) fn count_freed(&self, bytes: usize) {
        self.counting(|counts| counts.add_freed(1, bytes as u64));
    }

    /// What the headers of slabs call the shard that a thread with this number may own.
    #[inline]
    fn number(index: u32) -> u8 {
        (index as usize % SHARD_COUNT) as u8 + 1
    }
}

/// All shards of a heap. All zero: none has an owner.
pub(super) struct Shards {
    own: [Shard; SHARD_COUNT],
    /// What threads without a shard allocate from.
    pub(super) common: Lock<[Run; CLASS_COUNT]>,
    common_counts: Counts,
    /// Whether more than one shard was used, so that the sum's peak is sampled.
    is_shared: AtomicBool,
    /// The most that a sample of live bytes was.
    peak: AtomicU64,
    /// How often a shard's owner was in the way of another thread.
    refusals: AtomicU32,
}

/// The id of no thread, above all that Linux gives.
const GONE: u64 = i32::MAX as u64;
/// Of how many refusals one asks the system whether the owner has ended.
const REFUSALS_PER_LOOK: u32 = 64;

/// Returns what [`Shard::thread`] holds of the calling thread.
fn identity() -> u64 {
    // SAFETY: no preconditions.
    let pid = unsafe { libc::getpid() };
    u64::from(pid.cast_unsigned()) << 32 | u64::from(sys::thread_id())
}

/// Whether a thread of this process that is not the calling one has ended; its id may be the calling
/// one's now. That of another process, which this one was copied from
/// without a word, may still be the one that runs here.
fn has_ended(thread: u64, me: u64) -> bool {
    thread >> 32 == me >> 32 && (thread == me || !signal::send(thread as u32, 0))
}

/// Adds to a counter that only this thread writes.
#[inline]
fn add(counter: &AtomicU64, more: u64) -> u64 {
    // Relaxed, here and below: counters that order nothing.
    let sum = counter.load(Relaxed).wrapping_add(more);
    counter.store(sum, Relaxed);
    sum
}

impl Counts {
    #[inline]
    fn live(&self) -> i64 {
        let allocated = self.allocated_bytes.load(Relaxed);
        allocated.wrapping_sub(self.freed_bytes.load(Relaxed)).cast_signed()
    }

    /// By the owner.
    #[inline]
    fn add_allocated(&self, blocks: u64, bytes: u64) {
        add(&self.allocations, blocks);
        add(&self.allocated_bytes, bytes);
        let live = self.live();
        if self.peak.load(Relaxed).cast_signed() < live {
            self.peak.store(live.cast_unsigned(), Relaxed);
        }
    }

    /// By the owner.
    #[inline]
    fn add_freed(&self, blocks: u64, bytes: u64) {
        add(&self.frees, blocks);
        add(&self.freed_bytes, bytes);
    }

    /// By whomever.
    fn share_allocated(&self, blocks: u64, bytes: u64) {
        self.allocations.fetch_add(blocks, Relaxed);
        self.allocated_bytes.fetch_add(bytes, Relaxed);
    }

    fn share_freed(&self, blocks: u64, bytes: u64) {
        self.frees.fetch_add(blocks, Relaxed);
        self.freed_bytes.fetch_add(bytes, Relaxed);
    }
}

impl Shards {
    /// Returns the calling thread's shard, unless it has none or was interrupted while it used it.
    #[inline]
    fn mine(&self) -> Option<&Shard> {
        let index = thread::current().index();
        let shard = &self.own[index as usize % SHARD_COUNT];
        // Relaxed, both: only this thread writes its own number, and `busy` where it stands.
        (shard.owner.load(Relaxed) == index.wrapping_add(1) && shard.busy.load(Relaxed) == 0)
            .then_some(shard)
    }

    /// Returns the shard of the thread that this guard keeps inside, and what slabs call it, unless the
    /// thread has none.
    #[inline]
    pub(super) fn of(&self, inside: &Guard) -> Option<(&Shard, u8)> {
        let index = inside.index();
        let shard = &self.own[index as usize % SHARD_COUNT];
        // Relaxed: only this thread writes its own number.
        (shard.owner.load(Relaxed) == index.wrapping_add(1)).then(|| (shard, Shard::number(index)))
    }

    /// Makes the shard of the calling thread's number its own, if nobody has it any more.
    #[cold]
    fn claim(&self) -> bool {
        let index = thread::current().index();
        let shard = &self.own[index as usize % SHARD_COUNT];
        let owner = shard.owner.load(Relaxed);
        // A handler that interrupted the owner itself, or a thread that ended inside.
        if owner == index.wrapping_add(1) || shard.busy.load(Relaxed) != 0 {
            return false;
        }
        let is_turn = || {
            let count = self.refusals.fetch_add(1, Relaxed);
            count.is_multiple_of(REFUSALS_PER_LOOK)
        };
        if owner != 0 && !is_turn() {
            return false;
        }
        let _errno = KeepErrno::new();
        let (found, me) = (shard.thread.load(Relaxed), identity());
        if found != 0 && !has_ended(found, me) {
            return false;
        }
        // AcqRel: sees what the last owner left; pairs with itself.
        if shard.thread.compare_exchange(found, me, AcqRel, Relaxed).is_err() {
            return false;
        }
        // Nobody else has this number: only now the shard is used.
        shard.owner.store(index.wrapping_add(1), Relaxed);
        // SeqCst: of two threads that claim at once, one at least sees the other's shard. Pairs with itself.
        fence(SeqCst);
        let is_other =
            |other: &Shard| !core::ptr::eq(other, shard) && other.owner.load(Relaxed) != 0;
        if self.own.iter().any(is_other) {
            self.share();
        }
        true
    }

    /// A forked child's first step: its thread has another id than its parent's, whose it is the copy
    /// of; nobody takes its shard for an ended one's.
    pub(super) fn after_fork_child(&self) {
        let index = thread::current().index();
        let shard = &self.own[index as usize % SHARD_COUNT];
        let me = identity();
        for other in &self.own {
            // Relaxed: a forked child has one thread. The others are not here.
            if other.thread.load(Relaxed) != 0 {
                let is_mine = core::ptr::eq(other, shard)
                    && other.owner.load(Relaxed) == index.wrapping_add(1);
                // A thread that is not here: whoever comes by may have the shard.
                let pid = me >> 32 << 32;
                other.thread.store(if is_mine { me } else { pid | GONE }, Relaxed);
            }
        }
    }

    /// From now on the peak is that of samples.
    fn share(&self) {
        if !self.is_shared.swap(true, Relaxed) {
            for shard in &self.own {
                self.peak.fetch_max(shard.counts.peak.load(Relaxed), Relaxed);
            }
        }
    }

    fn counts(&self) -> impl Iterator<Item = &Counts> {
        self.own.iter().map(|shard| &shard.counts).chain([&self.common_counts])
    }

    /// Returns the bytes that are live, and remembers them if they were never more.
    pub(super) fn sample(&self) -> u64 {
        let live =
            self.counts().map(Counts::live).fold(0, i64::wrapping_add).max(0).cast_unsigned();
        if self.is_shared.load(Relaxed) {
            self.peak.fetch_max(live, Relaxed);
        }
        live
    }
}

impl Heap {
    /// Returns the heap's numbers; each is exact, all together only while nobody allocates. The peak
    /// is exact as long as one thread used the heap; then it is the most that was live when a slab
    /// began, a large block was taken, or the numbers were asked for.
    pub(crate) fn stats(&self) -> Stats {
        let shards = &self.shards;
        let sum = |field: fn(&Counts) -> &AtomicU64| {
            shards.counts().map(|counts| field(counts).load(Relaxed)).sum()
        };
        let live = shards.sample();
        let alone = shards.own.iter().map(|shard| shard.counts.peak.load(Relaxed)).max();
        let peak = match shards.is_shared.load(Relaxed) {
            true => shards.peak.load(Relaxed),
            false => alone.unwrap_or(0),
        };
        Stats {
            allocations: sum(|counts| &counts.allocations),
            frees: sum(|counts| &counts.frees),
            live_bytes: live as usize,
            peak_bytes: peak as usize,
            total_bytes: sum(|counts| &counts.allocated_bytes),
        }
    }

    /// Takes the next slot of a class for `size` bytes, and counts it; `None` if the calling thread has no
    /// shard, or its slab no slot: then it is [`take_slot`](Self::take_slot) that knows what to do.
    #[inline(always)]
    pub(super) fn take_next(&self, class: usize, size: usize) -> Option<Taken<'_>> {
        let shard = self.shards.mine()?;
        shard.busy.store(1, Relaxed);
        // As in `take_slot`.
        compiler_fence(SeqCst);
        // SAFETY: as in `take_slot`.
        let runs = unsafe { &mut *shard.runs.get() };
        let run = &mut runs[class];
        let taken = if run.left == 0 { None } else { Taken::next_of(run) };
        if taken.is_some() {
            shard.counts.add_allocated(1, size as u64);
        }
        compiler_fence(SeqCst);
        shard.busy.store(0, Relaxed);
        taken
    }

    /// The same, of a new slab or of those that threads without a shard have in common, if need be.
    #[inline]
    pub(super) fn take_slot(&self, class: usize, size: usize) -> Result<Taken<'_>, AllocError> {
        let Some(shard) = self.shards.mine() else { return self.take_shared(class, size) };
        shard.busy.store(1, Relaxed);
        // Keeps what follows behind the store, as a signal handler of this thread sees it.
        compiler_fence(SeqCst);
        // SAFETY: this thread owns the shard, and its handlers keep away while `busy` is set: `mine`.
        let runs = unsafe { &mut *shard.runs.get() };
        let taken =
            self.take_of(&mut runs[class], class, || Shard::number(thread::current().index()));
        let free = || {
            compiler_fence(SeqCst);
            shard.busy.store(0, Relaxed);
        };
        match taken {
            Ok(taken) => {
                shard.counts.add_allocated(1, size as u64);
                free();
                Ok(taken)
            }
            Err(error) => {
                free();
                Err(error)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn take_shared(&self, class: usize, size: usize) -> Result<Taken<'_>, AllocError> {
        if self.shards.claim() {
            return self.take_slot(class, size);
        }
        self.shards.share();
        let taken = self.take_of(&mut self.shards.common.lock()[class], class, || 0);
        if taken.is_ok() {
            self.shards.common_counts.share_allocated(1, size as u64);
        }
        taken
    }

    /// Takes the next slot of a run, which begins a new slab if it is empty; `owner` is what its header
    /// says.
    #[inline(always)]
    fn take_of(
        &self,
        run: &mut Run,
        class: usize,
        owner: impl FnOnce() -> u8,
    ) -> Result<Taken<'_>, AllocError> {
        let is_first = run.left == 0;
        if is_first && !self.refill(run, class, owner()) {
            return Err(AllocError);
        }
        let taken = Taken::next_of(run).ok_or(AllocError)?;
        Ok(Taken { is_first, ..taken })
    }

    /// Begins a new slab; returns whether there was memory for it.
    #[cold]
    #[inline(never)]
    fn refill(&self, run: &mut Run, class: usize, owner: u8) -> bool {
        self.look_again();
        match self.new_slab(class) {
            Ok(fresh) => {
                self.set_owner(fresh.start, owner);
                *run = fresh;
                true
            }
            Err(AllocError) => false,
        }
    }

    /// Counts an allocation that took no slot of a run, or what a block grew by.
    pub(super) fn count_allocated(&self, blocks: u64, bytes: usize) {
        match self.shards.mine() {
            Some(shard) => shard.counting(|counts| counts.add_allocated(blocks, bytes as u64)),
            None if self.shards.claim() => self.count_allocated(blocks, bytes),
            None => {
                self.shards.share();
                self.shards.common_counts.share_allocated(blocks, bytes as u64);
            }
        }
    }

    /// Counts a free, or what a block lost.
    #[inline]
    pub(super) fn count_freed(&self, blocks: u64, bytes: usize) {
        match self.shards.mine() {
            Some(shard) => shard.counting(|counts| counts.add_freed(blocks, bytes as u64)),
            None => self.count_freed_shared(blocks, bytes),
        }
    }

    #[cold]
    #[inline(never)]
    fn count_freed_shared(&self, blocks: u64, bytes: usize) {
        if self.shards.claim() {
            return self.count_freed(blocks, bytes);
        }
        self.shards.share();
        self.shards.common_counts.share_freed(blocks, bytes as u64);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::alloc::Layout;

    use super::*;
    use crate::config::Config;
    use crate::stack::StackId;

    const COUNT: u64 = 2000;

    /// Whatever number of threads there has been, one that lives has a shard of its own where the one
    /// before it has ended; and every block is counted.
    #[test]
    fn shards_of_ended_threads_are_taken_over() {
        let config = Config { stacks: 0, ..Config::DEFAULT };
        let heap = Heap::map(config).expect("memory");
        // SAFETY: just mapped; unmapped below.
        let heap_ref = unsafe { heap.as_ref() };
        let layout = Layout::from_size_align(100, 8).expect("a layout");
        let threads = 4 * SHARD_COUNT as u64;
        for _ in 0..threads {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..COUNT {
                        let block = heap_ref.alloc(layout, StackId::NONE).expect("memory");
                        heap_ref.free(block, None, StackId::NONE);
                    }
                });
            });
        }
        let stats = heap_ref.stats();
        assert_eq!((stats.allocations, stats.frees), (threads * COUNT, threads * COUNT));
        let shared = heap_ref.shards.common_counts.allocations.load(Relaxed);
        // A look for each 64 refusals, some of which come before the last owner is gone.
        assert!(shared < threads * COUNT / 10, "{shared} of {} shared", threads * COUNT);
        // SAFETY: nobody uses the heap any more.
        unsafe { Heap::unmap(heap) };
    }
}
