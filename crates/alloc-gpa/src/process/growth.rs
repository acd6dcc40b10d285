//! How a process's heap grows: samples, and snapshots of all live blocks by the place that allocated
//! them.
//!
//! No thread of ours runs in a process that is checked. A thread that takes the first slot of a slab,
//! and so needed new memory, looks whether something is due, with no lock held.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;

use super::tell::{self, Mode};
use super::{PROCESS, asked, fork};
use crate::census::{Census, Scope};
use crate::heap::Heap;
use crate::lock::Lock;
use crate::snapshot::Snapshot;
use crate::stack::thread;
use crate::sys::{self, peek};
use crate::text::Frames;
use crate::words::counted;

/// Samples after which the time between two is doubled: a file of a day has some ten thousand.
const DOUBLED_AFTER: u64 = 512;
/// Places of live blocks that are printed.
const PRINTED_COUNT_MAX: usize = 20;

/// When the heap began, in nanoseconds of [`sys::now`].
static BEGAN: AtomicU64 = AtomicU64::new(0);
/// When the next sample and the next snapshot are due, in nanoseconds since then; `NEVER`: off.
static SAMPLE_DUE: AtomicU64 = AtomicU64::new(NEVER);
static SNAPSHOT_DUE: AtomicU64 = AtomicU64::new(NEVER);
static SAMPLE_COUNT: AtomicU64 = AtomicU64::new(0);
/// Snapshots so far: the number of the last.
static SNAPSHOT_COUNT: AtomicU64 = AtomicU64::new(0);
/// What the last text about growth is compared with.
static LAST: Lock<Option<Snapshot>> = Lock::new(None);

const NEVER: u64 = u64::MAX;

/// What a process's numbers are at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) ms: u64,
    pub(super) stats: crate::Stats,
    pub(super) live_blocks: u64,
    pub(super) resident_bytes: u64,
}

/// Why a snapshot is taken, as records say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Exit,
    Every,
    Request,
}

impl Why {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Every => "every",
            Self::Request => "request",
        }
    }
}

/// The head of a snapshot's lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) id: u64,
    pub(super) ms: u64,
    pub(super) why: Why,
    pub(super) live_blocks: u64,
    pub(super) live_bytes: u64,
    pub(super) allocations: u64,
    pub(super) complete: bool,
}

/// Begins to watch a heap that was just mapped; the sink's mode is known.
pub(super) fn begin(heap: &Heap) {
    let told = heap.config.told;
    // Relaxed, all here: figures that order nothing. Threads that see them late are late.
    BEGAN.store(nanoseconds(sys::now()), Relaxed);
    if tell::mode() == Mode::Records && told.sample_ms != 0 {
        SAMPLE_DUE.store(0, Relaxed);
    }
    if told.every_s != 0 {
        SNAPSHOT_DUE.store(seconds(told.every_s), Relaxed);
    }
    let is_timed = SAMPLE_DUE.load(Relaxed) != NEVER || SNAPSHOT_DUE.load(Relaxed) != NEVER;
    if is_timed || told.report_on != 0 {
        heap.set_pulse(pulse);
    }
}

/// A forked child samples and counts for itself.
pub(super) fn after_fork_child() {
    // Relaxed: a forked child has one thread.
    SNAPSHOT_COUNT.store(0, Relaxed);
    SAMPLE_COUNT.store(0, Relaxed);
    asked::after_fork_child();
}

/// Looks whether something is due. The calling thread is inside the allocator, and holds no lock.
fn pulse(heap: &Heap) {
    if asked::is_due() {
        asked::report(heap);
    }
    let now = since_begin();
    let told = heap.config.told;
    // Each is taken by one thread: the one that sets the next time.
    let take = |due: &AtomicU64, next: u64| {
        let at = due.load(Relaxed);
        at <= now && due.compare_exchange(at, next, Relaxed, Relaxed).is_ok()
    };
    let doubled = (SAMPLE_COUNT.load(Relaxed) / DOUBLED_AFTER).min(20);
    if take(&SAMPLE_DUE, now + ((u64::from(told.sample_ms) * 1_000_000) << doubled)) {
        write_sample(heap);
    }
    if take(&SNAPSHOT_DUE, now.saturating_add(seconds(told.every_s))) {
        snapshot_due(heap);
    }
}

/// Writes a sample to the record file.
pub(super) fn write_sample(heap: &Heap) {
    // Relaxed: a number.
    SAMPLE_COUNT.fetch_add(1, Relaxed);
    tell::with_records(|records, buffers| {
        // Taken with the file in hand: of two threads' samples the earlier one comes first.
        let stats = heap.stats();
        let sample = Sample {
            ms: since_begin() / 1_000_000,
            stats: fork::own(stats),
            live_blocks: stats.allocations.saturating_sub(stats.frees),
            resident_bytes: resident_bytes(),
        };
        records.write_sample(&sample, buffers);
    });
}

/// Tells of what is live, because the time has come.
fn snapshot_due(heap: &Heap) {
    if tell::mode() == Mode::Records {
        write_snapshot(heap, Scope::Live, Why::Every);
        return;
    }
    print_growth(heap);
}

/// Writes what is live, because somebody asked.
pub(super) fn write_requested(heap: &Heap) {
    write_snapshot(heap, Scope::Live, Why::Request);
}

