//! An allocator over one buffer, with a fault on request.

use std::alloc::{GlobalAlloc, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloc_core::{AllocError, Allocator, Layout, UnsizedFree};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Overlap,
    Misaligned,
    Short,
    HandedOutTwice,
    ResizeLies,
    RemapLosesBytes,
    ResizeClears,
    RefusedRemapWrites,
    RefusedResizeWrites,
    HeaderInNeighbour,
    FreeFillsNeighbour,
    FailureWrites,
    UnwindsOnFailure,
    UnwindsInFree,
    UnwindsInDrop,
    NotZeroed,
    Wraps,
    RefusesAlignment,
    CountsFailures,
    ShrinkNotCounted,
    Racy,
    LimitNotRolledBack,
    UsableSizeLies,
    Disowns,
    LargeShort,
    DirtyZeroed,
    SlackOfOne,
    RemapForgetsAlignment,
    ZeroedAlignedOnly,
    Empty,
    Crowded,
    ReusesAfterManyFrees,
    ReusesAfterThousandsOfFrees,
}

/// Bytes of the buffer: so many that glibc maps zero pages for them each time, which costs little, and
/// does not clear old memory (`M_MMAP_THRESHOLD` in mallopt(3) grows to 32 MiB at most).
const LEN: usize = 40 << 20;
/// The largest alignment that is asked for.
const ALIGN_MAX: usize = 4096;
/// Bytes at both ends that no block gets, so that a fault beside a block stays inside.
const MARGIN: usize = 4096;

/// Bumps through a buffer; frees nothing. Every method is correct but for the fault.
pub(crate) struct Ground {
    fault: Fault,
    limit: usize,
    /// What the system gave.
    memory: NonNull<u8>,
    /// The first multiple of `ALIGN_MAX` in it: where the buffer begins.
    base: NonNull<u8>,
    end: AtomicUsize,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// Live blocks: offset and layout, oldest first.
    live: Vec<(usize, Layout)>,
    count: isize,
    /// What a fault will return next.
    again: Option<(usize, Layout)>,
    /// Whether the last block was such a one.
    reused: bool,
    /// Blocks that were freed.
    free_count: usize,
}

// SAFETY: the buffer belongs to the value; what changes is atomic or behind a mutex.
unsafe impl Send for Ground {}
// SAFETY: as above.
unsafe impl Sync for Ground {}

impl Ground {
    pub(crate) fn new(fault: Fault) -> Self {
        Self::with_limit(fault, LEN)
    }

    /// At most `limit` bytes are live at a time.
    pub(crate) fn with_limit(fault: Fault, limit: usize) -> Self {
        // SAFETY: the size is not zero.
        let memory = unsafe { System.alloc_zeroed(Self::layout()) };
        let memory = NonNull::new(memory).expect("the test has 40 MiB of addresses");
        let skipped = memory.addr().get().next_multiple_of(ALIGN_MAX) - memory.addr().get();
        // SAFETY: less than `ALIGN_MAX` bytes on, which the layout has beside `LEN`.
        let base = unsafe { memory.add(skipped) };
        Self { fault, limit, memory, base, end: AtomicUsize::new(MARGIN), books: Mutex::default() }
    }

    /// Of an alignment for which the system has zero pages ready; the buffer aligns itself.
    const fn layout() -> Layout {
        match Layout::from_size_align(LEN + ALIGN_MAX, 16) {
            Ok(layout) => layout,
            Err(_) => panic!("a valid layout"),
        }
    }

    /// Begins anew, whatever is live.
    pub(crate) fn forget_all(&self) {
        *self.books() = Books::default();
        // Relaxed: one thread.
        self.end.store(MARGIN, Ordering::Relaxed);
    }

