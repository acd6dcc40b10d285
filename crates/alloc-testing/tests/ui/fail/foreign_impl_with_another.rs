//! The generics of the foreign impls bring no impl of their own: it would be an `unsafe` one without the word.
use alloc_core::{Allocator, NeverAlloc, forward, impl_foreign_allocator};

struct Mine(NeverAlloc, *const ());

// SAFETY: 1 to 7 are kept by forwarding to one that keeps them.
unsafe impl Allocator for Mine {
    forward!(self.0);
}
impl_foreign_allocator!(impl[> Send for Mine {} #[cfg(any())] impl<] for Mine); //~ no code

fn main() {
    let _ = Mine(NeverAlloc, core::ptr::null()).1;
}
