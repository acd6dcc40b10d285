//! `UnsizedFree`'s own `realloc_unsized`, for allocators that have no better one.

mod common;

use alloc_core::{Allocator, Layout, UnsizedFree, forward};
use common::Ledger;
use std::ptr::NonNull;

/// Knows the layout of its blocks: they all have the same.
struct Same(Ledger, Layout);

// SAFETY: 1 to 7 are kept by forwarding to the ledger, which keeps them.
unsafe impl Allocator for Same {
    forward!(self.0);
}

// SAFETY: the size is that of every block that the test makes.
unsafe impl UnsizedFree for Same {
    unsafe fn usable_size(&self, _: NonNull<u8>) -> usize {
        self.1.size()
    }
    unsafe fn free_unsized(&self, block: NonNull<u8>) {
        // SAFETY: the same contract; all blocks have this layout.
        unsafe { self.0.raw_free(block, self.1) };
    }
    fn owns(&self, _: *const u8) -> bool {
        true
    }
}

/// A growth, a shrink, another alignment: what fits is kept, and the old block is freed; without memory
/// it lives on. Through a reference it is the same.
#[test]
fn realloc_unsized_allocates_copies_and_frees() {
    let old_layout = Layout::from_size_align(20, 4).unwrap();
    for (size, align) in [(40, 4), (20, 4), (7, 4), (1, 1), (30, 64)] {
        let same = Same(Ledger::new(), old_layout);
        let new_layout = Layout::from_size_align(size, align).unwrap();
        let old = same.raw_alloc(old_layout).unwrap();
        let content: [u8; 20] = std::array::from_fn(|index| index as u8);
        // SAFETY: the block spans as many bytes.
        unsafe { old.cast::<[u8; 20]>().write_unaligned(content) };
        same.0.allowed.set(0);
        // SAFETY: live; the size is not zero.
        assert!(unsafe { same.realloc_unsized(old, new_layout) }.is_err());
        assert_eq!(same.0.live_bytes(), 20, "as it was");
        same.0.allowed.set(1);
        // SAFETY: live, since the call before failed; the size is not zero.
        let new = unsafe { UnsizedFree::realloc_unsized(&&same, old, new_layout) }.unwrap();
        assert_eq!((same.0.live_count(), same.0.live_bytes()), (1, size));
        assert!(new.addr().get().is_multiple_of(align));
        let kept = NonNull::slice_from_raw_parts(new, size.min(20));
        // SAFETY: within the block, and written before.
        assert_eq!(unsafe { kept.as_ref() }, &content[..size.min(20)]);
        // SAFETY: live, and its layout.
        unsafe { same.raw_free(new, new_layout) };
    }
}
