//! A pool of small values is asked for a large one.
use alloc_pool::Pool;

fn main() {
    let pool = Pool::<u8>::new();
    let value = pool.create([0u64; 9]); //~ E0308
    drop(value);
}
