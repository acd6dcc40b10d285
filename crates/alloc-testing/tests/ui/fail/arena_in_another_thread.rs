//! An arena is for one thread.
use alloc_arena::Arena;
use alloc_core::AllocatorExt;

fn main() {
    let arena = Arena::new();
    std::thread::scope(|scope| {
        scope.spawn(|| println!("{}", *arena.create(1u8).unwrap())); //~ E0277
    });
}
