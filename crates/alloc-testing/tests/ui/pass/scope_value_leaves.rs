//! What is copied out does.
use alloc_arena::Arena;

fn main() {
    let mut arena = Arena::new();
    let number = arena.scope(|inner| *inner.put(5u8).unwrap());
    println!("{number}");
}
