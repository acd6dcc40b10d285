//! The explicit allocator contract: one small trait, typed verbs over it, and owners that free
//! themselves.
#![no_std]
#![cfg_attr(all(feature = "nightly", not(std_allocator)), feature(allocator_api))]

#[cfg(any(test, feature = "std"))]
extern crate std;

pub use core::alloc::Layout;

mod allocator;
mod ext;
mod owned;
mod aligned;
mod zeroable;
mod error;
mod forward;
mod check;
mod never;
mod print;
mod sizes;

pub use aligned::AlignedSlice;
pub use allocator::{Allocator, UnsizedFree};
pub use check::{CHECKED, check_failed};
pub use error::AllocError;
pub use ext::AllocatorExt;
pub use never::NeverAlloc;
pub use owned::{IntoIter, Owned};
pub use zeroable::Zeroable;
