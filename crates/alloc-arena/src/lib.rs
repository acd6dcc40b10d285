//! Arenas over any backing allocator: free everything at once.
//!
//! For the memory of one request, one file, one frame: allocate without a thought, and take all of it
//! back in one call that cannot be made while anything of it is in use.
//!
//! ```
//! use alloc_arena::{Arena, Reset};
//! use alloc_core::AllocError;
//! # extern crate allocator_api2_02 as allocator_api2;
//! use allocator_api2::vec::Vec; // std's, from Rust 1.100 on
//!
//! fn handle<'a>(arena: &'a Arena, id: u32, data: &str) -> Result<&'a str, AllocError> {
//!     let mut words = Vec::new_in(arena);
//!     words.extend(data.split(' '));
//!     Ok(arena.put_fmt(format_args!("request {id} of {} words", words.len()))?)
//! }
//!
//! let mut arena = Arena::new();
//! for id in 0..3 {
//!     assert!(handle(&arena, id, "some data")?.starts_with("request"));
//!     arena.reset(Reset::RetainWithLimit(4096)); // &mut: nothing of the request can be alive
//! }
//! # Ok::<(), AllocError>(())
//! ```
//!
//! # Which one
//!
//! | for | take |
//! | --- | --- |
//! | memory of one thing, freed with it | [`Arena`] |
//! | something that comes and goes within that | [`Scope`], [`Rewind`] |
//! | values whose drop must run | [`ArenaBox`] (an owner for each), [`DropArena`] (at the reset) |
//! | values of one type, to be gone through and taken out | [`TypedArena`] |
//! | a value and the arena it borrows from, in one | [`InArena`], and [`ArenaCell`] to replace it whole |
//! | a structure that is handed the backing at each call | [`ArenaState`], [`RefState`] |
//! | an arena for each request, warm | [`ArenaPool`] |
//! | many threads, one lifetime | [`SharedArena`], and a [`LocalArena`] for each thread |
//! | blocks that are freed one by one as well | [`HeapArena`] |
//!
//! # Values
//!
//! [`Arena`], [`Scope`], [`LocalArena`] and [`SharedArena`] take them in the same ways:
//!
//! ```
//! use core::num::ParseIntError;
//!
//! use alloc_arena::Arena;
//! use alloc_core::AllocError;
//!
//! let arena = Arena::new();
//! assert_eq!(arena.put(5u8)?, &5);
//! assert_eq!(arena.put_with(|| [7u64; 100])?.len(), 100); // made where it stays
//! assert_eq!(arena.put_str("text")?, "text");
//! assert_eq!(arena.put_fmt(format_args!("{} of {}", 1, 2))?, "1 of 2");
//! assert_eq!(arena.put_slice_copy(&[1, 2])?, [1, 2]);
//! assert_eq!(arena.put_slice_clone(&[Some(1), None])?, [Some(1), None]);
//! assert_eq!(arena.put_slice_fill(3, 'x')?, ['x'; 3]);
//! assert_eq!(arena.put_slice_with(3, |index| index * 2)?, [0, 2, 4]);
//! assert_eq!((*arena.put_zeroed::<u64>()?, arena.put_slice_zeroed::<u16>(2)?.len()), (0, 2));
//! assert_eq!(arena.put_iter((0..9).filter(|n| n % 4 == 0))?, [0, 4, 8]);
//! assert_eq!(arena.put_uninit()?.write(1), &1);
//! assert_eq!(arena.put_slice_uninit(1)?.write_copy_of_slice(&[1]), [1]);
//! assert_eq!(arena.put_cstr(c"for C")?, c"for C");
//! assert_eq!(arena.put_cstr_fmt(format_args!("{}.txt", 1)).unwrap(), c"1.txt"); // fails for a NUL, too
//! let mut built = arena.build_slice(); // grows in place while it is the last block
//! built.push(1)?;
//! built.push_slice_copy(&[2, 3])?;
//! assert_eq!(built.finish(), [1, 2, 3]);
//! assert_eq!(arena.put_or_return(6), Ok(&mut 6)); // gives the value back where there is no memory
//! assert_eq!(arena.put_or_panic(8), &8);
//!
//! // What may fail leaves nothing behind if it does.
//! #[derive(Debug)]
//! struct Bad;
//! impl From<AllocError> for Bad {
//!     fn from(_: AllocError) -> Self { Bad }
//! }
//! impl From<ParseIntError> for Bad {
//!     fn from(_: ParseIntError) -> Self { Bad }
//! }
//! let used = arena.used();
//! let numbers = |text: &'static str| {
//!     arena.put_try_iter(text.split(' ').map(|word| Ok::<u32, Bad>(word.parse()?)))
//! };
//! assert!(numbers("1 2 three").is_err() && arena.put_try_with(|| Err::<u8, _>(Bad)).is_err());
//! assert_eq!(arena.used(), used);
//! assert_eq!(numbers("1 2 3").unwrap(), [1, 2, 3]);
//!
//! // What has a drop needs an owner, which runs it.
//! let name = arena.put_box(String::from("its text is on the heap"))?;
//! assert_eq!(arena.put_box_iter(["a", "b"].map(String::from))?.concat(), "ab");
//! # drop(name);
//! # Ok::<(), AllocError>(())
//! ```
//!
//! # Design
//!
//! ```text
//!  Arena { cursor, limit, newest, spare, .., backing }
//!             |      |      |       |
//!             |      |      |       +--> chunks that a rewind left, empty
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
//! A request moves the cursor. When the chunk is full, a spare one is taken, or the backing is asked to make
//! the chunk longer where it is, and else for another one, as long as [`Growth`] says. A chunk is one block
//! of the backing. `reset` makes one chunk of all, so that a loop with the same load soon asks the backing
//! for nothing.
//!
//! Three layers: `growth` and `classes` compute on integers, `fills` on slices; `chunk` is one block of the
//! backing with its header; `arena`, `room`, `reset` and the others move cursors. `values` are the faces that
//! all arenas share.
//!
//! # Invariants
//!
//! 1. The lists that start at `newest` and `spare` hold every chunk once; each is a live block of the
//!    backing. Spare chunks have no blocks.
//! 2. Every live block lies in a chunk behind its header; those of the newest chunk below the cursor.
//!    No two overlap.
//! 3. `cursor` and the `limit - cursor` bytes behind it lie in the newest chunk and are free; without a
//!    chunk the cursor dangles and there are none.
//! 4. Chunks are freed by `reset` and drop alone, which have the arena uniquely.
//!
//! # Checks
//!
//! With debug assertions, and in the mode `check`, bytes that a reset or a rewind takes back are filled with
//! 0x55. Under the address sanitizer (nightly, `-Zsanitizer=address --cfg sanitized`) it knows what no block
//! has: a late use is a report.
//!
//! # Drawbacks
//!
//! * Memory of a block that is not the last one comes back with the reset only: for values that live
//!   and die in any order, take a general allocator, or [`HeapArena`].
//! * The padding before a block stays when the block is freed.
//! * The room left in a chunk when the next one is added is not used before the reset.
//! * The drop of a plain value does not run, so values with one need [`ArenaBox`] or [`DropArena`]. Others do
//!   not compile, which `cargo check` does not see: the check is made when code is generated.
//! * A chunk never ends in the last page of the address space: such a block of the backing is given back.
#![no_std]
#![cfg_attr(sanitized, feature(cfg_sanitize))]

#[cfg(test)]
extern crate std;

mod arena;
mod room;
mod reset;
mod values;
mod texts;
mod fills;
mod growing;
mod boxed;
mod builders;
mod scope;
mod state;
mod in_arena;
mod drops;
mod typed;
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
mod limit;
mod poison;
#[cfg(sanitized)]
mod sanitizer;

pub use arena::{Arena, ChunkStats};
pub use boxed::{ArenaBox, BoxIntoIter};
pub use builders::{SliceBuilder, StrBuilder};
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
pub use texts::CStrError;
pub use typed::{Drain, TypedArena};

/// The examples of the README are tests.
#[cfg(all(doctest, feature = "alloc"))]
#[doc = include_str!("../README.md")]
struct Readme;
