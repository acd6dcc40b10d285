//! An arena cannot be dropped while something in it is alive.
use alloc_arena::Arena;
use alloc_core::AllocatorExt;

fn main() {
    let arena = Arena::new();
    let data = arena.create(1u8).unwrap();
    drop(arena); //~ E0505
    println!("{}", *data);
}
