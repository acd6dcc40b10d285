//! The buffer is its owner's again afterwards.
use alloc_core::AllocatorExt;
use alloc_fixed::FixedBuffer;

fn main() {
    let mut buffer = [0u8; 64];
    let fixed = FixedBuffer::new(&mut buffer);
    println!("{}", *fixed.create(1u8).unwrap());
    drop(fixed);
    buffer[0] = 1;
}
