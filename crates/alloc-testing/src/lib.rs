//! Tests that fail on leaks, failure injection, and a conformance kit for allocators.
//!
//! Four questions, and what answers each:
//!
//! ```
//! use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};
//! use alloc_testing::{TestAllocator, alloc_test, check_all_alloc_failures, conformance};
//!
//! fn greet<A: Allocator + Copy>(gpa: A, name: &str) -> Result<Owned<str, A>, AllocError> {
//!     let name = gpa.dupe_str(name)?;
//!     gpa.print(format_args!("Hello {}!", &*name))
//! }
//!
//! // Does it free what it takes?
//! #[alloc_test]
//! fn greets(gpa: &TestAllocator) {
//!     assert_eq!(&*greet(gpa, "Ada").unwrap(), "Hello Ada!");
//! }
//!
//! // Does it survive every failure of an allocation? (In a `#[test]`.)
//! fn survives_every_allocation_failure() {
//!     check_all_alloc_failures(|gpa| greet(gpa, "Ada").map(drop));
//! }
//!
//! // Does an allocator of my own keep the contract?
//! # type MyAllocator = alloc_testing::hostile::Backing;
//! conformance!(MyAllocator::new());
//!
//! // And over a backing that is as unhelpful as it may be?
//! # use alloc_testing::Validated as Mine;
//! conformance!(mine_over_anything => over: |backing| Mine::new(backing));
//! # fn main() { survives_every_allocation_failure(); }
//! ```
//!
//! # Design
//!
//! ```text
//!  #[alloc_test] --> run --> TestGuard owns TestAllocator --> alloc_gpa::Gpa, one for each test
//!                            (fails the test)    (is passed on)
//!
//!  check_all_alloc_failures --> code(&FailureAllocator)  for each request k: Only(k), From(k),
//!     (AllocFailures)           a fresh Gpa a run,       Pair(k, l); without growth in place, and
//!                               on all cores             with growth granted by a rule
//!
//!  conformance! --> Run --> Case.run(fresh allocator) --> Probe --call--> allocator [--> Backing]
//!                   |                                       |                              |
//!                   programs: directed, random, threads     Shadow: live blocks,           ledger,
//!                   (proptest makes and shrinks them)       their bytes                    canaries
//! ```
//!
//! Code that uses the global allocator is watched by a [`Sentinel`], one for each program; with that, an
//! `#[alloc_test]` without a parameter is judged by what it leaves there:
//!
//! ```text
//!  Box, Vec, format! --> Sentinel --nothing is watched: a load, a branch--> System
//!                           |
//!                           +--> regions of this thread: assert_no_alloc, permit_alloc, count
//!                           +--> watchers of all threads: count_all, forbid_after
//!                           +--> check_leaks: blocks come from a Gpa of the region, to which threads
//!                                belong that it starts (`pthread_create`), or that adopt its `Tag`
//! ```
//!
//! Failures that no allocator makes have names in the program, [`alloc_core::fail_point!`], and happen
//! where a test has armed them: [`FailPoints`].
//!
//! # Invariants
//!
//! 1. A check can fail: `tests/oracle` holds an allocator for each rule that breaks it, and the kit
//!    must say so by that rule's name.
//! 2. Equal seeds, equal runs, but for the interleaving of threads. The seed is fixed unless
//!    `ALLOC_TESTING_SEED` or the code says otherwise, and every failure names it.
//! 3. The kit touches a block only after it found it disjoint from all others, from the allocator
//!    and from the dead memory of the backing.
//! 4. No lock that allocates is held during a call of an allocator under test.
//! 5. No drop of a type here that implements `Allocator` unwinds: [`TestGuard`] is none.
//! 6. What fails in a run of a check depends on the code alone: never on addresses, on the thread it is
//!    on, or on what runs beside it.
//!
//! # Drawbacks
//!
//! * [`TestAllocator`] checks what is allocated through it. The global allocator is seen by a
//!   [`Sentinel`] only, and what is lost of it is found on Linux on x86-64 only: elsewhere
//!   [`check_leaks`] fails and says so if a block is left.
//! * The kit runs the allocator under test in its own process: a broken one may corrupt that.
//! * It needs unwinding: with `panic = "abort"` an allocator that panics ends the test program.
//! * That an allocator does not *read* live blocks (half of promise 5) cannot be seen from outside.
//! * [`check_all_alloc_failures`] tries each failure in one order of events: code whose threads race
//!   for the allocator has no points that could be counted. Containers that abort for want of memory
//!   (`handle_alloc_error`) are tried through their `try_reserve` alone.
//! * A thread without a handle of its test's allocator may panic unnoticed, as anywhere.

