//! The lists of free chunks, one for each bin, and the map of bits that says which hold any.

use core::cell::Cell;
use core::{hint, ptr};

use super::bins::{
    BIN_COUNT, CHUNK_LEN_MAX, GRANULE, SMALL_END, WORD_BITS, WORD_COUNT, bin_of, large_bin_from,
    large_bin_of,
};
use super::chunk::{Back, Chunk};

/// How many chunks of one bin are looked at when the map of bits knows none that surely fits. With one more
/// such a call would be the longest of all.
const SCAN_MAX: usize = 2;

pub(super) struct Lists {
    /// A bit for each bin that is not empty. Invariant T5.
    map: [Cell<usize>; WORD_COUNT],
    /// The first chunk of each bin. Invariant T4.
    heads: [Cell<Option<Chunk>>; BIN_COUNT],
    /// Takes the link back of the chunk that is not there: see [`set_back`](Self::set_back). Nobody reads
    /// it.
    sink: Cell<Back>,
}

impl Lists {
    pub(super) const fn new() -> Self {
        Self {
            map: [const { Cell::new(0) }; WORD_COUNT],
            heads: [const { Cell::new(None) }; BIN_COUNT],
            sink: Cell::new(Back::of_bin(0)),
        }
    }

    /// Takes a chunk of at least `len` bytes, and less than `SMALL_END`, out of its list. Returns its
    /// length as well. `len` is below `SMALL_END`.
    #[inline]
    pub(super) fn small(&self, len: usize) -> Option<(Chunk, usize)> {
        let from = len / GRANULE;
        let bits = self.map[0].get() >> from;
        if bits == 0 {
            return None;
        }
        let bin = from + bits.trailing_zeros() as usize;
        // SAFETY: the bin is not empty (T5).
        let (chunk, next) = unsafe { self.first_two(bin) };
        self.set_small_head(bin, next);
        Some((chunk, bin * GRANULE))
    }

    /// Whether there is a free chunk of `SMALL_END` bytes or more.
    #[inline]
    pub(super) fn has_large(&self) -> bool {
        self.map[1..].iter().fold(0, |any, bits| any | bits.get()) != 0
    }

    /// Takes a chunk of at least `len` bytes, and at least `SMALL_END`, out of its list. `len` is at most
    /// a little more than `isize::MAX`.
    #[inline]
    pub(super) fn large(&self, len: usize) -> Option<(Chunk, usize)> {
        let from = if len < SMALL_END { WORD_BITS } else { large_bin_from(len) };
        let word = from / WORD_BITS;
        let bits = self.map.get(word)?.get() >> (from % WORD_BITS);
        if bits != 0 {
            return Some(self.first(from, bits));
        }
        for next in word + 1..WORD_COUNT {
            let bits = self.map[next].get();
            if bits != 0 {
                return Some(self.first(next * WORD_BITS, bits));
            }
        }
        None
    }

    /// Takes the first chunk of the first list among `bits`, those of the bins from `from` on; one of
    /// them is set.
    #[inline]
    fn first(&self, from: usize, bits: usize) -> (Chunk, usize) {
        let bin = from + bits.trailing_zeros() as usize;
        // SAFETY: the bin is not empty (T5).
        let (chunk, next) = unsafe { self.first_two(bin) };
        self.set_large_head(bin, next);
        // SAFETY: it was in a list, so a free chunk (T4).
        (chunk, unsafe { chunk.header() }.len())
    }

    /// The first chunk of a list, and the one after it.
    ///
    /// # Safety
    ///
    /// The list is not empty.
    #[inline]
    unsafe fn first_two(&self, bin: usize) -> (Chunk, Option<Chunk>) {
        let head = self.head(bin).get();
        alloc_core::check!(head.is_some(), "the map of bits was overwritten: {bin}");
        // SAFETY: this function's contract.
        let chunk = unsafe { head.unwrap_unchecked() };
        if alloc_core::CHECKED {
            // SAFETY: in a list, so a free chunk (T4).
            let header = unsafe { chunk.header() };
            let agrees = header.is_free() && bin_of(header.len()) == bin;
            alloc_core::check!(agrees, "a free chunk was overwritten: {header:?} in bin {bin}");
            // SAFETY: in the list, of that length.
            unsafe { self.check_links(chunk, header.len()) };
        }
        // SAFETY: in a list, so a free chunk (T4).
        (chunk, unsafe { chunk.next() })
    }

