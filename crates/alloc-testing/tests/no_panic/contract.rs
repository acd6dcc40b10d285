//! Probes of the contract, for each allocator alike; what the other files call.

macro_rules! contract {
    ($($name:ident: $type:ty;)+) => { $(pub mod $name {
        use core::alloc::Layout;
        use core::ptr::NonNull;

        use alloc_core::{AllocError, Allocator};

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
        pub unsafe fn remap(
            a: &$type,
            block: NonNull<u8>,
            layout: Layout,
            size: usize,
        ) -> Option<NonNull<u8>> {
            // SAFETY: the caller keeps the same contract.
            unsafe { a.raw_remap(block, layout, size) }
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
