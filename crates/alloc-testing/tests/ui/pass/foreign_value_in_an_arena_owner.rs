//! A copy of the local does.
use alloc_arena::{Arena, Family, InArena};
use alloc_core::AllocError;

struct Name;
impl Family for Name {
    type Of<'a> = &'a str;
}

fn main() {
    let local = String::from("local");
    let name = InArena::<Name>::new(Arena::new(), |arena| Ok::<_, AllocError>(&*arena.put_str(&local)?));
    println!("{}", name.is_ok());
}
