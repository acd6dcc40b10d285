//! Generics are what they are there for, also there.
extern crate self as core;

use alloc_core::{Allocator, NeverAlloc, forward, impl_foreign_allocator};
pub use std::{option, ptr, result};

#[macro_export]
macro_rules! compile_error {
    ($($message:tt)*) => {};
}

struct Mine(NeverAlloc, *const ());

// SAFETY: 1 to 7 are kept by forwarding to one that keeps them.
unsafe impl Allocator for Mine {
    forward!(self.0);
}
impl_foreign_allocator!(impl[] for Mine);

fn main() {
    let _ = Mine(NeverAlloc, std::ptr::null()).1;
}
