//! The allocator lives for ever.
use alloc_c::{CAllocator, CHandle};
use alloc_core::Counting;

static COUNTING: Counting<CAllocator> = Counting::new(CAllocator);

fn handle<'a>() -> CHandle<'a> {
    CHandle::new(&COUNTING)
}

fn main() {
    let _ = handle();
}
