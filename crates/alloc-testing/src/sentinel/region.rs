//! Regions of [`check_leaks`](super::check_leaks): each has a checking heap of its own, from which the
//! threads allocate that belong to it.
//!
//! ```text
//!   FIRST ──► Region ──► Region ──► ...       never freed; one that is free is used again
//!               │ heap: Gpa, users, helpers
//!               ▼
//!   block's address ──► alloc_gpa::owner_of ──► number of the heap ──► Region
//! ```
//!
//! | atomic | orders | partner |
//! | --- | --- | --- |
//! | `FIRST` | Release of a push, Acquire of a walk | publishes a region |
//! | `state` | AcqRel to take, Release to give back | whoever takes it next sees `heap` as it was left |
//! | `users` | Relaxed up, Release down, Acquire of the 0 | what users did comes before the end of the heap |
//! | `id`, `helpers` | SeqCst | each other: either who ends the heap sees who frees in it, or that one sees that it is gone |
//! | `has_ended` | Release, Acquire | none needed: it stands for itself |

use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize};

use alloc_core::Allocator;
use alloc_gpa::Gpa;

use super::armed::Fill;
use super::ending::Known;
use super::{ARMED, thread};

/// A region, open or to be used again.
pub(super) struct Region {
    next: AtomicPtr<Region>,
    state: AtomicU32,
    /// The number of the heap; 0: none.
    id: AtomicUsize,
    /// The test, threads that belong to it, and tags.
    users: AtomicUsize,
    /// Threads that belong to it, without the test's own.
    pub(super) threads: AtomicUsize,
    pub(super) known: Known,
    /// The process that opened it.
    process: AtomicU32,
    /// Who works on a block without being a user.
    helpers: AtomicUsize,
    has_ended: AtomicBool,
    /// Invariant: written by who took the state from FREE or OPEN to TAKEN only; in OPEN there is one.
    heap: UnsafeCell<Option<Gpa>>,
}

const FREE: u32 = 0;
const OPEN: u32 = 1;
const TAKEN: u32 = 2;
/// How often it is looked whether the last helper is gone.
const LOOK_COUNT: u32 = 1000;

// SAFETY: `heap` is written by one thread at a time, by its invariant, and a `Gpa` is `Sync`; the rest is
// atomic.
unsafe impl Sync for Region {}

static FIRST: AtomicPtr<Region> = AtomicPtr::new(ptr::null_mut());

/// All regions.
fn all() -> impl Iterator<Item = &'static Region> {
    // Acquire: pairs with the Release of a push.
    let mut at = FIRST.load(Acquire);
    core::iter::from_fn(move || {
        // SAFETY: null, or leaked by `open`.
        let region = unsafe { at.as_ref() }?;
        // Relaxed: written before the push.
        at = region.next.load(Relaxed);
        Some(region)
    })
}

/// Opens a region, of which the caller is the first user. The thread is aside.
///
/// # Errors
///
/// If the system has no memory.
pub(super) fn open() -> Result<&'static Region, alloc_core::AllocError> {
    all().filter(|region| region.state.load(Relaxed) == OPEN).for_each(Region::end_if_unused);
    let is_taken = |region: &&Region| {
        // Acquire: pairs with the Release that gave it back. Relaxed: on failure nothing is read.
        region.state.compare_exchange(FREE, TAKEN, Acquire, Relaxed).is_ok()
    };
    let region = all().find(is_taken).unwrap_or_else(push);
    // SAFETY: this thread took the state.
    let heap = unsafe { &mut *region.heap.get() };
    let id = heap.insert(Gpa::builder().quiet().build()).id();
    region.users.store(1, Relaxed);
    region.threads.store(0, Relaxed);
    region.process.store(std::process::id(), Relaxed);
    region.has_ended.store(false, Relaxed);
    let Ok(id) = id else {
        region.give_back();
        return Err(alloc_core::AllocError);
    };
    // While its heap is there every free has to be looked at.
    ARMED.fetch_add(1, Relaxed);
    // SeqCst: see the module's docs; it comes before the first block of the heap.
    region.id.store(id.get(), SeqCst);
    // Release: publishes the heap; pairs with the AcqRel in `end_if_unused`.
    region.state.store(OPEN, Release);
    Ok(region)
}

/// Makes a region, taken.
fn push() -> &'static Region {
    let region: &'static Region = Box::leak(Box::new(Region {
        next: AtomicPtr::new(ptr::null_mut()),
        state: AtomicU32::new(TAKEN),
        id: AtomicUsize::new(0),
        users: AtomicUsize::new(0),
        threads: AtomicUsize::new(0),
        known: Known::new(),
        process: AtomicU32::new(0),
        helpers: AtomicUsize::new(0),
        has_ended: AtomicBool::new(false),
        heap: UnsafeCell::new(None),
    }));
    let mut first = FIRST.load(Relaxed);
    loop {
        region.next.store(first, Relaxed);
        let own = ptr::from_ref(region).cast_mut();
        // Release: publishes the region; pairs with the Acquire in `all`. Relaxed: tried again.
        match FIRST.compare_exchange_weak(first, own, Release, Relaxed) {
            Ok(_) => return region,
            Err(now) => first = now,
        }
    }
}

