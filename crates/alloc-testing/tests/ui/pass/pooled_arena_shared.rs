//! Sent, it can be used.
use alloc_arena::{Arena, ArenaPool, Reset};

fn main() {
    let pool: ArenaPool<_, 2> = ArenaPool::new(Arena::new, Reset::FreeAll);
    let arena = pool.take().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(move || arena.put(5u8).is_ok());
    });
}
