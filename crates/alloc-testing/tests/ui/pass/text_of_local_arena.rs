//! Text in an arena of the caller can.
use alloc_arena::Arena;

fn message(arena: &Arena) -> &str {
    arena.put_str("text").unwrap()
}

fn main() {
    println!("{}", message(&Arena::new()));
}
