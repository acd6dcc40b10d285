//! One arena for many threads, and what a thread takes from it for itself.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::iter;
use core::ptr::{self, NonNull};

use alloc_core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use alloc_core::sync::atomic::{AtomicPtr, AtomicUsize};
use alloc_core::{AllocError, Allocator};

use crate::growth::{self, Growth};
use crate::in_arena::DefaultBacking;
use crate::local::{LOCAL_CHUNK_LEN, LocalArena};
use crate::values::{Source, impl_values};
use crate::{ArenaBox, Reset, poison};

/// What stands at the start of each chunk.
struct Header {
    /// The chunk that was the newest one before this. Written before the chunk is published, never after.
    older: Cell<*mut Header>,
    /// Length of the chunk in bytes, this header included.
    len: usize,
    /// Offset of the first free byte.
    end: AtomicUsize,
}

const HEADER_LEN: usize = size_of::<Header>();
const CHUNK_ALIGN: usize = align_of::<Header>();

/// An arena that many threads use at once, without a lock: a request moves the end of the newest chunk by
/// one atomic operation.
///
/// A thread that makes many values takes a [`LocalArena`] from it: that has no atomics but where it needs
/// another chunk, and its values live as long as the shared arena is borrowed, too.
///
/// ```
/// use alloc_arena::SharedArena;
///
/// let arena = SharedArena::new();
/// let mut names = std::thread::scope(|threads| {
///     let workers = [1, 2].map(|index| {
///         let local = arena.local();
///         threads.spawn(move || local.put_fmt(format_args!("worker {index}")).unwrap())
///     });
///     workers.map(|worker| worker.join().unwrap())
/// });
/// assert_eq!(names, ["worker 1", "worker 2"]);
/// ```
///
/// `Sync` where the backing is; the blocks of the backing are asked for by whichever thread needs one.
pub struct SharedArena<A: Allocator = DefaultBacking> {
    /// The newest chunk, or null. Invariant: the list from here on holds every chunk once; each is a live
    /// block of the backing that fits [`layout`] and starts with its header; the blocks of a chunk lie
    /// behind its header and below its `end`. Chunks are freed by who has the arena uniquely.
    newest: AtomicPtr<Header>,
    growth: Growth,
    backing: A,
}

// SAFETY: the chunks go where the arena goes, and the backing may be sent by the bound.
unsafe impl<A: Allocator + Send> Send for SharedArena<A> {}
// SAFETY: what threads share are atomics, headers that do not change once they are published, and the
// backing, which may be shared by the bound.
unsafe impl<A: Allocator + Sync> Sync for SharedArena<A> {}

fn layout(len: usize) -> Result<Layout, AllocError> {
    Layout::from_size_align(len, CHUNK_ALIGN).map_err(|_| AllocError)
}

#[cfg(feature = "alloc")]
impl SharedArena {
    /// Makes one over the program's own allocator. Takes no memory before the first request.
    #[must_use]
    pub fn new() -> Self {
        Self::over(alloc_core::Global)
    }
}

#[cfg(feature = "alloc")]
impl Default for SharedArena {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Allocator> SharedArena<A> {
    /// Makes one over a backing allocator. Takes no memory before the first request.
    pub fn over(backing: A) -> Self {
        Self { newest: AtomicPtr::new(ptr::null_mut()), growth: Growth::DEFAULT, backing }
    }

    /// The same arena, whose chunks have the lengths that `growth` says.
    #[must_use]
    pub fn with_growth(mut self, growth: Growth) -> Self {
        self.growth = growth;
        self
    }

    /// Returns the allocator that the chunks come from.
    pub const fn backing(&self) -> &A {
        &self.backing
    }

    /// Returns an arena for one thread, which takes its chunks from this one.
    pub fn local(&self) -> LocalArena<'_, A> {
        LocalArena::new(self, Growth::fixed(LOCAL_CHUNK_LEN))
    }

