//! The production mode of a whole process: one block in N is guarded, the others come from where they
//! would come from without this crate, and cost a count and a look at a range of addresses.
//!
//! ```text
//!  allocate ─► countdown of this thread ─► not yet: the system's malloc
//!                     │ 0: a new distance, N on average
//!                     ▼
//!               Heap::alloc_guarded ─► cannot: the system's malloc
//!
//!  free ─► below the lowest chunk, or above the highest? ─► the system's free
//!                     │ no
//!                     ▼
//!               the map: a chunk of this heap? ─► no: the system's free
//!                     │ yes
//!                     ▼
//!               Heap::free, with all its checks
//! ```

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use std::alloc::System;

use alloc_core::{Allocator, UnsizedFree};

use super::ProcessHeap;
use super::start::{self, Start};
use crate::config::Guard;
use crate::heap::{Origin, map};
use crate::sample;
use crate::stack::thread;
use crate::sys::errno::KeepErrno;

/// Whether blocks are sampled: `UNKNOWN` until the settings are read, then for ever the same.
static MODE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const ALL: u8 = 1;
const SAMPLED: u8 = 2;

/// The average distance of two guarded blocks, and what distances begin with.
static RATE: AtomicU32 = AtomicU32::new(1);
static SEED: AtomicU64 = AtomicU64::new(0);

/// Whether blocks are sampled. The first call reads the settings, and ends the process with a line and
/// status 2 if they cannot be.
#[inline]
pub(crate) fn is_on(kind: Start) -> bool {
    // Relaxed: the value stands for itself, and is the same whoever reads the settings. `RATE` and
    // `SEED` are written before by the first call, when the process has one thread.
    match MODE.load(Relaxed) {
        UNKNOWN => read_settings(kind),
        mode => mode == SAMPLED,
    }
}

#[cold]
#[inline(never)]
fn read_settings(kind: Start) -> bool {
    let inside = thread::enter();
    let _errno = KeepErrno::new();
    let config = start::read_config(kind);
    drop(inside);
    let mode = match config.guard {
        Guard::Sampled(rate) => {
            RATE.store(rate.get(), Relaxed);
            SEED.store(config.guard_seed.unwrap_or_else(sample::seed_of_process), Relaxed);
            SAMPLED
        }
        Guard::Off | Guard::Every => ALL,
    };
    MODE.store(mode, Relaxed);
    mode == SAMPLED
}

/// For the preloaded library; see the crate `alloc-preload`.
impl ProcessHeap {
    /// Whether `guard=sampled:N` is set. Ends the process with a line and status 2 if the settings cannot
    /// be. Allocates nothing.
    #[doc(hidden)]
    #[must_use]
    pub fn is_sampled(self) -> bool {
        is_on(Start::Preload)
    }

    /// Counts an allocation of this thread; returns whether it is one to guard.
    #[doc(hidden)]
    #[must_use]
    #[inline(always)]
    pub fn picks(self) -> bool {
        let state = thread::current();
        // Relaxed: this thread's own. A signal handler in between counts once too little.
        let left = state.countdown.load(Relaxed).wrapping_sub(1);
        state.countdown.store(left, Relaxed);
        // 0: this one. Below: the thread's first.
        left.cast_signed() <= 0 && picks_slow(left)
    }

    /// Allocates a guarded block; `None` if it cannot be one.
    #[doc(hidden)]
    #[must_use]
    pub fn alloc_picked(self, layout: Layout, origin: Origin) -> Option<NonNull<u8>> {
        alloc_picked(layout, origin, Start::Preload)
    }

    /// Whether an address may be a guarded block: `false` is certain.
    #[doc(hidden)]
    #[must_use]
    #[inline(always)]
    pub fn may_hold(self, addr: usize) -> bool {
        map::may_hold(addr)
    }
}

/// Draws the next distance; returns whether this allocation is one to guard.
#[cold]
#[inline(never)]
fn picks_slow(left: u32) -> bool {
    let state = thread::current();
    let mut random = state.random.load(Relaxed);
    let is_first = random == 0;
    if is_first {
        random = sample::seed_of_thread(SEED.load(Relaxed), state.index());
    }
    let (random, distance) = sample::distance(random, RATE.load(Relaxed));
    state.random.store(random, Relaxed);
    // The thread's first allocation is the first of its first distance.
    let is_picked = if is_first { distance == 1 } else { left == 0 };
    let rest = if is_first && !is_picked { distance - 1 } else { distance };
    state.countdown.store(rest, Relaxed);
    is_picked
}

fn alloc_picked(layout: Layout, origin: Origin, kind: Start) -> Option<NonNull<u8>> {
    // From inside, and from a signal handler that interrupted this: not this one.
    let inside = thread::enter()?;
    let _errno = KeepErrno::new();
    let heap = ProcessHeap::heap(kind).ok()?;
    Some(heap.alloc_guarded(layout, origin, heap.stack(&inside))?.start)
}

/// Whether the address lies in a chunk of a heap of this crate. If it is another instance's, the
/// process's heap tells of that.
#[inline]
fn holds(addr: usize) -> bool {
    map::may_hold(addr) && !map::lookup(addr).is_null()
}

/// [`GlobalAlloc`] for [`Global`](crate::Global) while blocks are sampled: guarded blocks, and the
/// system's.
pub(crate) struct Sampled;

impl Sampled {
    #[inline]
    fn pick(layout: Layout) -> Option<NonNull<u8>> {
        if ProcessHeap.picks() { alloc_picked(layout, Origin::Malloc, Start::Global) } else { None }
    }
}

// SAFETY: guarded blocks fit their layouts and are disjoint from all others, as `Heap` promises; the
// others are the system's. Which one a block is its address says.
unsafe impl GlobalAlloc for Sampled {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Self::pick(layout) {
            Some(block) => block.as_ptr(),
            // SAFETY: the same contract.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match Self::pick(layout) {
            // Opened pages are zero.
            Some(block) => block.as_ptr(),
            // SAFETY: the same contract.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match NonNull::new(block).filter(|block| holds(block.addr().get())) {
            // SAFETY: the same contract; the heap checks it.
            Some(block) => unsafe { ProcessHeap.raw_free(block, layout) },
            // SAFETY: the same contract: not of the heap's, so of the system's.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(guarded) = NonNull::new(block).filter(|block| holds(block.addr().get())) else {
            // SAFETY: as in `dealloc`.
            return unsafe { System.realloc(block, layout, new_size) };
        };
        let Ok(new_layout) = Layout::from_size_align(new_size, layout.align()) else {
            return ptr::null_mut();
        };
        // SAFETY: any address may be asked for.
        let old_size = unsafe { ProcessHeap.usable_size(guarded) };
        if old_size == 0 {
            // Not live, which the heap tells.
            // SAFETY: not of the side heap, by its address.
            let told = unsafe { ProcessHeap::realloc(guarded, Some(layout), new_layout) };
            return told.map_or(ptr::null_mut(), NonNull::as_ptr);
        }
        // SAFETY: the new size is not zero, by the contract.
        let new = unsafe { self.alloc(new_layout) };
        if !new.is_null() {
            // SAFETY: both live, and as long as that; two blocks never overlap.
            unsafe { new.copy_from_nonoverlapping(block, old_size.min(new_size)) };
            // SAFETY: live, with this layout, by the contract.
            unsafe { ProcessHeap.raw_free(guarded, layout) };
        }
        new
    }
}
