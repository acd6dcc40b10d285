//! The value is used before.
use alloc_pool::Pool;

fn main() {
    let mut pool = Pool::<u64>::new();
    let value = pool.create(1).unwrap();
    println!("{value}");
    drop(value);
    pool.reset();
}
