//! A buffer with a fallback behind it is taken once at a time.
use alloc_core::{AllocatorExt, NeverAlloc};
use alloc_fixed::StackBuffer;

fn main() {
    let mut stack = StackBuffer::<64>::new();
    let first = stack.first(NeverAlloc);
    let second = stack.first(NeverAlloc); //~ E0499
    println!("{:?} {:?}", first.create(1u8), second.create(2u8));
}
