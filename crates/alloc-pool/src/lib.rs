//! Pools: one type or one size, free lists, handles that know when they are stale.
//!
//! For values that are all alike and live and die in any order: nodes of a tree, sessions, buffers of a
//! fixed length. Taking one is two loads and a store, and memory never fragments.
//!
//! ```
//! use alloc_core::{AllocError, Global, Owned};
//! use alloc_pool::{Pool, SlotMap};
//!
//! type Link<'p> = Option<Owned<Node<'p>, &'p Pool<Node<'p>>>>;
//! struct Node<'p> { value: u64, next: Link<'p> }
//!
//! let pool = Pool::new();
//! let tail = pool.create(Node { value: 2, next: None })?; // as a `Box`: dropped, it is in the pool again
//! let head = pool.create(Node { value: 1, next: Some(tail) })?;
//! assert_eq!(head.next.as_ref().unwrap().value, 2);
//!
//! let mut sessions = SlotMap::over(Global);
//! let anna = sessions.insert("Anna").map_err(|(_, error)| error)?; // a handle
//! sessions.remove(anna);
//! assert_eq!(sessions.get(anna), None, "it knows that it is stale");
//! # Ok::<(), AllocError>(())
//! ```
//!
//! | type | hands out | grows | a mistake is |
//! | --- | --- | --- | --- |
//! | [`Pool`] | [`Owned`](alloc_core::Owned) values of one type | by slabs | a compile error |
//! | [`NodePool`] | pieces of one layout, by address | never | a [`Misuse`], each kind told apart |
//! | [`BufferPool`] | shared buffers, counted | never | a compile error |
//! | [`Scratch`] | one buffer, to one user at a time | never | `None` |
//! | [`SlotMap`] | values behind [`Handle`]s | as a whole | `None`, and who removed it |
//! | [`Interner`] | [`Symbol`]s for strings | as a whole | `None` |
//! | [`BoundedArray`] | places in itself | never | the value comes back |
//!
//! # Design
//!
//! ```text
//!  Pool { free, fresh, slabs: newest, spare, backing }
//!          |      |             |
//!          |      |     +-------+
//!          |      |     v
//!          |      |    +--------+-------+-------+-------+-------+-------+
//!          |      |    | header | value | next -|-> none| value | never |   newest slab
//!          |      |    +---|----+-------+---^---+-------+-------+---^---+
//!          +------|--------|----------------+                       |
//!                 +--------|----------------------------------------+
//!                          v
//!                      +--------+-------+-- older slab
//! ```
//!
//! A slot that is given back holds the address of the one that was given back before. A slot that was
//! never handed out costs nothing before it is: slabs are not filled with a list when they come.
//!
//! # Invariants
//!
//! 1. Every slab of a [`Pool`] is in one of its two lists once, a live block of the backing, and begins
//!    with its header.
//! 2. The free list holds slots of slabs in use, each once; none of them is handed out.
//! 3. The slots from `fresh` to `fresh_end` lie in the newest slab and were never handed out.
//! 4. In a [`NodePool`] a bit is set for each node that is free, and for none that is not.
//! 5. A buffer of a [`BufferPool`] is on its free list exactly if its count is zero.
//! 6. An entry of a [`SlotMap`] holds a value exactly if its generation is odd; the free list holds those
//!    that hold none and may be used again, each once.
//! 7. Every entry of an [`Interner`] is UTF-8 inside its bytes, and is in the table once.
//!
//! # Drawbacks
//!
//! * One size: a smaller value wastes the rest of its slot.
//! * A slab of a [`Pool`] in which a value was made goes back to its backing after a reset only.
//! * For one thread: all can be sent where their backing can, none is shared.
#![no_std]

#[cfg(test)]
extern crate std;

mod growth;
mod slabs;
mod pool;
mod node;
mod buffers;
mod scratch;
mod slot_map;
mod interner;
mod bounded;

pub use bounded::BoundedArray;
pub use buffers::{Buffer, BufferPool};
pub use interner::{Fnv, FnvHasher, Interner, Symbol};
pub use node::{Misuse, NodePool, Outstanding};
pub use pool::Pool;
pub use scratch::{Scratch, ScratchGuard};
pub use slot_map::{Handle, SlotMap, VacantEntry};

/// The iterators over a [`SlotMap`], and that of a [`BoundedArray`], for those who have to name them.
pub mod iter {
    pub use crate::bounded::ArrayIntoIter;
    pub use crate::slot_map::{Drain, IntoIter, Iter, IterMut};
}

/// What memory is filled with when its last user lets go of it, in builds of the mode `check`.
const POISON: u8 = 0xaa;

/// Where it is called is off the usual way: the compiler lays that code elsewhere. No instruction.
#[cold]
const fn rare() {}

/// The examples of the README are tests.
#[cfg(all(doctest, feature = "alloc"))]
#[doc = include_str!("../README.md")]
struct Readme;
