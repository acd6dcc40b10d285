//! A block is freed once: `free` takes the owner.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let data = gpa.create(1u8).unwrap();
    gpa.destroy(data);
    gpa.destroy(data); //~ E0382
}
