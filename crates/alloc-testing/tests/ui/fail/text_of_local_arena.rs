//! Text in an arena of this function cannot leave it.
use alloc_arena::Arena;

fn message<'a>() -> &'a str {
    let arena = Arena::new();
    arena.put_str("text").unwrap() //~ E0515
}

fn main() {
    println!("{}", message());
}
