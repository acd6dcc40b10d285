//! A chunk of a shared arena in memory, and how threads take blocks of it.

use core::alloc::Layout;
use core::cell::Cell;
use core::iter;
use core::ptr::{self, NonNull};

use alloc_core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use alloc_core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize};
use alloc_core::{AllocError, Allocator};

use crate::{growth, poison};

/// What stands at the start of each chunk.
struct Header {
    /// The chunk that was the newest one before this. Written before the chunk is published, never after.
    older: Cell<Option<Chunk>>,
    /// Length of the chunk in bytes, this header included; the block has as many. Grows.
    len: AtomicUsize,
    /// Offset of the first free byte: at least the header's end, and no more than `len`.
    end: AtomicUsize,
    /// Whether a thread is making the chunk longer. Nobody waits for it.
    is_extending: AtomicBool,
}

/// Points to a live chunk.
///
/// Invariant: a live block of the arena's backing that starts with an initialised [`Header`], to which there
/// are shared references only. So from [`request`](Self::request) to [`free`](Self::free), whose caller
/// promises that no copy of this is used after it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk(NonNull<Header>);

/// Length of the header in bytes: the offset of the first byte that blocks can have.
pub(super) const HEADER_LEN: usize = size_of::<Header>();

/// The alignment that chunks are requested with.
pub(super) const CHUNK_ALIGN: usize = align_of::<Header>();

/// The layout of a chunk of `len` bytes.
fn layout(len: usize) -> Result<Layout, AllocError> {
    Layout::from_size_align(len, CHUNK_ALIGN).map_err(|_| AllocError)
}

impl Chunk {
    /// Requests a chunk of `len` bytes, at least a header's.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if the backing refuses it, or for less.
    pub(super) fn request<A: Allocator>(backing: &A, len: usize) -> Result<Self, AllocError> {
        let layout = layout(len)?;
        if len < HEADER_LEN {
            return Err(AllocError);
        }
        let chunk = Self(backing.raw_alloc(layout)?.cast());
        let fresh = Header {
            older: Cell::new(None),
            len: AtomicUsize::new(layout.size()),
            end: AtomicUsize::new(HEADER_LEN),
            is_extending: AtomicBool::new(false),
        };
        // SAFETY: promise 1 of the backing: writable, and aligned, for at least a header.
        unsafe { chunk.0.write(fresh) };
        poison::forbid(chunk.first_byte(), layout.size() - HEADER_LEN);
        Ok(chunk)
    }

    /// Gives the chunk back.
    ///
    /// # Safety
    ///
    /// * `backing` is the one that the chunk came from.
    /// * No block in it is live, it is in no list any more, and no copy of this is used again.
    pub(super) unsafe fn free<A: Allocator>(self, backing: &A) {
        let len = self.len();
        poison::allow(self.0.cast(), len);
        // SAFETY: initialised (invariant), and not used again (contract).
        unsafe { self.0.drop_in_place() };
        // SAFETY: this length was part of a valid layout when it was requested.
        let layout = unsafe { Layout::from_size_align_unchecked(len, CHUNK_ALIGN) };
        // SAFETY: a live block of this backing (invariant, contract) that fits the layout, whose size is the
        // block's; forgotten by the contract.
        unsafe { backing.raw_free(self.0.cast(), layout) };
    }

