//! An arena cannot be reset while something in it is alive.
use alloc_arena::{Arena, Reset};
use alloc_core::AllocatorExt;

fn main() {
    let mut arena = Arena::new();
    let data = arena.create(1u8).unwrap();
    arena.reset(Reset::FreeAll); //~ E0502
    println!("{}", *data);
}