    /// As [`local`](Self::local), with chunks of the lengths that `growth` says.
    pub fn local_with_growth(&self, growth: Growth) -> LocalArena<'_, A> {
        LocalArena::new(self, growth)
    }

    /// Returns how many bytes all chunks can hold, their headers excluded.
    pub fn capacity(&self) -> usize {
        self.chunks().map(|chunk| header(chunk).len - HEADER_LEN).sum()
    }

    /// Returns how many bytes are taken by blocks, padding included; a moment later it may be another
    /// number.
    pub fn used(&self) -> usize {
        // Relaxed: the number alone counts.
        self.chunks().map(|chunk| header(chunk).end.load(Relaxed) - HEADER_LEN).sum()
    }

    /// All chunks, the newest first.
    fn chunks(&self) -> impl Iterator<Item = NonNull<Header>> {
        // Acquire: pairs with the Release of `push`, so that the header is written.
        let newest = NonNull::new(self.newest.load(Acquire));
        iter::successors(newest, |&chunk| NonNull::new(header(chunk).older.get()))
    }

    /// Takes every block back, and keeps what `mode` says in a single chunk, as
    /// [`Arena::reset`](crate::Arena::reset). No block can be alive: the borrow is unique.
    pub fn reset(&mut self, mode: Reset) -> bool {
        let retained = match mode {
            Reset::FreeAll => 0,
            Reset::RetainCapacity => self.capacity(),
            Reset::RetainWithLimit(limit) => self.capacity().min(limit),
        };
        // Relaxed, all of this function: the unique borrow orders it after whatever other threads did.
        let newest = NonNull::new(self.newest.load(Relaxed));
        if let Some(only) = newest
            && header(only).older.get().is_null()
            && header(only).len - HEADER_LEN == retained
        {
            header(only).end.store(HEADER_LEN, Relaxed);
            // A local arena may have forbidden some of it.
            poison::allow(only.cast(), header(only).len);
            return true;
        }
        let kept = match retained {
            0 => None,
            _ => retained.checked_add(HEADER_LEN).and_then(|len| self.request(len).ok()),
        };
        self.newest.store(kept.map_or(ptr::null_mut(), NonNull::as_ptr), Relaxed);
        // SAFETY: no longer in the list; the borrow is unique, so no block is live.
        unsafe { self.free_list(newest) };
        kept.is_some() || retained == 0
    }

    /// Requests a chunk of `len` bytes, which is in no list yet.
    fn request(&self, len: usize) -> Result<NonNull<Header>, AllocError> {
        let layout = layout(len)?;
        let chunk = self.backing.raw_alloc(layout)?.cast::<Header>();
        let end = AtomicUsize::new(HEADER_LEN);
        // SAFETY: promise 1 of the backing: writable, and aligned, for a header at least.
        unsafe { chunk.write(Header { older: Cell::new(ptr::null_mut()), len, end }) };
        Ok(chunk)
    }

    /// Gives a chunk back.
    ///
    /// # Safety
    ///
    /// It is this arena's and in no list, no block in it is live, and it is not used again.
    unsafe fn free_chunk(&self, chunk: NonNull<Header>) {
        // SAFETY: this length was part of a valid layout when it was requested.
        let layout = unsafe { Layout::from_size_align_unchecked(header(chunk).len, CHUNK_ALIGN) };
        poison::allow(chunk.cast(), layout.size());
        // SAFETY: written by `request`, and not used again.
        unsafe { chunk.drop_in_place() };
        // SAFETY: a live block of this backing that fits.
        unsafe { self.backing.raw_free(chunk.cast(), layout) };
    }

    /// # Safety
    ///
    /// As [`free_chunk`](Self::free_chunk), of all.
    unsafe fn free_list(&self, first: Option<NonNull<Header>>) {
        let mut next = first;
        while let Some(chunk) = next {
            next = NonNull::new(header(chunk).older.get());
            // SAFETY: this function's contract.
            unsafe { self.free_chunk(chunk) };
        }
    }

    /// Makes a chunk with room for a block, takes that, and publishes the chunk; or finds that another
    /// thread was faster.
    #[cold]
    #[inline(never)]
    fn alloc_slow(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let needed = growth::fresh_len(HEADER_LEN, CHUNK_ALIGN, layout.size(), layout.align());
        let needed = needed.ok_or(AllocError)?;
        // Acquire: pairs with the Release below: the header is written.
        let mut newest = self.newest.load(Acquire);
        let newest_len = NonNull::new(newest).map_or(0, |chunk| header(chunk).len);
        let fresh = match self.request(self.growth.chunk_len(newest_len, needed)) {
            Ok(fresh) => fresh,
            Err(_) => self.request(needed)?,
        };
        let block = bump(fresh, layout).ok_or(AllocError);
        loop {
            // Not published yet, so nobody else reads it.
            header(fresh).older.set(newest);
            // Release: publishes the header of `fresh`. Acquire, also on failure: of the one that is
            // there instead, the header is read. Pair with each other and with `raw_alloc`'s.
            match self.newest.compare_exchange_weak(newest, fresh.as_ptr(), AcqRel, Acquire) {
                Ok(_) => return block,
                Err(now) => newest = now,
            }
            // Another thread made a chunk in between: if there is room, this one is not needed.
            if let Some(faster) = NonNull::new(newest)
                && let Some(block) = bump(faster, layout)
            {
                // SAFETY: never published, and the block in it was given to nobody.
                unsafe { self.free_chunk(fresh) };
                return Ok(block);
            }
        }
    }

    /// Moves the end of the newest chunk from one address to another; returns whether it was at the first.
    #[inline]
    fn move_end(&self, from: usize, to: usize) -> bool {
        // Acquire: the header is written. Pairs with the Release in `alloc_slow`.
        let Some(newest) = NonNull::new(self.newest.load(Acquire)) else { return false };
        let base = newest.addr().get();
        let header = header(newest);
        // A block ends behind the header of its chunk, at most at the chunk's end; so these offsets are
        // ends of this chunk only for its own blocks.
        let (from, to) = (from.wrapping_sub(base), to.wrapping_sub(base));
        if header.len < to || from < HEADER_LEN || header.len < from {
            return false;
        }
        // Release: what was done to the bytes that are given back happens before their next owner has
        // them. Acquire: that is what a growth needs. Pair with those in `bump` and here.
        // Relaxed: on failure nothing is read.
        header.end.compare_exchange(from, to, AcqRel, Relaxed).is_ok()
    }
}

