//! Bytes that somebody reads again are no buffer that may be left without values.
use alloc_core::AllocatorExt;
use alloc_fixed::FixedBuffer;

fn main() {
    let mut bytes = [0u8; 64];
    let fixed = FixedBuffer::new(&mut bytes); //~ E0308
    println!("{:?}", fixed.create(1u8));
}