    pub(crate) fn live_bytes(&self) -> usize {
        self.books().count.unsigned_abs()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < LEN);
        // SAFETY: inside the buffer by the assertion.
        unsafe { self.base.add(offset) }
    }

    /// Writes `count` bytes; the assertion keeps every fault inside the buffer.
    fn fill(&self, offset: usize, byte: u8, count: usize) {
        assert!(offset + count <= LEN);
        // SAFETY: inside the buffer, which belongs to this value.
        unsafe { self.at(offset).write_bytes(byte, count) };
    }

    fn offset(&self, block: NonNull<u8>) -> usize {
        block.addr().get() - self.base.addr().get()
    }

    /// The bytes that are set aside for a size.
    fn reserved(&self, size: usize) -> usize {
        match self.fault {
            Fault::Short => size.div_ceil(2),
            Fault::LargeShort if 128 << 10 < size => size / 2,
            Fault::Wraps => size as u32 as usize,
            _ => size,
        }
    }

    /// Finds room for a block and moves the end of the used part behind it.
    fn place(&self, layout: Layout) -> Option<usize> {
        let back = usize::from(self.fault == Fault::Overlap && MARGIN < self.end());
        // Relaxed: in the honest form the mutex of the books orders all of this; `Racy` is a fault.
        let end = self.end.load(Ordering::Relaxed);
        if self.fault == Fault::Racy {
            std::thread::yield_now();
        }
        let misalign = usize::from(self.fault == Fault::Misaligned && 1 < layout.align());
        let start = (end - back).checked_next_multiple_of(layout.align())? + misalign;
        let new_end = start.checked_add(self.reserved(layout.size()))?;
        if LEN - MARGIN < new_end {
            return None;
        }
        // Relaxed: as above.
        self.end.store(new_end.max(end), Ordering::Relaxed);
        Some(start)
    }

    fn end(&self) -> usize {
        // Relaxed: as in `place`.
        self.end.load(Ordering::Relaxed)
    }

    fn try_alloc(&self, layout: Layout) -> Option<usize> {
        if self.fault == Fault::RefusesAlignment && 64 < layout.align() {
            return None;
        }
        if self.fault == Fault::Empty {
            return None;
        }
        let books = if self.fault == Fault::Racy { None } else { Some(self.books()) };
        let mut offset = None;
        if let Some(mut books) = books {
            books.reused = false;
            if self.fault == Fault::Crowded && 200 <= books.live.len() {
                books.again = books.live.first().copied();
            }
            if let Some((again, old)) = books.again.take()
                && layout.size() <= old.size()
                && (self.fault != Fault::SlackOfOne || layout.size() == old.size())
                && again.is_multiple_of(layout.align())
            {
                offset = Some(again);
                books.reused = true;
            }
            let size = layout.size().min(isize::MAX as usize) as isize;
            let over_limit = (self.limit as isize) < books.count.saturating_add(size);
            if over_limit && self.fault == Fault::LimitNotRolledBack {
                books.count += 64;
            }
            if over_limit && self.fault != Fault::Wraps {
                return None;
            }
            offset = offset.or_else(|| self.place(layout));
            offset.inspect(|&offset| books.live.push((offset, layout)))?;
            books.count = books.count.wrapping_add(size);
            return offset;
        }
        self.place(layout)
    }

    /// What a fault does when a request is refused.
    fn refused(&self, layout: Layout) -> AllocError {
        let mut books = self.books();
        match self.fault {
            Fault::CountsFailures => {
                books.count = books.count.wrapping_add(layout.size() as isize);
            }
            Fault::FailureWrites => {
                if let Some(&(offset, layout)) = books.live.last() {
                    self.fill(offset, 0, layout.size());
                }
            }
            Fault::UnwindsOnFailure => panic!("out of memory"),
            _ => {}
        }
        AllocError
    }

    /// Changes the size in the books.
    fn rebook(&self, offset: usize, layout: Layout, new_size: usize) {
        let mut books = self.books();
        if self.fault == Fault::ShrinkNotCounted && new_size < layout.size() {
            return;
        }
        books.count += new_size as isize - layout.size() as isize;
        let new_layout = Layout::from_size_align(new_size, layout.align()).expect("a live block");
        books.live.iter_mut().filter(|(at, _)| *at == offset).for_each(|b| b.1 = new_layout);
    }

    fn grows_in_place(&self, offset: usize, layout: Layout, new_size: usize) -> bool {
        if self.fault == Fault::ResizeLies {
            return offset.checked_add(new_size).is_some_and(|end| end < LEN - MARGIN);
        }
        let old_end = offset + self.reserved(layout.size());
        let fits = offset.checked_add(new_size).is_some_and(|end| end <= LEN - MARGIN);
        let _books = self.books();
        if old_end != self.end() || !fits || self.fault == Fault::Racy {
            return false;
        }
        // Relaxed: ordered by the mutex.
        self.end.store(offset + self.reserved(new_size), Ordering::Relaxed);
        true
    }

    fn over_limit(&self, layout: Layout, new_size: usize) -> bool {
        self.limit < self.live_bytes().saturating_add(new_size.saturating_sub(layout.size()))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // SAFETY: taken in `new` with this layout.
        unsafe { System.dealloc(self.memory.as_ptr(), Self::layout()) };
        if self.fault == Fault::UnwindsInDrop {
            panic!("a drop that panics");
        }
    }
}

