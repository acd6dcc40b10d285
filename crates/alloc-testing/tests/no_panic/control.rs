//! Panics, and must be found.

#[inline(never)]
pub fn control_that_panics(items: &[u8], index: usize) -> u8 {
    items[index]
}

#[inline(never)]
pub fn control_that_calls_what_panics(arena: &alloc_arena::Arena<alloc_core::NeverAlloc>) -> u64 {
    *arena.put_or_panic(5)
}
