//! A local arena is one thread's.
use alloc_arena::SharedArena;

fn main() {
    let shared = SharedArena::new();
    let local = shared.local();
    std::thread::scope(|threads| {
        threads.spawn(|| local.put(5u8).is_ok()); //~ E0277
    });
}
