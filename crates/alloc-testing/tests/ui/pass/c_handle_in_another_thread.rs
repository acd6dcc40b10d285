//! The handle is made where it is used.
use alloc_c::{CAllocator, CHandle};
use alloc_core::AllocatorExt;

fn main() {
    std::thread::spawn(move || CHandle::new(&CAllocator).create(1).is_ok());
}
