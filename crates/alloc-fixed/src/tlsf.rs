//! The general heap: blocks of any size, freed in any order, each call in bounded time.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator, UnsizedFree};

mod aligned;
mod bins;
mod chunk;
mod ends;
mod lists;
mod walk;

#[cfg(target_has_atomic = "8")]
use crate::StaticBytes;
use crate::bump;
use bins::{CHUNK_LEN_MAX, CHUNK_LEN_MIN, GRANULE, HEADER_LEN, SMALL_END, chunk_len};
use chunk::{Chunk, PREV_FREE};
use lists::Lists;
pub use walk::TlsfStats;

/// A general heap over a borrowed buffer: blocks of any size, freed in any order, and every call takes
/// a bounded number of steps, however full or fragmented the heap is. For real time, and as the
/// `#[global_allocator]` of a program without an operating system.
///
/// Two-level segregated fit (TLSF): free chunks lie in lists by size, and a map of bits finds the
/// first list that has one large enough. Neighbours that are free are joined at once. What was never
/// used, the top, is one chunk beside the lists.
///
/// Each block costs a word beside its own bytes, rounded up to 16 (8 on 32 bits).
///
/// ```
/// use alloc_core::AllocatorExt;
/// use alloc_fixed::{StackBuffer, TlsfHeap};
///
/// let mut stack = StackBuffer::<4096>::new();
/// let heap = TlsfHeap::new(&mut stack);
/// let first = heap.dupe(b"first")?;
/// let second = heap.create(2u64)?;
/// drop(first); // in any order
/// assert_eq!(*heap.create(3u32)?, 3);
/// # drop(second);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// As the allocator of a whole program, over a buffer of zeros that takes no room in the file, and
/// behind any lock that has a raw mutex; `Locked` is in alloc-core, under its feature `lock_api`:
///
/// ```
/// use alloc_core::{AsGlobal, Locked};
/// use alloc_fixed::{StaticBytes, TlsfHeap};
///
/// static MEMORY: StaticBytes<{ 1 << 20 }> = StaticBytes::new();
///
/// #[global_allocator]
/// static HEAP: AsGlobal<Locked<parking_lot::RawMutex, TlsfHeap<'static>>> =
///     AsGlobal::new(Locked::new(TlsfHeap::over(&MEMORY)));
///
/// let text = String::from("on the fixed heap");
/// assert!(HEAP.get().with(|heap| heap.owns_ptr(text.as_ptr())));
/// ```
pub struct TlsfHeap<'buf> {
    /// The free chunks, but for the top.
    lists: Lists,
    /// The first byte that was never part of a chunk, or was taken back. Invariant T3.
    top: Cell<Chunk>,
    /// Where the buffer ends, rounded down to a place for a chunk. Invariant T1.
    end: Cell<Chunk>,
    /// The first chunk. Invariant T1.
    base: Cell<Chunk>,
    /// A buffer that is to be taken when the first request comes.
    #[cfg(target_has_atomic = "8")]
    reserve: Cell<Option<crate::static_bytes::Reserve>>,
    _buffer: PhantomData<&'buf mut [MaybeUninit<u8>]>,
}

// SAFETY: it is a unique borrow of plain bytes, pointers into them, and integers.
unsafe impl Send for TlsfHeap<'_> {}

/// Where the chunks of a heap without a buffer would be.
const NOWHERE: Chunk = Chunk(NonNull::dangling());

impl<'buf> TlsfHeap<'buf> {
    /// Makes a heap of a buffer. Of more than 16 GiB (2 GiB on 32 bits) it uses the first.
    #[inline]
    pub fn new(buffer: &'buf mut [MaybeUninit<u8>]) -> Self {
        let heap = Self::empty();
        // SAFETY: a slice pointer is never null.
        let base = unsafe { NonNull::new_unchecked(buffer.as_mut_ptr()) };
        // SAFETY: the bytes of `buffer`, which is borrowed uniquely for `'buf` and promises no values.
        unsafe { heap.settle_in(base.cast(), buffer.len()) };
        heap
    }

