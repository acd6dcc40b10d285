//! Nobody touches a buffer that is lent to an allocator.
use alloc_core::AllocatorExt;
use alloc_fixed::FixedBuffer;

fn main() {
    let mut buffer = [0u8; 64];
    let fixed = FixedBuffer::new(&mut buffer);
    buffer[0] = 1; //~ E0506
    println!("{}", *fixed.create(1u8).unwrap());
}
