//! The side heap: what the allocator's own code allocates, and what is asked for while a thread is
//! already inside the allocator.
//!
//! It never waits: a signal handler may have interrupted the thread that holds its lock. Whoever
//! does not get the lock takes memory from the end of the region instead, and leaks what it frees.
//! It checks nothing and is not fast; it is small, and told from the checked heap by address.
//!
//! ```text
//!   region  | block | block | ...                       | never used yet |
//!             ^ a power of two long, aligned to its length up to a page
//! ```

use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use core::sync::atomic::{AtomicPtr, AtomicUsize};

use alloc_core::{AllocError, Allocator};

use crate::lock::Lock;
use crate::sys::pages;

/// Length of the first region in bytes; each further one is twice as long. Memory is taken when it is
/// touched, but a process that locks all future mappings pays for the whole region at once.
const REGION_LEN: usize = 64 << 20;
/// Lengths tried where address space is too limited for the regular one.
const REGION_LENS_SMALL: [usize; 2] = [16 << 20, 2 << 20];
/// Regions at most.
const REGION_COUNT: usize = 8;
/// Log2 of the smallest block's length.
const CLASS_LOG2_MIN: u32 = 5;
/// Classes: powers of two from 32 bytes up.
const CLASS_COUNT: usize = 40;
/// Bytes before each block that hold the log2 of its length.
const HEADER_LEN: usize = 16;

/// A free block: the first bytes of the block itself.
struct Free {
    next: *mut Free,
}

/// Free blocks of each class.
struct FreeLists([*mut Free; CLASS_COUNT]);

// SAFETY: the blocks belong to whoever holds the lists.
unsafe impl Send for FreeLists {}

/// A range that blocks are cut from.
struct Region {
    base: AtomicPtr<u8>,
    len: AtomicUsize,
    /// Bytes cut off so far; may run past `len` when the region is full.
    used: AtomicUsize,
}

/// The process's side heap; zero-sized. Any thread may use it at any time, signal handlers too.
#[derive(Clone, Copy, Debug, Default)]
pub struct SideHeap;

static REGIONS: [Region; REGION_COUNT] = [const {
    Region {
        base: AtomicPtr::new(ptr::null_mut()),
        len: AtomicUsize::new(0),
        used: AtomicUsize::new(0),
    }
}; REGION_COUNT];
static FREE: Lock<FreeLists> = Lock::new(FreeLists([ptr::null_mut(); CLASS_COUNT]));

/// Returns the class, log2 of the block's length, for a layout.
fn class_of(layout: Layout) -> Option<u32> {
    let header = HEADER_LEN.max(layout.align());
    let len = layout.size().checked_add(header)?.checked_next_power_of_two()?;
    let log2 = len.trailing_zeros().max(CLASS_LOG2_MIN);
    ((log2 as usize) < CLASS_COUNT).then_some(log2)
}

impl SideHeap {
    /// Whether the address lies in the side heap.
    #[inline]
    #[must_use]
    pub fn contains(addr: usize) -> bool {
        for region in &REGIONS {
            // Acquire: pairs with the AcqRel in `region`; a region's length is written before.
            let base = region.base.load(Acquire).addr();
            if base == 0 {
                return false;
            }
            if addr.wrapping_sub(base) < region.len.load(Relaxed) {
                return true;
            }
        }
        false
    }

    /// Keeps everybody out of the free lists while the process forks; returns whether it could.
    pub(crate) fn before_fork(may_wait: bool) -> bool {
        FREE.acquire(may_wait)
    }

    /// Lets others in again.
    ///
    /// # Safety
    ///
    /// The calling thread called [`before_fork`](Self::before_fork), or is the copy of the one that
    /// did.
    pub(crate) unsafe fn after_fork() {
        // SAFETY: the caller's contract.
        unsafe { FREE.release() };
    }

    /// Returns how many bytes of the block its owner may use.
    ///
    /// # Safety
    ///
    /// `block` is a live block of the side heap.
    #[must_use]
    pub unsafe fn usable_size(block: NonNull<u8>) -> usize {
        // SAFETY: the caller's contract.
        let (start, log2) = unsafe { Self::header(block) };
        (1 << log2) - (block.addr().get() - start.addr().get())
    }