    /// A heap without a buffer: every request fails.
    const fn empty() -> Self {
        Self {
            lists: Lists::new(),
            top: Cell::new(NOWHERE),
            end: Cell::new(NOWHERE),
            base: Cell::new(NOWHERE),
            #[cfg(target_has_atomic = "8")]
            reserve: Cell::new(None),
            _buffer: PhantomData,
        }
    }

    /// Makes a heap of static bytes, which it takes when the first request comes: a `static` itself.
    /// If somebody else has taken them, the heap has no memory.
    #[cfg(target_has_atomic = "8")]
    pub const fn over<const N: usize>(bytes: &'static StaticBytes<N>) -> Self {
        Self { reserve: Cell::new(Some(bytes.reserve())), ..Self::empty() }
    }

    /// The one place where invariants T1 to T5 are established.
    ///
    /// # Safety
    ///
    /// * The heap has no buffer yet.
    /// * The `len` bytes at `base` are one allocated object, valid for reads and writes for all of
    ///   `'buf`, and nobody else uses them.
    unsafe fn settle_in(&self, base: NonNull<u8>, len: usize) {
        // Blocks are aligned to the granule, and a header lies before each.
        let padding = bump::padding(base.addr().get().wrapping_add(HEADER_LEN), GRANULE);
        if !bump::fits(padding, CHUNK_LEN_MIN, len) {
            return;
        }
        let room = ((len - padding) & !(GRANULE - 1)).min(CHUNK_LEN_MAX);
        // SAFETY: `padding <= len`.
        let first = Chunk(unsafe { base.add(padding) }.cast());
        // SAFETY: `padding + room <= len`.
        let end = unsafe { first.after(room) };
        self.base.set(first);
        self.top.set(first);
        self.end.set(end);
    }

