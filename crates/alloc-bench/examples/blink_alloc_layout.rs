//! A finding of the conformance kit: safe code makes blink-alloc 0.4.0 break the contract of
//! `Layout::from_size_align_unchecked`.
//!
//! The request is a valid `Layout`. The size of the chunk for it is checked against `usize::MAX` only
//! (`ChunkHeader::alloc_chunk`), so a layout of more than `isize::MAX` bytes is made, which is undefined.
//! A build with debug assertions says so and aborts; `docs/design/conformance-of-peers.md`.

use std::alloc::Layout;

use blink_alloc::BlinkAlloc;

/// Asks for the largest layout there is.
pub(crate) fn main() {
    let largest = Layout::from_size_align(isize::MAX as usize, 1).expect("the largest layout");
    let outcome = BlinkAlloc::new().allocate(largest);
    println!("refused: {}", outcome.is_err());
}
