//! Nobody touches a buffer that is lent to an allocator.
use alloc_core::AllocatorExt;
use alloc_fixed::FixedBuffer;
use core::mem::MaybeUninit;

fn main() {
    let mut buffer = [MaybeUninit::uninit(); 64];
    let fixed = FixedBuffer::new(&mut buffer);
    buffer[0] = MaybeUninit::new(1); //~ E0506
    println!("{}", *fixed.create(1u8).unwrap());
}
