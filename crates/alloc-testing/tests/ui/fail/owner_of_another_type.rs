//! An owner says by its type where its block came from.
use alloc_arena::Arena;
use alloc_core::{AllocatorExt, Owned};
use alloc_gpa::Gpa;

struct Config<'g> {
    name: Owned<str, &'g Gpa>,
}

fn main() {
    let (gpa, arena) = (Gpa::new(), Arena::new());
    let _ = &gpa;
    let config = Config { name: arena.dupe_str("name").unwrap() }; //~ E0308
    println!("{}", &*config.name);
}
