//! A general-purpose allocator that finds leaks, double frees, bad frees, wrong layouts, overflows and
//! writes after free, each with the stacks of allocation and free.
//!
//! ```
//! use alloc_core::AllocatorExt;
//! use alloc_gpa::{Check, Gpa};
//!
//! let gpa = Gpa::new();
//! let number = gpa.create(42u64)?;
//! drop(number); // with `mem::forget`: Check::Leak, and a report with the stack of the line above
//! assert_eq!(gpa.deinit(), Check::Ok);
//! # Ok::<(), alloc_core::AllocError>(())
//! ```
//!
//! Three forms of one heap:
//!
//! * [`Gpa`], an allocator that a program makes, passes on and ends: exact.
//! * [`Global`], the global allocator of a Rust program: findings as they are made, leaks at exit.
//! * [`ProcessHeap`], what `alloc-preload` puts under `malloc` of any program.
//!
//! # Design
//!
//! ```text
//!   raw_alloc(layout)                                       raw_free(block, layout)
//!        |                                                        |
//!        v                                                        v
//!   shard of this thread: next slot of the class           map: address -> chunk -> slab -> slot
//!        |                                                        |
//!        v                                                        v
//!   | block: size bytes | canary |                         state word: Live -> Freeing (one winner)
//!        |                                                        |
//!        v                                                        v
//!   record, out of line: state, size, stack of             canary intact? layout the same? then junk,
//!   allocation; stacks are stored once (depot)             stack of free, and Freed for ever
//! ```
//!
//! A group of slabs (256 KiB) whose blocks are all freed is verified and traps from then on; its pages
//! are moved to where the next blocks will be, its addresses are never handed out again. `deinit`, or
//! the exit of the process, audits the rest once more: canaries of live blocks, junk of freed ones.
//!
//! # Invariants
//!
//! 1. An address is handed out at most once; with [`Builder::quarantine`], to one owner at a time.
//! 2. No record lies where a block can reach: chunks and records are separate mappings.
//! 3. Any address may be freed or resized. What is no live block is told, and nothing else happens.
//! 4. Of several frees of a block exactly one wins, by the exchange of its state word.
//! 5. Nothing here unwinds, and nothing allocates from the heap that is being served.
//!
//! # Re-entrance
//!
//! While a thread is inside the process's heap, whatever it asks for (the allocator's own code, libc
//! on its behalf, a signal handler that interrupted it) comes from [`SideHeap`], which never waits.
//! So no lock of the heap is ever taken twice by a thread. An explicit [`Gpa`] is not for signal
//! handlers.
//!
//! # Drawbacks
//!
//! * A late *read* is seen once all blocks of the 256 KiB around were freed. Reads past the end need
//!   `guard`.
//! * Memory: a group with one live block stays whole; records of 16 bytes for each block, those of
//!   freed ones up to [`Builder::history`]; addresses for ever (the system gives 128 TiB).
//!   [`Builder::quarantine`] uses addresses again, and so bounds both but for large blocks.
//! * Stacks cost some 80 nanoseconds for a block taken and freed; [`Builder::stacks`] turns them off.
//! * Linux on x86-64 is where it was run.

extern crate std;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod gpa;
mod finding;
mod config;
mod global;
pub mod process;
mod side;
mod heap;
mod registry;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod fault;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
#[path = "fault/elsewhere.rs"]
mod fault;
mod leaks;
mod census;
mod snapshot;
mod stats;
mod tag;
mod stack;
mod stack_id;
mod text;
mod words;
mod told;
mod sample;
mod lock;
mod turn;
mod sys;

pub use config::{Config, ConfigError, Guard, GuardAlign, GuardImpl, OnFinding, Told};
pub use fault::handle_fault;
pub use finding::{Block, Check, Detail, Finding, FindingKind, LeakTotals, Thread};
pub use global::Global;
pub use gpa::{Builder, Gpa};
#[doc(hidden)]
pub use heap::Origin;
#[doc(hidden)]
pub use heap::range::Access;
pub use heap::{Kept, Stats};
pub use leaks::{Leak, LeakKind, Leaks};
pub use process::{ProcessHeap, Start, start};
/// For a library that interposes libc's signal functions; see `docs/design/alloc-gpa-faults.md`.
#[doc(hidden)]
pub mod signals {
    pub use crate::fault::program::{
        change_alternate_stack, change_mask, is_interposed, is_kept, kernel_mask, program_action,
        program_mask,
    };
    pub use crate::fault::{around_exec, around_spawn};
    pub use crate::sys::signal::{Action, mask_of, set_mask_of};
}
#[doc(hidden)]
pub use process::{check_range, check_start, library_closed, note_unchecked, room_at};
#[doc(hidden)]
pub use registry::owner_of;
pub use side::SideHeap;
pub use snapshot::{Diff, Entry, Growth, Snapshot};
pub use stack::StackId;
pub use stats::{Breakdown, ClassStats};
pub use tag::{TagStats, Tagged};
#[doc(hidden)]
pub use turn::Turn;
#[doc(hidden)]
pub use words::{Counted, counted};
