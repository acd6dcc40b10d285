//! Another thread takes its own.
use alloc_arena::SharedArena;

fn main() {
    let shared = SharedArena::new();
    std::thread::scope(|threads| {
        threads.spawn(|| shared.local().put(5u8).is_ok());
    });
}
