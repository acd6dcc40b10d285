//! One arena for many threads, and what a thread takes from it for itself.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use alloc_core::sync::atomic::AtomicUsize;
use alloc_core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use alloc_core::{AllocError, Allocator};

use crate::growth::{self, Growth};
use crate::in_arena::DefaultBacking;
use crate::local::{LOCAL_CHUNK_LEN, LocalArena};
use crate::values::{Source, impl_values};
use crate::{Reset, poison};

mod chunk;

use chunk::{CHUNK_ALIGN, Chunk, HEADER_LEN, Link};

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
    /// Starts with the newest chunk. Invariant: the list holds every chunk once; each is of this backing; the
    /// blocks of a chunk lie behind its header and below its end. Chunks are freed by who has the arena
    /// uniquely.
    list: Link,
    /// The sum of the lengths of all chunks, and of those that are being made.
    reserved: AtomicUsize,
    /// What that sum may become.
    reserved_max: AtomicUsize,
    growth: Growth,
    backing: A,
}

// SAFETY: the chunks go where the arena goes, and the backing may be sent by the bound.
unsafe impl<A: Allocator + Send> Send for SharedArena<A> {}
// SAFETY: what threads share are atomics, headers that do not change once they are published, and the
// backing, which may be shared by the bound.
unsafe impl<A: Allocator + Sync> Sync for SharedArena<A> {}

#[cfg(feature = "alloc")]
impl SharedArena {
    alloc_core::__const_unless_loom! {
        /// Makes one over the program's own allocator. Takes no memory before the first request.
        ///
        /// ```
        /// use alloc_arena::SharedArena;
        ///
        /// static NAMES: SharedArena = SharedArena::new();
        ///
        /// let name: &'static str = NAMES.put_str("for ever")?;
        /// # assert_eq!(name, "for ever");
        /// # Ok::<(), alloc_core::AllocError>(())
        /// ```
        #[must_use]
        pub fn new() -> Self {
            Self::over(alloc_core::Global)
        }
    }
}

#[cfg(feature = "alloc")]
impl Default for SharedArena {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Allocator> SharedArena<A> {
    alloc_core::__const_unless_loom! {
        /// Makes one over a backing allocator. Takes no memory before the first request.
        pub fn over(backing: A) -> Self {
            Self {
                list: Link::new(),
                reserved: AtomicUsize::new(0),
                reserved_max: AtomicUsize::new(usize::MAX),
                growth: Growth::DEFAULT,
                backing,
            }
        }
    }

    /// The same arena, whose chunks have the lengths that `growth` says.
    #[must_use]
    pub const fn with_growth(mut self, growth: Growth) -> Self {
        self.growth = growth;
        self
    }

    alloc_core::__const_unless_loom! {
        /// The same arena, which refuses a request if its chunks would have more than `bytes` together. See
        /// [`set_limit`](Self::set_limit).
        #[must_use]
        pub fn with_limit(mut self, bytes: usize) -> Self {
            self.reserved_max = AtomicUsize::new(bytes);
            self
        }
    }

    /// Changes how many bytes of the backing the chunks may have together, headers included;
    /// `usize::MAX` is no limit. Chunks that are there already stay, also if they are more. Local arenas take
    /// their chunks from these.
    ///
    /// A chunk counts from when a thread begins to make it. Nobody waits for that: where the limit leaves no
    /// other, another thread's request is refused in the meantime, also if the chunk will have room for it.
    ///
    /// ```
    /// use alloc_arena::SharedArena;
    ///
    /// let arena = SharedArena::new().with_limit(4096);
    /// assert!(arena.local().put([0u8; 5000]).is_err());
    /// arena.set_limit(1 << 20);
    /// assert!(arena.local().put([0u8; 5000]).is_ok());
    /// ```
    pub fn set_limit(&self, bytes: usize) {
        // Relaxed: the number alone counts, here and where it is read.
        self.reserved_max.store(bytes, Relaxed);
    }

    /// Returns how many bytes the chunks may have together; `usize::MAX` if there is no limit.
    pub fn limit(&self) -> usize {
        self.reserved_max.load(Relaxed)
    }

    /// Returns how many bytes of the backing all chunks have, headers included; a moment later it may be
    /// another number.
    pub fn reserved(&self) -> usize {
        // Relaxed: the number alone counts.
        self.reserved.load(Relaxed)
    }

    /// Returns the allocator that the chunks come from.
    pub const fn backing(&self) -> &A {
        &self.backing
    }

