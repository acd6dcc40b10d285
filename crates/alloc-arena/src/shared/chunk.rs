//! A chunk of a shared arena in memory, and how threads take blocks of it.

use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::NonNull;

use alloc_core::AllocError;
use alloc_core::sync::atomic::Ordering::{AcqRel, Acquire};
use alloc_core::sync::atomic::{AtomicBool, AtomicUsize};

use crate::{growth, poison};

/// What stands at the start of each chunk.
pub(super) struct Header {
    /// The chunk that was the newest one before this. Written before the chunk is published, never after.
    pub(super) older: Cell<*mut Header>,
    /// Length of the chunk in bytes, this header included. Grows; changed only by who set `is_extending`.
    pub(super) len: AtomicUsize,
    /// Offset of the first free byte.
    pub(super) end: AtomicUsize,
    /// Whether a thread is making the chunk longer. Nobody waits for it.
    pub(super) is_extending: AtomicBool,
}

pub(super) const HEADER_LEN: usize = size_of::<Header>();
pub(super) const CHUNK_ALIGN: usize = align_of::<Header>();

/// The layout of a chunk.
///
/// # Errors
///
/// [`AllocError`] if no layout has so many bytes.
pub(super) fn layout(len: usize) -> Result<Layout, AllocError> {
    Layout::from_size_align(len, CHUNK_ALIGN).map_err(|_| AllocError)
}

/// The header of a chunk of this arena, which is live as long as anybody has the arena.
pub(super) fn header<'h>(chunk: NonNull<Header>) -> &'h Header {
    // SAFETY: a live chunk starts with its header, which is initialised; shared only. It is private, and
    // every caller uses it only while the chunk is in the list or its own.
    unsafe { chunk.as_ref() }
}

/// The first byte that blocks can have.
pub(super) fn first_byte(chunk: NonNull<Header>) -> NonNull<u8> {
    at(chunk, HEADER_LEN)
}

/// The byte at an offset in a chunk, which is at most its length.
pub(super) fn at(chunk: NonNull<Header>, offset: usize) -> NonNull<u8> {
    // SAFETY: within the chunk, or its end (the sentence above, at each caller).
    unsafe { chunk.cast::<u8>().add(offset) }
}

/// Takes a block from a chunk, if that has room.
#[inline]
pub(super) fn bump(chunk: NonNull<Header>, layout: Layout) -> Option<NonNull<u8>> {
    let header = header(chunk);
    let base = chunk.addr().get();
    // Acquire, also on failure below: who moved the end there had seen a chunk so long, and so does this thread
    // by the next load: the end never lies behind `limit`. Pairs with the Release in `move_end` and below.
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
            Ok(_) => return Some(at(chunk, offset)),
            Err(now) => end = now,
        }
    }
}
