//! An arena of values that live long takes none that live shorter, whatever it is taken for.
use alloc_arena::TypedArena;

fn shorter<'t, 's>(arena: &'t TypedArena<&'static str>) -> &'t TypedArena<&'s str> {
    arena //~ no code
}

fn main() {
    let mut arena = TypedArena::new();
    shorter(&arena).put(&String::from("gone")).unwrap();
    assert_eq!(arena.drain().next(), Some("gone"));
}
