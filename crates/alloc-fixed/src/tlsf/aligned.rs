//! Alignments above the granule: a block somewhere in a longer chunk, and what lies before and after it
//! given back at once, so that nothing is put into a list only to be taken out again.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::AllocError;

use super::TlsfHeap;
use super::bins::{GRANULE, HEADER_LEN, chunk_len};
use super::chunk::{Chunk, PREV_FREE};
use crate::bump;

impl TlsfHeap<'_> {
    /// Hands out a block of an alignment above the granule, of a chunk so long that such a block lies
    /// in it wherever it is, or of the top.
    #[inline(never)]
    pub(super) fn alloc_aligned(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let len = chunk_len(layout.size());
        // The front is at most `align + GRANULE`. A size and its alignment together are at most
        // `isize::MAX` and one (`Layout`), so this does not overflow.
        let wish = len + (layout.align() | GRANULE);
        let chunk = match self.find(wish) {
            // SAFETY: a free chunk of `found_len` bytes that is in no list any more.
            Some((chunk, found_len)) => unsafe {
                self.place(chunk, found_len, len, layout.align())
            },
            None => self.place_at_top(len, layout.align()).ok_or(AllocError)?,
        };
        // SAFETY: a chunk.
        Ok(unsafe { chunk.block() })
    }

    /// How many bytes of a chunk, or of the top, lie before the chunk of a block of this alignment:
    /// none, or a chunk's worth. At most `align + GRANULE`, for an alignment above `GRANULE`.
    #[inline]
    fn front_len(chunk: Chunk, align: usize) -> usize {
        let padding = bump::padding(chunk.addr().wrapping_add(HEADER_LEN), align);
        // Chunks lie at multiples of the granule, so that is the one length that is no chunk's.
        match padding {
            0 => 0,
            GRANULE => GRANULE + align,
            _ => padding,
        }
    }

    /// Puts `len` bytes of a chunk to use, so that their block is aligned; what lies before and after
    /// goes into lists. Returns their chunk.
    ///
    /// # Safety
    ///
    /// * `chunk` is a chunk of `found_len` bytes in no list and in no use, marked as free to the one
    ///   after it; the one before it is in use.
    /// * `GRANULE < align`, and `len + align + GRANULE <= found_len`.
    #[inline]
    unsafe fn place(&self, chunk: Chunk, found_len: usize, len: usize, align: usize) -> Chunk {
        let front_len = Self::front_len(chunk, align);
        // SAFETY: `front_len <= align + GRANULE`, so with `len` bytes it lies in the chunk (contract).
        let aligned = unsafe { chunk.after(front_len) };
        let mut prev = 0;
        if front_len != 0 {
            // SAFETY: the bytes before it, a chunk's worth (`front_len`).
            unsafe { self.give_front(chunk, front_len) };
            prev = PREV_FREE;
        }
        // SAFETY: what remains of the chunk, still marked to the one after it.
        unsafe { self.carve(aligned, found_len - front_len, len, prev) };
        aligned
    }

    /// Puts the bytes before an aligned chunk into a list.
    ///
    /// # Safety
    ///
    /// `len` bytes from `chunk` on are a chunk's worth, in no use; the chunk before is in use.
    #[inline]
    unsafe fn give_front(&self, chunk: Chunk, len: usize) {
        // SAFETY: bytes in no use (contract).
        unsafe { chunk.mark_free(len) };
        // SAFETY: a free chunk, in no list.
        unsafe { self.lists.insert(chunk, len) };
    }

    /// As [`place`](Self::place), in the top.
    fn place_at_top(&self, len: usize, align: usize) -> Option<Chunk> {
        let top = self.top.get();
        let front_len = Self::front_len(top, align);
        if !bump::fits(front_len, len, self.room()) {
            return self.place_in_reserve(len, align);
        }
        // SAFETY: so many bytes lie between the top and the end (T3).
        let chunk = unsafe { top.after(front_len) };
        // SAFETY: as above.
        self.top.set(unsafe { chunk.after(len) });
        let mut prev = 0;
        if front_len != 0 {
            // SAFETY: bytes of the top, a chunk's worth; the chunk before the top is in use (T3).
            unsafe { self.give_front(top, front_len) };
            prev = PREV_FREE;
        }
        // SAFETY: bytes of the top, in no chunk.
        unsafe { chunk.set_header(len | prev) };
        Some(chunk)
    }

    /// The last resort: the buffer that was not taken yet. Holes that might do, and might not, are left
    /// alone, so that no call takes longer than one that finds a hole.
    #[cold]
    #[inline(never)]
    fn place_in_reserve(&self, len: usize, align: usize) -> Option<Chunk> {
        if self.settle_reserve() { self.place_at_top(len, align) } else { None }
    }
}