    /// Takes a block back whose layout the caller does not know.
    ///
    /// # Safety
    ///
    /// `block` is a live block of the side heap.
    pub unsafe fn free(block: NonNull<u8>) {
        // SAFETY: the caller's contract.
        let (start, log2) = unsafe { Self::header(block) };
        let len = 1usize << log2;
        if 1 << 16 <= len {
            let page = start.addr().get().wrapping_neg() & (pages::PAGE_LEN - 1);
            // SAFETY: the block is dead; the first page boundary in it lies inside.
            let inner = unsafe { start.add(page) };
            let inner_len = (len - page) & !(pages::PAGE_LEN - 1);
            // SAFETY: whole pages of a dead block.
            unsafe { pages::discard(inner, inner_len) };
        }
        // Whoever cannot have the lock at once loses the block: it must not wait here.
        let Some(mut lists) = FREE.try_lock() else { return };
        let head = &mut lists.0[log2 as usize];
        let free = start.cast::<Free>();
        // SAFETY: a dead block of at least 32 bytes, aligned to 32.
        unsafe { free.write(Free { next: *head }) };
        *head = free.as_ptr();
    }

    /// Reads a block's header: the start of its power-of-two length, and the log2 of that.
    ///
    /// # Safety
    ///
    /// `block` is a live block of the side heap.
    unsafe fn header(block: NonNull<u8>) -> (NonNull<u8>, u32) {
        // SAFETY: every block has `HEADER_LEN` bytes or more before it.
        let at = unsafe { block.sub(HEADER_LEN) }.cast::<[usize; 2]>();
        // SAFETY: written by `raw_alloc`, and only its owner's bytes come after it.
        let [lead, log2] = unsafe { at.read() };
        // SAFETY: the block starts `lead` bytes before what was handed out.
        (unsafe { block.sub(lead) }, log2 as u32)
    }

    /// Cuts `len` bytes, a power of two, off a region; they are zero.
    fn cut(len: usize) -> Option<NonNull<u8>> {
        let align = len.min(pages::PAGE_LEN);
        for index in 0..REGION_COUNT {
            let (region, base) = Self::region(index)?;
            let room = region.len.load(Relaxed);
            // AcqRel: each caller gets bytes of its own; nothing else is ordered by it.
            let cut = region.used.fetch_update(AcqRel, Acquire, |used| {
                let start = used.next_multiple_of(align);
                start.checked_add(len).filter(|end| *end <= room)
            });
            if let Ok(used) = cut {
                // SAFETY: `used` rounded up, plus `len`, is at most the region's length.
                return Some(unsafe { base.add(used.next_multiple_of(align)) });
            }
        }
        None
    }

    /// Returns a region, mapping it if need be.
    fn region(index: usize) -> Option<(&'static Region, NonNull<u8>)> {
        let region = &REGIONS[index];
        // Acquire: as in `contains`.
        if let Some(base) = NonNull::new(region.base.load(Acquire)) {
            return Some((region, base));
        }
        let regular = [REGION_LEN << index];
        let mut lens = regular.iter().chain(&REGION_LENS_SMALL);
        let (fresh, len) = lens.find_map(|len| Some((pages::map(*len)?, *len)))?;
        // Relaxed: published by the exchange below. A loser's length may differ: whoever loses
        // waits for nothing, and lengths are only read behind a base that was published.
        let _ = region.len.compare_exchange(0, len, AcqRel, Acquire);
        if region.len.load(Acquire) != len {
            // SAFETY: ours, and nobody has seen it.
            unsafe { pages::unmap(fresh, len) };
            return NonNull::new(region.base.load(Acquire)).map(|base| (region, base));
        }
        // AcqRel: publishes the length; pairs with the Acquires of `contains` and above.
        match region.base.compare_exchange(ptr::null_mut(), fresh.as_ptr(), AcqRel, Acquire) {
            Ok(_) => Some((region, fresh)),
            Err(winner) => {
                // SAFETY: ours, and nobody has seen it.
                unsafe { pages::unmap(fresh, len) };
                NonNull::new(winner).map(|base| (region, base))
            }
        }
    }
}

