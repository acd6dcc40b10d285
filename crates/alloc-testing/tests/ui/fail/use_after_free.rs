//! What was freed cannot be read.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let data = gpa.create(1u8).unwrap();
    gpa.destroy(data);
    println!("{}", *data); //~ E0382
}
