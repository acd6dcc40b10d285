//! Growing a container invalidates references to its items.
use allocator_api2_02::vec::Vec;
use alloc_arena::Arena;

fn main() {
    let arena = Arena::new();
    let mut list = Vec::new_in(&arena);
    list.push(1);
    let first = &list[0];
    list.push(2); //~ E0502
    println!("{first}");
}
