//! An allocator cannot end while it has owners.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let data = gpa.create(1u8).unwrap();
    let _ = gpa.deinit(); //~ E0505
    println!("{}", *data);
}
