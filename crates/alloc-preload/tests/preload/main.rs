//! The library under real processes: small C and C++ programs, one for each trap, run with it.
//!
//! The programs are in `tests/programs`; the system's compilers compile them. `ALLOC_PRELOAD_LIB`
//! names the library to test; without it the tests build one.

#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "the other test of this crate uses the rest")]
mod harness;

mod c_rules;
mod cxx;
mod environment;
mod exit;
mod findings;
mod foreign;
mod forks;
mod kinds;
mod limits;
mod modes;
mod programs;
mod questions;
mod signals;
mod startup;
mod threads;
