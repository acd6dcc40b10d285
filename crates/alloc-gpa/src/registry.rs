//! All explicit heaps of the process: so that a fork finds none half changed, and so that one heap may
//! look at another's chunk while that ends.
//!
//! ```text
//!   FIRST (lock) ──► heap ──► heap ──► ...      entered when a `Gpa` maps its heap, until it ends
//! ```
//!
//! **Fork.** `prepare` takes the list and every heap's locks; both processes release them. The child's
//! heaps begin a new epoch: what the parent allocated is not the child's leak, what it found is not
//! found twice. A handler of another library that runs in between must not use an explicit heap: it
//! would wait for its own thread.
//!
//! **Looking.** The map leads from an address to a chunk of whatever heap. That heap may be ending in
//! another thread: it takes its chunks out of the map, and then waits until nobody is looking any more.
//!
//! | atomic | orderings | partner |
//! | --- | --- | --- |
//! | `LOOKING` | Relaxed add, then a SeqCst fence; Release sub; a SeqCst fence, then an Acquire load | the map's entries: either the heap that ends sees who looks, or who looks sees that the entry is gone |
//! | `Link` | Relaxed, under the list's lock | |

use core::num::NonZeroUsize;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, fence};

use crate::heap::{Heap, map};
use crate::lock::{Guard, Lock};
use crate::stack::{self, thread};
use crate::sys::presence;

/// A heap's place in the list. All zero: in none.
pub(crate) struct Link {
    next: AtomicPtr<Heap>,
    /// The locks of the heap that a fork holds.
    held: AtomicU32,
}

/// The first heap of the list.
struct First(*mut Heap);

// SAFETY: the heaps of the list are mapped while they are in it, and may be used by any thread.
unsafe impl Send for First {}

static FIRST: Lock<First> = Lock::new(First(ptr::null_mut()));
/// The bit of a thread's [`held`](thread::ThreadState::held) between the two ends of a fork, when it
/// has the list.
const LISTED: u32 = 1 << 29;
/// Whether there was ever an explicit heap.
static USED: AtomicBool = AtomicBool::new(false);
/// Threads that look at a chunk which may be another heap's.
static LOOKING: AtomicUsize = AtomicUsize::new(0);

/// How often a heap that ends looks whether others look at it: some seconds at most.
const WAIT_COUNT_MAX: u32 = 100_000;

