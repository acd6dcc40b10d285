//! Zeros are no references.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let texts = gpa.alloc_zeroed::<&str>(4).unwrap(); //~ E0277
    println!("{}", texts.len());
}