/// Prints what grew since the last time.
pub(super) fn print_growth(heap: &Heap) {
    let Some(now) = Snapshot::take(heap) else { return };
    // A signal handler that interrupted this very function prints nothing.
    let Some(mut last) = LAST.lock_or_give_up() else { return };
    let diff = last.as_ref().and_then(|last| last.diff(&now).ok());
    *last = Some(now);
    drop(last);
    if let Some(diff) = diff {
        tell::paragraph(|out| diff.write(frames(), "alloc-gpa: ", out));
    }
}

/// Writes all live blocks by place to the record file; returns the number of the snapshot, or 0 if
/// there is no memory, or no record file.
pub(super) fn write_snapshot(heap: &Heap, scope: Scope, why: Why) -> u64 {
    let stats = fork::own(heap.stats());
    let Some(census) = Census::take(heap, scope) else { return 0 };
    // Relaxed: a number.
    let id = SNAPSHOT_COUNT.fetch_add(1, Relaxed) + 1;
    let places = census.places();
    let head = Head {
        id,
        ms: since_begin() / 1_000_000,
        why,
        live_blocks: places.iter().map(|place| place.blocks).sum(),
        live_bytes: places.iter().map(|place| place.bytes).sum(),
        allocations: stats.allocations,
        complete: scope == Scope::Ever
            && stats.allocations <= places.iter().map(|place| place.total_blocks).sum(),
    };
    let written = tell::with_records(|records, buffers| {
        records.write_snapshot(&head, buffers);
        for place in places {
            records.write_live(id, place, scope, buffers);
        }
    });
    if written { id } else { 0 }
}

/// Tells of what is live at the exit, if that is asked for.
pub(super) fn at_exit(heap: &Heap) {
    if tell::mode() == Mode::Records {
        // The end of the curve.
        if SAMPLE_DUE.load(Relaxed) != NEVER {
            write_sample(heap);
        }
        if heap.config.told.live {
            write_snapshot(heap, Scope::Ever, Why::Exit);
        }
    } else if heap.config.told.live
        && let Some(snapshot) = Snapshot::take(heap)
    {
        tell::paragraph(|out| {
            let live = snapshot.live();
            writeln!(
                out,
                "alloc-gpa: live: {}, {}",
                counted(live.count, "block"),
                counted(live.bytes, "byte")
            )?;
            for entry in snapshot.iter().take(PRINTED_COUNT_MAX) {
                let (blocks, bytes) = (entry.blocks, counted(entry.bytes, "byte"));
                writeln!(out, "alloc-gpa: {blocks} live, {bytes}, allocated at")?;
                crate::text::stack(entry.allocated, frames(), out)?;
            }
            match snapshot.iter().count().checked_sub(PRINTED_COUNT_MAX) {
                Some(more @ 1..) => writeln!(out, "alloc-gpa: and {}", counted(more, "more place")),
                _ => Ok(()),
            }
        });
    }
}

/// How the frames of stacks are printed in this process.
pub(super) fn frames() -> Frames {
    match tell::mode() {
        Mode::Resolved => Frames::Resolved,
        _ => Frames::Addresses,
    }
}

/// Gives the process's heap to `work`, with the thread inside the allocator; `None` before the first
/// allocation, and for a signal handler that interrupted the allocator.
pub(super) fn with_heap<R>(work: impl FnOnce(&'static Heap) -> R) -> Option<R> {
    let heap = PROCESS.heap()?;
    let inside = thread::enter()?;
    let result = work(heap);
    drop(inside);
    Some(result)
}

/// Nanoseconds since the heap began.
fn since_begin() -> u64 {
    // Relaxed: see `begin`.
    nanoseconds(sys::now()).saturating_sub(BEGAN.load(Relaxed))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER)
}

fn seconds(count: u32) -> u64 {
    u64::from(count) * 1_000_000_000
}

/// Bytes of the process that are in memory; 0: unknown.
fn resident_bytes() -> u64 {
    let mut buffer = [0; 128];
    let Some(file) = peek::open_self(c"/proc/self/statm") else { return 0 };
    let len = peek::read_some(file, &mut buffer).unwrap_or(0);
    peek::close(file);
    // The second field, in pages (proc(5)).
    let field = buffer[..len].split(|byte| *byte == b' ').nth(1);
    let pages = field.and_then(|field| core::str::from_utf8(field).ok()?.parse::<u64>().ok());
    // SAFETY: no preconditions.
    let page_len = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.unwrap_or(0) * u64::try_from(page_len).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a child, where no other test gives memory back meanwhile.
    #[test]
    fn resident_memory_is_known() {
        const LEN: usize = 32 << 20;
        let grows = || {
            let before = resident_bytes();
            let start = crate::sys::pages::map(LEN)?;
            // SAFETY: a mapping of this length, ours.
            unsafe { start.write_bytes(1, LEN) };
            Some(before + (24 << 20) < resident_bytes())
        };
        // SAFETY: the child calls nothing but the kernel.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: no preconditions.
            unsafe { libc::_exit(i32::from(grows() != Some(true))) };
        }
        let mut status = 0;
        // SAFETY: a place of ours for the status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
    }
}