/// The header of a chunk of this arena, which is live as long as anybody has the arena.
fn header<'h>(chunk: NonNull<Header>) -> &'h Header {
    // SAFETY: a live chunk starts with its header, which is initialised; shared only. It is private, and
    // every caller uses it only while the chunk is in the list or its own.
    unsafe { chunk.as_ref() }
}

/// Takes a block from a chunk, if that has room.
#[inline]
fn bump(chunk: NonNull<Header>, layout: Layout) -> Option<NonNull<u8>> {
    let header = header(chunk);
    let base = chunk.addr().get();
    // Relaxed: only the number is used until it is taken.
    let mut end = header.end.load(Relaxed);
    loop {
        let start = growth::place(
            base.wrapping_add(end),
            base.wrapping_add(header.len),
            layout.size(),
            layout.align(),
        )?;
        let offset = start.wrapping_sub(base);
        // Acquire: the bytes may have been given back by another thread, and what that did to them has
        // happened. Pairs with the Release in `move_end`; requests in between are of its sequence.
        // Relaxed: on failure only the number is used.
        match header.end.compare_exchange_weak(end, offset + layout.size(), Acquire, Relaxed) {
            // SAFETY: `place` promises that the block lies in the chunk.
            Ok(_) => return Some(unsafe { chunk.cast::<u8>().add(offset) }),
            Err(now) => end = now,
        }
    }
}

// SAFETY: by number, on the invariant of `newest`:
// 1 Fit: `bump` returns aligned memory of a chunk, which the backing promised to be valid.
// 2 Exclusive: it was taken by moving `end` over it, which one thread does; headers lie before.
// 3 Stable: blocks are in the chunks. Only `reset` and drop free those; both have the arena uniquely.
// 4 No unwind: no indexing, no unwrap; sums are of offsets in a chunk. The backing does not unwind.
// 5 Hands off: only headers are read and written.
// 6 Kept: a resize moves the end behind the block; on `false` and `None` nothing has changed.
// 7 Clean failure: a chunk that was requested is published or given back.
unsafe impl<A: Allocator> Allocator for SharedArena<A> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        // Acquire: pairs with the Release in `alloc_slow`: the header is written.
        if let Some(newest) = NonNull::new(self.newest.load(Acquire))
            && let Some(block) = bump(newest, layout)
        {
            return Ok(block);
        }
        self.alloc_slow(layout)
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let start = block.addr().get();
        let Some(end) = start.checked_add(new_size) else { return false };
        self.move_end(start.wrapping_add(layout.size()), end) || new_size <= layout.size()
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
        let start = block.addr().get();
        self.move_end(start.wrapping_add(layout.size()), start);
    }
}

alloc_core::impl_foreign_allocator!(impl[A: Allocator] for SharedArena<A>);

impl<A: Allocator> Source for SharedArena<A> {}
impl_values!(impl[A: Allocator] SharedArena<A>, self => self, '_);

/// Gives all chunks back.
impl<A: Allocator> Drop for SharedArena<A> {
    fn drop(&mut self) {
        // Relaxed: the unique borrow orders it after whatever other threads did.
        let newest = NonNull::new(self.newest.load(Relaxed));
        // SAFETY: nobody uses the arena after its drop.
        unsafe { self.free_list(newest) };
    }
}

impl<A: Allocator> fmt::Debug for SharedArena<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedArena")
            .field("capacity", &self.capacity())
            .field("used", &self.used())
            .field("chunks", &self.chunks().count())
            .finish_non_exhaustive()
    }
}
