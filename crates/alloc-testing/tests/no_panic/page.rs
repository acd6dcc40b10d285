//! Pages: every call of the contract, and what regions and a process do.

use core::alloc::Layout;
use core::ops::Range;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};
use alloc_page::{Decommit, GuardedPages, HugePages, OsError, PageAllocator, Region, SecretPages};

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

contract! {
    pages: PageAllocator;
    huge: HugePages;
    guarded: GuardedPages;
    secret: SecretPages;
}

#[inline(never)]
pub fn reserve(len: usize, align: usize) -> Result<Region, AllocError> {
    Region::reserve_aligned(len, align)
}

#[inline(never)]
pub fn commit(region: &mut Region, range: Range<usize>) -> Result<(), AllocError> {
    region.commit(range)
}

#[inline(never)]
pub fn decommit(region: &mut Region, range: Range<usize>, how: Decommit) -> Result<(), AllocError> {
    region.decommit(range, how)
}

#[inline(never)]
pub fn let_go(region: Region) {
    drop(region);
}

#[inline(never)]
pub fn dont_dump(blocks: &[&[u8]]) -> Result<usize, OsError> {
    alloc_page::dont_dump(blocks.iter().copied())
}

#[inline(never)]
pub fn process(len: usize) -> Result<(), OsError> {
    alloc_page::limit_address_space(len)?;
    alloc_page::lock_all()
}
