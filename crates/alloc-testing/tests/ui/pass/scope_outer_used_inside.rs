//! Before it, and after it.
use alloc_arena::Arena;

fn main() {
    let mut arena = Arena::new();
    let mut outer = arena.as_scope();
    let mut kept = None;
    outer.scope(|inner| {
        inner.put(1u8).unwrap();
    });
    kept = kept.or(Some(outer.put(5u8).unwrap()));
    println!("{kept:?}");
}
