//! A heap is closed after its tags.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let tagged = gpa.tagged("requests");
    println!("{:?}", (&tagged).create(5u8).is_ok());
    println!("{:?}", gpa.deinit());
}
