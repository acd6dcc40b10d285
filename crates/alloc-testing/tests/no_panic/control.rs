//! Panics, and must be found.

#[inline(never)]
pub fn control_that_panics(items: &[u8], index: usize) -> u8 {
    items[index]
}
