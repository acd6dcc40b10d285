//! They are lent for a call, which settles them.
use alloc_core::AllocatorExt;
use alloc_fixed::FixedBuffer;

fn main() {
    let mut bytes = [0u8; 64];
    FixedBuffer::with_bytes(&mut bytes, |fixed| println!("{:?}", fixed.create(1u8)));
    println!("{bytes:?}");
}
