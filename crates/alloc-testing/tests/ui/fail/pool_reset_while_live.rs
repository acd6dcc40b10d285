//! The memory of a value goes back to the slabs while somebody has it.
use alloc_pool::Pool;

fn main() {
    let mut pool = Pool::<u64>::new();
    let value = pool.create(1).unwrap();
    pool.reset(); //~ E0502
    println!("{value}");
}
