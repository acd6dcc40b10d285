//! The second list follows when the first is done with.
use alloc_core::NeverAlloc;
use alloc_fixed::MaxHeap;

fn main() {
    let mut scratch = MaxHeap::new(NeverAlloc);
    println!("{}", scratch.alloc::<u8>(0).unwrap().len());
    println!("{}", scratch.alloc::<u8>(0).unwrap().len());
}
