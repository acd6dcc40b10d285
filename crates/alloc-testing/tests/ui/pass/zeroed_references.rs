//! Zeros are no references.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let texts = gpa.alloc_zeroed::<usize>(4).unwrap();
    println!("{}", texts.len());
}
