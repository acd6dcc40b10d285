//! The checking heap, behind a look at who owns a block.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator, UnsizedFree};
use alloc_gpa::{Origin, ProcessHeap};

use crate::family::Served;
use crate::foreign;

/// The process's checking heap, as one family of functions sees it, which leaves the loader's own
/// early blocks alone.
///
/// Any address may be given to it: what is no block is told as a finding, and nothing else happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked {
    /// Which functions its blocks belong to.
    origin: Origin,
}

impl Checked {
    /// For `malloc` and its relatives.
    pub(crate) const MALLOC: Self = Self { origin: Origin::Malloc };
    /// For `operator new`.
    #[cfg(not(test))]
    pub(crate) const NEW: Self = Self { origin: Origin::New };
    /// For `operator new[]`.
    #[cfg(not(test))]
    pub(crate) const NEW_ARRAY: Self = Self { origin: Origin::NewArray };

    #[cfg(not(test))]
    /// Returns which functions the blocks belong to.
    pub(crate) const fn origin(&self) -> Origin {
        self.origin
    }

    /// Lets a block that another family just gave belong to this one.
    #[cfg(not(test))]
    pub(crate) fn adopt(&self, block: NonNull<u8>) {
        ProcessHeap.set_origin(block, self.origin);
    }
}

/// Returns where the mapping ends that a block of the loader lies in; `None` for any other address.
#[inline]
fn early_end(block: NonNull<u8>) -> Option<usize> {
    if ProcessHeap.owns(block.as_ptr()) { None } else { early_end_slow(block) }
}

#[cold]
#[inline(never)]
fn early_end_slow(block: NonNull<u8>) -> Option<usize> {
    foreign::early_end(block.addr().get())
}

// SAFETY: promises 1 to 7 are kept by forwarding to `ProcessHeap`, which keeps them. A block of the
// loader's is never written to, and is not given to the heap.
unsafe impl Allocator for Checked {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        ProcessHeap.alloc_of(layout, self.origin)
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        ProcessHeap.raw_alloc_zeroed(layout)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        // SAFETY: the same contract.
        early_end(block).is_none() && unsafe { ProcessHeap.raw_resize(block, layout, new_size) }
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        if early_end(block).is_some() {
            return None;
        }
        // SAFETY: the same contract.
        unsafe { ProcessHeap.raw_remap(block, layout, new_size) }
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the same contract.
        unsafe { self.free_told(block, Some(layout.size()), Some(layout.align())) };
    }
}

// SAFETY: the sizes are those of `ProcessHeap`; of a block of the loader's nothing is known, which
// is no live block of this heap.
unsafe impl UnsizedFree for Checked {
    unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        // SAFETY: the same contract; for any other address the answer is 0.
        unsafe { ProcessHeap.usable_size(block) }
    }

    #[inline]
    unsafe fn free_unsized(&self, block: NonNull<u8>) {
        // SAFETY: the same contract.
        unsafe { self.free_told(block, None, None) };
    }

    fn owns(&self, ptr: *const u8) -> bool {
        ProcessHeap.owns(ptr)
    }

    unsafe fn realloc_unsized(
        &self,
        block: NonNull<u8>,
        new_layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        let Some(end) = early_end(block) else {
            // SAFETY: the same contract.
            return unsafe { ProcessHeap.realloc_unsized(block, new_layout) };
        };
        let new = self.raw_alloc(new_layout)?;
        // The loader keeps no sizes: what is behind the block comes along, as far as it is mapped.
        let count = new_layout.size().min(end - block.addr().get());
        // SAFETY: readable up to the end of its mapping; the new block is that long, and in another.
        unsafe { new.copy_from_nonoverlapping(block, count) };
        Ok(new)
    }
}

impl Served for Checked {
    /// A block without a byte has an address of its own, and the canary begins there.
    const SIZE_MIN: usize = 0;

    #[inline]
    unsafe fn free_told(&self, block: NonNull<u8>, size: Option<usize>, align: Option<usize>) {
        if early_end(block).is_none() {
            // SAFETY: the same contract.
            unsafe { ProcessHeap.free_by(block, self.origin, size, align) };
        }
    }

    fn refused(&self, size: usize, align: usize, of: Option<(usize, usize)>) {
        ProcessHeap.note_absurd(size, align, of);
    }
}
