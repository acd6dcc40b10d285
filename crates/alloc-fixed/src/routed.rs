//! Two allocators, of which each block's address tells which one it is of.

use core::ptr::NonNull;

/// Ends the process: what lies in a block of the first allocator would be given back to that one.
#[cold]
#[inline(never)]
pub(crate) fn fallback_within(block: NonNull<u8>) -> ! {
    alloc_core::check_failed(format_args!(
        "the fallback took its memory from the allocator before it: {block:?}"
    ))
}

/// Implements the contract for `$name`, which has a field `$first`, an allocator that tells by `owns_ptr` what
/// lies in its buffer, and a field `fallback`.
macro_rules! routed {
    ($name:ident, $first:ident) => {
        impl<A> $name<'_, A> {
            /// Whether the block is one of the first allocator's.
            #[inline]
            fn in_first(&self, block: NonNull<u8>) -> bool {
                self.$first.owns_ptr(block.as_ptr())
            }

            /// A block that the fallback has handed out: as it is, if it does not lie in the first one's buffer.
            #[inline]
            fn outside_first(&self, block: NonNull<u8>) -> NonNull<u8> {
                if self.in_first(block) {
                    $crate::routed::fallback_within(block);
                }
                block
            }
        }

        // SAFETY: every block is one of the first allocator's or one of the fallback's, each of which keeps the
        // promises 1 to 7. Which of the two is told by its address: the first one's blocks lie in its buffer,
        // and the fallback's do not, which `outside_first` sees to. 3: moving this moves both.
        unsafe impl<A: Allocator> Allocator for $name<'_, A> {
            #[inline]
            fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
                match self.$first.raw_alloc(layout) {
                    Ok(block) => Ok(block),
                    Err(AllocError) => Ok(self.outside_first(self.fallback.raw_alloc(layout)?)),
                }
            }

            #[inline]
            fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
                match self.$first.raw_alloc_zeroed(layout) {
                    Ok(block) => Ok(block),
                    Err(AllocError) => {
                        Ok(self.outside_first(self.fallback.raw_alloc_zeroed(layout)?))
                    }
                }
            }

            #[inline]
            unsafe fn raw_resize(
                &self,
                block: NonNull<u8>,
                layout: Layout,
                new_size: usize,
            ) -> bool {
                if self.in_first(block) {
                    // SAFETY: the caller's contract; it is the first one's block.
                    unsafe { self.$first.raw_resize(block, layout, new_size) }
                } else {
                    // SAFETY: the caller's contract; it is the fallback's block.
                    unsafe { self.fallback.raw_resize(block, layout, new_size) }
                }
            }

            #[inline]
            unsafe fn raw_remap(
                &self,
                block: NonNull<u8>,
                layout: Layout,
                new_size: usize,
            ) -> Option<NonNull<u8>> {
                if self.in_first(block) {
                    // SAFETY: the caller's contract; it is the first one's block.
                    unsafe { self.$first.raw_remap(block, layout, new_size) }
                } else {
                    // SAFETY: the caller's contract; it is the fallback's block.
                    let moved = unsafe { self.fallback.raw_remap(block, layout, new_size) }?;
                    Some(self.outside_first(moved))
                }
            }

            #[inline]
            unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
                if self.in_first(block) {
                    // SAFETY: the caller's contract; it is the first one's block.
                    unsafe { self.$first.raw_free(block, layout) }
                } else {
                    // SAFETY: the caller's contract; it is the fallback's block.
                    unsafe { self.fallback.raw_free(block, layout) }
                }
            }
        }
    };
}

pub(crate) use routed;
