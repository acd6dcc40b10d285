//! The allocator whose blocks are mappings.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

use crate::pages::{self, PAGE_LEN_MIN, Place};
use crate::{page_size, sys};

/// Serves every request with pages of its own. Zero-sized, thread-safe, without any state.
///
/// Alignments may be as large as the address space allows. A resize is in place whenever the number
/// of pages stays the same or shrinks, and when the addresses behind the block are free; a remap
/// moves page tables and copies nothing.
///
/// ```
/// use alloc_core::{AllocatorExt, Owned};
/// use alloc_page::PageAllocator;
///
/// let table = PageAllocator.alloc_fill(1 << 16, 1u32)?;     // 256 KiB
/// let Ok(table) = Owned::grow_with(table, 1 << 20, |_| 2) else { panic!("no memory") };
/// assert_eq!((table[0], table[1 << 16]), (1, 2));           // Linux: the old pages, moved
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PageAllocator;

// SAFETY: by number, on invariants 1 and 2 of the crate:
// 1 Fit: `map` and `map_placed` return at least `size` readable and writable bytes at the alignment.
// 2 Exclusive: the system returns ranges where nothing is mapped; nothing is stored in them.
// 3 Stable: there is no state to move; only `raw_free` and `raw_remap` unmap pages of a block.
// 4 No unwind: no function here panics: no indexing, no unwrap, no overflow (`pages` is checked).
// 5 Hands off: no byte of a block is touched; a remap moves page tables inside the system.
// 6 Kept: `extend` and `relocate` keep the pages; a shrink unmaps only pages behind the new end;
//   when they fail the system has changed nothing.
// 7 Clean failure: nothing is counted; a mapping that cannot be cut is unmapped again.
unsafe impl Allocator for PageAllocator {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if layout.align() <= PAGE_LEN_MIN {
            // The system rounds up to whole pages, and refuses what it cannot: nothing to compute.
            sys::map(layout.size()).ok_or(AllocError)
        } else {
            map_aligned(layout).ok_or(AllocError)
        }
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        // Invariant 2: the system's pages are zero.
        self.raw_alloc(layout)
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let page = page_size();
        let (Some(old_len), Some(new_len)) =
            (pages::round_up(layout.size(), page), pages::round_up(new_size, page))
        else {
            return false;
        };
        if new_len == old_len {
            true
        } else if new_len < old_len {
            // SAFETY: `new_len < old_len`, and the block owns `old_len` mapped bytes (invariant 1).
            let tail = unsafe { block.add(new_len) };
            // SAFETY: the tail is `old_len - new_len` bytes of whole pages of this block, behind
            // its new end: nobody uses them once this returns `true`.
            unsafe { sys::unmap_tail(tail, old_len - new_len) }
        } else {
            // SAFETY: the block owns `old_len` mapped bytes of whole pages (invariant 1), and
            // `old_len < new_len`, whole pages too.
            unsafe { sys::extend(block, old_len, new_len) }
        }
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let page = page_size();
        let old_len = pages::round_up(layout.size(), page)?;
        let new_len = pages::round_up(new_size, page)?;
        if new_len <= old_len {
            // SAFETY: the caller keeps the same contract towards `raw_resize`.
            return unsafe { self.raw_resize(block, layout, new_size) }.then_some(block);
        }
        if page < layout.align() {
            // The system moves a block to the next free page, and so to an alignment above a page only if
            // it is told where.
            let place = Place { len: new_len, lead: 0, align: layout.align() };
            // SAFETY: the block owns `old_len` mapped bytes of whole pages (invariant 1),
            // `old_len < new_len`, whole pages too, it is aligned as the place (promise 1), and the caller
            // forgets the old address on `Some`.
            return unsafe { sys::relocate_placed(block, old_len, place, page) };
        }
        // SAFETY: as above.
        unsafe { sys::relocate(block, old_len, new_len) }
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the block owns the pages that hold its bytes (invariant 1), which are those that the
        // system unmaps, and is dead to the caller.
        let unmapped = unsafe { sys::unmap(block, layout.size()) };
        if !unmapped {
            // The system is out of mappings and cannot split the one this block lies in.
            // SAFETY: as above; still mapped, since unmapping failed.
            unsafe { sys::discard(block, layout.size()) };
        }
    }
}

/// A block for an alignment that pages may not have by themselves.
#[inline(never)]
fn map_aligned(layout: Layout) -> Option<NonNull<u8>> {
    let page = page_size();
    let len = pages::round_up(layout.size(), page)?;
    sys::map_placed(Place { len, lead: 0, align: layout.align() }, page)
}

alloc_core::impl_foreign_allocator!(impl[] for PageAllocator);
