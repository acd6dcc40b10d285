//! Counting: what a piece of code does to the heap.

use core::cell::Cell;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicI64, AtomicU64};

use super::operation::Operation;
use super::{Armed, require, thread, watch};

/// What was done to the heap in a region of code; from [`count`] or [`count_all`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Blocks that were allocated.
    pub allocations: u64,
    /// Blocks that were freed.
    pub frees: u64,
    /// Blocks that were given another size.
    pub reallocs: u64,
    /// Bytes that were allocated: every block's size, and what blocks grew by.
    pub bytes: u64,
    /// The most bytes that were live at once, beyond what was live at the beginning.
    pub peak_bytes: u64,
}

/// How an operation changes the figures.
struct Change {
    counts: Counts,
    live: i64,
}

impl Change {
    fn of(operation: Operation) -> Self {
        // No block is longer than `isize::MAX`.
        let len = |size: usize| size as i64;
        let none = Counts::default();
        match operation {
            Operation::Alloc(layout) => {
                let bytes = layout.size() as u64;
                let counts = Counts { allocations: 1, bytes, ..none };
                Self { counts, live: len(layout.size()) }
            }
            Operation::Free(layout) => {
                Self { counts: Counts { frees: 1, ..none }, live: -len(layout.size()) }
            }
            Operation::Realloc(layout, new_size) => {
                let bytes = new_size.saturating_sub(layout.size()) as u64;
                let counts = Counts { reallocs: 1, bytes, ..none };
                Self { counts, live: len(new_size) - len(layout.size()) }
            }
        }
    }
}

/// A thread's running figures, of which each region takes the difference.
pub(super) struct Tally {
    /// Regions that count.
    depth: Cell<u32>,
    counts: Cell<Counts>,
    live: Cell<i64>,
    /// The most that `live` was since the innermost region began.
    peak: Cell<i64>,
}

impl Tally {
    pub(super) const fn new() -> Self {
        let counts = Counts { allocations: 0, frees: 0, reallocs: 0, bytes: 0, peak_bytes: 0 };
        Self {
            depth: Cell::new(0),
            counts: Cell::new(counts),
            live: Cell::new(0),
            peak: Cell::new(0),
        }
    }

    fn add(&self, change: &Change) {
        let mut counts = self.counts.get();
        counts.allocations += change.counts.allocations;
        counts.frees += change.counts.frees;
        counts.reallocs += change.counts.reallocs;
        counts.bytes += change.counts.bytes;
        self.counts.set(counts);
        self.live.set(self.live.get() + change.live);
        self.peak.set(self.peak.get().max(self.live.get()));
    }
}

/// Counts an operation of this thread.
pub(super) fn tell(operation: Operation) {
    thread::with(|thread| {
        if thread.tally.depth.get() != 0 {
            thread.tally.add(&Change::of(operation));
        }
    });
}

/// A region of this thread that counts, until it is dropped.
struct Region {
    before: Counts,
    live: i64,
    outer_peak: i64,
    _armed: Armed,
}

impl Region {
    fn begin() -> Self {
        let armed = Armed::new();
        thread::with(|thread| {
            let tally = &thread.tally;
            tally.depth.set(tally.depth.get() + 1);
            let live = tally.live.get();
            let outer_peak = tally.peak.replace(live);
            Self { before: tally.counts.get(), live, outer_peak, _armed: armed }
        })
    }

    fn counts(&self) -> Counts {
        thread::with(|thread| {
            let now = thread.tally.counts.get();
            Counts {
                allocations: now.allocations - self.before.allocations,
                frees: now.frees - self.before.frees,
                reallocs: now.reallocs - self.before.reallocs,
                bytes: now.bytes - self.before.bytes,
                peak_bytes: (thread.tally.peak.get() - self.live).cast_unsigned(),
            }
        })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        thread::with(|thread| {
            let tally = &thread.tally;
            tally.depth.set(tally.depth.get() - 1);
            tally.peak.set(tally.peak.get().max(self.outer_peak));
        });
    }
}

/// Runs `code` and returns what it returns, with what it did to the heap in this thread.
///
/// Blocks may come from before, or live on: `frees` and `allocations` need not be equal. Regions nest;
/// the outer one counts what the inner one does. A failed allocation does not count.
///
/// ```
/// # #[global_allocator]
/// # static ALLOC: alloc_testing::Sentinel = alloc_testing::Sentinel::new();
/// # fn main() {
/// let (words, counts) = alloc_testing::count(|| {
///     "a few words".split(' ').map(str::to_owned).collect::<Vec<_>>()
/// });
/// assert_eq!(words.len(), 3);
/// assert_eq!(counts.allocations, 4); // three words, and the vector
/// assert_eq!(counts.frees, 0);
/// # }
/// ```
///
/// # Panics
///
/// If the program's global allocator is no [`Sentinel`](super::Sentinel).
#[track_caller]
pub fn count<R>(code: impl FnOnce() -> R) -> (R, Counts) {
    require();
    let region = Region::begin();
    let result = code();
    let counts = region.counts();
    drop(region);
    (result, counts)
}

/// As [`count`], of all threads of the process: those that `code` starts, and all others that run
/// meanwhile. In a test binary, other tests are among them, unless it runs with `--test-threads=1` or each
/// test is a process, as under `cargo nextest`.
///
/// # Panics
///
/// If the program's global allocator is no [`Sentinel`](super::Sentinel), or 64 such regions of all threads
/// are at work.
#[track_caller]
pub fn count_all<R>(code: impl FnOnce() -> R) -> (R, Counts) {
    require();
    let watched = watch::Watched::begin(watch::What::Count);
    let result = code();
    let counts = watched.with(|watcher| watcher.tally.counts());
    drop(watched);
    (result, counts)
}

/// The figures of all threads.
///
/// Relaxed, all: the figures order nothing; who asks was told of the end of what is to be counted.
#[derive(Default)]
pub(super) struct SharedTally {
    allocations: AtomicU64,
    frees: AtomicU64,
    reallocs: AtomicU64,
    bytes: AtomicU64,
    live: AtomicI64,
    peak: AtomicI64,
}

impl SharedTally {
    pub(super) fn add(&self, operation: Operation) {
        let Change { counts, live } = Change::of(operation);
        self.allocations.fetch_add(counts.allocations, Relaxed);
        self.frees.fetch_add(counts.frees, Relaxed);
        self.reallocs.fetch_add(counts.reallocs, Relaxed);
        self.bytes.fetch_add(counts.bytes, Relaxed);
        let now = self.live.fetch_add(live, Relaxed) + live;
        self.peak.fetch_max(now, Relaxed);
    }

    fn counts(&self) -> Counts {
        Counts {
            allocations: self.allocations.load(Relaxed),
            frees: self.frees.load(Relaxed),
            reallocs: self.reallocs.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            peak_bytes: self.peak.load(Relaxed).cast_unsigned(),
        }
    }
}
