//! The memory of a heap belongs to it as long as it is used.
use std::mem::MaybeUninit;

use alloc_core::AllocatorExt;
use alloc_fixed::TlsfHeap;

fn main() {
    let mut memory = [MaybeUninit::uninit(); 4096];
    let heap = TlsfHeap::new(&mut memory);
    println!("{:?}", heap.create(5u8).is_ok());
    memory[0] = MaybeUninit::new(1);
}
