//! What that a builder has not finished is no other scope's, which would take it back.
use alloc_arena::Arena;

fn main() {
    let mut arena = Arena::new();
    let mut outer = arena.as_scope();
    let mut built = outer.build_slice();
    built.push(1).unwrap();
    assert_eq!(built.finish(), [1]);
    outer.scope(|inner| assert_eq!(*inner.put(1).unwrap(), 1));
}
