//! What is asked about all threads: counts, and phases in which nobody may allocate.
//!
//! ```text
//!   SLOTS   [ users | watcher ] [ users | watcher ] ...      64; `OCCUPIED` has a bit for each
//! ```
//!
//! A thread that is about to tell a watcher says so in `users` and looks then whether it is still there;
//! who ends a watcher takes it out and waits then until nobody uses it.
//!
//! | atomic | orders | partner |
//! | --- | --- | --- |
//! | `Slot::users`, `Slot::watcher` | SeqCst | each other: either who ends sees who uses, or that one sees that the watcher is gone |
//! | `OCCUPIED` | Relaxed | none: only which slots are worth a look; see `ARMED` |

use core::ptr;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};
use std::sync::OnceLock;

use super::count::SharedTally;
use super::frozen::OnAlloc;
use super::operation::{Frees, Offence, Operation};
use super::{Armed, thread};

const SLOT_COUNT: usize = 64;
/// How often who ends a watcher looks whether it is in use, and waits a little: ten seconds. Who was
/// forked while another thread used it would wait for ever.
const LOOK_COUNT: u32 = 100_000;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Count,
    Forbid { frees: Frees, phase: &'static str, policy: OnAlloc },
}

/// One who wants to know.
pub(super) struct Watcher {
    what: What,
    pub(super) tally: SharedTally,
    /// The first operation that was not allowed.
    first: OnceLock<Offence>,
    /// How many there were.
    count: AtomicU64,
}

struct Slot {
    users: AtomicU32,
    /// Invariant: null, or a leaked box, which is freed only after it was taken out and `users` was 0.
    watcher: AtomicPtr<Watcher>,
}

static SLOTS: [Slot; SLOT_COUNT] =
    [const { Slot { users: AtomicU32::new(0), watcher: AtomicPtr::new(ptr::null_mut()) } };
        SLOT_COUNT];
static OCCUPIED: AtomicU64 = AtomicU64::new(0);

/// Calls `look` with every watcher.
fn for_each(mut look: impl FnMut(&Watcher)) {
    let mut occupied = OCCUPIED.load(Relaxed);
    while occupied != 0 {
        let slot = &SLOTS[occupied.trailing_zeros() as usize];
        occupied &= occupied - 1;
        // SeqCst, all: see the module's docs.
        slot.users.fetch_add(1, SeqCst);
        // SAFETY: invariant on `watcher`: it stays while `users` counts this thread.
        if let Some(watcher) = unsafe { slot.watcher.load(SeqCst).as_ref() } {
            look(watcher);
        }
        slot.users.fetch_sub(1, SeqCst);
    }
}

/// Looks whether an operation is allowed, and does what was said if not.
pub(super) fn judge(operation: Operation) {
    for_each(|watcher| {
        let What::Forbid { frees, phase, policy } = watcher.what else { return };
        if operation.is_allowed(frees) || std::thread::panicking() {
            return;
        }
        watcher.count.fetch_add(1, Relaxed);
        if watcher.first.get().is_none() {
            // Another thread may have been faster.
            let _ = watcher.first.set(Offence::here(operation));
        }
        policy.act(phase, operation);
    });
}

/// Counts an operation that was made.
pub(super) fn tell(operation: Operation) {
    for_each(|watcher| {
        if let What::Count = watcher.what {
            watcher.tally.add(operation);
        }
    });
}

/// A watcher at work, until it is dropped.
pub(super) struct Watched {
    index: usize,
    watcher: *mut Watcher,
    _armed: Armed,
}

// SAFETY: the watcher is shared with all threads anyway; only its owner ends it.
unsafe impl Send for Watched {}
// SAFETY: as above: its methods only borrow what is atomic.
unsafe impl Sync for Watched {}

impl Watched {
    #[track_caller]
    pub(super) fn begin(what: What) -> Self {
        let (tally, first, count) = (SharedTally::default(), OnceLock::new(), AtomicU64::new(0));
        let watcher = Watcher { what, tally, first, count };
        let watcher = thread::aside(|| Box::into_raw(Box::new(watcher)));
        let armed = Armed::new();
        // SeqCst: see the module's docs.
        let free = SLOTS.iter().position(|slot| {
            slot.watcher.compare_exchange(ptr::null_mut(), watcher, SeqCst, SeqCst).is_ok()
        });
        let Some(index) = free else {
            // SAFETY: just leaked, and nobody has seen it.
            drop(unsafe { Box::from_raw(watcher) });
            panic!("{SLOT_COUNT} regions watch all threads already");
        };
        OCCUPIED.fetch_or(1 << index, Relaxed);
        Self { index, watcher, _armed: armed }
    }

    pub(super) fn with<R>(&self, look: impl FnOnce(&Watcher) -> R) -> R {
        // SAFETY: it is freed by the drop of `self`, which is borrowed.
        look(unsafe { &*self.watcher })
    }

    /// How many operations were not allowed, and the first of them.
    pub(super) fn offences(&self) -> (u64, Option<Offence>) {
        self.with(|watcher| (watcher.count.load(Relaxed), watcher.first.get().copied()))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let slot = &SLOTS[self.index];
        OCCUPIED.fetch_and(!(1 << self.index), Relaxed);
        // SeqCst, both: see the module's docs.
        slot.watcher.store(ptr::null_mut(), SeqCst);
        let is_unused = (0..LOOK_COUNT).any(|_| {
            let is_unused = slot.users.load(SeqCst) == 0;
            if !is_unused {
                std::thread::sleep(std::time::Duration::from_micros(100));
            }
            is_unused
        });
        if is_unused {
            // SAFETY: invariant on `watcher`: leaked by `begin`, taken out, and nobody uses it.
            thread::aside(|| drop(unsafe { Box::from_raw(self.watcher) }));
        }
    }
}
