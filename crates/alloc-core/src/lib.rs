//! The explicit allocator contract: one small trait, typed verbs over it, and owners that free
//! themselves.
//!
//! Code that needs memory takes an allocator as its first argument and calls verbs on it; whoever
//! calls that code chooses the strategy. Nothing here asks for memory by itself, nothing needs an
//! operating system, and no user of an allocator writes `unsafe`.
//!
//! ```
//! use alloc_core::{AllocError, AllocatorExt, Counting, FromGlobal};
//! use std::alloc::System;
//!
//! fn main() -> Result<(), AllocError> {
//!     let gpa = Counting::new(FromGlobal::new(System));
//!     {
//!         let numbers = gpa.alloc_fill(5, 0u32)?; // a slice; freed at the end of the block
//!         let mut single = gpa.create(0u32)?; // one value
//!         *single = 42;
//!         let aligned = gpa.aligned_alloc::<u8, 16>(64)?; // on a boundary of 16 bytes
//!         assert!(aligned.as_ptr().addr().is_multiple_of(16));
//!         assert_eq!(gpa.counts().live_bytes, 20 + 4 + 64);
//!         gpa.free(numbers); // or let it drop
//!     }
//!     assert_eq!(gpa.counts().live_blocks, 0, "no leak");
//!     Ok(())
//! }
//! ```
//!
//! # Design
//!
//! ```text
//!   users        gpa.create(5)?  gpa.alloc(n)?  alloc_print!(gpa, ..)?     Vec::new_in(&gpa)
//!                      │                                                         │
//!   verbs        AllocatorExt, by value on every Copy handle            the Allocator traits of
//!                &Gpa, a zero-sized allocator, &dyn Allocator           allocator_api2 and core
//!                      │ returns                                                 │
//!   owners       Owned<T, A>  AlignedSlice<T, ALIGN, A>                          │
//!                pointer + handle: frees through the handle inside               │
//!                      │                                                         │
//!   block.rs     zero bytes end here; growth, shrinking, copies, frees  ◄────────┘
//!                      │ raw_alloc, raw_resize, raw_remap, raw_free; the size is never zero
//!   contract     Allocator: five methods, seven promises; UnsizedFree for those who know sizes
//!                      │
//!   wrappers     Counting  Limited  Locked  NeverAlloc     forward! writes what they do not change
//!   adapters     AsGlobal (out)  FromGlobal  FromApi2V02  FromApi2V04  FromStd (in)
//! ```
//!
//! Those who use allocators read [`AllocatorExt`] and [`Owned`]; those who write one read
//! [`Allocator`], [`forward!`] and [`impl_foreign_allocator!`].
//!
//! # Invariants
//!
//! 1. The promises of [`Allocator`] are all that any safe code here relies on.
//! 2. No size below the verbs, the adapters and the foreign traits is zero.
//! 3. An owner frees through the handle that its block came from, with the layout that it was last
//!    given. No safe function takes a bare pointer to free.
//! 4. An error leaves everything as it was: memory, counts, and values that were passed in by
//!    reference or come back beside the error.
//! 5. No call of [`Allocator`] happens inside a closure, so an allocator that asks for its caller
//!    gets the line of the verb.
//! 6. No public signature names a type of `allocator_api2`.
//!
//! # Features
//!
//! `allocator-api2-02` (default) and `allocator-api2-04`: every allocator is one of that crate's;
//! `core`'s own trait is implemented wherever the compiler has it, from Rust 1.100 on. `nightly`: on
//! nightly compilers before that. `allocator-api2-02-is-core`: for a tree in which another crate
//! turned on allocator-api2 0.2's `nightly`, which makes its trait core's; turn on `nightly` as well
//! before 1.100. `alloc`: [`Global`](https://docs.rs/alloc-core/latest/alloc_core/struct.Global.html),
//! the program's own allocator. `std`: the `std::io` traits of owners. `lock_api`: `Locked`.
//! `fail-points`: [`fail_point!`] does something; `alloc-testing` turns it on in tests.
//!
//! `--cfg alloc_check` (the mode `check`) compiles [`check!`] in; `--cfg loom` swaps [`sync`]'s
//! atomics for the model checker's.
//!
//! # Drawbacks
//!
//! * An owner carries its handle: a word more than a `Box` for `&A`, two for `&dyn Allocator`.
//! * Out of memory carries no reason; [`Limited::last_refusal`] and the checking allocators tell it.
//! * The caller's line is exact for verbs only. A drop, a container of another crate and a closure
//!   show their own.
//! * `Owned<dyn Trait, _>` needs [`unsize_owned!`], since the coercion is `std`'s alone.
//! * Pinning needs a handle that lives for ever ([`Owned::into_pin`]).
#![no_std]
#![cfg_attr(gated_allocator, feature(allocator_api, allow_internal_unstable))]
#![cfg_attr(gated_allocator, allow(unused_features, reason = "the macros name what it gates"))]
#![cfg_attr(
    gated_allocator,
    expect(
        internal_features,
        reason = "so that crates that invoke `impl_foreign_allocator!` need no gate"
    )
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(all(feature = "nightly", not(any(std_allocator, gated_allocator))))]
compile_error!(
    "alloc-core's feature `nightly` needs a nightly compiler, or Rust 1.100 or later, where it is \
     not needed: this compiler has no `core::alloc::Allocator`"
);

pub use core::alloc::Layout;

mod allocator;
mod ext;
mod owned;
mod aligned;
mod zeroable;
mod error;
mod block;
mod copy;
#[cfg(any(
    feature = "allocator-api2-02",
    feature = "allocator-api2-04",
    feature = "lock_api",
    std_allocator,
    gated_allocator
))]
mod bomb;
mod filling;
mod forward;
mod foreign;
mod check;
mod fail_point;
mod print;
mod sizes;
mod adapt;
mod wrap;
pub mod sync;

pub use adapt::*;
pub use aligned::{AlignedIntoIter, AlignedSlice};
pub use allocator::{Allocator, UnsizedFree};
pub use check::{CHECKED, CheckHook, check_failed, set_check_hook};
pub use error::AllocError;
pub use ext::AllocatorExt;
#[cfg(feature = "fail-points")]
pub use fail_point::{FailPoint, FailPointHook, fail_points, set_fail_point_hook};
pub use owned::{CloneIn, IntoIter, Owned};
pub use wrap::*;
pub use zeroable::Zeroable;

/// What the macros name; no part of the interface.
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "allocator-api2-02")]
    pub use allocator_api2_02::alloc as api2_02;
    #[cfg(feature = "allocator-api2-04")]
    pub use allocator_api2_04::alloc as api2_04;
    #[cfg(any(std_allocator, gated_allocator))]
    pub use core::alloc as core_alloc;
    // For macros that write `unsafe`: `::core` may be anything in the crate that invokes one.
    pub use core::compile_error;
    pub use core::ptr::NonNull;

    pub use crate::block::{
        allocate, allocate_zeroed, deallocate, grow_zeroed, reallocate, sliced,
    };
    pub use crate::copy::copy_items;
}

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
