//! An arena of values that live long takes none that live shorter, whatever it is taken for.
use alloc_arena::TypedArena;

fn shorter<'t, 's>(arena: &'t TypedArena<&'s str>) -> &'t TypedArena<&'s str> {
    arena
}

fn main() {
    let name = String::from("there");
    let mut arena = TypedArena::new();
    shorter(&arena).put(&name).unwrap();
    assert_eq!(arena.drain().next(), Some("there"));
}