    /// Makes room for `bytes` more in one piece, before threads begin: blocks with that sum, paddings included,
    /// ask the backing for nothing.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if the backing or the limit refuses it.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), AllocError> {
        if bytes == 0 {
            return Ok(());
        }
        let layout = Layout::from_size_align(bytes, 1).map_err(|_| AllocError)?;
        let block = self.raw_alloc(layout)?;
        // SAFETY: taken just now with this layout. It is the last block, for the borrow is unique.
        unsafe { self.raw_free(block, layout) };
        Ok(())
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
        self.list.chunks().map(|chunk| chunk.len() - HEADER_LEN).sum()
    }

    /// Returns how many bytes are taken by blocks, padding included; a moment later it may be another
    /// number.
    pub fn used(&self) -> usize {
        self.list.chunks().map(|chunk| chunk.end() - HEADER_LEN).sum()
    }

    /// Takes every block back, and keeps what `mode` says in a single chunk, as
    /// [`Arena::reset`](crate::Arena::reset). No block can be alive: the borrow is unique.
    pub fn reset(&mut self, mode: Reset) -> bool {
        let retained = match mode {
            Reset::FreeAll => 0,
            Reset::RetainCapacity => self.capacity(),
            Reset::RetainWithLimit(limit) => self.capacity().min(limit),
        };
        let Some(chunk) = self.list.take() else { return retained == 0 };
        let others = chunk.older();
        // SAFETY: the unique borrow.
        unsafe { chunk.link(None) };
        // SAFETY: no longer in the list; the borrow is unique, so no block is live.
        unsafe { self.free_list(others) };
        // SAFETY: the unique borrow, so no block is live.
        unsafe { chunk.clear() };
        let kept = self.consolidate(chunk, retained);
        self.list.set(kept);
        kept.map_or(0, |chunk| chunk.len() - HEADER_LEN) == retained
    }

    /// Makes a chunk with a capacity of `retained` bytes of the only one there is, which is in no list and has
    /// no blocks; none for no bytes. If the backing refuses, returns the chunk as it is, or none if it is larger
    /// than that.
    fn consolidate(&mut self, chunk: Chunk, retained: usize) -> Option<Chunk> {
        let old = chunk.len();
        let len = match retained {
            0 => None,
            _ => retained.checked_add(HEADER_LEN),
        };
        let is_kept = match len {
            // SAFETY: it came from this backing, is this function's alone, and has no blocks.
            Some(len) => len == old || unsafe { chunk.resize(&self.backing, len) },
            None => false,
        };
        if is_kept {
            // It is the only one. Relaxed: the unique borrow.
            self.reserved.store(chunk.len(), Relaxed);
            return Some(chunk);
        }
        let fresh = len.and_then(|len| {
            // The sum of both passes the limit for a moment, never what the arena keeps. Relaxed: as above.
            self.reserved.fetch_add(len, Relaxed);
            self.request_reserved(len).ok()
        });
        if fresh.is_none() && len.is_some_and(|len| old <= len) {
            return Some(chunk);
        }
        // SAFETY: in no list; the borrow is unique, so no block in it is live; not used again.
        unsafe { self.free_chunk(chunk) };
        fresh
    }

    /// Adds `len` to what is reserved, if the limit allows it.
    fn charge(&self, len: usize) -> Result<(), AllocError> {
        // Acquire: the chunks that made room are gone. Pairs with the Release in `free_chunk`.
        // Relaxed: on failure only the number is used.
        let sum = self.reserved.fetch_update(Acquire, Relaxed, |sum| {
            sum.checked_add(len).filter(|sum| *sum <= self.limit())
        });
        sum.map(drop).map_err(|_| AllocError)
    }

    /// Requests a chunk of `len` bytes, which is in no list yet.
    fn request(&self, len: usize) -> Result<Chunk, AllocError> {
        self.charge(len)?;
        self.request_reserved(len)
    }

    /// The same where `len` bytes are reserved; on failure they no longer are.
    fn request_reserved(&self, len: usize) -> Result<Chunk, AllocError> {
        Chunk::request(&self.backing, len).inspect_err(|_| {
            // Relaxed: the number alone counts.
            self.reserved.fetch_sub(len, Relaxed);
        })
    }

    /// Gives a chunk back.
    ///
    /// # Safety
    ///
    /// It is this arena's and in no list, no block in it is live, and no copy of it is used again.
    unsafe fn free_chunk(&self, chunk: Chunk) {
        let len = chunk.len();
        // SAFETY: it came from this backing; the rest by the contract.
        unsafe { chunk.free(&self.backing) };
        // Not before, or other threads' chunks and this one could be more than the limit together.
        // Release: who takes the room by `charge` does so after the chunk is gone. Pairs with its Acquire.
        self.reserved.fetch_sub(len, Release);
    }

