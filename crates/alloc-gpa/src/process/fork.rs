//! A process that becomes two.
//!
//! Before a fork all locks are taken, so that the child gets a heap that nobody is changing. The
//! child begins a new epoch: what its parent allocated is not its leak, what its parent found is not
//! found twice, and its records go to a file of its own. A child that was made without `fork` (a
//! bare `clone`) is noticed by its process id when it has something to write. After `vfork` nothing
//! runs here: the child uses its parent's memory, rightly.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use super::tell;
use super::{PROCESS, SideHeap, growth};
use crate::heap::Stats;
use crate::stack::{self, thread};
use crate::sys::presence;
use crate::{fault, registry};

/// What the parents of this process had counted when it was forked.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);
static TOTAL_BYTES: AtomicU64 = AtomicU64::new(0);

/// Asks to be told of forks.
pub(super) fn register() {
    // SAFETY: three functions that are never unloaded while the process can fork.
    unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
}

/// Returns the numbers without what the parents had counted.
pub(super) fn own(stats: Stats) -> Stats {
    // Relaxed: written in a forked child before any thread runs there.
    Stats {
        allocations: stats.allocations.saturating_sub(ALLOCATIONS.load(Relaxed)),
        frees: stats.frees.saturating_sub(FREES.load(Relaxed)),
        total_bytes: stats.total_bytes.saturating_sub(TOTAL_BYTES.load(Relaxed)),
        ..stats
    }
}

/// Bits of [`held`](thread::ThreadState::held) between the two ends of a fork, above those of the
/// heap's locks: what this thread took.
const SIDE: u32 = 1 << 24;
const SINK: u32 = 1 << 25;
const ENTERED: u32 = 1 << 26;
const LOCKS: u32 = SIDE - 1;

extern "C" fn prepare() {
    // A search may stop this thread between the fork and whatever it does next.
    presence::note_parent();
    // A handler that runs from here on, with the locks held, gets memory from the side heap.
    let entered = thread::enter().map(core::mem::ManuallyDrop::new).is_some();
    // A signal handler that interrupted the allocator forks: what its thread holds it cannot wait
    // for, and need not, as the child goes on there as well.
    let may_wait = entered;
    let mut held = if entered { ENTERED } else { 0 };
    if tell::before_fork(may_wait) {
        held |= SINK;
    }
    if let Some(heap) = PROCESS.heap() {
        held |= heap.before_fork(may_wait);
    }
    if SideHeap::before_fork(may_wait) {
        held |= SIDE;
    }
    // Relaxed: this thread's own.
    thread::current().held.fetch_or(held, Relaxed);
}

extern "C" fn in_parent() {
    release();
}

extern "C" fn in_child() {
    // SAFETY: a forked child has one thread, and handlers of faults do not fork.
    unsafe { fault::after_fork_child() };
    stack::after_fork_child();
    presence::note_child();
    registry::after_fork_child();
    release();
    let inside = thread::enter();
    growth::after_fork_child();
    if let Some(heap) = PROCESS.heap() {
        heap.next_epoch(inside.is_none());
        heap.findings.clear();
        let stats = heap.stats();
        // Relaxed: a forked child has one thread.
        ALLOCATIONS.store(stats.allocations, Relaxed);
        FREES.store(stats.frees, Relaxed);
        TOTAL_BYTES.store(stats.total_bytes, Relaxed);
    }
    // The child's own file.
    tell::open_records();
    drop(inside);
}

/// Releases what `prepare` took.
fn release() {
    let state = thread::current();
    // Relaxed: this thread's own, or its copy.
    let held = state.held.fetch_and(!(LOCKS | SIDE | SINK | ENTERED), Relaxed);
    if held & SIDE != 0 {
        // SAFETY: taken by `prepare`.
        unsafe { SideHeap::after_fork() };
    }
    if let Some(heap) = PROCESS.heap() {
        // SAFETY: as above: the bits are those of the locks that it took.
        unsafe { heap.after_fork(held & LOCKS) };
    }
    if held & SINK != 0 {
        // SAFETY: as above.
        unsafe { tell::after_fork() };
    }
    if held & ENTERED != 0 {
        state.leave();
    }
}
