//! A shared buffer is returned without the pool that its bytes are in.
use alloc_core::Global;
use alloc_pool::{Buffer, BufferPool};

fn message<'a>() -> Buffer<'a, Global> {
    let pool = BufferPool::<Global>::new(Global, 64, 1).unwrap();
    pool.get().unwrap() //~ E0515
}

fn main() {
    drop(message());
}
