//! A zero-sized allocator lives for ever, and may pin.
use alloc_core::{AllocatorExt, Owned};
use alloc_page::PageAllocator;

fn main() {
    let data = PageAllocator.create(1u8).unwrap();
    println!("{}", *Owned::into_pin(data));
}
