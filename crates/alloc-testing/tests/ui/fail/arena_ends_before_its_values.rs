//! A value cannot outlive the arena that it is in.
use alloc_arena::Arena;
use alloc_core::AllocatorExt;

fn main() {
    let data;
    {
        let arena = Arena::new();
        data = arena.create(1u8).unwrap(); //~ E0597
    }
    println!("{}", *data);
}
