//! Memory that a reset may take back cannot pin a value.
use alloc_arena::Arena;
use alloc_core::{AllocatorExt, Owned};

fn main() {
    let arena = Arena::new();
    let data = arena.create(1u8).unwrap(); //~ E0597
    println!("{}", *Owned::into_pin(data));
}
