//! The executable mappings of the process, and the files behind them.
//!
//! Read from `/proc/self/maps` and from the ELF headers in memory, never through
//! `dl_iterate_phdr`: no lock of the loader is taken. The result is an immutable *snapshot* behind
//! one atomic pointer; readers never wait. It is refreshed when an address lies outside of it or
//! after [`invalidate`]; the thread that gets the lock refreshes, the others use the old one.
//!
//! Records of modules are never freed, so an address of a library that was closed still resolves.
//!
//! | atomic | ordering | partner |
//! | --- | --- | --- |
//! | `SNAPSHOT` | `Release` store by the refresher | `Acquire` load |
//! | `RECORDS` | `Release` store by the refresher | `Acquire` load |
//! | `WANTED`, `STAMP`, `Snapshot::wanted` | `Relaxed` | none: a thread that sees it late uses the old snapshot |
//! | `BACKOFF` and `SKIPS` | `Relaxed` | none: they only limit how often is looked |

use core::ptr::{self, NonNull};
use core::sync::atomic::{
    AtomicPtr, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use super::modules_build::Refresher;
use super::rules::{Forget, Rules};
use super::table::Tables;
use crate::sys::{peek, try_lock::TryLock};

/// The most bytes of a build id that are kept; GNU's are 20.
pub(crate) const BUILD_ID_MAX: usize = 32;
/// The bytes of `.eh_frame_hdr` that are compared before its tables are used.
pub(crate) const MARK_LEN: usize = 12;

/// A file that is or was mapped for execution. Never changed or freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModuleRef {
    /// Counts the modules from 0; one that is loaded again gets a new id.
    pub(crate) id: u32,
    /// As `/proc/self/maps` shows it.
    pub(crate) path: &'static [u8],
    /// The image in memory, `[start, end)`.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// What to subtract from an address to get the file's virtual address.
    pub(crate) bias: usize,
    /// Empty if there is none.
    pub(crate) build_id: &'static [u8],
}

/// What the refresher knows about one module.
pub(crate) struct Record {
    pub(crate) module: ModuleRef,
    pub(crate) inode: u64,
    pub(crate) unwind: Option<Unwind>,
    /// The serial number of the last refresh that saw the module.
    pub(crate) seen: AtomicU32,
    /// The record made before this one.
    pub(crate) older: Option<&'static Record>,
}

/// Where a module's unwind tables are.
#[derive(Clone, Copy)]
pub(crate) struct Unwind {
    pub(crate) hdr: (usize, usize),
    pub(crate) eh_frame: (usize, usize),
    /// The first bytes of the header, to see whether it is still there.
    pub(crate) mark: [u8; MARK_LEN],
}

/// One executable mapping.
#[derive(Clone, Copy)]
pub(crate) struct Range {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// `None` for code that no file holds, such as a JIT's.
    pub(crate) record: Option<&'static Record>,
}

/// The executable mappings at one time.
pub(crate) struct Snapshot {
    /// Differs from that of every other snapshot; never 0.
    pub(crate) generation: u32,
    /// Sorted; they do not overlap.
    pub(crate) ranges: &'static [Range],
    /// The value of `WANTED` that this snapshot answers.
    pub(crate) wanted: AtomicU32,
}

/// The newest snapshot. Invariant: null, or one that lives for ever.
static SNAPSHOT: AtomicPtr<Snapshot> = AtomicPtr::new(ptr::null_mut());
/// The newest record. Invariant: null, or one that lives for ever.
static RECORDS: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());
/// Counts the calls of [`invalidate`].
static WANTED: AtomicU32 = AtomicU32::new(0);
/// Changes whenever a capture may come out otherwise than before: see [`stamp`].
static STAMP: AtomicU32 = AtomicU32::new(1);
/// The logarithm of how many calls are let pass after the next look that finds nothing new.
static BACKOFF: AtomicU32 = AtomicU32::new(0);
/// How many calls are still let pass.
static SKIPS: AtomicU32 = AtomicU32::new(0);
const BACKOFF_MAX: u32 = 8;
/// How often a thread yields to the one that reads the mappings: some milliseconds in all.
const AWAIT_COUNT_MAX: u32 = 2000;

