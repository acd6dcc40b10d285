//! A chunk: one block of the backing, with a header at its start.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

/// What the arena keeps at the start of each chunk.
#[derive(Clone, Copy)]
struct Header {
    /// The chunk that was the newest one before this.
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
/// `Header` whose `len` is its size, and is in one list once.
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
    /// Requests a chunk of `len` bytes, at least [`HEADER_LEN`].
    pub(crate) fn new<A: Allocator>(
        backing: &A,
        len: usize,
        older: Option<Self>,
    ) -> Result<Self, AllocError> {
        alloc_core::check!(HEADER_LEN <= len, "a chunk of {len} bytes");
        let header = backing.raw_alloc(layout(len)?)?.cast();
        // SAFETY: promise 1 of the backing: writable, and aligned, for at least a header.
        unsafe { header.write(Header { older, len, used: HEADER_LEN }) };
        Ok(Self(header))
    }

    /// Gives the chunk back.
    ///
    /// # Safety
    ///
    /// * `backing` is the one that the chunk came from.
    /// * No block in it is live, and this chunk is in no list any more.
    pub(crate) unsafe fn free<A: Allocator>(self, backing: &A) {
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
        // SAFETY: a live block of this backing that fits `old` (invariant); `len` is not zero and
        // makes a layout.
        let resized = unsafe { backing.raw_resize(self.0.cast(), old, len) };
        if resized {
            self.update(Header { len, ..self.header() });
        }
        resized
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
