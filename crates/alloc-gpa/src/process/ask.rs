//! What a process can ask about its own heap: a Rust program with [`Global`](crate::Global), and, by
//! the functions that `alloc-preload` exports, a C program.

use core::ffi::c_void;
use core::fmt;

use alloc_core::AllocError;

use super::growth::{self, Why, with_heap};
use super::scan::{self, Registers};
use super::tell::{self, Mode};
use super::{PROCESS, fork, leave};
use crate::census::Scope;
use crate::finding::Finding;
use crate::gpa::Gpa;
use crate::heap::{Heap, Stats};
use crate::leaks::Leaks;
use crate::lock::Lock;
use crate::snapshot::Snapshot;
use crate::stack::thread;
use crate::stats::Breakdown;
use crate::text;

/// Why leaks could not be looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SearchError(&'static str);

impl fmt::Display for SearchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for SearchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for SearchError {}

/// Returns the numbers of the process's heap; all zero before the first allocation. Allocations and
/// frees are those of this process, without what its parent had done when it was forked.
#[must_use]
pub fn stats() -> Stats {
    PROCESS.heap().map(|heap| fork::own(heap.stats())).unwrap_or_default()
}

/// Returns where the memory of the process's heap goes: by size class, and what is kept. It looks at
/// every block's record.
#[must_use]
pub fn breakdown() -> Breakdown<'static> {
    Breakdown::of(PROCESS.heap())
}

/// Counts what is live in the process's heap by the stack that allocated it; under `alloc-check` it is
/// in the report, too.
///
/// ```
/// #[global_allocator]
/// static ALLOC: alloc_gpa::Global = alloc_gpa::Global::new();
///
/// # fn serve() -> Vec<u8> { vec![1; 100] }
/// let before = alloc_gpa::process::snapshot()?;
/// let kept = serve();
/// let after = alloc_gpa::process::snapshot()?;
/// let diff = before.diff(&after)?;
/// assert!(100 <= diff.bytes());
/// println!("{diff}");
/// # drop(kept);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// # Errors
///
/// If the system has no memory for the counts, or there is no heap: this is no process whose malloc or
/// global allocator checks.
pub fn snapshot() -> Result<Snapshot, AllocError> {
    let taken = with_heap(|heap| {
        if tell::mode() == Mode::Records {
            growth::write_snapshot(heap, Scope::Live, Why::Request);
        }
        Snapshot::take(heap)
    });
    taken.flatten().ok_or(AllocError)
}

/// Looks for leaks now, as at the exit, and goes on: blocks that nothing leads to any more. Under
/// `alloc-check` they are in the report, too; what is still lost at the exit counts again there.
///
/// It follows pointers through all memory, which takes about a second for some million blocks. The other
/// threads keep still meanwhile, on Linux and x86-64; if one cannot (it blocks all signals past libc, or waits where
/// no signal reaches it), nothing is lost for certain, and a note says so.
///
/// # Errors
///
/// Why it could not; as the notes at an exit.
#[inline(never)]
pub fn detect_leaks() -> Result<Leaks, SearchError> {
    let mut found = Err(SearchError("leaks: not counted: no checking heap serves this process"));
    extern "C" fn search(found: *mut c_void, registers: &Registers) {
        let found = found.cast::<Result<Leaks, SearchError>>();
        let result = with_heap(|heap| {
            let leaks = scan::search(heap, registers, scan::Moment::Before).map_err(SearchError);
            if let Ok(leaks) = &leaks
                && tell::mode() == Mode::Records
            {
                write(heap, leaks);
            }
            leaks
        });
        if let Some(result) = result {
            // SAFETY: `detect_leaks` passes the address of its variable, which nobody else uses now;
            // it is initialised.
            unsafe { *found = result };
        }
    }
    scan::with_registers(search, (&raw mut found).cast());
    found
}

/// As [`Gpa::find_lost`].
#[inline(never)]
pub(crate) fn find_lost(gpa: &Gpa) -> Result<Leaks, SearchError> {
    struct Call<'g> {
        gpa: &'g Gpa,
        found: Result<Leaks, SearchError>,
    }
    extern "C" fn search(call: *mut c_void, registers: &Registers) {
        // SAFETY: `find_lost` passes the address of its variable, which nobody else uses now; it is
        // initialised.
        let call = unsafe { &mut *call.cast::<Call<'_>>() };
        let Ok(heap) = call.gpa.heap_or_map() else { return };
        let inside = thread::enter();
        let moment = match inside {
            Some(_) => scan::Moment::Before,
            None => scan::Moment::Interrupted,
        };
        call.found = scan::search(heap, registers, moment).map_err(SearchError);
    }
    let mut call =
        Call { gpa, found: Err(SearchError("leaks: not counted: no memory for a heap")) };
    scan::with_registers(search, (&raw mut call).cast());
    call.found
}