#[cfg(not(loom))]
static REFRESHER: TryLock<Refresher> = TryLock::new(Refresher::new());
// The model checker's atomics cannot be made by a constant.
#[cfg(loom)]
static REFRESHER: std::sync::LazyLock<TryLock<Refresher>> =
    std::sync::LazyLock::new(|| TryLock::new(Refresher::new()));

/// The rules that were found in the modules' tables.
#[cfg(not(loom))]
pub(crate) static RULES: Rules = Rules::new();
#[cfg(loom)]
pub(crate) static RULES: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(Rules::new);

/// Says that libraries were opened or closed: the next capture looks again.
pub(crate) fn invalidate() {
    // Relaxed: see the module's table.
    WANTED.fetch_add(1, Relaxed);
    STAMP.fetch_add(1, Relaxed);
    BACKOFF.store(0, Relaxed);
    SKIPS.store(0, Relaxed);
}

/// Returns a number that differs from the last one if modules were said to come or go since, or were seen
/// to.
#[inline]
pub(crate) fn stamp() -> u32 {
    // Relaxed: see the module's table.
    STAMP.load(Relaxed)
}

/// A forked child's first step: it has one thread, so nobody is refreshing.
pub(crate) fn after_fork() {
    // SAFETY: the caller is a forked child's only thread, and it is not refreshing: a fork out of
    // the refresher would need a signal handler that forks, whose child never returns to it.
    unsafe { REFRESHER.reset_after_fork() };
    // SAFETY: as above.
    unsafe { RULES.reset_after_fork() };
}

/// Returns the newest snapshot, made or refreshed now if need be; `None` if there never was one.
#[inline]
pub(crate) fn snapshot() -> Option<&'static Snapshot> {
    match newest() {
        // Relaxed: see the module's table.
        Some(snapshot) if snapshot.wanted.load(Relaxed) == WANTED.load(Relaxed) => Some(snapshot),
        old => look_again().or(old),
    }
}

/// Returns a snapshot that may know an address that the one in hand does not; `None` if it is too
/// early to look again.
///
/// Each look that finds nothing new doubles the number of calls that are let pass before the next:
/// garbage that looks like an address must not have the mappings read at every allocation.
#[cold]
pub(crate) fn look_again() -> Option<&'static Snapshot> {
    // Relaxed: see the module's table.
    if SKIPS.load(Relaxed) != 0 {
        SKIPS.fetch_sub(1, Relaxed);
        return None;
    }
    let before = newest().map(|snapshot| snapshot.generation);
    let Some(mut refresher) = REFRESHER.try_lock() else {
        return await_other(before);
    };
    let after = refresh(&mut refresher);
    if after.is_some_and(|after| before != Some(after.generation)) {
        BACKOFF.store(0, Relaxed);
    } else {
        let backoff = BACKOFF.load(Relaxed);
        BACKOFF.store((backoff + 1).min(BACKOFF_MAX), Relaxed);
        SKIPS.store((1 << backoff) - 1, Relaxed);
    }
    after
}

/// Returns the snapshot that another thread is making, if it comes soon: without it the two first
/// threads of a process would lose the stack of one. `before` is the newest one's generation.
///
/// The wait is bounded, in case the other thread does not run: no capture may hang on it.
#[cold]
fn await_other(before: Option<u32>) -> Option<&'static Snapshot> {
    (0..AWAIT_COUNT_MAX).find_map(|_| {
        // SAFETY: the call has no preconditions.
        unsafe { libc::sched_yield() };
        newest().filter(|snapshot| before != Some(snapshot.generation))
    })
}

#[inline]
fn newest() -> Option<&'static Snapshot> {
    // Acquire: sees the snapshot whole. Pairs with the Release in `refresh`.
    let snapshot = NonNull::new(SNAPSHOT.load(Acquire))?;
    // SAFETY: by the invariant on `SNAPSHOT` it lives for ever; it is shared only as `&`.
    Some(unsafe { snapshot.as_ref() })
}

fn records() -> Option<&'static Record> {
    // Acquire: sees the record whole. Pairs with the Release in `refresh`.
    let record = NonNull::new(RECORDS.load(Acquire))?;
    // SAFETY: by the invariant on `RECORDS` it lives for ever; it is shared only as `&`.
    Some(unsafe { record.as_ref() })
}

