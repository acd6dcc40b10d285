//! The reference ends before the free.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let data = gpa.create(1u8).unwrap();
    let reference = &*data;
    println!("{reference}");
    gpa.destroy(data);
}
