//! The arena: a cursor in the newest of its chunks.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::iter;
use core::num::NonZero;
use core::ptr::NonNull;

#[cfg(feature = "alloc")]
use alloc_core::Global;
use alloc_core::{AllocError, Allocator};

use crate::chunk::{CHUNK_ALIGN, Chunk, HEADER_LEN};
use crate::growth;

/// Cursor and limit of an arena without a chunk.
const NOWHERE_ADDR: NonZero<usize> = NonZero::<usize>::MIN;
const NOWHERE: NonNull<u8> = NonNull::without_provenance(NOWHERE_ADDR);

macro_rules! arena {
    ($($default:tt)*) => {
        /// Hands out memory of a backing allocator and takes it back all at once: at
        /// [`reset`](Self::reset), or when it is dropped.
        ///
        /// Freeing a single block gives memory back only if it is the last one. `!Sync`; `Send` where
        /// the backing is.
        pub struct Arena<A: Allocator $($default)*> {
            /// The first free byte of the newest chunk; invariants 2 and 3 of the crate.
            cursor: Cell<NonNull<u8>>,
            /// The address behind the newest chunk's last byte; the cursor's, if there is none.
            limit: Cell<usize>,
            /// The newest chunk, head of the list of all; invariant 1.
            newest: Cell<Option<Chunk>>,
            backing: A,
        }
    };
}

#[cfg(feature = "alloc")]
arena!(= Global);
#[cfg(not(feature = "alloc"))]
arena!();

/// What [`Arena::reset`] keeps for the next round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Nothing: all memory goes back to the backing.
    FreeAll,
    /// One chunk with the capacity of all: the next round of the same load asks the backing for
    /// nothing.
    RetainCapacity,
    /// The same, but at most this many bytes.
    RetainWithLimit(usize),
}

#[cfg(feature = "alloc")]
impl Arena {
    /// Makes an arena over the program's own allocator. Takes no memory before the first request.
    #[inline]
    pub const fn new() -> Self {
        Self::over(Global)
    }
}

#[cfg(feature = "alloc")]
impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the chunks are blocks of the backing, reached through this arena alone, and go where it
// goes; the backing may be sent by the bound.
unsafe impl<A: Allocator + Send> Send for Arena<A> {}

impl<A: Allocator> Arena<A> {
    /// Makes an arena over a backing allocator: a value, or a reference to one that others use too.
    /// Takes no memory before the first request.
    ///
    /// ```
    /// use alloc_arena::Arena;
    /// use alloc_core::AllocatorExt;
    /// use alloc_fixed::StackBuffer;
    ///
    /// let mut stack = StackBuffer::<2048>::new();
    /// let fixed = stack.fixed();
    /// let arena = Arena::over(&fixed);
    /// assert_eq!(*arena.dupe_str("no heap")?, *"no heap");
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    #[inline]
    pub const fn over(backing: A) -> Self {
        Self {
            cursor: Cell::new(NOWHERE),
            limit: Cell::new(NOWHERE_ADDR.get()),
            newest: Cell::new(None),
            backing,
        }
    }

    /// Returns the allocator that the chunks come from.
    #[inline]
    pub const fn backing(&self) -> &A {
        &self.backing
    }

    /// Returns how many bytes all chunks can hold, their headers excluded. Takes time in proportion
    /// to the number of chunks.
    pub fn capacity(&self) -> usize {
        self.chunks().map(|chunk| chunk.len() - HEADER_LEN).sum()
    }

    /// Returns how many bytes are taken by blocks, freed ones that were not the last and padding
    /// included. Takes time in proportion to the number of chunks.
    pub fn used(&self) -> usize {
        self.chunks()
            .map(|chunk| {
                let is_newest = Some(chunk) == self.newest.get();
                let used = if is_newest { self.cursor_offset(chunk) } else { chunk.used() };
                used - HEADER_LEN
            })
            .sum()
    }