    /// The place of a list's first chunk, for a bin that `bin_of` or the map told.
    #[inline]
    fn head(&self, bin: usize) -> &Cell<Option<Chunk>> {
        alloc_core::check!(bin < BIN_COUNT, "a free chunk has a length that no chunk has");
        // SAFETY: `bin_of` tells bins below `BIN_COUNT` for every length up to `CHUNK_LEN_MAX`, which
        // no chunk exceeds (T1); the map has as many bits as there are bins.
        unsafe { self.heads.get_unchecked(bin) }
    }

    /// The word of the map for a bin, as for [`head`](Self::head).
    #[inline]
    fn word(&self, bin: usize) -> &Cell<usize> {
        // SAFETY: as there; a word of the map has `WORD_BITS` bins.
        unsafe { self.map.get_unchecked(bin / WORD_BITS) }
    }

    /// Sets the first chunk of a list that was not empty.
    #[inline]
    fn set_head(&self, bin: usize, head: Option<Chunk>) {
        if bin < WORD_BITS {
            self.set_small_head(bin, head);
        } else {
            self.set_large_head(bin, head);
        }
    }

    /// As [`set_head`](Self::set_head), for a bin of the first word.
    #[inline]
    fn set_small_head(&self, bin: usize, head: Option<Chunk>) {
        self.head(bin).set(head);
        // SAFETY: in a list, so a free chunk (T4).
        unsafe { self.set_back(head, Back::of_bin(bin)) };
        // The bit is set (T5).
        let bits = self.map[0].get();
        self.map[0].set(bits ^ usize::from(head.is_none()) << (bin % WORD_BITS));
    }

    /// As [`set_head`](Self::set_head), for a bin of another word. Few blocks are so long; for those the
    /// worst call counts more than the wrong guess, and this way has fewer instructions.
    #[inline]
    fn set_large_head(&self, bin: usize, head: Option<Chunk>) {
        self.head(bin).set(head);
        match head {
            // SAFETY: in a list, so a free chunk (T4).
            Some(head) => unsafe { head.set_back(Back::of_bin(bin)) },
            None => {
                let word = self.word(bin);
                word.set(word.get() & !(1 << (bin % WORD_BITS)));
            }
        }
    }

    /// Sets the link back of a chunk, if there is one.
    ///
    /// Whether a list becomes empty, or was, is as good as random where blocks come and go in any order, and
    /// a branch that the processor guesses wrong takes longer than all else here. So there is none: what has
    /// no chunk goes into the sink.
    ///
    /// # Safety
    ///
    /// The chunk is in a list.
    #[inline]
    unsafe fn set_back(&self, chunk: Option<Chunk>, back: Back) {
        let place = chunk.map_or(ptr::null_mut(), Chunk::place_of_back);
        let place = hint::select_unpredictable(chunk.is_some(), place, self.sink.as_ptr());
        // SAFETY: the link of a free chunk (contract), or this heap's sink.
        unsafe { place.write(back) };
    }

    /// Takes a chunk out of its list.
    ///
    /// # Safety
    ///
    /// `chunk` is in a list and has `len` bytes.
    #[inline]
    pub(super) unsafe fn remove(&self, chunk: Chunk, len: usize) {
        if alloc_core::CHECKED {
            // SAFETY: this function's contract.
            unsafe { self.check_links(chunk, len) };
        }
        // SAFETY: in a list, so a free chunk (T4).
        let next = unsafe { chunk.next() };
        // SAFETY: as above.
        let back = unsafe { chunk.back() };
        match back.get() {
            Ok(prev) => {
                // SAFETY: in a list, so a free chunk.
                unsafe { prev.set_next(next) };
                if let Some(next) = next {
                    // SAFETY: as above.
                    unsafe { next.set_back(back) };
                }
            }
            Err(bin) => self.set_head(bin, next),
        }
    }

