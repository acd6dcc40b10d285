//! Taking back all blocks, or those behind a mark.

use core::ptr::NonNull;

use alloc_core::Allocator;

use crate::Arena;
use crate::arena::NOWHERE;
use crate::chunk::{Chunk, HEADER_LEN};
use crate::poison;

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

/// Where an arena's cursor was.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    newest: Option<Chunk>,
    cursor: NonNull<u8>,
    used_before: usize,
}

impl<A: Allocator> Arena<A> {
    /// Takes every block back, and keeps what `mode` says in a single chunk. No block can be alive:
    /// the borrow is unique.
    ///
    /// Returns whether the arena now has the capacity that `mode` asks for, which is the smaller of
    /// the capacity so far and the limit. It is `false` when the backing refused that one chunk; the
    /// arena is empty and usable then as well, and holds at most that much.
    ///
    /// ```
    /// use alloc_arena::{Arena, Reset};
    ///
    /// let mut arena = Arena::new();
    /// for _ in 0..3 {
    ///     arena.put_slice_fill(10_000, 1u8)?;
    ///     assert!(arena.reset(Reset::RetainCapacity));
    /// }
    /// assert_eq!(arena.used(), 0);
    /// assert!(arena.capacity() >= 10_000);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    ///
    /// ```compile_fail,E0502
    /// # use alloc_arena::{Arena, Reset};
    /// let mut arena = Arena::new();
    /// let number = arena.put(5u8).unwrap();
    /// arena.reset(Reset::FreeAll);
    /// *number = 6;
    /// ```
    #[inline(never)]
    pub fn reset(&mut self, mode: Reset) -> bool {
        // The warm loop: one chunk, of which everything is kept.
        if mode == Reset::RetainCapacity
            && let Some(only) = self.newest.get()
            && only.older().is_none()
            && self.spare.get().is_none()
        {
            let first = only.first_byte();
            // As `enter`, but the peak stays: it is of this chunk, and nothing is before it.
            let peak = self.peak.get().max(self.cursor.get().addr().get());
            self.peak.set(peak);
            self.cursor.set(first);
            let taken = peak - first.addr().get();
            // SAFETY: what was ever taken of a chunk lies behind its header; no block is live.
            unsafe { poison::bury(first, taken) };
            return true;
        }
        self.reset_slow(mode)
    }

    /// As [`reset`](Self::reset), for all that is not the warm loop.
    #[inline(never)]
    fn reset_slow(&mut self, mode: Reset) -> bool {
        let retained = match mode {
            Reset::FreeAll => 0,
            Reset::RetainCapacity => self.capacity(),
            Reset::RetainWithLimit(limit) => self.capacity().min(limit),
        };
        let mut kept = self.newest.get();
        let mut others = None;
        if let Some(chunk) = kept {
            chunk.retire(self.cursor_offset(chunk));
        } else if let Some(chunk) = self.spare.get() {
            // Only scopes were used: one of their chunks will do.
            self.spare.set(chunk.older());
            chunk.retire(HEADER_LEN);
            chunk.link(None);
            kept = Some(chunk);
        }
        if let Some(chunk) = kept {
            others = chunk.older();
            chunk.link(None);
        }
        // SAFETY: the spare chunks have no blocks; the list is forgotten here.
        unsafe { self.free_list(self.spare.take()) };
        // The arena is empty from here on; the newest chunk is the largest but for an outsized block,
        // and the one most likely to grow where it is.
        self.enter(None, 0);
        // SAFETY: `enter` forgot them; no block is live.
        unsafe { self.free_list(others) };
        if retained == 0 {
            // SAFETY: as above.
            unsafe { self.free_list(kept.take()) };
        }
        let kept = kept.and_then(|chunk| self.consolidate(chunk, retained));
        self.enter(kept, 0);
        kept.map_or(0, |chunk| chunk.len() - HEADER_LEN) == retained
    }

    /// Makes a chunk with a capacity of `retained` bytes of the only one there is. If the backing
    /// refuses, returns the chunk as it is, or none if it is larger than that.
    fn consolidate(&self, chunk: Chunk, retained: usize) -> Option<Chunk> {
        // SAFETY: no block in it is live, and what was taken of it lies behind its header.
        unsafe { poison::bury(chunk.first_byte(), chunk.used() - HEADER_LEN) };
        let len = retained.checked_add(HEADER_LEN)?;
        if chunk.len() == len {
            return Some(chunk);
        }
        let before = chunk.len();
        // SAFETY: it came from this backing; all its blocks are dead.
        if unsafe { chunk.resize(&self.backing, len) } {
            self.reserved.set(self.reserved.get() - before + len);
            return Some(chunk);
        }
        // The sum of both passes the limit for a moment, never what the arena keeps.
        let limit = self.reserved_max.replace(usize::MAX);
        let fresh = self.request_chunk(len).ok();
        self.reserved_max.set(limit);
        if fresh.is_none() && before <= len {
            return Some(chunk);
        }
        // SAFETY: it is in no list; its blocks are dead.
        unsafe { self.free_chunk(chunk) };
        fresh
    }

    /// Where the cursor is.
    pub(crate) fn mark(&self) -> Mark {
        let newest = self.newest.get();
        Mark { newest, cursor: self.cursor.get(), used_before: self.used_before.get() }
    }

    /// Takes back every block that was made since `mark`. Chunks that were added since are kept as
    /// spare ones.
    ///
    /// # Safety
    ///
    /// * The mark is of this arena, which was not reset since, nor rewound to an earlier one.
    /// * No block made since is live; nor was one that was live then changed in size since.
    pub(crate) unsafe fn rewind(&self, mark: Mark) {
        self.high_water.set(self.high_water());
        let mut end = self.cursor.get().addr().get();
        while let Some(chunk) = self.newest.get()
            && mark.newest != Some(chunk)
        {
            let first = chunk.first_byte();
            // SAFETY: what is taken of a chunk lies behind its header; all of it is dead (contract).
            unsafe { poison::bury(first, end - first.addr().get()) };
            let older = chunk.older();
            end = older.map_or(0, |older| older.start().addr().get() + older.used());
            self.newest.set(older);
            chunk.link(self.spare.replace(Some(chunk)));
        }
        if mark.newest.is_some() {
            let len = end - mark.cursor.addr().get();
            // SAFETY: from the mark to where the cursor was in that chunk; dead (contract).
            unsafe { poison::bury(mark.cursor, len) };
        }
        // Without a chunk then, there is none now.
        let cursor = if mark.newest.is_some() { mark.cursor } else { NOWHERE };
        self.move_to(cursor, mark.used_before);
    }
}
