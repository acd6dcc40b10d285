//! Pages: every call of the contract, and what regions and a process do.

use core::ops::Range;

use alloc_core::AllocError;
use alloc_page::{Decommit, GuardedPages, HugePages, OsError, PageAllocator, Region, SecretPages};

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
