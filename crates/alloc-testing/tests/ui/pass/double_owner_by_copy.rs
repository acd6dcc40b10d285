//! A copy of the value is a block of its own.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let data = gpa.create(1u8).unwrap();
    let (one, two) = (gpa.create(*data).unwrap(), data);
    println!("{} {}", *one, *two);
}
