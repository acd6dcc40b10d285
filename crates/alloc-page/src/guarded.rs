//! Blocks between two pages that nobody may touch.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

use crate::pages::{Fenced, Place, Side};
use crate::{page_size, sys};

/// Serves every request with pages of its own between two guard pages: a read or write that leaves them
/// is a fatal signal at once. One byte, `Copy`, thread-safe, without any state.
///
/// ```text
///  right-aligned   | guard |      | block | guard |     the end touches the guard
///  left-aligned    | guard | block |      | guard |     the start touches the guard
/// ```
///
/// For memory that code reads and writes that is not trusted to keep to it: buffers of a C library, a
/// stack of one's own, input of a parser under test.
///
/// ```
/// use alloc_core::AllocatorExt;
/// use alloc_page::{GuardedPages, page_size};
///
/// let buffer = GuardedPages::right_aligned().alloc_fill(100, 0u8)?;
/// let end = buffer.as_ptr_range().end;
/// assert!(end.addr().is_multiple_of(page_size())); // the byte at `end` is out of reach
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// # Drawbacks
///
/// * Two system calls to take a block, three pages at the least, and two or three of the process's
///   mappings (`vm.max_map_count` on Linux).
/// * A right-aligned block whose size is no multiple of its alignment ends that much before the guard;
///   and the other side of a block is guarded to the page.
/// * It grows in place within its last page only, right-aligned not at all; nothing is remapped.
#[derive(Clone, Copy, Debug)]
pub struct GuardedPages {
    side: Side,
}

impl GuardedPages {
    /// Blocks whose end touches a guard: for what runs over an end, which is the usual fault.
    #[inline]
    #[must_use]
    pub const fn right_aligned() -> Self {
        Self { side: Side::Right }
    }

    /// Blocks whose start touches a guard: for what reaches before a start.
    #[inline]
    #[must_use]
    pub const fn left_aligned() -> Self {
        Self { side: Side::Left }
    }

    fn map(self, layout: Layout) -> Option<NonNull<u8>> {
        let page = page_size();
        let fenced = Fenced::of(layout, page, self.side)?;
        let total = fenced.total(page)?;
        // Where more than a page's alignment is asked for, the body is so aligned, and the block begins
        // where it does.
        let start = sys::reserve(Place { len: total, lead: page, align: layout.align() }, page)?;
        // SAFETY: `total` is a page, the body, and a page.
        let body = unsafe { start.add(page) };
        // SAFETY: pages of the reservation just made.
        if !unsafe { sys::commit(body, fenced.body) } {
            // SAFETY: just reserved, and nobody has it.
            unsafe { sys::unmap(start, total) };
            return None;
        }
        // SAFETY: `offset` lies in the body.
        Some(unsafe { body.add(fenced.offset) })
    }
}

// SAFETY: by number; a block of a layout lies `Fenced::of` that layout says where in pages of its own:
// 1 Fit: the body has at least `offset + size` accessible bytes; `Fenced::of` promises the alignment.
// 2 Exclusive: the system returns ranges where nothing is mapped; nothing is stored in them.
// 3 Stable: there is no state to move but the side, which copies share; only `raw_free` unmaps.
// 4 No unwind: no function here panics: `pages` is checked.
// 5 Hands off: no byte of a block is touched.
// 6 Kept: a resize does nothing at all.
// 7 Clean failure: nothing is counted; what was mapped for a request that fails is unmapped.
unsafe impl Allocator for GuardedPages {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        self.map(layout).ok_or(AllocError)
    }

    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        // The system's pages are zero.
        self.raw_alloc(layout)
    }

    unsafe fn raw_resize(&self, _: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let page = page_size();
        let Ok(new_layout) = Layout::from_size_align(new_size, layout.align()) else {
            return false;
        };
        let old = Fenced::of(layout, page, self.side);
        old.is_some() && old == Fenced::of(new_layout, page, self.side)
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller keeps the same contract towards `raw_resize`.
        unsafe { self.raw_resize(block, layout, new_size) }.then_some(block)
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        let page = page_size();
        let Some(fenced) = Fenced::of(layout, page, self.side) else { return };
        let Some(total) = fenced.total(page) else { return };
        // SAFETY: the block lies `offset` bytes into the body, and a guard page before that (as `map`
        // placed a block of this layout).
        let start = unsafe { block.sub(fenced.offset + page) };
        // SAFETY: the whole of what `map` reserved for this block, which is dead to the caller.
        let unmapped = unsafe { sys::unmap(start, total) };
        if !unmapped {
            // The system is out of mappings and cannot split the one this block lies in.
            // SAFETY: as above; still mapped, since unmapping failed.
            unsafe { sys::discard(start, total) };
        }
    }
}

alloc_core::impl_foreign_allocator!(impl[] for GuardedPages);
