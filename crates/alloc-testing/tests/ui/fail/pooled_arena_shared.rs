//! An arena of a pool is for one thread at a time: it can be sent, not shared.
use alloc_arena::{Arena, ArenaPool, Reset};

fn main() {
    let pool: ArenaPool<_, 2> = ArenaPool::new(Arena::new, Reset::FreeAll);
    let arena = pool.take().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| arena.put(5u8).is_ok()); //~ E0277
    });
}
