//! C gets a handle of an allocator that ends before it.
use alloc_c::{CAllocator, CHandle};
use alloc_core::Counting;

fn handle<'a>() -> CHandle<'a> {
    let counting = Counting::new(CAllocator);
    CHandle::new(&counting) //~ E0515
}

fn main() {
    let _ = handle();
}
