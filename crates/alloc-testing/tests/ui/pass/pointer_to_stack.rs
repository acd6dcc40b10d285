//! What outlives the function is owned.
use alloc_core::{Allocator, AllocatorExt, Owned};
use alloc_gpa::Gpa;

fn create_data<A: Allocator + Copy>(gpa: A) -> Owned<u8, A> {
    gpa.create(42).unwrap()
}

fn main() {
    println!("{}", *create_data(&Gpa::new()));
}