    /// # Safety
    ///
    /// As [`free_chunk`](Self::free_chunk), of all.
    unsafe fn free_list(&self, first: Option<Chunk>) {
        let mut next = first;
        while let Some(chunk) = next {
            next = chunk.older();
            // SAFETY: this function's contract.
            unsafe { self.free_chunk(chunk) };
        }
    }

    /// Takes a block where there is no room for it yet.
    #[cold]
    #[inline(never)]
    fn alloc_slow(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let needed = growth::fresh_len(HEADER_LEN, CHUNK_ALIGN, layout.size(), layout.align());
        let needed = needed.ok_or(AllocError)?;
        let seen = || self.list.first().map(|newest| (newest, newest.len()));
        let mut before = seen();
        loop {
            let block = self.alloc_beyond(before.map(|(newest, _)| newest), needed, layout);
            let now = seen();
            // What was refused to this thread may have been given to another one, which has made room: with
            // another chunk, or a longer one.
            if block.is_ok() || now == before {
                return block;
            }
            before = now;
        }
    }

    /// Takes a block with more memory of the backing: in the newest chunk, made longer, or in another one; as
    /// long as the arena likes, or, where the backing refuses that, as long as the block needs.
    fn alloc_beyond(
        &self,
        newest: Option<Chunk>,
        needed: usize,
        layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        if let Some(block) = newest.and_then(|chunk| self.extend(chunk, layout, self.growth)) {
            return Ok(block);
        }
        let newest_len = newest.map_or(0, Chunk::len);
        let like = self.within_limit(self.growth.chunk_len(newest_len, needed), needed);
        if let Ok(fresh) = self.request(like) {
            return self.publish(fresh, newest, layout);
        }
        if let Some(block) = newest.and_then(|chunk| self.extend(chunk, layout, Growth::exact())) {
            return Ok(block);
        }
        self.publish(self.request(needed)?, newest, layout)
    }

    /// `like`, or as much of it as the limit allows, if that is at least `needed`.
    fn within_limit(&self, like: usize, needed: usize) -> usize {
        like.min(self.limit().saturating_sub(self.reserved())).max(needed)
    }

    /// Makes a chunk longer where it is, and takes a block there; `None` if the backing or the limit refuses
    /// it, or another thread is at it or takes the room.
    fn extend(&self, chunk: Chunk, layout: Layout, growth: Growth) -> Option<NonNull<u8>> {
        // A guess: others take blocks.
        let end = chunk.end();
        let cursor = chunk.addr().wrapping_add(end);
        let needed = growth::extended_len(cursor, end, layout.size(), layout.align())?;
        self.lengthen(chunk, needed, growth);
        chunk.take(layout)
    }

    /// Makes a chunk longer where it is, `needed` bytes or more, if it is shorter and nobody else is at it,
    /// and if the backing and the limit allow it.
    fn lengthen(&self, chunk: Chunk, needed: usize, growth: Growth) {
        chunk.extend(|len| {
            if needed <= len {
                return;
            }
            let like = growth.extended_len(len, needed) - len;
            let more = self.within_limit(like, needed - len);
            if self.charge(more).is_err() {
                return;
            }
            // SAFETY: a chunk of this backing (invariant of `list`), within `extend`, made longer.
            if !unsafe { chunk.resize(&self.backing, len.saturating_add(more)) } {
                // Relaxed: the number alone counts.
                self.reserved.fetch_sub(more, Relaxed);
            }
        });
    }

    /// Grows the last block beyond the newest chunk, if the backing makes that longer where it is.
    #[cold]
    #[inline(never)]
    fn grow_last_slow(&self, block: NonNull<u8>, size: usize, new_size: usize) -> bool {
        let Some(newest) = self.list.first() else { return false };
        let offset = block.addr().get().wrapping_sub(newest.addr());
        // A guess, by which most blocks that are not the last are told. What ends where the blocks of this chunk
        // do is one of them.
        if offset.wrapping_add(size) != newest.end() {
            return false;
        }
        let Some(needed) = offset.checked_add(new_size) else { return false };
        let start = block.addr().get();
        [self.growth, Growth::exact()].into_iter().any(|growth| {
            self.lengthen(newest, needed, growth);
            // SAFETY: not moved down: the block grows.
            unsafe { self.move_end(start.wrapping_add(size), start.wrapping_add(new_size)) }
        })
    }

