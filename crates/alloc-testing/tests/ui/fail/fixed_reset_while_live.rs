//! A buffer is not taken back under what lives in it.
use alloc_core::AllocatorExt;
use alloc_fixed::StackBuffer;

fn main() {
    let mut buffer = StackBuffer::<64>::new();
    let mut fixed = buffer.fixed();
    let number = (&fixed).create(5u8).unwrap();
    fixed.reset(); //~ E0502
    println!("{number}");
}
