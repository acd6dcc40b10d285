//! Allocators over a given buffer: no heap, no operating system.
//!
//! [`FixedBuffer`] hands out the bytes of a buffer one block after the other, and takes back the last
//! one. For the stack, for embedded and real-time code, for signal handlers: every operation takes
//! constant time and nothing else is ever asked for memory.
//!
//! ```
//! use alloc_core::{AllocError, AllocatorExt, alloc_print};
//! use alloc_fixed::{FixedBuffer, StackBuffer};
//!
//! let mut stack = StackBuffer::<64>::new();
//! let fixed = FixedBuffer::new(&mut stack);
//! let text = alloc_print!(&fixed, "User: {}, Score: {}", "Alice", 100)?;
//! assert_eq!(&*text, "User: Alice, Score: 100");
//! assert_eq!(fixed.used(), text.len());
//! assert_eq!(fixed.alloc::<u8>(64).map(drop), Err(AllocError), "full is an error, not a panic");
//! # Ok::<(), AllocError>(())
//! ```
//!
//! Beside it: [`SharedFixedBuffer`] for threads, [`BufferFirst`] with another allocator behind it,
//! [`TlsfHeap`] for blocks that are freed in any order, [`HeapFirst`] for several such heaps, [`BitmapHeap`] in
//! a block that moves,
//! [`MaxHeap`] for one list at a time, [`StaticList`], [`StaticStrings`] and [`StaticMap`] in `.bss`,
//! [`format_into!`] for text alone.
//!
//! # Design
//!
//! ```text
//!  base                                   cursor              end
//!   |                                        |                 |
//!   v                                        v                 v
//!   +---------+--------+----+----------------+-----------------+
//!   | block 1 | block 2|////| block 3 (last) |   free          |
//!   +---------+--------+----+----------------+-----------------+
//!                        ^^ padding, which block 3's alignment asked for
//!
//!  padded: a bit per block, newest first:  1 0 0
//! ```
//!
//! Only the last block can be taken back. The padding before it goes with it: its length is written
//! into the padding itself, and one bit per block says whether there is any. So blocks that are freed
//! in the reverse order of their allocation leave nothing behind.
//!
//! Two layers: arithmetic on integers (`bump`, `bits`, the bins of the heap), and pointers that obey it.
//! The general heap is drawn in `docs/design/alloc-fixed.md`.
//!
//! # Invariants
//!
//! Of `FixedBuffer`, and of `SharedFixedBuffer`, which has the same in one word; those of the general heap
//! are numbered T1 to T5 in its module `walk`.
//!
//! 1. `base` to `end` are the bytes of one object, valid for reads and writes for all of `'buf`, which
//!    nobody else uses.
//! 2. Every live block lies between `base` and `cursor`, and no two overlap; while a scope runs, also
//!    between the place where it began and `end`.
//! 3. `base <= cursor <= end`.
//! 4. The blocks below `cursor`, those freed out of order included, correspond one to one to the
//!    bits of `padded`, the newest at the low end; what is older than 64 blocks, or than the last
//!    rewind, counts as not padded. A set bit means that the padding before that block holds its own
//!    length.
//!
//! # Drawbacks
//!
//! * A block that is not the last one is not reused before the blocks above it are gone *and* it is
//!   freed after them, or before [`reset`](FixedBuffer::reset).
//! * `FixedBuffer` and `TlsfHeap` are for one thread: they can be sent, not shared.
//! * A buffer promises nothing about its bytes, so it is no `[u8]` that somebody will read again; that
//!   takes [`with_bytes`](FixedBuffer::with_bytes), a function that calls back.
#![no_std]

#[cfg(test)]
extern crate std;

mod bump;
mod padding;
mod settle;
mod fixed_buffer;
mod stack_buffer;
mod routed;
mod buffer_first;
#[cfg(target_has_atomic = "ptr")]
mod shared;
mod tlsf;
mod heap_first;
mod max_heap;
mod bits;
mod bitmap;
mod text;
#[cfg(target_has_atomic = "8")]
mod static_bytes;
#[cfg(target_has_atomic = "ptr")]
mod statics;

pub use bitmap::{BitmapHeap, Offset, Plain, StaleOffset};
pub use buffer_first::BufferFirst;
pub use fixed_buffer::{Checkpoint, FixedBuffer};
pub use heap_first::HeapFirst;
pub use max_heap::MaxHeap;
#[cfg(target_has_atomic = "ptr")]
pub use shared::SharedFixedBuffer;
pub use stack_buffer::StackBuffer;
#[cfg(target_has_atomic = "8")]
pub use static_bytes::StaticBytes;
#[cfg(target_has_atomic = "ptr")]
pub use statics::{Fnv, Lookup, MapFull, StaticList, StaticMap, StaticStrings};
pub use text::{Text, format_arguments};
pub use tlsf::{TlsfHeap, TlsfStats};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
