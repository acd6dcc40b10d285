//! The pool is of that type.
use alloc_pool::Pool;

fn main() {
    let pool = Pool::<[u64; 9]>::new();
    let value = pool.create([0u64; 9]);
    drop(value);
}