    /// Whether the neighbours of a chunk in its list know it, and no link was overwritten.
    ///
    /// # Safety
    ///
    /// As for [`remove`](Self::remove).
    unsafe fn check_links(&self, chunk: Chunk, len: usize) {
        // SAFETY: this function's contract: a free chunk.
        let next = unsafe { chunk.next() };
        // SAFETY: as above.
        let back = unsafe { chunk.back() };
        let from_back = match back.get() {
            // SAFETY: a link of a free chunk leads to one; if it was overwritten, this is a build that
            // looks for that, and a pointer that cannot be read ends the process as well.
            Ok(prev) => unsafe { prev.next() },
            Err(bin) if bin == bin_of(len) => self.heads[bin].get(),
            Err(_) => None,
        };
        alloc_core::check!(
            from_back == Some(chunk),
            "a free chunk was overwritten: the links of {chunk:?} lead elsewhere"
        );
        if let Some(next) = next {
            // SAFETY: as above.
            let back = unsafe { next.back() };
            alloc_core::check!(
                back == Back::of_chunk(chunk),
                "a free chunk was overwritten: the links of {chunk:?} lead elsewhere"
            );
        }
    }

    /// Puts a free chunk into the list of its bin.
    ///
    /// # Safety
    ///
    /// `chunk` is marked as free, has `len` bytes, and is in no list.
    #[inline]
    pub(super) unsafe fn insert(&self, chunk: Chunk, len: usize) {
        if len < SMALL_END {
            let bin = len / GRANULE;
            // SAFETY: the same contract.
            let old = unsafe { self.put_first(chunk, bin) };
            // SAFETY: in a list, so a free chunk (T4).
            unsafe { self.set_back(old, Back::of_chunk(chunk)) };
            self.map[0].set(self.map[0].get() | 1 << (bin % WORD_BITS));
            return;
        }
        let bin = large_bin_of(len);
        // SAFETY: the same contract.
        match unsafe { self.put_first(chunk, bin) } {
            // SAFETY: in a list, so a free chunk (T4).
            Some(old) => unsafe { old.set_back(Back::of_chunk(chunk)) },
            None => {
                let word = self.word(bin);
                word.set(word.get() | 1 << (bin % WORD_BITS));
            }
        }
    }

    /// Makes a chunk the first of a list; returns the one that was.
    ///
    /// # Safety
    ///
    /// `chunk` is marked as free, and is in no list.
    #[inline]
    unsafe fn put_first(&self, chunk: Chunk, bin: usize) -> Option<Chunk> {
        let old = self.head(bin).replace(Some(chunk));
        // SAFETY: a free chunk (contract).
        unsafe { chunk.set_next(old) };
        // SAFETY: as above.
        unsafe { chunk.set_back(Back::of_bin(bin)) };
        old
    }

    /// Takes a chunk of at least `len` bytes out of the bin where some may be large enough and some
    /// not; looks at a bounded number of them.
    pub(super) fn scan(&self, len: usize) -> Option<(Chunk, usize)> {
        if !(SMALL_END..=CHUNK_LEN_MAX).contains(&len) {
            return None;
        }
        let mut next = self.heads.get(bin_of(len))?.get();
        for _ in 0..SCAN_MAX {
            let chunk = next?;
            // SAFETY: in a list, so a free chunk (T4).
            let found_len = unsafe { chunk.header() }.len();
            if len <= found_len {
                // SAFETY: in the list, of that length.
                unsafe { self.remove(chunk, found_len) };
                return Some((chunk, found_len));
            }
            // SAFETY: in a list, so a free chunk.
            next = unsafe { chunk.next() };
        }
        None
    }

    /// The length of the longest chunk that a request is certain to find; 0 if there is none. A longer one
    /// may lie in the last bin, behind those that are looked at.
    pub(super) fn longest(&self) -> usize {
        let Some(word) = (0..WORD_COUNT).rev().find(|word| self.map[*word].get() != 0) else {
            return 0;
        };
        let bin = word * WORD_BITS + self.map[word].get().ilog2() as usize;
        let (mut longest, mut next) = (0, self.heads[bin].get());
        for _ in 0..SCAN_MAX {
            let Some(chunk) = next else { break };
            // SAFETY: in a list, so a free chunk (T4).
            longest = longest.max(unsafe { chunk.header() }.len());
            // SAFETY: as above.
            next = unsafe { chunk.next() };
        }
        longest
    }

    /// The first chunk of a bin, and whether the map of bits says that there is one.
    pub(super) fn bin(&self, bin: usize) -> (Option<Chunk>, bool) {
        let (word, bit) = (bin / WORD_BITS, bin % WORD_BITS);
        (self.heads[bin].get(), self.map[word].get() >> bit & 1 == 1)
    }
}
