//! What was borrowed from a value does not survive its replacement.
use alloc_arena::{ArenaCell, Family, Reset};
use alloc_core::{AllocError, NeverAlloc};

struct Name;
impl Family for Name {
    type Of<'a> = &'a str;
}

fn main() {
    let mut cell = ArenaCell::<Name, _>::new(NeverAlloc, Reset::FreeAll);
    let old = cell.with(|name| name.copied());
    let result = cell.replace(|arena| Ok::<_, AllocError>(&*arena.put_str("new")?)); //~ E0502
    println!("{old:?} {result:?}");
}