/// Reads the mappings again; `None` if the system refuses them, or memory.
fn refresh(refresher: &mut Refresher) -> Option<&'static Snapshot> {
    // Relaxed: read before the mappings are, so that an `invalidate` in between is not lost.
    let wanted = WANTED.load(Relaxed);
    let old = newest();
    let built = refresher.read(records(), old)?;
    if let Some(record) = built.newest_record {
        // Release: publishes the record. Pairs with the Acquire in `records`.
        RECORDS.store(ptr::from_ref(record).cast_mut(), Release);
    }
    let snapshot = built.snapshot;
    let is_new = old.is_none_or(|old| old.generation != snapshot.generation);
    if is_new && !RULES.forget(what_to_forget(old, snapshot), snapshot.generation) {
        return None;
    }
    snapshot.wanted.store(wanted, Relaxed);
    // Release: publishes the snapshot. Pairs with the Acquire in `newest`.
    SNAPSHOT.store(ptr::from_ref(snapshot).cast_mut(), Release);
    if is_new {
        // Relaxed: see the module's table.
        STAMP.fetch_add(1, Relaxed);
    }
    Some(snapshot)
}

/// Returns which rules do not hold in the new snapshot.
fn what_to_forget(old: Option<&Snapshot>, new: &Snapshot) -> Forget {
    let stays = |range: &Range| {
        let kept = new.find(range.start).filter(|kept| kept.start == range.start);
        kept.is_some_and(|kept| range.end <= kept.end && same_record(range, kept))
    };
    match old {
        Some(old) if old.ranges.iter().all(stays) => Forget::Unknown,
        _ => Forget::All,
    }
}

/// Whether two ranges hold code of the same module, loaded once.
pub(crate) fn same_record(a: &Range, b: &Range) -> bool {
    a.record.map(ptr::from_ref) == b.record.map(ptr::from_ref)
}

impl Snapshot {
    /// Returns the executable mapping that holds `addr`.
    pub(crate) fn find(&self, addr: usize) -> Option<&'static Range> {
        let after = self.ranges.partition_point(|range| range.start <= addr);
        let range = &self.ranges[after.checked_sub(1)?];
        (addr < range.end).then_some(range)
    }
}

impl Unwind {
    /// Gives the module's unwind tables to `use_tables`; `None` if they are not there any more.
    pub(crate) fn with<R>(&self, use_tables: impl FnOnce(Tables<'_>) -> R) -> Option<R> {
        let mut mark = [0; MARK_LEN];
        if !peek::read(self.hdr.0, &mut mark) || mark != self.mark {
            return None;
        }
        let hdr = core::ptr::with_exposed_provenance(self.hdr.0);
        // SAFETY: the refresher found these bytes within one readable mapping of the module, which
        // the look above found in place. It stays while the caller's frame is unwound: closing a
        // library whose code is on a stack is undefined for the program already. Nobody writes
        // to it.
        let hdr = unsafe { core::slice::from_raw_parts(hdr, self.hdr.1) };
        let eh_frame = core::ptr::with_exposed_provenance(self.eh_frame.0);
        // SAFETY: as above.
        let eh_frame = unsafe { core::slice::from_raw_parts(eh_frame, self.eh_frame.1) };
        Some(use_tables(Tables {
            hdr,
            hdr_addr: self.hdr.0,
            eh_frame,
            eh_frame_addr: self.eh_frame.0,
        }))
    }
}

/// Returns the module whose image holds `addr`: one that is loaded, else the last that was there.
pub(crate) fn lookup(addr: usize) -> Option<ModuleRef> {
    let known = newest().and_then(|snapshot| snapshot.find(addr)).and_then(|range| range.record);
    if let Some(record) = known {
        return Some(record.module);
    }
    let mut holding =
        iter().filter(|record| (record.module.start..record.module.end).contains(&addr));
    let first = holding.next()?;
    // Relaxed: see `Record::seen`, a number that is only compared.
    let newest = holding.fold(first, |best, record| {
        if best.seen.load(Relaxed) < record.seen.load(Relaxed) { record } else { best }
    });
    Some(newest.module)
}

/// Gives each module that is or was loaded to `each`, the newest first.
#[cfg(test)]
pub(crate) fn for_each(each: &mut dyn FnMut(ModuleRef)) {
    iter().for_each(|record| each(record.module));
}

fn iter() -> impl Iterator<Item = &'static Record> {
    core::iter::successors(records(), |record| record.older)
}