// SAFETY: without a fault 1 to 7 hold: blocks are disjoint parts of a buffer that does not move, the
// books change on success only. With one this is a lie, which is the point: no block leaves the
// buffer, and only the kit, which looks before it writes, is given one.
unsafe impl Allocator for Ground {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let Some(offset) = self.try_alloc(layout) else { return Err(self.refused(layout)) };
        if self.fault == Fault::HeaderInNeighbour {
            self.fill(offset - 1, 0x11, 1);
        }
        Ok(self.at(offset))
    }

    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let block = self.raw_alloc(layout)?;
        let offset = self.offset(block);
        // A block that wraps has no bytes of its own.
        if layout.size() < LEN - offset {
            if self.fault != Fault::DirtyZeroed || !self.books().reused {
                self.fill(offset, 0, layout.size());
            }
            if self.fault == Fault::ZeroedAlignedOnly && (16..=64).contains(&layout.align()) {
                self.fill(offset, 0xEE, 1);
            }
            if self.fault == Fault::NotZeroed {
                self.fill(offset + layout.size() - 1, 0xEE, 1);
            }
        }
        Ok(block)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let offset = self.offset(block);
        if self.fault == Fault::RefusedResizeWrites && layout.size() < new_size {
            self.fill(offset, 0x22, 1);
            return false;
        }
        if layout.size() < new_size
            && (self.over_limit(layout, new_size) || !self.grows_in_place(offset, layout, new_size))
        {
            return false;
        }
        if self.fault == Fault::ResizeClears && layout.size() < new_size {
            self.fill(offset, 0, new_size);
        }
        self.rebook(offset, layout, new_size);
        true
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        if self.fault == Fault::RefusedRemapWrites {
            self.fill(self.offset(block), 0x33, 1);
            return None;
        }
        let align = if self.fault == Fault::RemapForgetsAlignment { 1 } else { layout.align() };
        let new_layout = Layout::from_size_align(new_size, align).ok()?;
        let new_block = self.raw_alloc(new_layout).ok()?;
        let lost = usize::from(self.fault == Fault::RemapLosesBytes);
        let count = layout.size().min(new_size) - lost;
        if self.offset(new_block) + count <= LEN {
            // SAFETY: both lie inside the buffer; `copy_from` allows them to overlap.
            unsafe { new_block.copy_from(block, count) };
        }
        // SAFETY: the caller vouches for the block, which is dead to it from here on.
        unsafe { self.raw_free(block, layout) };
        Some(new_block)
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        let offset = self.offset(block);
        if self.fault == Fault::UnwindsInFree {
            panic!("a free that panics");
        }
        if self.fault == Fault::Racy {
            return;
        }
        let extra = usize::from(self.fault == Fault::FreeFillsNeighbour);
        self.fill(offset, 0xDD, layout.size() + extra);
        let mut books = self.books();
        books.count = books.count.wrapping_sub(layout.size() as isize);
        books.live.retain(|&(at, _)| at != offset);
        books.free_count += 1;
        match self.fault {
            Fault::ReusesAfterManyFrees if books.free_count == 500 => {
                books.again = books.live.last().copied();
            }
            Fault::ReusesAfterThousandsOfFrees if books.free_count == 2500 => {
                books.again = books.live.last().copied();
            }
            Fault::HandedOutTwice => books.again = books.live.last().copied(),
            Fault::DirtyZeroed => books.again = Some((offset, layout)),
            Fault::SlackOfOne if 1000 < layout.size() => {
                let size = layout.size() + 1;
                let layout = Layout::from_size_align(size, 1).expect("one byte more");
                books.again = Some((offset, layout));
            }
            _ => {}
        }
    }
}

// SAFETY: the books know each block's size; with a fault this is a lie inside the buffer.
unsafe impl UnsizedFree for Ground {
    unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        let offset = self.offset(block);
        let books = self.books();
        let size = books.live.iter().find(|(at, _)| *at == offset).map_or(0, |(_, l)| l.size());
        if self.fault == Fault::UsableSizeLies { size - 1 } else { size }
    }

    unsafe fn free_unsized(&self, block: NonNull<u8>) {
        let offset = self.offset(block);
        let layout = self.books().live.iter().find(|(at, _)| *at == offset).map(|&(_, l)| l);
        if let Some(layout) = layout {
            // SAFETY: the block is live with this layout by the books.
            unsafe { self.raw_free(block, layout) };
        }
    }

    fn owns(&self, ptr: *const u8) -> bool {
        let start = self.base.addr().get();
        self.fault != Fault::Disowns && (start..start + LEN).contains(&ptr.addr())
    }
}

/// Hands out a part of itself.
pub(crate) struct Inline {
    bytes: UnsafeCell<[MaybeUninit<u8>; 4096]>,
    end: AtomicUsize,
}

impl Inline {
    pub(crate) const fn new() -> Self {
        Self { bytes: UnsafeCell::new([MaybeUninit::uninit(); 4096]), end: AtomicUsize::new(0) }
    }
}

// SAFETY: a lie: blocks move with the allocator (3). The kit sees that by their address, before it
// touches one.
unsafe impl Allocator for Inline {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let base = NonNull::new(self.bytes.get()).ok_or(AllocError)?.cast::<u8>();
        // Relaxed: one thread.
        let from = base.addr().get() + self.end.load(Ordering::Relaxed);
        let start = from.next_multiple_of(layout.align()) - base.addr().get();
        let end = start.checked_add(layout.size()).filter(|&end| end <= 4096).ok_or(AllocError)?;
        // Relaxed: one thread.
        self.end.store(end, Ordering::Relaxed);
        // SAFETY: `start <= end <= 4096`.
        Ok(unsafe { base.add(start) })
    }

    unsafe fn raw_resize(&self, _: NonNull<u8>, _: Layout, _: usize) -> bool {
        false
    }

    unsafe fn raw_remap(&self, _: NonNull<u8>, _: Layout, _: usize) -> Option<NonNull<u8>> {
        None
    }

    unsafe fn raw_free(&self, _: NonNull<u8>, _: Layout) {}
}
