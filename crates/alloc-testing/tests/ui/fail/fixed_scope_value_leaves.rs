//! What was made in a scope of a buffer does not leave it.
use alloc_core::AllocatorExt;
use alloc_fixed::StackBuffer;

fn main() {
    let mut buffer = StackBuffer::<64>::new();
    let fixed = buffer.fixed();
    let number = fixed.scope(|inner| (&*inner).create(5u8).unwrap()); //~ no code
    println!("{number}");
}
