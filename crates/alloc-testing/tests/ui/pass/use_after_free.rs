//! Read, then freed.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let data = gpa.create(1u8).unwrap();
    println!("{}", *data);
    gpa.destroy(data);
}