    /// Takes every block back, and keeps what `mode` says in a single chunk. No block can be alive:
    /// the borrow is unique.
    ///
    /// Returns whether the arena now has the capacity that `mode` asks for, which is the smaller of
    /// the capacity so far and the limit. It is `false` when the backing refused that one chunk; the
    /// arena is empty and usable then as well, and holds at most that much.
    ///
    /// ```
    /// use alloc_arena::{Arena, Reset};
    /// use alloc_core::AllocatorExt;
    ///
    /// let mut arena = Arena::new();
    /// for _ in 0..3 {
    ///     arena.alloc_fill(10_000, 1u8)?;
    ///     assert!(arena.reset(Reset::RetainCapacity));
    /// }
    /// assert_eq!(arena.used(), 0);
    /// assert!(arena.capacity() >= 10_000);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    ///
    /// ```compile_fail,E0502
    /// # use alloc_arena::{Arena, Reset};
    /// # use alloc_core::AllocatorExt;
    /// let mut arena = Arena::new();
    /// let block = arena.create(5u8).unwrap();
    /// arena.reset(Reset::FreeAll);
    /// drop(block);
    /// ```
    pub fn reset(&mut self, mode: Reset) -> bool {
        let retained = match mode {
            Reset::FreeAll => 0,
            Reset::RetainCapacity => self.capacity(),
            Reset::RetainWithLimit(limit) => self.capacity().min(limit),
        };
        let mut kept = None;
        if retained != 0 {
            // Not empty, or the capacity would be zero; the newest chunk is the largest but for an
            // outsized block, and the one most likely to grow where it is.
            kept = self.newest.get();
            let others = kept.and_then(Chunk::older);
            if let Some(chunk) = kept {
                chunk.link(None);
            }
            // SAFETY: `kept` was the head and no longer leads to them; no block is live.
            unsafe { self.free_list(others) };
        } else {
            // SAFETY: `enter` below forgets the head; no block is live.
            unsafe { self.free_list(self.newest.get()) };
        }
        let kept = kept.and_then(|chunk| self.consolidate(chunk, retained));
        self.enter(kept);
        kept.map_or(0, |chunk| chunk.len() - HEADER_LEN) == retained
    }

    /// Makes a chunk with a capacity of `retained` bytes of the only one there is. If the backing
    /// refuses, returns the chunk as it is, or none if it is larger than that.
    fn consolidate(&mut self, chunk: Chunk, retained: usize) -> Option<Chunk> {
        let len = retained.checked_add(HEADER_LEN)?;
        // SAFETY: it came from this backing; all its blocks are dead.
        if chunk.len() == len || unsafe { chunk.resize(&self.backing, len) } {
            return Some(chunk);
        }
        let fresh = Chunk::new(&self.backing, len, None).ok();
        if fresh.is_none() && chunk.len() <= len {
            return Some(chunk);
        }
        // SAFETY: it came from this backing; its blocks are dead, and `reset` forgets it.
        unsafe { chunk.free(&self.backing) };
        fresh
    }

    /// Makes `chunk`, which has no blocks, the newest one; without one, the arena is empty.
    fn enter(&self, chunk: Option<Chunk>) {
        self.newest.set(chunk);
        self.cursor.set(chunk.map_or(NOWHERE, Chunk::first_byte));
        self.limit.set(chunk.map_or(NOWHERE_ADDR.get(), Chunk::limit));
    }

    /// All chunks, the newest first.
    fn chunks(&self) -> impl Iterator<Item = Chunk> {
        iter::successors(self.newest.get(), |chunk| chunk.older())
    }

    /// Gives a list of chunks back.
    ///
    /// # Safety
    ///
    /// They are this arena's, the caller forgets them, and no block in them is live.
    unsafe fn free_list(&mut self, first: Option<Chunk>) {
        let mut next = first;
        while let Some(chunk) = next {
            next = chunk.older();
            // SAFETY: it came from this backing (invariant 1), and no block in it is live (contract).
            // It is in no list any more: `next` was read, the caller forgets the head.
            unsafe { chunk.free(&self.backing) };
        }
    }

    /// The offset of the cursor in the newest chunk.
    fn cursor_offset(&self, newest: Chunk) -> usize {
        self.cursor.get().addr().get() - newest.start().addr().get()
    }

    /// How many bytes the newest chunk has behind the cursor.
    #[inline]
    fn room(&self) -> usize {
        // No wrap: invariant 3.
        self.limit.get().wrapping_sub(self.cursor.get().addr().get())
    }

    /// Bumps the cursor, if the newest chunk has room.
    #[inline]
    fn bump(&self, layout: Layout) -> Option<NonNull<u8>> {
        let cursor = self.cursor.get();
        let padding =
            growth::place(cursor.addr().get(), self.room(), layout.size(), layout.align())?;
        // SAFETY: `place` promises `padding + size <= room`, and the `room` bytes from the cursor
        // lie in the newest chunk (invariant 3).
        let block = unsafe { cursor.add(padding) };
        // SAFETY: as above.
        self.cursor.set(unsafe { block.add(layout.size()) });
        Some(block)
    }

    /// Makes room, and bumps again.
    #[cold]
    #[inline(never)]
    fn alloc_slow(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        self.make_room(layout)?;
        self.bump(layout).ok_or(AllocError)
    }

