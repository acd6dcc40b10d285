//! An arena is reset when nothing in it is alive.
use alloc_arena::{Arena, Reset};
use alloc_core::AllocatorExt;

fn main() {
    let mut arena = Arena::new();
    let data = arena.create(1u8).unwrap();
    println!("{}", *data);
    drop(data);
    arena.reset(Reset::FreeAll);
}