/// Writes leaks that were found before the end.
pub(super) fn write(heap: &Heap, leaks: &Leaks) {
    let snapshot = growth::write_snapshot(heap, Scope::Live, Why::Request);
    for group in leaks.groups() {
        let (cycle, dump) = (leaks.cycle_of(group), heap.config.dump_len());
        tell::with_records(|records, buffers| {
            records.write_leak(Some(snapshot), group, cycle, dump, buffers);
        });
    }
    for note in leaks.notes() {
        tell::with_records(|records, buffers| records.write_note(note, buffers));
    }
}

/// Tells now of what would only be found at the exit: damage around live blocks and in freed ones.
/// Under `alloc-check`, the numbers of this moment are in the report, too.
///
/// For a process that will be killed, or end without exit handlers.
pub fn flush() {
    with_heap(|heap| {
        heap.audit_damage();
        if tell::mode() == Mode::Records {
            growth::write_sample(heap);
        }
    });
}

/// Sets a function that is told of every finding when it is new; `None`: nobody. What it may do is
/// said at [`Builder::sink`](crate::Builder::sink); what it allocates from the process's heap is not
/// checked. Findings are written and counted as without it. Returns whether there is a heap to set it
/// for.
pub fn set_sink(sink: Option<fn(&Finding)>) -> bool {
    PROCESS.heap().is_some_and(|heap| {
        heap.callback.set(sink);
        true
    })
}

/// Snapshots of a C program, the oldest of which gives way to a new one: numbers from 1, as
/// [`keep_snapshot`] gave them.
struct Kept {
    snapshots: [Option<Snapshot>; Self::COUNT],
    /// The number of the last one.
    last: usize,
}

impl Kept {
    const COUNT: usize = 8;
}

static KEPT: Lock<Kept> = Lock::new(Kept { snapshots: [const { None }; Kept::COUNT], last: 0 });

/// Takes a snapshot and keeps it until seven more were taken; returns its number, or 0. For C.
#[doc(hidden)]
#[must_use]
pub fn keep_snapshot() -> usize {
    let Ok(snapshot) = snapshot() else { return 0 };
    let Some(mut kept) = KEPT.lock_or_give_up() else { return 0 };
    kept.last += 1;
    let number = kept.last;
    kept.snapshots[number % Kept::COUNT] = Some(snapshot);
    number
}

/// Prints what grew since the snapshot of that number; returns whether it is still kept. For C.
#[doc(hidden)]
#[must_use]
pub fn print_growth(number: usize) -> bool {
    let Some(Some(now)) = with_heap(Snapshot::take) else { return false };
    let Some(kept) = KEPT.lock_or_give_up() else { return false };
    let is_kept = number <= kept.last && kept.last < number.saturating_add(Kept::COUNT);
    let earlier = kept.snapshots[number % Kept::COUNT].as_ref().filter(|_| is_kept && number != 0);
    let Some(Ok(diff)) = earlier.map(|earlier| earlier.diff(&now)) else { return false };
    drop(kept);
    with_heap(|_| tell::paragraph(|out| diff.write(growth::frames(), "alloc-gpa: ", out)));
    true
}

/// Prints leaks, and how many blocks of each kind there are. For C.
#[doc(hidden)]
pub fn print_leaks(leaks: &Leaks) {
    if tell::mode() == Mode::Records {
        // They are in the records.
        return;
    }
    with_heap(|heap| {
        tell::paragraph(|out| {
            text::leaks(leaks, leave::style(heap), out)?;
            leave::print_totals(heap, leaks, out)
        });
    });
}

/// Prints why leaks could not be looked for. For C.
#[doc(hidden)]
pub fn print_error(error: SearchError) {
    with_heap(|_| match tell::mode() {
        Mode::Records => {
            tell::with_records(|records, buffers| records.write_note(error.0, buffers));
        }
        _ => tell::paragraph(|out| writeln!(out, "alloc-gpa: {error}")),
    });
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::fault::stop::Right;

    /// A signal handler that interrupted a search, of whatever heap, is refused one and does not wait: its own thread
    /// is the one that has the right.
    #[test]
    fn a_handler_does_not_wait_for_what_it_interrupted() {
        let gpa = Gpa::builder().quiet().build();
        let right = Right::wait_at_most(u64::MAX).expect("its turn comes");
        let inside = thread::enter().expect("no call of the allocator's is at work");
        assert!(find_lost(&gpa).is_err());
        drop(right);
        drop(inside);
        assert!(find_lost(&gpa).is_ok_and(|leaks| leaks.is_empty()), "others are waited for");
    }
}
