//! First what is in the arena, then the arena.
use alloc_arena::Arena;
use alloc_core::AllocatorExt;

fn main() {
    let arena = Arena::new();
    let data = arena.create(1u8).unwrap();
    println!("{}", *data);
    drop(data);
    drop(arena);
}