    /// Makes the newest chunk have room for a block: longer, or a new one; as long as the arena likes,
    /// or, where the backing refuses that, as long as the block needs.
    fn make_room(&self, layout: Layout) -> Result<(), AllocError> {
        let (size, align) = (layout.size(), layout.align());
        let newest = self.newest.get();
        let newest_len = newest.map_or(0, Chunk::len);
        let fresh = growth::fresh_len(HEADER_LEN, CHUNK_ALIGN, size, align).ok_or(AllocError)?;
        let extended = newest.and_then(|chunk| {
            let cursor = self.cursor.get().addr().get();
            growth::extended_len(cursor, self.cursor_offset(chunk), size, align)
        });
        let like = |needed| growth::geometric_len(newest_len, needed);
        if extended.is_some_and(|needed| self.extend(like(needed)))
            || self.push_chunk(like(fresh)).is_ok()
            || extended.is_some_and(|needed| self.extend(needed))
        {
            return Ok(());
        }
        self.push_chunk(fresh)
    }

    /// Makes the newest chunk longer where it is; returns whether the backing did it.
    fn extend(&self, len: usize) -> bool {
        let Some(newest) = self.newest.get() else { return false };
        // SAFETY: it came from this backing.
        let extended = unsafe { newest.resize(&self.backing, len) };
        if extended {
            self.limit.set(newest.limit());
        }
        extended
    }

    /// Adds a chunk of `len` bytes, which becomes the newest.
    fn push_chunk(&self, len: usize) -> Result<(), AllocError> {
        let older = self.newest.get();
        let chunk = Chunk::new(&self.backing, len, older)?;
        if let Some(older) = older {
            older.retire(self.cursor_offset(older));
        }
        self.enter(Some(chunk));
        Ok(())
    }

    /// Whether a live block of `size` bytes is the last one.
    #[inline]
    fn is_last(&self, block: NonNull<u8>, size: usize) -> bool {
        // Only a block of the newest chunk can end at the cursor: before each chunk's first block
        // lies its header.
        block.addr().get().wrapping_add(size) == self.cursor.get().addr().get()
    }

    /// Grows the last block beyond the newest chunk, if the backing makes that longer where it is.
    #[cold]
    #[inline(never)]
    fn grow_last_slow(&self, block: NonNull<u8>, new_size: usize) -> bool {
        let Some(newest) = self.newest.get() else { return false };
        let offset = block.addr().get().wrapping_sub(newest.start().addr().get());
        let Some(needed) = offset.checked_add(new_size) else { return false };
        let like = growth::geometric_len(newest.len(), needed);
        self.extend(like) || (needed < like && self.extend(needed))
    }
}

// SAFETY: by number, on the invariants of the crate:
// 1 Fit: `bump` returns aligned memory of the newest chunk, which the backing promised to be valid.
// 2 Exclusive: it lies above the cursor, below which all live blocks of the chunk are (2); headers
//   lie before the first block.
// 3 Stable: blocks are in the chunks, not in `self`. Only `reset` and drop free chunks; both have the
//   arena uniquely.
// 4 No unwind: no indexing, no unwrap, no overflow; the backing does not unwind either. Drop frees
//   chunks, then drops the backing, which promises the same.
// 5 Hands off: only headers are read and written.
// 6 Kept: a resize moves the cursor or lengthens the chunk in place; on `false` nothing has changed.
// 7 Clean failure: a refused chunk changes nothing; a chunk that was added before a failure is in the
//   list and freed with it.
unsafe impl<A: Allocator> Allocator for Arena<A> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        match self.bump(layout) {
            Some(block) => Ok(block),
            None => self.alloc_slow(layout),
        }
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        if !self.is_last(block, layout.size()) {
            return new_size <= layout.size();
        }
        let start = block.addr().get();
        // No wrap: the last block starts at or below the cursor, which is at most the limit.
        if self.limit.get().wrapping_sub(start) < new_size && !self.grow_last_slow(block, new_size)
        {
            return false;
        }
        // SAFETY: `new_size` bytes from the block on end at or before the limit, in the newest
        // chunk: compared above, or made so by `grow_last_slow`.
        self.cursor.set(unsafe { block.add(new_size) });
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
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        if self.is_last(block, layout.size()) {
            self.cursor.set(block);
        }
    }
}

alloc_core::impl_foreign_allocator!(impl[A: Allocator] for Arena<A>);

/// Gives all chunks back.
impl<A: Allocator> Drop for Arena<A> {
    fn drop(&mut self) {
        // SAFETY: nobody uses the arena after its drop; blocks are used only while it is borrowed.
        unsafe { self.free_list(self.newest.get()) };
    }
}

impl<A: Allocator> fmt::Debug for Arena<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("capacity", &self.capacity())
            .field("used", &self.used())
            .field("chunks", &self.chunks().count())
            .finish_non_exhaustive()
    }
}
