//! An arena over any backing allocator: free everything at once.
//!
//! For the memory of one request, one file, one frame: allocate without a thought, and take all of it
//! back in one call that cannot be made while anything of it is in use.
//!
//! ```
//! use alloc_arena::{Arena, Reset};
//! use alloc_core::{AllocError, AllocatorExt, Owned, alloc_print};
//!
//! fn handle<'a>(arena: &'a Arena, id: u32, data: &str) -> Result<Owned<str, &'a Arena>, AllocError> {
//!     let id = alloc_print!(arena, "{id}")?;
//!     alloc_print!(arena, "Processing request {id}{data}")
//! }
//!
//! let mut arena = Arena::new();
//! for id in 0..3 {
//!     let response = handle(&arena, id, " data")?;
//!     assert!(response.starts_with("Processing request"));
//!     drop(response);
//!     arena.reset(Reset::RetainWithLimit(4096)); // &mut: nothing of the request can be alive
//! }
//! # Ok::<(), AllocError>(())
//! ```
//!
//! # Design
//!
//! ```text
//!  Arena { cursor, limit, newest, backing }
//!             |      |      |
//!             |      |      v
//!             |      |    +--------+-------+----+-------+---------+
//!             |      |    | header | block |////| block | free    |  newest chunk
//!             |      |    +---|----+-------+----+-------+---------+
//!             |      |        |                         ^         ^
//!             +------|--------|-------------------------+         |
//!                    +--------|-----------------------------------+
//!                             v
//!                         +--------+-------+-------+--------------+
//!                         | header | block | block | unused       |  older chunk
//!                         +---|----+-------+-------+--------------+
//!                             v
//!                            none
//! ```
//!
//! A request moves the cursor. When the chunk is full, the backing is asked to make it longer where it
//! is, and else for another one, half as long again. A chunk is one block of the backing; the oldest is
//! at the end of the list. `reset` makes one chunk of all, so that a loop with the same load soon asks
//! the backing for nothing.
//!
//! Three layers: `growth` computes on integers, `chunk` is one block of the backing with its header,
//! `arena` moves the cursor.
//!
//! # Invariants
//!
//! 1. The list that starts at `newest` holds every chunk once; each is a live block of the backing.
//! 2. Every live block lies in a chunk behind its header; those of the newest chunk below the cursor.
//!    No two overlap.
//! 3. `cursor` and the `limit - cursor` bytes behind it lie in the newest chunk and are free; without a
//!    chunk the cursor dangles and there are none.
//! 4. Chunks are freed by `reset` and drop alone, which have the arena uniquely.
//!
//! # Drawbacks
//!
//! * Memory of a block that is not the last one comes back with the reset only: for values that live
//!   and die in any order, take a general allocator.
//! * The padding before a block stays when the block is freed.
//! * The room left in a chunk when the next one is added is not used before the reset.
//! * For one thread: it can be sent with its contents behind it, not shared.
#![no_std]
#![cfg_attr(sanitized, feature(cfg_sanitize))]

#[cfg(test)]
extern crate std;

mod arena;
mod reset;
mod values;
mod growing;
mod boxed;
mod scope;
mod state;
mod in_arena;
mod drops;
#[cfg(target_has_atomic = "ptr")]
mod pool;
#[cfg(target_has_atomic = "ptr")]
mod shared;
#[cfg(target_has_atomic = "ptr")]
mod local;
#[cfg(target_has_atomic = "ptr")]
mod classes;
#[cfg(target_has_atomic = "ptr")]
mod heap;
mod chunk;
mod growth;
mod poison;
#[cfg(sanitized)]
mod sanitizer;

pub use arena::Arena;
pub use boxed::ArenaBox;
pub use drops::DropArena;
pub use growth::Growth;
#[cfg(target_has_atomic = "ptr")]
pub use heap::{HeapArena, SendBox};
pub use in_arena::{ArenaCell, DefaultBacking, Family, InArena};
#[cfg(target_has_atomic = "ptr")]
pub use local::LocalArena;
#[cfg(target_has_atomic = "ptr")]
pub use pool::{ArenaPool, PooledArena};
pub use reset::Reset;
pub use scope::{Rewind, Scope};
#[cfg(target_has_atomic = "ptr")]
pub use shared::SharedArena;
pub use state::{ArenaState, RefState};

/// The examples of the README are tests.
#[cfg(all(doctest, feature = "alloc"))]
#[doc = include_str!("../README.md")]
struct Readme;
