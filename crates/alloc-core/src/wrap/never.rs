//! The allocator that has no memory.

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::{AllocError, Allocator};

/// Refuses every request: proves that code which is handed it allocates nothing, and ends a chain of
/// fallbacks. Zero-sized; thread-safe.
///
/// ```
/// use alloc_core::{AllocError, AllocatorExt, NeverAlloc};
///
/// assert_eq!(NeverAlloc.create(1u8).map(drop), Err(AllocError));
/// assert!(NeverAlloc.create(()).is_ok(), "zero bytes need no memory");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NeverAlloc;

// SAFETY: there is never a block, so 1, 2, 3, 5 and 6 hold for all of them; nothing panics (4);
// failing changes nothing (7).
unsafe impl Allocator for NeverAlloc {
    #[inline]
    fn raw_alloc(&self, _: Layout) -> Result<NonNull<u8>, AllocError> {
        Err(AllocError)
    }

    #[inline]
    unsafe fn raw_resize(&self, _: NonNull<u8>, _: Layout, _: usize) -> bool {
        false
    }

    #[inline]
    unsafe fn raw_remap(&self, _: NonNull<u8>, _: Layout, _: usize) -> Option<NonNull<u8>> {
        None
    }

    #[inline]
    unsafe fn raw_free(&self, _: NonNull<u8>, _: Layout) {}
}
