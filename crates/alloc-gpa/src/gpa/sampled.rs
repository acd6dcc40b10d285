//! An explicit instance that samples: picked blocks are its heap's, the others the system's. Which one a
//! block is, the map says.

use core::alloc::{GlobalAlloc, Layout};
use core::num::NonZeroU32;
use core::ptr::NonNull;
use std::alloc::System;

use alloc_core::AllocError;

use super::Gpa;
use crate::config::Guard;
use crate::heap::map;
use crate::sample;

/// Alignment in bytes that `malloc` and `realloc` keep for every size.
const ALIGN_OF_MALLOC: usize = 8;

/// The system never hears of zero bytes.
fn system_layout(layout: Layout) -> Layout {
    // One byte more than none is no more than any alignment allows.
    Layout::from_size_align(layout.size().max(1), layout.align()).unwrap_or(layout)
}

impl Gpa {
    /// Whether the block is the system's: this instance samples, and no heap of this crate holds it.
    #[inline]
    pub(super) fn is_systems(&self, block: NonNull<u8>) -> bool {
        matches!(self.config.guard, Guard::Sampled(_)) && map::lookup(block.addr().get()).is_null()
    }

    /// Counts an allocation, and allocates from the system if it is not one to guard.
    #[inline]
    pub(super) fn alloc_unpicked(
        &self,
        layout: Layout,
        alloc: unsafe fn(&System, Layout) -> *mut u8,
    ) -> Option<Result<NonNull<u8>, AllocError>> {
        let Guard::Sampled(rate) = self.config.guard else { return None };
        if self.picks(rate) {
            return None;
        }
        // SAFETY: the size is not zero.
        Some(NonNull::new(unsafe { alloc(&System, system_layout(layout)) }).ok_or(AllocError))
    }

    fn picks(&self, rate: NonZeroU32) -> bool {
        let seed = || self.config.guard_seed.unwrap_or_else(sample::seed_of_process);
        self.sampler.picks(rate.get(), seed)
    }

    /// Frees a block of the system's.
    ///
    /// # Safety
    ///
    /// Live, and from [`alloc_unpicked`](Self::alloc_unpicked).
    pub(super) unsafe fn free_systems(block: NonNull<u8>) {
        // SAFETY: what std's `System` hands out on Unix comes from malloc or posix_memalign, as its
        // documentation of `alloc_system` says; the contract of `free` is this function's.
        unsafe { libc::free(block.as_ptr().cast()) };
    }

    /// Returns how many bytes of a block of the system's its owner may use.
    ///
    /// # Safety
    ///
    /// As [`free_systems`](Self::free_systems).
    pub(super) unsafe fn usable_size_of_systems(block: NonNull<u8>) -> usize {
        // SAFETY: a live block of malloc's.
        unsafe { libc::malloc_usable_size(block.as_ptr().cast()) }
    }

    /// Gives a block of the system's another size. On an error it stays as it is.
    ///
    /// # Safety
    ///
    /// As [`free_systems`](Self::free_systems).
    pub(super) unsafe fn realloc_systems(
        block: NonNull<u8>,
        new_layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        let new_layout = system_layout(new_layout);
        if new_layout.align() <= ALIGN_OF_MALLOC {
            // SAFETY: a live block of malloc's, and a size that is not zero.
            let new = unsafe { libc::realloc(block.as_ptr().cast(), new_layout.size()) };
            return NonNull::new(new.cast()).ok_or(AllocError);
        }
        // SAFETY: the size is not zero.
        let new = NonNull::new(unsafe { System.alloc(new_layout) }).ok_or(AllocError)?;
        // SAFETY: live by the contract.
        let old_size = unsafe { Self::usable_size_of_systems(block) };
        // SAFETY: both live, and as long as that; two blocks never overlap.
        unsafe { new.copy_from_nonoverlapping(block, old_size.min(new_layout.size())) };
        // SAFETY: live by the contract.
        unsafe { Self::free_systems(block) };
        Ok(new)
    }
}
