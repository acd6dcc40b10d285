//! A walk over the whole heap: its invariants, and what it holds.
//!
//! # Invariants
//!
//! * T1. `base` to `end` lie in the buffer, both a header before a multiple of `GRANULE`, and at most
//!   `CHUNK_LEN_MAX` bytes apart.
//! * T2. From `base` to `top` chunks lie one after the other without a gap; the header of each has its
//!   length, and says whether it is free and whether the one before it is.
//! * T3. `base <= top <= end`. The chunk before `top` is in use; from `top` on there is none.
//! * T4. The chunks in the lists are the free ones: each in the bin of its length, linked both ways,
//!   with its length at its end too. No two are neighbours.
//! * T5. A bit of `map` is set where a bin is not empty.

use super::TlsfHeap;
use super::bins::{BIN_COUNT, CHUNK_LEN_MIN, GRANULE, HEADER_LEN, bin_of};
use super::chunk::Back;

/// What a [`TlsfHeap`] holds at one moment. Sizes are in bytes and those of chunks: a block and its
/// header, rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsfStats {
    /// Blocks that are alive.
    pub block_count: usize,
    /// What they take.
    pub used: usize,
    /// Free chunks between blocks.
    pub hole_count: usize,
    /// What those take.
    pub holes: usize,
    /// What was never used, or came back in one piece with it.
    pub top: usize,
    /// The largest block that certainly can be had, at an alignment of 16 (8 on 32 bits): that of the top,
    /// or of the largest hole that a search of bounded time finds. One that is larger by less than an eighth
    /// may lie behind it.
    pub largest: usize,
}

impl TlsfHeap<'_> {
    /// Walks over all chunks and tells what they are; takes time for each.
    pub fn stats(&self) -> TlsfStats {
        let mut stats = TlsfStats { top: self.room(), ..TlsfStats::default() };
        let mut chunk = self.base.get();
        while chunk != self.top.get() {
            // SAFETY: before the top, so a chunk (T2).
            let header = unsafe { chunk.header() };
            if header.is_free() {
                stats.hole_count += 1;
                stats.holes += header.len();
            } else {
                stats.block_count += 1;
                stats.used += header.len();
            }
            // SAFETY: a chunk ends in the buffer (T2).
            chunk = unsafe { chunk.after(header.len()) };
        }
        stats.largest = stats.top.max(self.lists.longest()).saturating_sub(HEADER_LEN);
        stats
    }

    /// Walks over all chunks and all lists and compares them; for tests.
    ///
    /// # Panics
    ///
    /// If an invariant of the heap does not hold: something overwrote its words, or it has a bug.
    pub fn check_invariants(&self) {
        let (mut free_count, mut prev_free) = (0, false);
        let mut chunk = self.base.get();
        while chunk != self.top.get() {
            assert!(chunk.addr() < self.top.get().addr(), "T2: the chunks miss the top");
            // SAFETY: before the top, so a chunk (T2).
            let header = unsafe { chunk.header() };
            let len = header.len();
            assert!(CHUNK_LEN_MIN <= len && len.is_multiple_of(GRANULE), "T2: {header:?}");
            assert_eq!(header.is_prev_free(), prev_free, "T2: at {chunk:?}");
            assert!(!(prev_free && header.is_free()), "T4: neighbours at {chunk:?}");
            // SAFETY: a chunk ends in the buffer (T2).
            let after = unsafe { chunk.after(len) };
            if header.is_free() {
                free_count += 1;
                // SAFETY: the one before `after` is free.
                assert_eq!(unsafe { after.before() }, (chunk, len), "T4: the footer");
            }
            prev_free = header.is_free();
            chunk = after;
        }
        assert!(!prev_free, "T3: the chunk before the top is free");
        assert!(self.top.get().addr() <= self.end.get().addr(), "T3");
        let mut listed_count = 0;
        for bin in 0..BIN_COUNT {
            let (head, is_marked) = self.lists.bin(bin);
            assert_eq!(head.is_some(), is_marked, "T5: bin {bin}");
            let (mut next, mut back) = (head, Back::of_bin(bin));
            while let Some(chunk) = next {
                // SAFETY: in a list, so a chunk (T4).
                let header = unsafe { chunk.header() };
                assert!(header.is_free() && bin_of(header.len()) == bin, "T4: {header:?} in {bin}");
                // SAFETY: in a list, so a free chunk.
                assert!(unsafe { chunk.back() } == back, "T4: the links of {chunk:?}");
                listed_count += 1;
                back = Back::of_chunk(chunk);
                // SAFETY: as above.
                next = unsafe { chunk.next() };
            }
        }
        assert_eq!(listed_count, free_count, "T4: in the lists, and free");
    }
}