    /// Changes the length where the chunk is, to `len` bytes, at least a header's; returns whether the backing
    /// did it.
    ///
    /// # Safety
    ///
    /// * `backing` is the one that the chunk came from.
    /// * Nobody else changes the length meanwhile: the caller has the chunk alone, or is within
    ///   [`extend`](Self::extend).
    /// * `len` is not less than the end, or the caller has the chunk alone, and no block lies behind `len`.
    pub(super) unsafe fn resize<A: Allocator>(self, backing: &A, len: usize) -> bool {
        alloc_core::check!(HEADER_LEN <= len, "a chunk of {len} bytes");
        let old = self.len();
        let (Ok(old_layout), Ok(_)) = (layout(old), layout(len)) else { return false };
        let kept = old.min(len);
        // SAFETY: within the chunk's old length.
        let tail = unsafe { self.start().add(kept) };
        // What is cut off is the backing's, which may look at it; what is added, nobody's yet.
        poison::allow(tail, old - kept);
        // SAFETY: a live block of this backing that fits this layout, whose size is the block's (invariant);
        // `len` is not zero and makes a layout.
        let resized = unsafe { backing.raw_resize(self.0.cast(), old_layout, len) };
        if resized {
            poison::forbid(tail, len - kept);
            // Release: the bytes are there for who sees this length. Pairs with the Acquire in `take` and
            // `move_end`.
            self.header().len.store(len, Release);
        } else {
            poison::forbid(tail, old - kept);
        }
        resized
    }

    /// Calls `change` with the length, unless another thread is within this function for this chunk.
    pub(super) fn extend(self, change: impl FnOnce(usize)) {
        // Acquire: pairs with the Release below: the length is what its last owner made it.
        if self.header().is_extending.swap(true, Acquire) {
            return;
        }
        change(self.len());
        // Release: pairs with the Acquire above.
        self.header().is_extending.store(false, Release);
    }

    /// Length in bytes, header included; a moment later it may be another one, but for who may change it.
    pub(super) fn len(self) -> usize {
        // Relaxed: the number alone counts.
        self.header().len.load(Relaxed)
    }

    /// Offset of the first free byte; a moment later it may be another one.
    pub(super) fn end(self) -> usize {
        // Relaxed: the number alone counts.
        self.header().end.load(Relaxed)
    }

    pub(super) fn addr(self) -> usize {
        self.0.addr().get()
    }

    const fn start(self) -> NonNull<u8> {
        self.0.cast()
    }

    /// The first byte that blocks can have.
    const fn first_byte(self) -> NonNull<u8> {
        // SAFETY: the header lies in the chunk (invariant), so its end is in bounds.
        unsafe { self.start().add(HEADER_LEN) }
    }

    /// The chunk that was published before this one.
    pub(super) fn older(self) -> Option<Self> {
        self.header().older.get()
    }

    /// Changes that.
    ///
    /// # Safety
    ///
    /// The caller has the chunk alone: it is not published, or its arena is borrowed uniquely.
    pub(super) unsafe fn link(self, older: Option<Self>) {
        self.header().older.set(older);
    }

    /// Takes every block back.
    ///
    /// # Safety
    ///
    /// The caller has the chunk alone, and no block in it is live.
    pub(super) unsafe fn clear(self) {
        let end = self.end();
        // Relaxed: nobody else has the chunk.
        self.header().end.store(HEADER_LEN, Relaxed);
        // SAFETY: what is taken of a chunk lies between its header and its end; all of it is dead.
        unsafe { poison::bury(self.first_byte(), end - HEADER_LEN) };
    }

    /// Takes a block, if there is room. The sanitizer forbids it still.
    #[inline]
    pub(super) fn take(self, layout: Layout) -> Option<NonNull<u8>> {
        let header = self.header();
        let base = self.addr();
        // Acquire, also on failure below: who moved the end there had seen a chunk so long, and so does this
        // thread by the next load: the end never lies behind `limit`. Pairs with the Release in `move_end` and
        // below.
        let mut end = header.end.load(Acquire);
        loop {
            // Acquire: what was added to the chunk is there. Pairs with the Release in `resize`.
            let limit = base.wrapping_add(header.len.load(Acquire));
            let cursor = base.wrapping_add(end);
            // What `place` needs. The models check it.
            #[cfg(loom)]
            assert!(cursor <= limit, "the end lies behind the chunk: {end}");
            let start = growth::place(cursor, limit, layout.size(), layout.align())?;
            let offset = start.wrapping_sub(base);
            // Acquire: the bytes may have been given back by another thread, and what that did to them has
            // happened. Pairs with the Release in `move_end`; requests in between are of its sequence.
            // Release: of the length; pairs with the Acquire above.
            match header.end.compare_exchange_weak(end, offset + layout.size(), AcqRel, Acquire) {
                // SAFETY: a postcondition of `place`: between the end and the chunk's length.
                Ok(_) => return Some(unsafe { self.start().add(offset) }),
                Err(now) => end = now,
            }
        }
    }

