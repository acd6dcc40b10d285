//! The lists of free chunks, one for each bin, and the map of bits that says which hold any.

use core::cell::Cell;

use super::bins::{
    BIN_COUNT, CHUNK_LEN_MAX, GRANULE, SMALL_END, WORD_BITS, WORD_COUNT, bin_of, large_bin_from,
};
use super::chunk::Chunk;

/// How many chunks of one bin are looked at when the map of bits knows none that surely fits.
const SCAN_MAX: usize = 8;

pub(super) struct Lists {
    /// The first chunk of each bin. Invariant T4.
    heads: [Cell<Option<Chunk>>; BIN_COUNT],
    /// A bit for each bin that is not empty. Invariant T5.
    map: [Cell<usize>; WORD_COUNT],
    /// A bit for each word of `map` that is not zero. Invariant T5.
    summary: Cell<usize>,
}

impl Lists {
    pub(super) const fn new() -> Self {
        Self {
            heads: [const { Cell::new(None) }; BIN_COUNT],
            map: [const { Cell::new(0) }; WORD_COUNT],
            summary: Cell::new(0),
        }
    }

    /// Takes a chunk of at least `len` bytes out of its list; `len` is below `SMALL_END`. Returns its
    /// length as well.
    #[inline]
    pub(super) fn small(&self, len: usize) -> Option<(Chunk, usize)> {
        let bits = self.map[0].get() & (usize::MAX << (len / GRANULE));
        if bits == 0 {
            return self.above(0);
        }
        let bin = bits.trailing_zeros() as usize;
        let chunk = self.heads[bin].get()?;
        self.pop(bin, chunk);
        Some((chunk, bin * GRANULE))
    }

    /// Takes a chunk of at least `len` bytes out of its list; `len` is at least `SMALL_END` and at most
    /// `CHUNK_LEN_MAX`.
    #[inline]
    pub(super) fn large(&self, len: usize) -> Option<(Chunk, usize)> {
        let bin = large_bin_from(len);
        let word = bin / WORD_BITS;
        let bits = self.map.get(word)?.get() & (usize::MAX << (bin % WORD_BITS));
        if bits == 0 { self.above(word) } else { self.first(word, bits) }
    }

    /// Takes the first chunk of the first list in the words after `word`.
    #[inline]
    fn above(&self, word: usize) -> Option<(Chunk, usize)> {
        let words = self.summary.get() & (usize::MAX << 1 << word);
        if words == 0 {
            return None;
        }
        let word = words.trailing_zeros() as usize;
        self.first(word, self.map.get(word)?.get())
    }

    /// Takes the first chunk of the first list among `bits` of the large word `word`.
    #[inline]
    fn first(&self, word: usize, bits: usize) -> Option<(Chunk, usize)> {
        let bin = word * WORD_BITS + bits.trailing_zeros() as usize;
        let chunk = self.head(bin).get()?;
        self.pop(bin, chunk);
        // SAFETY: in a list, so a free chunk (T4).
        Some((chunk, unsafe { chunk.header() }.len()))
    }

    /// Takes the first chunk of a list out of it.
    #[inline]
    fn pop(&self, bin: usize, chunk: Chunk) {
        if alloc_core::CHECKED {
            // SAFETY: in a list, so a free chunk (T4).
            let header = unsafe { chunk.header() };
            let agrees = header.is_free() && bin_of(header.len()) == bin;
            alloc_core::check!(agrees, "a free chunk was overwritten: {header:?} in bin {bin}");
            // SAFETY: in the list, of that length.
            unsafe { self.check_links(chunk, header.len()) };
        }
        // SAFETY: in a list, so a free chunk (T4).
        let next = unsafe { chunk.next() };
        self.set_head(bin, next);
        if let Some(next) = next {
            // SAFETY: in a list, so a free chunk.
            unsafe { next.set_prev(None) };
        }
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
        self.head(bin).set(head);
        if head.is_none() {
            self.clear(bin);
        }
    }

    #[inline]
    fn clear(&self, bin: usize) {
        let word = bin / WORD_BITS;
        let slot = self.word(bin);
        let bits = slot.get() & !(1 << (bin % WORD_BITS));
        slot.set(bits);
        if bits == 0 {
            self.summary.set(self.summary.get() & !(1 << word));
        }
    }

    /// Takes a chunk out of its list.
    ///
    /// # Safety
    ///
    /// `chunk` is in a list and has `len` bytes.
    #[inline]
    pub(super) unsafe fn remove(&self, chunk: Chunk, len: usize) {
        // SAFETY: in a list, so a free chunk (T4).
        let next = unsafe { chunk.next() };
        // SAFETY: as above.
        let prev = unsafe { chunk.prev() };
        if alloc_core::CHECKED {
            // SAFETY: this function's contract.
            unsafe { self.check_links(chunk, len) };
        }
        if let Some(next) = next {
            // SAFETY: in a list, so a free chunk.
            unsafe { next.set_prev(prev) };
        }
        match prev {
            // SAFETY: in a list, so a free chunk.
            Some(prev) => unsafe { prev.set_next(next) },
            None => self.set_head(bin_of(len), next),
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
        let prev = unsafe { chunk.prev() };
        let from_prev = match prev {
            // SAFETY: a link of a free chunk leads to one; if it was overwritten, this is a build that
            // looks for that, and a pointer that cannot be read ends the process as well.
            Some(prev) => unsafe { prev.next() },
            None => self.heads[bin_of(len)].get(),
        };
        alloc_core::check!(
            from_prev == Some(chunk),
            "a free chunk was overwritten: the links of {chunk:?} lead elsewhere"
        );
        if let Some(next) = next {
            // SAFETY: as above.
            let back = unsafe { next.prev() };
            alloc_core::check!(
                back == Some(chunk),
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
        let bin = bin_of(len);
        let slot = self.head(bin);
        let old = slot.get();
        // SAFETY: a free chunk (contract).
        unsafe { chunk.set_next(old) };
        // SAFETY: as above.
        unsafe { chunk.set_prev(None) };
        slot.set(Some(chunk));
        match old {
            // SAFETY: in a list, so a free chunk (T4).
            Some(old) => unsafe { old.set_prev(Some(chunk)) },
            None => {
                let map = self.word(bin);
                map.set(map.get() | 1 << (bin % WORD_BITS));
                self.summary.set(self.summary.get() | 1 << (bin / WORD_BITS));
            }
        }
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

    /// The first chunk of a bin, and whether the map of bits says that there is one.
    pub(super) fn bin(&self, bin: usize) -> (Option<Chunk>, bool) {
        let (word, bit) = (bin / WORD_BITS, bin % WORD_BITS);
        let marked = self.map[word].get() >> bit & 1 == 1;
        let summed = self.summary.get() >> word & 1 == 1;
        (self.heads[bin].get(), marked && summed)
    }
}