/// Enters a heap that was just mapped.
pub(crate) fn enter(heap: NonNull<Heap>) {
    // So that a signal handler that forks does not wait for its own thread; here and in `leave`.
    let inside = thread::enter();
    // Relaxed: only that one call goes on matters. The Release that enters the heap's first chunk into
    // the map publishes it, too.
    if !USED.swap(true, Relaxed) {
        // SAFETY: three functions that are never unloaded while the process can fork.
        unsafe { libc::pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
    }
    let mut first = FIRST.lock();
    // SAFETY: mapped by the caller.
    let link = &unsafe { heap.as_ref() }.link;
    // Relaxed: under the lock.
    link.next.store(first.0, Relaxed);
    first.0 = heap.as_ptr();
    drop(first);
    drop(inside);
}

/// Takes a heap out that is going to be unmapped.
pub(crate) fn leave(heap: NonNull<Heap>) {
    let _inside = thread::enter();
    let mut first = FIRST.lock();
    // SAFETY: mapped by the caller.
    let next = unsafe { heap.as_ref() }.link.next.load(Relaxed);
    if first.0 == heap.as_ptr() {
        first.0 = next;
        return;
    }
    let mut at = first.0;
    // SAFETY: heaps of the list are mapped.
    while let Some(other) = unsafe { at.as_ref() } {
        // Relaxed, both: under the lock.
        at = other.link.next.load(Relaxed);
        if at == heap.as_ptr() {
            other.link.next.store(next, Relaxed);
            return;
        }
    }
}

/// Whether a chunk that the caller found in the map may be that of an explicit heap.
#[inline]
pub(crate) fn may_end() -> bool {
    // Relaxed: the Acquire that found the chunk published it; see `enter`.
    USED.load(Relaxed)
}

/// Calls `look`, which may look at chunks of other heaps that the map leads to.
pub(crate) fn looking<R>(look: impl FnOnce() -> R) -> R {
    // SeqCst: see the module's docs.
    LOOKING.fetch_add(1, Relaxed);
    fence(SeqCst);
    let result = look();
    // Release: what was read was read before; pairs with the Acquire in `wait_for_lookers`.
    LOOKING.fetch_sub(1, Release);
    result
}

/// Returns a number for the heap that the address belongs to, whatever block of it: the one that
/// [`Gpa::id`](crate::Gpa::id) returns. For a global allocator that hands out blocks of several.
#[doc(hidden)]
#[must_use]
pub fn owner_of(ptr: *const u8) -> Option<NonZeroUsize> {
    if !map::may_hold(ptr.addr()) || map::lookup(ptr.addr()).is_null() {
        return None;
    }
    looking(|| {
        // SAFETY: chunks in the map are mapped; those of a heap that is ending stay so while somebody
        // looks.
        let chunk = unsafe { map::lookup(ptr.addr()).as_ref() }?;
        NonZeroUsize::new(chunk.owner)
    })
}

/// Waits until nobody looks at chunks that the caller has taken out of the map. Returns whether that
/// came true: if not, their headers must stay mapped.
pub(crate) fn wait_for_lookers() -> bool {
    // SeqCst: see the module's docs.
    fence(SeqCst);
    (0..WAIT_COUNT_MAX).any(|_| {
        // Acquire: pairs with the Release in `looking`.
        let quiet = LOOKING.load(Acquire) == 0;
        if !quiet {
            // SAFETY: no preconditions.
            unsafe { libc::sched_yield() };
        }
        quiet
    })
}

/// The list, locked: no explicit heap begins or ends meanwhile. The thread is inside the allocator.
pub(crate) struct All(#[expect(dead_code, reason = "held")] Guard<'static, First>);

/// Locks the list.
pub(crate) fn all() -> All {
    All(FIRST.lock())
}

/// The same, unless somebody has it, who may be interrupted by the caller.
pub(crate) fn try_all() -> Option<All> {
    FIRST.try_lock().map(All)
}

impl All {
    /// Calls `visit` for every explicit heap but this one.
    pub(crate) fn for_each_but(&self, heap: &Heap, mut visit: impl FnMut(&Heap)) {
        for_each(|other| {
            if !ptr::eq(other, heap) {
                visit(other);
            }
        });
    }
}

/// Calls `visit` for every heap of the list, which the caller has locked.
fn for_each(mut visit: impl FnMut(&Heap)) {
    // SAFETY: the list is locked by this thread: its first is not written.
    let mut at = unsafe { FIRST.peek() }.0;
    // SAFETY: heaps of the list are mapped.
    while let Some(heap) = unsafe { at.as_ref() } {
        visit(heap);
        // Relaxed: under the lock.
        at = heap.link.next.load(Relaxed);
    }
}

/// A forked child's first step: nobody looks there, also if this process never had an explicit heap.
pub(crate) fn after_fork_child() {
    // Relaxed: a forked child has one thread, which forked.
    LOOKING.store(0, Relaxed);
}

extern "C" fn prepare() {
    // As where the process's heap is prepared: before another thread may search.
    presence::note_parent();
    // A signal handler that interrupted the allocator may hold what it would wait for.
    let may_wait = thread::enter().is_some();
    let listed = FIRST.acquire(may_wait);
    // Relaxed, all: under the list's lock.
    if listed {
        for_each(|heap| heap.link.held.store(heap.before_fork(may_wait), Relaxed));
    }
    if listed {
        thread::current().held.fetch_or(LISTED, Relaxed);
    }
}

extern "C" fn in_parent() {
    release(|_| ());
}

extern "C" fn in_child() {
    stack::after_fork_child();
    presence::note_child();
    after_fork_child();
    let is_inside = thread::is_inside();
    release(|heap| {
        heap.next_epoch(is_inside);
        heap.findings.clear();
    });
}

/// Releases what `prepare` took, and does `more` with each heap.
fn release(more: impl Fn(&Heap)) {
    // Relaxed: this thread's own, or its copy.
    if thread::current().held.fetch_and(!LISTED, Relaxed) & LISTED == 0 {
        return;
    }
    for_each(|heap| {
        // SAFETY: the bits are those of the locks that `prepare` took.
        unsafe { heap.after_fork(heap.link.held.swap(0, Relaxed)) };
        more(heap);
    });
    // SAFETY: taken by `prepare`.
    unsafe { FIRST.release() };
}
