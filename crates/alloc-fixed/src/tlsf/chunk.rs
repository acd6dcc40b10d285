//! A chunk's header and footer in memory.
//!
//! ```text
//!            in use                              free
//!   c      +--------------------+              +--------------------+
//!          | len | PREV_FREE    |  header      | len | FREE         |  header
//!   c + 8  +--------------------+              +--------------------+
//!          | block              |              | next in its bin    |
//!          |                    |              | back: previous, or |
//!          |                    |              | the bin, odd       |
//!          |                    |              |   ...              |
//!          |                    |              | len                |  footer
//!          +--------------------+              +--------------------+
//! ```
//!
//! In builds of the mode `check`, on 64 bits, the upper 16 bits of a header are a sum over its address
//! and its value: what overwrites a header is found when the heap next reads it.

use core::mem::offset_of;
use core::ptr::{self, NonNull};

use super::bins::{CHUNK_LEN_MIN, GRANULE, HEADER_LEN};

/// In a header: this chunk is free.
pub(super) const FREE: usize = 1;
/// In a header: the chunk before this one is free.
pub(super) const PREV_FREE: usize = 2;
const FLAGS: usize = GRANULE - 1;

/// What a free chunk begins with.
#[repr(C)]
pub(super) struct Links {
    pub(super) header: usize,
    pub(super) next: Option<Chunk>,
    pub(super) back: Back,
}

/// What is before a free chunk in its list: another one, or, for the first, the list's place. That
/// spares a removal the way from the length to the bin.
///
/// Chunks have even addresses; a bin is kept as an odd number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Back(*mut Links);

impl Back {
    /// Before the first chunk of a bin.
    #[inline]
    pub(super) const fn of_bin(bin: usize) -> Self {
        Self(ptr::without_provenance_mut(bin << 1 | 1))
    }

    /// Before the chunk that follows `chunk`.
    #[inline]
    pub(super) const fn of_chunk(chunk: Chunk) -> Self {
        Self(chunk.0.as_ptr())
    }

    /// The chunk, or the bin.
    #[inline]
    pub(super) fn get(self) -> Result<Chunk, usize> {
        if self.0.addr() & 1 == 1 {
            return Err(self.0.addr() >> 1);
        }
        alloc_core::check!(!self.0.is_null(), "a link of a free chunk was overwritten");
        // SAFETY: not of a bin, so of a chunk (`of_bin`, `of_chunk`).
        Ok(Chunk(unsafe { NonNull::new_unchecked(self.0) }))
    }
}

/// The address of a chunk, with the reach of the whole buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk(pub(super) NonNull<Links>);

/// A header's content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header(pub(super) usize);

impl Header {
    #[inline]
    pub(super) const fn len(self) -> usize {
        self.0 & !FLAGS
    }

    #[inline]
    pub(super) const fn is_free(self) -> bool {
        self.0 & FREE != 0
    }

    #[inline]
    pub(super) const fn is_prev_free(self) -> bool {
        self.0 & PREV_FREE != 0
    }
}

/// Whether headers carry a sum.
const SEALED: bool = alloc_core::CHECKED && usize::BITS == 64;

/// The upper 16 bits of the header at `addr` that holds `value`; 0 where headers carry no sum.
#[inline]
fn seal(addr: usize, value: usize) -> usize {
    if !SEALED {
        return 0;
    }
    // An odd constant near 2^64 / golden ratio, truncated to the word.
    let mixed = (addr ^ value.rotate_left(21)).wrapping_mul(0x9e37_79b9_7f4a_7c15u64 as usize);
    mixed >> (usize::BITS - 16) << (usize::BITS - 16)
}

/// The functions are unsafe alike: `self` is a chunk of the heap, or the place of one.
///
/// # Safety
///
/// The word that is named lies in the heap's buffer and is no part of a block.
impl Chunk {
    #[inline]
    pub(super) const fn addr_of(self) -> NonNull<u8> {
        self.0.cast()
    }

    #[inline]
    pub(super) fn addr(self) -> usize {
        self.0.addr().get()
    }