// SAFETY: by number:
// 1 Fit: a block is a power of two that holds header and layout, and starts at a multiple of its
//   alignment: regions are page-aligned, `cut` aligns to the length up to a page, and the lead is
//   a multiple of the alignment; larger alignments are refused.
// 2 Exclusive: `cut` gives each caller bytes of its own; a freed block is in one list.
// 3 Stable: the type has no state. 4 No unwind: arithmetic is checked, indices are bounded.
// 5 Hands off: only the header before a live block is read. 6 Kept: nothing is resized.
// 7 Clean failure: nothing is taken before it is sure.
unsafe impl Allocator for SideHeap {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if pages::PAGE_LEN < layout.align() {
            return Err(AllocError);
        }
        let log2 = class_of(layout).ok_or(AllocError)?;
        let reused = FREE.try_lock().and_then(|mut lists| {
            let head = &mut lists.0[log2 as usize];
            let free = NonNull::new(*head)?;
            // SAFETY: a block of the list is free and starts with its link.
            *head = unsafe { free.read() }.next;
            Some(free.cast::<u8>())
        });
        let start = match reused {
            Some(start) => start,
            None => Self::cut(1 << log2).ok_or(AllocError)?,
        };
        let lead = HEADER_LEN.max(layout.align());
        // SAFETY: `class_of` made room for the lead.
        let block = unsafe { start.add(lead) };
        // SAFETY: the lead is at least as long as the header.
        let header = unsafe { block.sub(HEADER_LEN) }.cast::<[usize; 2]>();
        // SAFETY: inside the block, aligned to 16: the start and the lead are.
        unsafe { header.write([lead, log2 as usize]) };
        Ok(block)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, _: Layout, new_size: usize) -> bool {
        // SAFETY: a live block of this heap by the contract.
        new_size <= unsafe { Self::usable_size(block) }
    }

    unsafe fn raw_remap(&self, _: NonNull<u8>, _: Layout, _: usize) -> Option<NonNull<u8>> {
        None
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, _: Layout) {
        // SAFETY: a live block of this heap by the contract.
        unsafe { Self::free(block) };
    }
}

// SAFETY: `SideHeap` keeps the promises of `Allocator` under any layout, never unwinds, and its
// blocks fit theirs, as `GlobalAlloc` asks.
unsafe impl core::alloc::GlobalAlloc for SideHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.raw_alloc(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: a live block of this heap by the contract.
            unsafe { Self::free(block) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of many layouts fit, are told by address, do not overlap, and are used again.
    #[test]
    fn blocks_fit_and_are_reused() {
        let mut blocks = std::vec::Vec::new();
        for size in [1, 15, 16, 17, 100, 4096, 70_000, 1 << 20] {
            for align in [1, 8, 16, 64, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                let block = SideHeap.raw_alloc(layout).unwrap();
                assert_eq!(block.addr().get() % align, 0);
                assert!(SideHeap::contains(block.addr().get()));
                // SAFETY: just allocated.
                assert!(size <= unsafe { SideHeap::usable_size(block) });
                // SAFETY: as above.
                unsafe { block.write_bytes(size as u8, size) };
                blocks.push((block, layout));
            }
        }
        for (block, layout) in &blocks {
            // SAFETY: live, of that size.
            let bytes = unsafe { NonNull::slice_from_raw_parts(*block, layout.size()).as_ref() };
            assert!(bytes.iter().all(|byte| *byte == layout.size() as u8));
            // SAFETY: live.
            unsafe { SideHeap::free(*block) };
        }
        assert!(!SideHeap::contains((&raw const blocks).addr()));
        let layout = Layout::from_size_align(100, 1).unwrap();
        let again = SideHeap.raw_alloc(layout).unwrap();
        assert!(blocks.iter().any(|(block, _)| *block == again), "a freed block is used again");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for layout in [(isize::MAX as usize - 8191, 4096), (1, 8192)] {
            let layout = Layout::from_size_align(layout.0, layout.1).unwrap();
            assert_eq!(SideHeap.raw_alloc(layout), Err(AllocError));
        }
    }
}