    /// Returns how many bytes the heap has for chunks.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.end.get().addr() - self.base.get().addr()
    }

    /// Whether `ptr` points into the heap's buffer.
    #[inline]
    pub fn owns_ptr(&self, ptr: *const u8) -> bool {
        ptr.addr().wrapping_sub(self.base.get().addr()) < self.capacity()
    }

    /// Bytes in the top.
    #[inline]
    fn room(&self) -> usize {
        self.end.get().addr().wrapping_sub(self.top.get().addr())
    }

    /// The chunk of a live block.
    ///
    /// # Safety
    ///
    /// `block` is a live block of this heap.
    #[inline]
    unsafe fn chunk_of(&self, block: NonNull<u8>) -> Chunk {
        alloc_core::check!(
            self.owns_ptr(block.as_ptr()) && block.addr().get().is_multiple_of(GRANULE),
            "no block of this heap: {block:p}"
        );
        let block = self.base.get().addr_of().with_addr(block.addr());
        // SAFETY: a header lies before each block (T2).
        Chunk(unsafe { block.sub(HEADER_LEN) }.cast())
    }

    /// Takes a chunk of at least `len` bytes from the lists or the top; it is in use then, and the one
    /// before it is too.
    #[inline]
    fn take(&self, len: usize) -> Option<Chunk> {
        if len < SMALL_END {
            if let Some((chunk, found_len)) = self.lists.small(len) {
                // SAFETY: a free chunk of `found_len` bytes that is in no list any more; `len <=
                // found_len`; the one before it is in use (T4).
                unsafe { self.carve(chunk, found_len, len, 0) };
                return Some(chunk);
            }
            // A heap that is used like a stack has no large hole.
            if !self.lists.has_large() {
                return self.take_top(len);
            }
        }
        self.take_large(len)
    }

    /// As [`take`](Self::take), but for small holes.
    #[inline(never)]
    fn take_large(&self, len: usize) -> Option<Chunk> {
        let Some((chunk, found_len)) = self.lists.large(len) else { return self.take_top(len) };
        // SAFETY: as in `take`.
        unsafe { self.carve(chunk, found_len, len, 0) };
        Some(chunk)
    }

    /// Takes a chunk of at least `len` bytes out of the lists, if the map of bits knows of one.
    #[inline]
    fn find(&self, len: usize) -> Option<(Chunk, usize)> {
        if len < SMALL_END
            && let found @ Some(_) = self.lists.small(len)
        {
            return found;
        }
        self.lists.large(len)
    }

    /// Puts the first `len` bytes of a chunk to use; what remains goes into a list, if it is a chunk.
    /// `prev` is `PREV_FREE` if the chunk before it is free, else zero.
    ///
    /// # Safety
    ///
    /// `chunk` is a chunk of `found_len` bytes in no list and in no use, marked as free to the one
    /// after it. `len <= found_len`.
    #[inline]
    unsafe fn carve(&self, chunk: Chunk, found_len: usize, len: usize, prev: usize) {
        let rest_len = found_len - len;
        // SAFETY: `found_len` bytes lie there, so the place is in the buffer.
        let rest = unsafe { chunk.after(len) };
        if CHUNK_LEN_MIN <= rest_len {
            // SAFETY: the chunk's own header.
            unsafe { chunk.set_header(len | prev) };
            // SAFETY: so many bytes of the chunk are in no use; the one after it says that what lies
            // before it is free.
            unsafe { rest.mark_free(rest_len) };
            // SAFETY: a free chunk, in no list.
            unsafe { self.lists.insert(rest, rest_len) };
        } else {
            // SAFETY: the chunk's own header.
            unsafe { chunk.set_header(found_len | prev) };
            // SAFETY: a chunk in the lists has one after it (T3), here with that header.
            let after = unsafe { chunk.after(found_len) };
            // SAFETY: a chunk.
            let header = unsafe { after.header() };
            // SAFETY: a chunk's header.
            unsafe { after.set_header(header.0 & !PREV_FREE) };
        }
    }

    /// Takes a chunk from the top.
    #[inline]
    fn take_top(&self, len: usize) -> Option<Chunk> {
        if self.room() < len {
            return self.take_rest(len);
        }
        let chunk = self.top.get();
        // SAFETY: so many bytes lie between the top and the end (T3).
        self.top.set(unsafe { chunk.after(len) });
        // SAFETY: bytes of the top, in no chunk.
        unsafe { chunk.set_header(len) };
        Some(chunk)
    }

    /// The last resort: the buffer that was not taken yet, or a chunk in a list that the map of bits
    /// does not promise to fit.
    #[cold]
    #[inline(never)]
    fn take_rest(&self, len: usize) -> Option<Chunk> {
        if self.settle_reserve() {
            return self.take(len);
        }
        let (chunk, found_len) = self.lists.scan(len)?;
        // SAFETY: a free chunk of `found_len` bytes that is in no list any more; `len <= found_len`;
        // the one before it is in use (T4).
        unsafe { self.carve(chunk, found_len, len, 0) };
        Some(chunk)
    }

    /// Takes the buffer that was not taken yet; whether there was one.
    fn settle_reserve(&self) -> bool {
        #[cfg(target_has_atomic = "8")]
        if let Some((base, len)) = self.reserve.take().and_then(|reserve| reserve.take()) {
            // SAFETY: a heap with a reserve has no buffer; the bytes are static and now this heap's.
            unsafe { self.settle_in(base, len) };
            return true;
        }
        false
    }

    /// Shortens a chunk in use, if what remains can be given back.
    ///
    /// # Safety
    ///
    /// `chunk` is in use and has `old_len` bytes; `len <= old_len`, both multiples of the granule, and
    /// the block fits `len`.
    unsafe fn trim(&self, chunk: Chunk, old_len: usize, len: usize) {
        let rest_len = old_len - len;
        // SAFETY: a chunk in use ends in the buffer.
        let after = unsafe { chunk.after(old_len) };
        // SAFETY: within the chunk, or its end.
        let rest = unsafe { chunk.after(len) };
        if rest_len == 0 {
            return;
        }
        let merged_len = if after == self.top.get() {
            0
        } else {
            // SAFETY: not the top, so a chunk.
            let header = unsafe { after.header() };
            match header.is_free() {
                true => rest_len + header.len(),
                false if rest_len < CHUNK_LEN_MIN => return,
                false => {
                    // SAFETY: a chunk's header.
                    unsafe { after.set_header(header.0 | PREV_FREE) };
                    rest_len
                }
            }
        };
        // SAFETY: a chunk.
        let header = unsafe { chunk.header() };
        // SAFETY: the chunk's own header.
        unsafe { chunk.set_header(header.0 - rest_len) };
        if merged_len == 0 {
            self.top.set(rest);
            return;
        }
        if merged_len != rest_len {
            // SAFETY: a free chunk of that length, in a list (T4).
            unsafe { self.lists.remove(after, merged_len - rest_len) };
        }
        // SAFETY: bytes of the chunk that its block does not need, and the free chunk after it; the one
        // after both says that what lies before it is free.
        unsafe { rest.mark_free(merged_len) };
        // SAFETY: a free chunk, in no list; before it is the chunk in use.
        unsafe { self.lists.insert(rest, merged_len) };
    }

    /// Lengthens a chunk in use in place; returns whether it did.
    ///
    /// # Safety
    ///
    /// `chunk` is in use and has `old_len` bytes; `old_len < len`, a multiple of the granule.
    unsafe fn lengthen(&self, chunk: Chunk, old_len: usize, len: usize) -> bool {
        // SAFETY: a chunk in use ends in the buffer.
        let after = unsafe { chunk.after(old_len) };
        // SAFETY: a chunk.
        let header = unsafe { chunk.header() };
        if after == self.top.get() {
            if self.room() < len - old_len {
                return false;
            }
            // SAFETY: so many bytes lie between the top and the end (T3).
            self.top.set(unsafe { chunk.after(len) });
            // SAFETY: the chunk's own header.
            unsafe { chunk.set_header(header.0 - old_len + len) };
            return true;
        }
        // SAFETY: not the top, so a chunk.
        let next = unsafe { after.header() };
        if !next.is_free() || old_len + next.len() < len {
            return false;
        }
        let merged_len = old_len + next.len();
        // SAFETY: a free chunk of that length, in a list (T4).
        unsafe { self.lists.remove(after, next.len()) };
        // SAFETY: the two are one chunk now, in no list, of `merged_len` bytes; the one after it says
        // that it is free, and the one before it is as it was.
        unsafe { self.carve(chunk, merged_len, len, header.0 & PREV_FREE) };
        true
    }

    /// Takes a chunk back and joins it with its free neighbours.
    ///
    /// # Safety
    ///
    /// `chunk` is in use, and its block dead.
    #[inline]
    unsafe fn give(&self, mut chunk: Chunk) {
        // SAFETY: a chunk in use.
        let header = unsafe { chunk.header() };
        let mut len = header.len();
        alloc_core::check!(
            !header.is_free(),
            "the block at {:#x} is freed already",
            chunk.addr() + HEADER_LEN
        );
        if alloc_core::CHECKED {
            // A second free finds this, also when the chunk is part of a larger one.
            // SAFETY: the chunk's own header.
            unsafe { chunk.set_header(header.0 | chunk::FREE) };
        }
        // SAFETY: a chunk ends in the buffer.
        let after = unsafe { chunk.after(len) };
        if header.is_prev_free() {
            // SAFETY: its header says that the chunk before it is free.
            let (before, before_len) = unsafe { chunk.before() };
            // SAFETY: a free chunk of that length, in a list (T4).
            unsafe { self.lists.remove(before, before_len) };
            chunk = before;
            len += before_len;
        }
        if after == self.top.get() {
            self.top.set(chunk);
            return;
        }
        // SAFETY: not the top, so a chunk.
        let next = unsafe { after.header() };
        if next.is_free() {
            // SAFETY: a free chunk of that length, in a list (T4).
            unsafe { self.lists.remove(after, next.len()) };
            len += next.len();
        } else {
            // SAFETY: a chunk's header.
            unsafe { after.set_header(next.0 | PREV_FREE) };
        }
        // SAFETY: the bytes of dead and free chunks; the one after them says that it is free.
        unsafe { chunk.mark_free(len) };
        // SAFETY: a free chunk, in no list.
        unsafe { self.lists.insert(chunk, len) };
    }
}

