//! A heap is not closed while a tag of it is used.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let tagged = gpa.tagged("requests");
    println!("{:?}", gpa.deinit()); //~ E0505
    println!("{:?}", (&tagged).create(5u8).is_ok());
}
