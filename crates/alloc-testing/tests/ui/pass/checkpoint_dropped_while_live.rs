//! First the last use, then the rewind.
use alloc_arena::Arena;

fn main() {
    let mut arena = Arena::new();
    let mut point = arena.checkpoint();
    let number = point.scope().put(5u8).unwrap();
    println!("{number}");
    point.rewind();
}