// SAFETY: by number, on the invariants T1 to T5 of `walk`:
// 1 Fit: a block lies within its chunk, which has `chunk_len` bytes or more, in the buffer (T1, T2);
//   chunks start a header before a multiple of the granule, and `alloc_aligned` sees to more.
// 2 Exclusive: chunks do not overlap (T2); headers, links and footers lie outside blocks.
// 3 Stable: blocks and all that leads to them are in the buffer, not in `self`.
// 4 No unwind: no indexing out of bounds (bins are below their count), no unwrap; nothing to drop.
// 5 Hands off: only headers, and words of free chunks, are read or written.
// 6 Kept: `lengthen` and `trim` move nothing.
// 7 Clean failure: on an error nothing has changed but that the reserve was taken.
unsafe impl Allocator for TlsfHeap<'_> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if GRANULE < layout.align() {
            return self.alloc_aligned(layout);
        }
        match self.take(chunk_len(layout.size())) {
            // SAFETY: a chunk.
            Some(chunk) => Ok(unsafe { chunk.block() }),
            None => Err(AllocError),
        }
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, _: Layout, new_size: usize) -> bool {
        // SAFETY: a live block (contract).
        let chunk = unsafe { self.chunk_of(block) };
        // SAFETY: a chunk in use.
        let old_len = unsafe { chunk.header() }.len();
        let len = chunk_len(new_size);
        if old_len < len {
            // SAFETY: in use, of `old_len` bytes.
            return unsafe { self.lengthen(chunk, old_len, len) };
        }
        // SAFETY: in use, of `old_len` bytes; the new size fits `len`.
        unsafe { self.trim(chunk, old_len, len) };
        true
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller keeps the same contract towards `raw_resize`.
        let resized = unsafe { self.raw_resize(block, layout, new_size) };
        resized.then_some(block)
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, _: Layout) {
        // SAFETY: a live block (contract).
        let chunk = unsafe { self.chunk_of(block) };
        // SAFETY: in use; the block is dead from here on (contract).
        unsafe { self.give(chunk) };
    }
}

// SAFETY: the size is that of the chunk, which is its block's alone.
unsafe impl UnsizedFree for TlsfHeap<'_> {
    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        // SAFETY: a live block (contract).
        let chunk = unsafe { self.chunk_of(block) };
        // SAFETY: a chunk in use.
        let header = unsafe { chunk.header() };
        header.len() - HEADER_LEN
    }

    #[inline]
    unsafe fn free_unsized(&self, block: NonNull<u8>) {
        // SAFETY: a live block (contract).
        let chunk = unsafe { self.chunk_of(block) };
        // SAFETY: in use; the block is dead from here on (contract).
        unsafe { self.give(chunk) };
    }

    #[inline]
    fn owns(&self, ptr: *const u8) -> bool {
        self.owns_ptr(ptr)
    }
}

alloc_core::impl_foreign_allocator!(impl['buf] for TlsfHeap<'buf>);

impl fmt::Debug for TlsfHeap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsfHeap")
            .field("capacity", &self.capacity())
            .field("top", &self.room())
            .finish_non_exhaustive()
    }
}
