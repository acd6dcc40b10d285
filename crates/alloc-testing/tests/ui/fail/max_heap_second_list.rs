//! A heap for one list at a time gives no second one while the first is in use.
use alloc_core::NeverAlloc;
use alloc_fixed::MaxHeap;

fn main() {
    let mut scratch = MaxHeap::new(NeverAlloc);
    let first = scratch.alloc::<u8>(0).unwrap();
    let second = scratch.alloc::<u8>(0).unwrap(); //~ E0499
    println!("{} {}", first.len(), second.len());
}
