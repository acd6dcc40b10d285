//! The reference ends before the growth.
use allocator_api2_02::vec::Vec;
use alloc_arena::Arena;

fn main() {
    let arena = Arena::new();
    let mut list = Vec::new_in(&arena);
    list.push(1);
    let first = &list[0];
    println!("{first}");
    list.push(2);
}