/// Returns the region whose heap the block is in, for one call; `None`: it is the system's. A block of an
/// allocator that is no region's is the current region's to complain about.
pub(super) fn of(block: NonNull<u8>) -> Option<Helped> {
    let id = alloc_gpa::owner_of(block.as_ptr())?.get();
    let own = thread::with(|thread| thread.region.get());
    let is_it = |region: &&Region| region.id.load(SeqCst) == id;
    let known = own.filter(is_it).or_else(|| all().find(is_it));
    let helped = Helped::new(known.or(own)?);
    (known.is_none() || is_it(&helped.0)).then_some(helped)
}

/// A region that does not end meanwhile.
pub(super) struct Helped(&'static Region);

impl Helped {
    fn new(region: &'static Region) -> Self {
        // SeqCst: see the module's docs.
        region.helpers.fetch_add(1, SeqCst);
        Self(region)
    }

    /// Frees a block, or notes why that cannot be.
    ///
    /// # Safety
    ///
    /// As [`Allocator::raw_free`], of the program's blocks.
    pub(super) unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { self.0.heap().raw_free(block, layout) };
    }

    /// Gives a block another size, and notes a layout that it does not have, or why that cannot be.
    ///
    /// # Safety
    ///
    /// As [`core::alloc::GlobalAlloc::realloc`].
    pub(super) unsafe fn realloc(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> *mut u8 {
        let Ok(new) = Layout::from_size_align(new_size, layout.align()) else {
            return ptr::null_mut();
        };
        // SAFETY: the caller's contract.
        let block = unsafe { self.0.heap().realloc_claimed(block, layout, new) };
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}

impl Drop for Helped {
    fn drop(&mut self) {
        // SeqCst: see the module's docs.
        self.0.helpers.fetch_sub(1, SeqCst);
    }
}

impl Region {
    /// Returns its heap; for users and helpers.
    pub(super) fn heap(&self) -> &Gpa {
        // SAFETY: who is a user or a helper keeps it from being taken, so nobody writes.
        let heap = unsafe { &*self.heap.get() };
        heap.as_ref().unwrap_or(&NONE)
    }

    /// Allocates, for a user.
    pub(super) fn alloc(&self, layout: Layout, fill: Fill) -> *mut u8 {
        let block = match fill {
            Fill::Any => self.heap().raw_alloc(layout),
            Fill::Zero => self.heap().raw_alloc_zeroed(layout),
        };
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    /// Whether the test is over: what its threads allocate from now on is the system's.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Acquire)
    }

    /// Says that the test is over.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Release);
    }

    /// Whether this process was forked in it: the other threads are not here.
    pub(super) fn is_parents(&self) -> bool {
        self.process.load(Relaxed) != std::process::id()
    }

    /// Whether it has a heap, and is not about to end.
    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        self.state.load(Relaxed) == OPEN
    }

    /// Adds a user; for users.
    pub(super) fn add_user(&self) {
        self.users.fetch_add(1, Relaxed);
    }

    /// Removes a user.
    pub(super) fn remove_user(&self) {
        // Release: pairs with the Acquire in `end_if_unused`.
        self.users.fetch_sub(1, Release);
    }

    /// Ends the heap and makes the region free for another test, if nobody uses it and no block is left.
    /// The thread is aside.
    pub(super) fn end_if_unused(&self) {
        // Acquire: pairs with the Release in `remove_user`: nobody adds one any more.
        if self.users.load(Acquire) != 0 {
            return;
        }
        // AcqRel: sees the heap. Relaxed: on failure nothing is read.
        if self.state.compare_exchange(OPEN, TAKEN, AcqRel, Relaxed).is_err() {
            return;
        }
        // Another thread may have used it for a new test since.
        if self.users.load(Acquire) != 0 || !self.is_empty() {
            // Release: gives it back as it was.
            self.state.store(OPEN, Release);
            return;
        }
        // SeqCst, both: see the module's docs.
        self.id.store(0, SeqCst);
        let is_left = (0..LOOK_COUNT).any(|_| {
            let is_left = self.helpers.load(SeqCst) == 0;
            if !is_left {
                std::thread::sleep(std::time::Duration::from_micros(100));
            }
            is_left
        });
        // Who was forked while another thread worked on a block leaves it as it is.
        if is_left {
            self.give_back();
            ARMED.fetch_sub(1, Relaxed);
        }
    }

    /// Whether no block is left. A forked child counts those of its parent, too.
    fn is_empty(&self) -> bool {
        let stats = self.heap().stats();
        stats.allocations == stats.frees && self.heap().detect_leaks().count == 0
    }

    /// Ends the heap; the caller took the state.
    fn give_back(&self) {
        // SAFETY: taken by this thread, and neither users nor helpers are left.
        unsafe { *self.heap.get() = None };
        // Release: pairs with the Acquire in `open`.
        self.state.store(FREE, Release);
    }
}

/// What a region without a heap has; nobody sees it.
static NONE: Gpa = Gpa::builder().quiet().build();
