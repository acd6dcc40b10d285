//! A reference into a block keeps its owner from being freed.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let data = gpa.create(1u8).unwrap();
    let reference = &*data;
    gpa.destroy(data); //~ E0505
    println!("{reference}");
}
