//! Values of one arena refer to each other, unless their own drop could look at one that is gone.
use std::cell::Cell;

use alloc_arena::TypedArena;

struct Node<'a>(Cell<Option<&'a Node<'a>>>);

impl Drop for Node<'_> {
    fn drop(&mut self) {
        self.0.get();
    }
}

fn main() {
    let arena = TypedArena::new();
    let node = arena.put(Node(Cell::new(None))).unwrap();
    node.0.set(Some(arena.put(Node(Cell::new(None))).unwrap())); //~ E0597
}
