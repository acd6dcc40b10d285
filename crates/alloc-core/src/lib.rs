//! The explicit allocator contract: one small trait, typed verbs over it, and owners that free
//! themselves.
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
mod filling;
mod forward;
mod foreign;
mod check;
mod never;
mod print;
mod sizes;
mod adapt;
mod wrap;
pub mod sync;

pub use adapt::*;
pub use aligned::AlignedSlice;
pub use allocator::{Allocator, UnsizedFree};
pub use check::{CHECKED, check_failed};
pub use error::AllocError;
pub use ext::AllocatorExt;
pub use never::NeverAlloc;
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

    pub use crate::block::{
        allocate, allocate_zeroed, deallocate, grow_zeroed, reallocate, sliced,
    };
}
