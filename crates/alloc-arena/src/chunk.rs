//! A chunk: one block of the backing, with a header at its start.

use core::alloc::Layout;
use core::iter;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

use crate::{growth, poison};

/// What the arena keeps at the start of each chunk.
#[derive(Clone, Copy)]
struct Header {
    /// The chunk that was the newest one before this, or the next spare one.
    older: Option<Chunk>,
    /// Length of the chunk in bytes, this header included.
    len: usize,
    /// How many bytes of it are taken, this header included, if it is not the newest chunk: there the
    /// arena's cursor says so.
    used: usize,
}

/// Points to a live chunk.
///
/// Invariant: a live block of the arena's backing that fits [`layout`], starts with an initialised
/// `Header` whose `len` is its size, ends where [`growth::is_reachable`] says it may, and is in one
/// list once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk(NonNull<Header>);

/// Length of the header in bytes: the offset of the first byte that blocks can have.
pub(crate) const HEADER_LEN: usize = size_of::<Header>();

/// The alignment that chunks are requested with.
pub(crate) const CHUNK_ALIGN: usize = align_of::<Header>();

/// The layout of a chunk of `len` bytes.
fn layout(len: usize) -> Result<Layout, AllocError> {
    Layout::from_size_align(len, CHUNK_ALIGN).map_err(|_| AllocError)
}

impl Chunk {
    /// Requests a chunk of `len` bytes, or of [`HEADER_LEN`] if that is more.
    pub(crate) fn new<A: Allocator>(
        backing: &A,
        len: usize,
        older: Option<Self>,
    ) -> Result<Self, AllocError> {
        let layout = layout(len.max(HEADER_LEN))?;
        let block = backing.raw_alloc(layout)?;
        if !growth::is_reachable(block.addr().get(), layout.size()) {
            // SAFETY: just requested with this layout.
            unsafe { backing.raw_free(block, layout) };
            return Err(AllocError);
        }
        let chunk = Self(block.cast());
        // SAFETY: promise 1 of the backing: writable, and aligned, for at least a header.
        unsafe { chunk.0.write(Header { older, len: layout.size(), used: HEADER_LEN }) };
        poison::forbid(chunk.first_byte(), layout.size() - HEADER_LEN);
        Ok(chunk)
    }

    /// Gives the chunk back.
    ///
    /// # Safety
    ///
    /// * `backing` is the one that the chunk came from.
    /// * No block in it is live, and this chunk is in no list any more.
    pub(crate) unsafe fn free<A: Allocator>(self, backing: &A) {
        poison::allow(self.start(), self.len());
        // SAFETY: by the invariant the length was part of a valid layout when it was requested.
        let layout = unsafe { Layout::from_size_align_unchecked(self.len(), CHUNK_ALIGN) };
        // SAFETY: a live block of this backing that fits the layout (invariant); forgotten by the
        // contract.
        unsafe { backing.raw_free(self.0.cast(), layout) };
    }

    /// Changes the length in place; returns whether the backing did it. `HEADER_LEN <= len`, and all
    /// live blocks in the chunk lie below it.
    ///
    /// # Safety
    ///
    /// `backing` is the one that the chunk came from.
    pub(crate) unsafe fn resize<A: Allocator>(self, backing: &A, len: usize) -> bool {
        alloc_core::check!(HEADER_LEN <= len, "a chunk of {len} bytes");
        let (Ok(old), Ok(_)) = (layout(self.len()), layout(len)) else { return false };
        if !growth::is_reachable(self.0.addr().get(), len) {
            return false;
        }
        // What is cut off is the backing's, which may look at it.
        poison::allow(self.offset(len.min(old.size())), old.size().saturating_sub(len));
        // SAFETY: a live block of this backing that fits `old` (invariant); `len` is not zero and
        // makes a layout.
        let resized = unsafe { backing.raw_resize(self.0.cast(), old, len) };
        if resized {
            poison::forbid(self.offset(old.size().min(len)), len.saturating_sub(old.size()));
            self.update(Header { len, ..self.header() });
        } else {
            poison::forbid(self.offset(len.min(old.size())), old.size().saturating_sub(len));
        }
        resized
    }

    /// A list of chunks.
    pub(crate) fn list(first: Option<Self>) -> impl Iterator<Item = Self> {
        iter::successors(first, |chunk| chunk.older())
    }

    /// Records how many bytes are taken, header included, when the chunk stops to be the newest.
    pub(crate) fn retire(self, used: usize) {
        self.update(Header { used, ..self.header() });
    }

    /// Changes the chunk that comes after this one in the list.
    pub(crate) fn link(self, older: Option<Self>) {
        self.update(Header { older, ..self.header() });
    }

    pub(crate) fn older(self) -> Option<Self> {
        self.header().older
    }

    pub(crate) fn len(self) -> usize {
        self.header().len
    }

    /// As it was when the chunk was retired.
    pub(crate) fn used(self) -> usize {
        self.header().used
    }

    pub(crate) const fn start(self) -> NonNull<u8> {
        self.0.cast()
    }

    /// The first byte that blocks can have.
    pub(crate) const fn first_byte(self) -> NonNull<u8> {
        // SAFETY: the header lies in the chunk (invariant), so its end is in bounds.
        unsafe { self.start().add(HEADER_LEN) }
    }

    /// The byte at an offset, which is at most the length.
    fn offset(self, offset: usize) -> NonNull<u8> {
        alloc_core::check!(offset <= self.len(), "offset {offset} in a chunk of {}", self.len());
        // SAFETY: within the chunk, or its end (the sentence above, at each caller).
        unsafe { self.start().add(offset) }
    }

    /// The address one past the last byte.
    pub(crate) fn limit(self) -> usize {
        // No wrap: a block's end is an address.
        self.0.addr().get().wrapping_add(self.len())
    }

    fn header(self) -> Header {
        // SAFETY: invariant: live and initialised; no reference to it is ever made.
        unsafe { self.0.read() }
    }

    fn update(self, header: Header) {
        // SAFETY: invariant: live; no reference to it is ever made, and no block contains it.
        unsafe { self.0.write(header) };
    }
}