    /// # Safety
    ///
    /// See the impl; a header was written there.
    #[inline]
    pub(super) unsafe fn header(self) -> Header {
        // SAFETY: this function's contract.
        let word = unsafe { self.0.cast::<usize>().read() };
        if !SEALED {
            return Header(word);
        }
        let value = word << 16 >> 16;
        alloc_core::check!(
            seal(self.addr(), value) | value == word,
            "the heap's own word before the block at {:#x} was overwritten: {word:#x}",
            self.addr() + HEADER_LEN
        );
        Header(value)
    }

    /// # Safety
    ///
    /// See the impl.
    #[inline]
    pub(super) unsafe fn set_header(self, value: usize) {
        // SAFETY: this function's contract.
        unsafe { self.0.cast::<usize>().write(seal(self.addr(), value) | value) };
    }

    /// The chunk that starts `len` bytes after this one.
    ///
    /// # Safety
    ///
    /// That place is in the buffer, or at its end.
    #[inline]
    pub(super) const unsafe fn after(self, len: usize) -> Self {
        // SAFETY: this function's contract.
        Self(unsafe { self.0.byte_add(len) })
    }

    /// The free chunk that ends where this one starts, and its length.
    ///
    /// # Safety
    ///
    /// The chunk before this one is free.
    #[inline]
    pub(super) unsafe fn before(self) -> (Self, usize) {
        // SAFETY: the footer of the chunk before this one is the word before this one.
        let footer = unsafe { self.0.cast::<usize>().sub(1) };
        // SAFETY: a free chunk has its length there.
        let len = unsafe { footer.read() };
        if alloc_core::CHECKED {
            let is_len = len.is_multiple_of(GRANULE) && CHUNK_LEN_MIN <= len && len < self.addr();
            alloc_core::check!(is_len, "the footer of a free chunk was overwritten: {len:#x}");
        }
        // SAFETY: the free chunk starts that many bytes before this one.
        let before = Self(unsafe { self.0.byte_sub(len) });
        if alloc_core::CHECKED {
            // SAFETY: a chunk, so it has a header.
            let header = unsafe { before.header() };
            let agrees = header.is_free() && header.len() == len;
            alloc_core::check!(agrees, "a free chunk was overwritten: {header:?}, footer {len:#x}");
        }
        (before, len)
    }

    /// Writes header and footer of a free chunk.
    ///
    /// # Safety
    ///
    /// `CHUNK_LEN_MIN <= len`, and `len` bytes from here lie in the buffer and in no block.
    #[inline]
    pub(super) unsafe fn mark_free(self, len: usize) {
        // SAFETY: the first word of those bytes.
        unsafe { self.set_header(len | FREE) };
        // SAFETY: the last word of those bytes.
        let footer = unsafe { self.0.byte_add(len - HEADER_LEN) };
        // SAFETY: as above.
        unsafe { footer.cast::<usize>().write(len) };
    }

    /// The first byte of the chunk's block.
    ///
    /// # Safety
    ///
    /// `self` is a chunk.
    #[inline]
    pub(super) const unsafe fn block(self) -> NonNull<u8> {
        // SAFETY: a chunk is longer than its header.
        unsafe { self.addr_of().add(HEADER_LEN) }
    }

    /// # Safety
    ///
    /// `self` is a free chunk, or one that is becoming free.
    #[inline]
    pub(super) unsafe fn next(self) -> Option<Self> {
        // SAFETY: a free chunk holds its links.
        unsafe { (*self.0.as_ptr()).next }
    }

    /// # Safety
    ///
    /// As for [`next`](Self::next).
    #[inline]
    pub(super) unsafe fn back(self) -> Back {
        // SAFETY: a free chunk holds its links.
        unsafe { (*self.0.as_ptr()).back }
    }

    /// Where the link back of a free chunk is.
    #[inline]
    pub(super) const fn place_of_back(self) -> *mut Back {
        self.0.as_ptr().wrapping_byte_add(offset_of!(Links, back)).cast()
    }

    /// # Safety
    ///
    /// As for [`next`](Self::next).
    #[inline]
    pub(super) unsafe fn set_next(self, next: Option<Self>) {
        // SAFETY: a free chunk holds its links.
        unsafe { (*self.0.as_ptr()).next = next };
    }

    /// # Safety
    ///
    /// As for [`next`](Self::next).
    #[inline]
    pub(super) unsafe fn set_back(self, back: Back) {
        // SAFETY: a free chunk holds its links.
        unsafe { (*self.0.as_ptr()).back = back };
    }
}