    /// Takes a block of a chunk that has room for it, and publishes the chunk; or finds that another thread
    /// was faster, and gives the chunk back. `newest` was seen to have no room.
    fn publish(
        &self,
        fresh: Chunk,
        mut newest: Option<Chunk>,
        layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        // Another thread may have made it longer in between: then the fresh one is not needed.
        let mut room = newest.and_then(|chunk| chunk.take(layout));
        let block = fresh.take(layout).ok_or(AllocError);
        while room.is_none() {
            // SAFETY: not published yet, so nobody else has it.
            unsafe { fresh.link(newest) };
            match self.list.publish(newest, fresh) {
                Ok(()) => return block,
                Err(now) => newest = now,
            }
            room = newest.and_then(|faster| faster.take(layout));
        }
        // SAFETY: never published, and the block in it was given to nobody.
        unsafe { self.free_chunk(fresh) };
        room.ok_or(AllocError)
    }

    /// Moves the end of the newest chunk from one address to another; returns whether it was at the first.
    ///
    /// # Safety
    ///
    /// As [`Chunk::move_end`].
    #[inline]
    unsafe fn move_end(&self, from: usize, to: usize) -> bool {
        // SAFETY: this function's contract.
        self.list.first().is_some_and(|newest| unsafe { newest.move_end(from, to) })
    }
}

// SAFETY: by number, on the invariant of `list`:
// 1 Fit: `take` returns aligned memory of a chunk, which the backing promised to be valid.
// 2 Exclusive: it was taken by moving `end` over it, which one thread does; headers lie before.
// 3 Stable: blocks are in the chunks. Only `reset` and drop free those; both have the arena uniquely.
// 4 No unwind: no indexing, no unwrap; sums are of offsets in a chunk. The backing does not unwind.
// 5 Hands off: only headers are read and written.
// 6 Kept: a resize moves the end behind the block; on `false` and `None` nothing has changed.
// 7 Clean failure: a chunk that was requested is published or given back.
unsafe impl<A: Allocator> Allocator for SharedArena<A> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let apart = poison::layout_apart(layout)?;
        let block = match self.list.first().and_then(|newest| newest.take(apart)) {
            Some(block) => block,
            None => self.alloc_slow(apart)?,
        };
        poison::allow(block, layout.size());
        Ok(block)
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let start = block.addr().get();
        let (old, new) = (poison::apart(layout.size()), poison::apart(new_size));
        let Some(end) = start.checked_add(new) else { return false };
        if new_size <= layout.size() {
            // SAFETY: within the block, whose bytes behind it are given up by the caller.
            let tail = unsafe { block.add(new_size) };
            // Before they may be another thread's.
            poison::forbid(tail, layout.size() - new_size);
            // SAFETY: from the block's end, down to its new one; the caller gave up what lies between.
            unsafe { self.move_end(start.wrapping_add(old), end) };
            return true;
        }
        // SAFETY: not moved down: the block grows.
        let is_grown = unsafe { self.move_end(start.wrapping_add(old), end) }
            || self.grow_last_slow(block, old, new);
        if is_grown {
            // SAFETY: the old end of the block.
            let added = unsafe { block.add(layout.size()) };
            // No more: the block may be a chunk of a local arena, which forbids what it likes of it.
            poison::allow(added, new_size - layout.size());
        }
        is_grown
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
        // Before it may be another thread's.
        poison::forbid(block, layout.size());
        // SAFETY: from the block's end to its start; it is dead, by the caller's promise.
        unsafe { self.move_end(start.wrapping_add(poison::apart(layout.size())), start) };
    }
}

alloc_core::impl_foreign_allocator!(impl[A: Allocator] for SharedArena<A>);

impl<A: Allocator> Source for SharedArena<A> {}
impl_values!(impl[A: Allocator] SharedArena<A>, self => self, SharedArena<A>, '_);

/// Gives all chunks back.
impl<A: Allocator> Drop for SharedArena<A> {
    fn drop(&mut self) {
        let newest = self.list.take();
        // SAFETY: nobody uses the arena after its drop.
        unsafe { self.free_list(newest) };
    }
}

impl<A: Allocator> fmt::Debug for SharedArena<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedArena")
            .field("capacity", &self.capacity())
            .field("used", &self.used())
            .field("chunks", &self.list.chunks().count())
            .finish_non_exhaustive()
    }
}
