//! Fixed buffers and heaps: every call of the contract.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator, NeverAlloc};
use alloc_fixed::{BufferFirst, FixedBuffer, SharedFixedBuffer, TlsfHeap};

macro_rules! contract {
    ($($name:ident: $type:ty;)+) => { $(pub mod $name {
        use super::*;

        #[inline(never)]
        pub fn alloc(a: &$type, layout: Layout) -> Result<NonNull<u8>, AllocError> {
            a.raw_alloc(layout)
        }

        #[inline(never)]
        pub fn alloc_zeroed(a: &$type, layout: Layout) -> Result<NonNull<u8>, AllocError> {
            a.raw_alloc_zeroed(layout)
        }

        /// # Safety
        ///
        /// As the function that it calls.
        #[inline(never)]
        pub unsafe fn resize(a: &$type, block: NonNull<u8>, layout: Layout, size: usize) -> bool {
            // SAFETY: the caller keeps the same contract.
            unsafe { a.raw_resize(block, layout, size) }
        }

        /// # Safety
        ///
        /// As the function that it calls.
        #[inline(never)]
        pub unsafe fn free(a: &$type, block: NonNull<u8>, layout: Layout) {
            // SAFETY: the caller keeps the same contract.
            unsafe { a.raw_free(block, layout) }
        }
    })+ };
}

contract! {
    fixed: FixedBuffer<'_>;
    shared: SharedFixedBuffer<'_>;
    tlsf: TlsfHeap<'_>;
    buffer_first: BufferFirst<'_, NeverAlloc>;
}
