//! What is freed is an owner, never a slice or a pointer.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let mut numbers = gpa.alloc_fill(4, 0u32).unwrap();
    numbers[0] = 1;
    gpa.free(&mut numbers[..]); //~ E0308
}
