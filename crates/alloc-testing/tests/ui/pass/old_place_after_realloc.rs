//! A block that was reallocated is reached by what that returned.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let short = gpa.alloc::<u8>(4).unwrap();
    println!("{}", short.len());
    let long = gpa.realloc(short, 400).unwrap();
    println!("{}", long.len());
}
