//! An owner says by its type where its block came from.
use alloc_arena::Arena;
use alloc_core::{AllocatorExt, Owned};
use alloc_gpa::Gpa;

struct Config<'g> {
    name: Owned<str, &'g Gpa>,
}

fn main() {
    let (gpa, arena) = (Gpa::new(), Arena::new());
    let _ = &arena;
    let config = Config { name: gpa.dupe_str("name").unwrap() };
    println!("{}", &*config.name);
}
