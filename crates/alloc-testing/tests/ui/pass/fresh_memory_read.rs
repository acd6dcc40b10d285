//! Fresh memory holds no values, unless they were asked for.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let numbers = gpa.alloc_zeroed::<u32>(4).unwrap();
    let first: u32 = numbers[0];
    println!("{first}");
}