    /// Moves the end from one address to another; returns whether it was at the first, and the second is not
    /// behind the chunk. If it went up, the bytes between are the caller's.
    ///
    /// # Safety
    ///
    /// If `to` lies below `from`, a block of the arena ends there that is the caller's, the bytes between are of
    /// that block, and nobody uses them.
    #[inline]
    pub(super) unsafe fn move_end(self, from: usize, to: usize) -> bool {
        let header = self.header();
        // A block ends behind the header of its chunk, at most at the chunk's end; so these offsets are
        // ends of this chunk only for its own blocks.
        let (from, to) = (from.wrapping_sub(self.addr()), to.wrapping_sub(self.addr()));
        // Acquire: a growth may use what was added to the chunk. Pairs with the Release in `resize`.
        let len = header.len.load(Acquire);
        if len < to || from < HEADER_LEN || len < from {
            return false;
        }
        // Release: what was done to the bytes that are given back happens before their next owner has
        // them. Acquire: that is what a growth needs. Pair with those in `take` and here.
        // Relaxed: on failure nothing is read.
        header.end.compare_exchange(from, to, AcqRel, Relaxed).is_ok()
    }

    fn header(&self) -> &Header {
        // SAFETY: invariant: live, initialised, and only ever shared, as long as this is used.
        unsafe { self.0.as_ref() }
    }
}

/// The start of a list of chunks.
///
/// Invariant: null, or what a [`Chunk`] points to, which was not freed since: [`Chunk::free`] asks for that.
pub(super) struct Link(AtomicPtr<Header>);

/// What stands in a [`Link`].
fn pointer(chunk: Option<Chunk>) -> *mut Header {
    chunk.map_or(ptr::null_mut(), |chunk| chunk.0.as_ptr())
}

impl Link {
    alloc_core::__const_unless_loom! {
        /// The start of an empty list.
        pub(super) fn new() -> Self {
            Self(AtomicPtr::new(ptr::null_mut()))
        }
    }

    /// The first chunk.
    #[inline]
    pub(super) fn first(&self) -> Option<Chunk> {
        // Acquire: pairs with the Release in `publish`, so that the header is written.
        NonNull::new(self.0.load(Acquire)).map(Chunk)
    }

    /// Puts `fresh`, whose older chunk is `first`, at the start, if that is `first`; returns what else is there
    /// otherwise, which may happen at any time.
    pub(super) fn publish(&self, first: Option<Chunk>, fresh: Chunk) -> Result<(), Option<Chunk>> {
        // Release: publishes the header of `fresh`; on success what was there is what the caller has from an
        // Acquire already. Acquire on failure: of the one that is there instead, the header is read. Pair with
        // each other and with `first`'s.
        let swapped =
            self.0.compare_exchange_weak(pointer(first), pointer(Some(fresh)), Release, Acquire);
        swapped.map(drop).map_err(|now| NonNull::new(now).map(Chunk))
    }

    /// Takes the first chunk out, with all behind it.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        // Relaxed: the unique borrow orders it after whatever other threads did.
        NonNull::new(self.0.swap(ptr::null_mut(), Relaxed)).map(Chunk)
    }

    /// Makes `chunk` the first one.
    pub(super) fn set(&mut self, chunk: Option<Chunk>) {
        // Relaxed: as in `take`.
        self.0.store(pointer(chunk), Relaxed);
    }

    /// All chunks, the newest first.
    pub(super) fn chunks(&self) -> impl Iterator<Item = Chunk> {
        iter::successors(self.first(), |chunk| chunk.older())
    }
}
