//! Planted faults, each beside its corrected twin: `faulty` and `corrected` of a module.
//!
//! Owners free themselves, so most of these faults cannot be made with them. The code here keeps its
//! blocks in `ManuallyDrop`, as code does that hands them to C, to a list of its own, or to another
//! thread. The line that a report must name ends in the comment `planted`.
//!
//! # Design
//!
//! ```text
//!   src/NAME.rs            faulty, corrected
//!   tests/faults.rs        one test for each fault, once over `faulty`, once over `corrected`
//!                          verdicts: a child runs the former; kind, file and line are compared
//!   tests/short_read.rs    the fault behind a fail point
//!   build.rs               takes the code out of docs/testing.md, for tests/newcomer*.rs, which run it
//! ```
//!
//! # Invariants
//!
//! 1. `faulty` and `corrected` have one signature, and differ in the fault alone.
//! 2. Every file has one line that is marked.
//!
//! # Drawbacks
//!
//! It shows what the tools catch, not how often such faults occur.

pub mod clean_up;
pub mod early_return;
pub mod growth;
pub mod hidden_global;
pub mod partial_insert;
pub mod short_read;
pub mod state_first;
pub mod swallowed;
pub mod thread_double_free;
pub mod thread_leak;
pub mod write_after_free;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
