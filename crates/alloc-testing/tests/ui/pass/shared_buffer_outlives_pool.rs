//! The pool is the caller's.
use alloc_core::Global;
use alloc_pool::{Buffer, BufferPool};

fn message(pool: &BufferPool<Global>) -> Buffer<'_, Global> {
    pool.get().unwrap()
}

fn main() {
    let pool = BufferPool::<Global>::new(Global, 64, 1).unwrap();
    drop(message(&pool));
}
