//! What a function lends out, it borrows from something that its signature names.
use alloc_core::{Allocator, AllocatorExt, Owned};

fn name(gpa: &dyn Allocator) -> Owned<str, &dyn Allocator> {
    gpa.dupe_str("name").unwrap()
}

fn shared() -> Owned<str, &'static dyn Allocator> {
    name(&alloc_page::PageAllocator)
}

fn main() {
    println!("{}", &*shared());
}