mod rng;
mod bytes;
mod seed;
mod panics;
mod current_test;
mod tasks;
mod report;
mod ledger;
mod raw_block;
mod validated;
mod failing;
mod failures;
mod fail_point;
mod test_allocator;
mod sentinel;
mod outcome;
pub mod runner;
mod macros;
pub mod hostile;
pub mod conformance;

pub use alloc_testing_macros::{alloc_test, suite};
pub use fail_point::{FAIL_POINTS_VARIABLE, FailPoints, TrippedPoint, carried};
pub use failing::{Fail, FailingAllocator, FailingCounts, InducedFailure};
pub use failures::{
    AllocFailures, FailureAllocator, FailurePoint, FailureSummary, Growth, POINT_VARIABLE,
    Unrestored, Verdict, all_alloc_failures, check_all_alloc_failures,
};
pub use ledger::Misuse;
pub use outcome::TestResult;
pub use raw_block::RawBlock;
pub use seed::{SEED_VARIABLE, seed};
pub use sentinel::{
    Counts, Frozen, NoAlloc, OnAlloc, Sentinel, Tag, assert_no_alloc, check_leaks, count,
    count_all, forbid_after, permit_alloc,
};
pub use test_allocator::{
    Budget, Settings, SharedTestAllocator, TestAllocator, TestGuard, run, run_async,
    run_async_with, run_with,
};
pub use validated::Validated;

/// What the macros name; no part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::outcome::{Awaited, Outcome, global_outcome, judge, outcome, plain_outcome};
    pub use crate::test_allocator::driven;

    /// Imported beside each test that no suite has entered; a suite has a function of this name that panics.
    pub mod outside_of_suites {
        /// A test may stand here.
        pub const fn __place_of_alloc_test() {}
    }

    /// The settings that a test names.
    pub fn settings(given: impl Into<crate::Settings>) -> crate::Settings {
        given.into()
    }
}

/// In a suite, an `#[alloc_test]` by another name is no test that is lost: it does not compile, in the module
/// nor in one inside it.
///
/// ```compile_fail,E0080
/// #[alloc_testing::suite]
/// mod tests {
///     use alloc_testing::{TestAllocator, alloc_test as checked};
///     #[checked]
///     fn frees(_: &TestAllocator) {}
/// }
/// ```
///
/// ```compile_fail,E0080
/// #[alloc_testing::suite]
/// mod tests {
///     mod inner {
///         use alloc_testing::{TestAllocator, alloc_test as checked};
///         #[checked]
///         fn frees(_: &TestAllocator) {}
///     }
/// }
/// ```
///
/// Their twins do: by its own name, by a path, and by another name outside of the suite.
///
/// ```
/// #[alloc_testing::suite]
/// mod tests {
///     use alloc_testing::{TestAllocator, alloc_test};
///     #[alloc_test]
///     fn frees(_: &TestAllocator) {}
///     mod inner {
///         use super::*;
///         #[alloc_testing::alloc_test]
///         fn frees(_: &TestAllocator) {}
///     }
/// }
/// mod others {
///     use alloc_testing::{TestAllocator, alloc_test as checked};
///     #[checked]
///     fn frees(_: &TestAllocator) {}
///     #[checked]
///     fn frees_again(_: &TestAllocator) {}
/// }
/// const _: alloc_testing::runner::Suite = tests::SUITE;
/// ```
#[cfg(doctest)]
struct SuitesSeeTheirTests;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
