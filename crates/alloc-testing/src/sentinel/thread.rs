//! What the sentinel keeps for each thread: cells without a destructor, so that they can be used as long
//! as the thread allocates, and that need no memory.

use core::cell::Cell;
use core::hint::black_box;
use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use super::Armed;
use super::count::Tally;
use super::region::Region;
use super::scope::Scope;

/// A thread's own state.
pub(super) struct Thread {
    /// Whether the sentinel itself is at work: what it allocates is the system's, and nobody's affair.
    inside: Cell<bool>,
    /// Set by who wants to know whether a sentinel is there, cleared by the sentinel.
    probe: Cell<bool>,
    /// The region that the thread allocates in.
    pub(super) region: Cell<Option<&'static Region>>,
    /// The innermost scope; null: none.
    ///
    /// Invariant: null, or valid: it is set back before a scope ends.
    pub(super) scope: Cell<*const Scope>,
    pub(super) tally: Tally,
}

std::thread_local! {
    static THREAD: Thread = const {
        Thread {
            inside: Cell::new(false),
            probe: Cell::new(false),
            region: Cell::new(None),
            scope: Cell::new(ptr::null()),
            tally: Tally::new(),
        }
    };
}

/// Calls `look` with the calling thread's state.
pub(super) fn with<R>(look: impl FnOnce(&Thread) -> R) -> R {
    THREAD.with(look)
}

/// Proof that the sentinel is at work in this thread; ends when dropped.
pub(super) struct Inside(PhantomData<*const ()>);

/// Marks the sentinel as at work in this thread; `None`: it is already, and called itself, or is called
/// by a signal handler.
pub(super) fn enter() -> Option<Inside> {
    // Not `then_some`: a proof that is not given must not be dropped.
    with(|thread| (!thread.inside.replace(true)).then(|| Inside(PhantomData)))
}

impl Drop for Inside {
    fn drop(&mut self) {
        with(|thread| thread.inside.set(false));
    }
}

/// Calls `work` as the sentinel's own: what it allocates is the system's, and nobody's affair.
pub(super) fn aside<R>(work: impl FnOnce() -> R) -> R {
    let _inside = enter();
    work()
}

/// Answers a probe.
pub(super) fn answer_probe() {
    with(|thread| thread.probe.set(false));
}

/// Whether a sentinel is the global allocator of this program.
pub(super) fn is_installed() -> bool {
    // Relaxed: the flag stands for itself.
    static IS_INSTALLED: AtomicBool = AtomicBool::new(false);
    if !IS_INSTALLED.load(Relaxed) {
        let armed = Armed::new();
        with(|thread| thread.probe.set(true));
        aside(|| drop(black_box(Box::new(black_box(0u64)))));
        drop(armed);
        let has_answered = with(|thread| !thread.probe.replace(false));
        IS_INSTALLED.store(has_answered, Relaxed);
    }
    IS_INSTALLED.load(Relaxed)
}
