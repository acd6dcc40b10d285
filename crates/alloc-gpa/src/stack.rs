//! Call stacks: captured at every allocation and free, stored once, resolved at report time.
//!
//! ```text
//! capture ─► registers of the caller (assembly)
//!    │
//!    ▼          hit: all words on the stack that led to it are as they were
//! memo ────────────────────────────────────────────────────────────► StackId, 4 bytes a block
//!    │ miss        (per thread)                                         ▲
//!    ▼            hit: 2 loads a frame                                  │
//! unwind ──────► rules   (return address → how to find the next one)    │
//!    │ miss         ▲                                                   │
//!    ▼              │                                                   │
//! modules ─► table ─┘    (.eh_frame_hdr → FDE → rule; frame pointer where there is none)
//!    │                                                                  │
//!    ▼                                                                  │
//! Trace ─► Depot ───────────────────────────────────────────────────────┘
//! ```
//!
//! All of it runs inside `malloc`: no lock is waited for, nothing is allocated from the process's
//! heap, `errno` is kept. The exception is [`resolve`], which is for report time.
//!
//! # Invariants
//!
//! 1. The thread that captures is inside the allocator ([`thread::enter`]): no second capture of
//!    the same thread runs in between, so its rule cache has one user.
//! 2. Plain loads of stack memory lie in `[sp, high)` of the thread's own stack; whatever lies
//!    elsewhere is read through the kernel ([`crate::sys::peek`]).
//! 3. What `modules` publishes is never freed or changed.

mod capture;
pub(crate) mod depot;
pub(crate) mod bounds;
pub(crate) mod elf;
pub(crate) mod modules;
mod memo;
mod modules_build;
mod pool;
mod resolve;
mod rule;
mod rules;
mod table;
mod text;
mod trace;
pub(crate) mod trim;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_hostile;
#[cfg(test)]
mod tests_memo;

use depot::Depot;

#[cfg(test)]
pub(crate) use capture::capture;
pub(crate) use capture::{Interrupted, capture_interrupted};
pub use depot::StackId;
pub(crate) use pool::counts;
#[cfg(test)]
pub(crate) use resolve::resolve;
#[allow(unused_imports, reason = "for the process integration")]
pub(crate) use text::write_addresses;
pub(crate) use text::write_resolved;
pub(crate) use trace::{FRAMES_MAX, Trace};

pub(crate) use crate::sys::thread;

/// The frames of the allocator itself, which come first in a stack: they are cut off when it is
/// shown, so that many more are captured than were asked for.
const OWN_FRAMES: usize = 4;

/// Returns the process's depot.
#[inline]
pub(crate) fn depot() -> &'static Depot {
    #[cfg(not(loom))]
    static DEPOT: Depot = Depot::new();
    // The model checker's atomics cannot be made by a constant.
    #[cfg(loom)]
    static DEPOT: std::sync::LazyLock<Depot> = std::sync::LazyLock::new(Depot::new);
    &DEPOT
}

/// Captures the caller's stack, `max` frames beyond the allocator's own, and stores it. The calling
/// thread is inside the allocator.
#[inline]
pub(crate) fn capture_id(max: usize) -> StackId {
    StackId(capture::capture_stored(max.saturating_add(OWN_FRAMES)))
}

/// As [`capture_id`], for code that a signal interrupted. Where it was is the first frame.
pub(crate) fn interrupted_id(interrupted: Interrupted, max: usize) -> StackId {
    let mut trace = Trace::new();
    capture_interrupted(interrupted, max, &mut trace);
    depot().insert(&trace)
}

/// Whether a frame of a stack lies in the loader.
pub(crate) fn is_in_loader(id: StackId) -> bool {
    id.frames().any(|frame| {
        let module = modules::lookup(frame.wrapping_sub(1));
        module.is_some_and(|module| {
            let name = module.path.rsplit(|byte| *byte == b'/').next();
            name.is_some_and(|name| name.starts_with(b"ld-"))
        })
    })
}

/// Gives address and length of each mapping of depot, memos and rules to `each`: what they hold, words of
/// stacks that were once there among it, keeps no block alive, and need not be read.
pub(crate) fn for_each_mapping(each: &mut dyn FnMut((usize, usize))) {
    depot().for_each_mapping(each);
    pool::for_each_mapping(each);
    modules::RULES.for_each_mapping(each);
}

/// Mends what a fork left behind: the child calls it before its first capture, with one thread.
pub(crate) fn after_fork_child() {
    thread::current().after_fork();
    modules::after_fork();
}
