//! A process that becomes two.
//!
//! Before a fork all locks are taken, so that the child gets a heap that nobody is changing. The
//! child begins a new epoch: what its parent allocated is not its leak, what its parent found is not
//! found twice, and its records go to a file of its own. A child that was made without `fork` (a
//! bare `clone`) is noticed by its process id when it has something to write. After `vfork` nothing
//! runs here: the child uses its parent's memory, rightly.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use super::tell::{self, Mode};
use super::{PROCESS, SideHeap};
use crate::heap::Stats;
use crate::stack::{self, thread};

/// What the parents of this process had counted when it was forked.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);

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
        ..stats
    }
}

extern "C" fn prepare() {
    tell::before_fork();
    if let Some(heap) = PROCESS.heap() {
        heap.before_fork();
    }
    SideHeap::before_fork();
}

extern "C" fn in_parent() {
    release();
}

extern "C" fn in_child() {
    stack::after_fork_child();
    release();
    let inside = thread::enter();
    if let Some(heap) = PROCESS.heap() {
        heap.next_epoch();
        heap.findings.clear();
        let stats = heap.stats();
        // Relaxed: a forked child has one thread.
        ALLOCATIONS.store(stats.allocations, Relaxed);
        FREES.store(stats.frees, Relaxed);
    }
    if tell::mode() == Mode::Records {
        // Opens the child's own file.
        tell::with_records(|records, _| records.forget_other());
    }
    drop(inside);
}

/// Releases what `prepare` took.
fn release() {
    // SAFETY: called after `prepare`, by the same thread or its copy.
    unsafe { SideHeap::after_fork() };
    if let Some(heap) = PROCESS.heap() {
        // SAFETY: as above; a heap that is there now was there in `prepare`: its lock of growth, and
        // that nobody ran in between in this thread, see to that.
        unsafe { heap.after_fork() };
    }
    // SAFETY: as above.
    unsafe { tell::after_fork() };
}
