//! An owner is not copied: a block has one.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let data = gpa.create(1u8).unwrap();
    let (one, two) = (data, data); //~ E0382
    println!("{} {}", *one, *two);
}
