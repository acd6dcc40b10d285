//! Large pages.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

use crate::pages::{self, Place};
use crate::{page_size, sys};

/// The length of the large pages that [`HugePages`] asks for: 2 MiB, what x86-64 has, and arm64 with
/// small pages of 4 KiB.
pub const HUGE_PAGE_LEN: usize = 2 << 20;

/// Serves every request with large pages, where the system has them; with small ones where not. One
/// byte, `Copy`, thread-safe, without any state.
///
/// For large tables that are read at random: the processor's cache of page tables covers 512 times as
/// much. Every block is a multiple of [`HUGE_PAGE_LEN`] long and aligned to that.
///
/// ```
/// use alloc_core::AllocatorExt;
/// use alloc_page::{HUGE_PAGE_LEN, HugePages};
///
/// let table = HugePages::transparent().alloc_zeroed::<u64>(1 << 20)?;
/// assert_eq!(table.as_ptr().addr() % HUGE_PAGE_LEN, 0);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// # Drawbacks
///
/// * 2 MiB at the least, all of which is in memory after the first touch.
/// * The kernel neither grows nor moves a mapping of pages that were set aside: the caller copies. A child of
///   `fork` that writes to such pages needs as many of its own, and is ended where there are none.
#[derive(Clone, Copy, Debug)]
pub struct HugePages {
    /// Whether pages that were set aside are asked for first.
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Transparent,
    Reserved,
}

impl HugePages {
    /// Pages that the system makes large when it has large ones at hand, now or later: on Linux
    /// `MADV_HUGEPAGE`; elsewhere what an aligned range gets by itself.
    #[inline]
    #[must_use]
    pub const fn transparent() -> Self {
        Self { source: Source::Transparent }
    }

    /// Pages that the administrator has set aside (`vm.nr_hugepages`, `MAP_HUGETLB`): certain to be
    /// large, and never swapped. When there are none left, as [`transparent`](Self::transparent).
    #[inline]
    #[must_use]
    pub const fn reserved() -> Self {
        Self { source: Source::Reserved }
    }
}

fn map(source: Source, layout: Layout) -> Option<NonNull<u8>> {
    let len = pages::round_up(layout.size(), HUGE_PAGE_LEN)?;
    if source == Source::Reserved
        && layout.align() <= HUGE_PAGE_LEN
        && let Some(block) = sys::map_huge(len)
    {
        return Some(block);
    }
    let place = Place { len, lead: 0, align: layout.align().max(HUGE_PAGE_LEN) };
    let block = sys::map_placed(place, page_size())?;
    // SAFETY: `len` bytes of pages just mapped.
    unsafe { sys::advise_huge(block, len) };
    Some(block)
}

// SAFETY: by number, on invariants 1 and 2 of the crate, which hold with large pages for pages:
// 1 Fit: `map` returns at least `size` readable and writable bytes at the alignment.
// 2 Exclusive: the system returns ranges where nothing is mapped; nothing is stored in them.
// 3 Stable: there is no state to move; only `raw_free` and `raw_remap` unmap pages of a block.
// 4 No unwind: no function here panics: `pages` is checked.
// 5 Hands off: no byte of a block is touched; a remap moves page tables inside the system.
// 6 Kept: `extend` and `relocate` keep the pages; a shrink unmaps only pages behind the new end;
//   when they fail the system has changed nothing.
// 7 Clean failure: nothing is counted; a mapping that cannot be cut is unmapped again.
unsafe impl Allocator for HugePages {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        map(self.source, layout).ok_or(AllocError)
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        // Invariant 2: the system's pages are zero.
        self.raw_alloc(layout)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let (Some(old_len), Some(new_len)) = (
            pages::round_up(layout.size(), HUGE_PAGE_LEN),
            pages::round_up(new_size, HUGE_PAGE_LEN),
        ) else {
            return false;
        };
        if new_len == old_len {
            true
        } else if new_len < old_len {
            // SAFETY: `new_len < old_len`, and the block owns `old_len` mapped bytes (invariant 1).
            let tail = unsafe { block.add(new_len) };
            // SAFETY: whole large pages of this block, behind its new end: nobody uses them once this
            // returns `true`.
            unsafe { sys::unmap_tail(tail, old_len - new_len) }
        } else {
            // SAFETY: the block owns `old_len` mapped bytes (invariant 1), and `old_len < new_len`.
            unsafe { sys::extend(block, old_len, new_len) }
        }
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let old_len = pages::round_up(layout.size(), HUGE_PAGE_LEN)?;
        let new_len = pages::round_up(new_size, HUGE_PAGE_LEN)?;
        if new_len <= old_len {
            // SAFETY: the caller keeps the same contract towards `raw_resize`.
            return unsafe { self.raw_resize(block, layout, new_size) }.then_some(block);
        }
        // Pages that were set aside are refused by the first call, those that take their place are not.
        let place = Place { len: new_len, lead: 0, align: layout.align().max(HUGE_PAGE_LEN) };
        // SAFETY: the block owns `old_len` mapped bytes (invariant 1), `old_len < new_len`, it is aligned as the
        // place (promise 1), and the caller forgets the old address on `Some`.
        unsafe { sys::relocate_placed(block, old_len, place, page_size()) }
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        let Some(len) = pages::round_up(layout.size(), HUGE_PAGE_LEN) else { return };
        // SAFETY: the block owns `len` mapped bytes (invariant 1), and is dead to the caller.
        let unmapped = unsafe { sys::unmap(block, len) };
        if !unmapped {
            // SAFETY: as above; still mapped, since unmapping failed.
            unsafe { sys::discard(block, len) };
        }
    }
}

alloc_core::impl_foreign_allocator!(impl[] for HugePages);
