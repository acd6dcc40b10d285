//! Inside a scope nobody takes memory from outside it: it would be taken back too early.
use alloc_arena::Arena;

fn main() {
    let mut arena = Arena::new();
    let mut outer = arena.as_scope();
    let mut kept = None;
    outer.scope(|inner| { //~ E0502
        inner.put(1u8).unwrap();
        kept = Some(outer.put(5u8).unwrap());
    });
    println!("{kept:?}");
}
