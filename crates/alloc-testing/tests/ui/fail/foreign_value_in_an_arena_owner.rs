//! What stands in an `InArena` borrows from its arena, not from a local.
use alloc_arena::{Arena, Family, InArena};
use alloc_core::AllocError;

struct Name;
impl Family for Name {
    type Of<'a> = &'a str;
}

fn main() {
    let local = String::from("local");
    let name = InArena::<Name>::new(Arena::new(), |_| Ok::<_, AllocError>(&*local)); //~ E0597
    println!("{}", name.is_ok());
}
