//! The workloads that every allocator of the workspace runs beside its peers.
//!
//! # Design
//!
//! ```text
//! workload (here)  x  contender (benches/contenders)  =  one number
//!    Heap: pair, lifo, random, pages, megabytes
//!    Bump, Buffer, Arena: values, slices, blocks, texts, lists
//!    Pool: create_destroy, in_any_order, create_only
//!        |
//!        +-- benches/peers: criterion, time per operation
//!        +-- benches/tapes: one workload in a loop, for `valgrind --tool=callgrind`
//! ```
//!
//! A workload is a function `(contender, count) -> Duration`: it makes `count` operations, rounded up
//! to whole rounds, and measures these alone: the processor's time; the wall's, where threads meet.
//! Every contender of a case makes the same calls with the same sizes in the same order.
//!
//! # Invariants
//!
//! 1. Each workload frees what it took, so that it can be repeated for ever.
//! 2. Sizes and orders come from a seeded generator: two runs make the same calls.
//!
//! # Drawbacks
//!
//! Loops over one allocator in one thread; see the README for what that does not show.

/// The workspace's README: this crate depends on all that its examples use.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

pub mod arenas;
pub mod erased;
mod heap;
mod bump;
mod fixed;
mod numbers;
mod clock;
pub mod pools;

pub use bump::{Bump, ROUND_BYTES_MAX, blocks, slices, values};
pub use clock::cpu_time;
pub use fixed::{
    Buffer, SHARED_LEN, adversary, list, lists, mixed, shared_rounds, texts, two_threads, words,
};
pub use heap::{Heap, lifo, megabytes, pages, pair, random};
