//! Nothing says that the allocator behind C's functions is for more than one thread.
use alloc_c::{CAllocator, CHandle};
use alloc_core::AllocatorExt;

fn main() {
    let handle = CHandle::new(&CAllocator);
    std::thread::spawn(move || handle.create(1).is_ok()); //~ E0277
}
