//! Many small programs, each with one fault, and others with none, under `alloc-check` in every mode.
//!
//! `tests/programs/corpus` holds the programs: a file has many cases, one of which runs at a time.
//! Comments in them say which lines and which block a report must name. What is found in which mode,
//! and why where it is not, is the table of `docs/design/alloc-gpa-corpus.md`, which these tests read
//! and hold every run against.

#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the other test of this crate uses the rest")]
#[path = "../preload/harness.rs"]
mod harness;

mod cell;
mod clean;
mod faulty;
mod modes;
mod report;
mod source;
mod summary;
mod table;
