//! One handle serves any number of users.
use alloc_core::{AllocatorExt, NeverAlloc};
use alloc_fixed::StackBuffer;

fn main() {
    let mut stack = StackBuffer::<64>::new();
    let first = stack.first(NeverAlloc);
    let second = &first;
    println!("{:?} {:?}", first.create(1u8), second.create(2u8));
}
