//! The buffer is its owner's again afterwards.
use alloc_core::AllocatorExt;
use alloc_fixed::FixedBuffer;
use core::mem::MaybeUninit;

fn main() {
    let mut buffer = [MaybeUninit::uninit(); 64];
    let fixed = FixedBuffer::new(&mut buffer);
    println!("{}", *fixed.create(1u8).unwrap());
    drop(fixed);
    buffer[0] = MaybeUninit::new(1);
}
