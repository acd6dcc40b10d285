//! The arena: a cursor in the newest of its chunks.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::num::NonZero;
use core::ptr::NonNull;

#[cfg(feature = "alloc")]
use alloc_core::Global;
use alloc_core::{AllocError, Allocator};

use crate::chunk::{Chunk, HEADER_LEN};
use crate::growth::{self, Growth, SMALL_MAX};
use crate::poison;

/// One chunk of an arena, as [`Arena::chunk_stats`] found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChunkStats {
    /// Its length in bytes: what the backing was asked for, header included.
    pub len: usize,
    /// How many bytes of it are taken, padding included; the header is not.
    pub used: usize,
}

/// Cursor and limit of an arena without a chunk.
const NOWHERE_ADDR: NonZero<usize> = NonZero::<usize>::MIN;
pub(crate) const NOWHERE: NonNull<u8> = NonNull::without_provenance(NOWHERE_ADDR);

macro_rules! arena {
    ($($default:tt)*) => {
        /// Hands out memory of a backing allocator and takes it back all at once: at
        /// [`reset`](Self::reset), or when it is dropped.
        ///
        /// Values go in with [`put`](Self::put) and its sisters, which return plain references; the verbs
        /// of [`AllocatorExt`](alloc_core::AllocatorExt) return owners that drop what they own.
        /// Freeing a single block gives memory back only if it is the last one. `!Sync`; `Send` where
        /// the backing is.
        ///
        /// A plain value whose drop would not run does not compile:
        ///
        /// ```compile_fail,E0080
        /// # use alloc_arena::Arena;
        /// let arena = Arena::new();
        /// let name = arena.put(String::from("its text would leak")).unwrap();
        /// ```
        pub struct Arena<A: Allocator $($default)*> {
            /// The first free byte of the newest chunk; invariants 2 and 3 of the crate.
            pub(crate) cursor: Cell<NonNull<u8>>,
            /// The address behind the newest chunk's last byte; the cursor's, if there is none.
            pub(crate) limit: Cell<usize>,
            /// The highest address that the cursor had in the newest chunk, before it last went back.
            pub(crate) peak: Cell<usize>,
            /// The newest chunk, head of the list of all in use; invariant 1.
            pub(crate) newest: Cell<Option<Chunk>>,
            /// Chunks without blocks, left by a rewind; invariant 1.
            pub(crate) spare: Cell<Option<Chunk>>,
            /// How many bytes of the chunks before the newest are taken.
            pub(crate) used_before: Cell<usize>,
            /// The most bytes that were ever taken, up to the last change of the newest chunk.
            pub(crate) high_water: Cell<usize>,
            /// The sum of all chunks' lengths.
            pub(crate) reserved: Cell<usize>,
            /// What that sum may become.
            pub(crate) reserved_max: Cell<usize>,
            pub(crate) growth: Growth,
            pub(crate) backing: A,
        }
    };
}

#[cfg(feature = "alloc")]
arena!(= Global);
#[cfg(not(feature = "alloc"))]
arena!();

#[cfg(feature = "alloc")]
impl Arena {
    /// Makes an arena over the program's own allocator. Takes no memory before the first request.
    #[inline]
    pub const fn new() -> Self {
        Self::over(Global)
    }
}

#[cfg(feature = "alloc")]
impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the chunks are blocks of the backing, reached through this arena alone, and go where it
// goes; the backing may be sent by the bound.
unsafe impl<A: Allocator + Send> Send for Arena<A> {}

impl<A: Allocator> Arena<A> {
    /// Makes an arena over a backing allocator: a value, or a reference to one that others use too.
    /// Takes no memory before the first request. Then it takes about a kilobyte, if the backing has so
    /// much: of a small buffer that others use too, let it take less.
    ///
    /// ```
    /// use alloc_arena::{Arena, Growth};
    /// use alloc_fixed::StackBuffer;
    ///
    /// let mut stack = StackBuffer::<2048>::new();
    /// let fixed = stack.fixed();
    /// let arena = Arena::over(&fixed).with_growth(Growth::fixed(200));
    /// assert_eq!(arena.put_str("no heap")?, "no heap");
    /// assert!(fixed.remaining() > 1800);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    #[inline]
    pub const fn over(backing: A) -> Self {
        Self {
            cursor: Cell::new(NOWHERE),
            limit: Cell::new(NOWHERE_ADDR.get()),
            peak: Cell::new(NOWHERE_ADDR.get()),
            newest: Cell::new(None),
            spare: Cell::new(None),
            used_before: Cell::new(0),
            high_water: Cell::new(0),
            reserved: Cell::new(0),
            reserved_max: Cell::new(usize::MAX),
            growth: Growth::DEFAULT,
            backing,
        }
    }

    /// The same arena, whose further chunks have the lengths that `growth` says.
    #[inline]
    #[must_use]
    pub const fn with_growth(mut self, growth: Growth) -> Self {
        self.growth = growth;
        self
    }

    /// Returns the rule for the lengths of chunks.
    pub const fn growth(&self) -> Growth {
        self.growth
    }

    /// Returns the allocator that the chunks come from.
    #[inline]
    pub const fn backing(&self) -> &A {
        &self.backing
    }

    /// Makes room for `bytes` more in one piece, so that blocks with that sum, paddings included, ask the
    /// backing for nothing.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if the backing or the limit refuses it; nothing has changed then.
    pub fn reserve(&self, bytes: usize) -> Result<(), AllocError> {
        if bytes <= self.room() {
            return Ok(());
        }
        self.make_room(Layout::from_size_align(bytes, 1).map_err(|_| AllocError)?)
    }

    /// Returns how many bytes of the backing all chunks have, headers included.
    pub fn reserved(&self) -> usize {
        self.reserved.get()
    }

    /// Returns how many bytes all chunks can hold, their headers excluded. Takes time in proportion
    /// to the number of chunks.
    pub fn capacity(&self) -> usize {
        let chunks = self.chunks().chain(Chunk::list(self.spare.get()));
        chunks.map(|chunk| chunk.len() - HEADER_LEN).sum()
    }

    /// Returns how many bytes the newest chunk has left: what the next request is looked for in first.
    pub fn room(&self) -> usize {
        self.limit.get() - self.cursor.get().addr().get()
    }

    /// Returns length and load of each chunk, the newest first; behind them those that a scope left empty. As they
    /// are now: what is put meanwhile is not seen, but where it uses a chunk that was left empty.
    ///
    /// ```
    /// use alloc_arena::{Arena, Growth};
    ///
    /// let arena = Arena::new().with_growth(Growth::fixed(1024));
    /// arena.put_slice_fill(5000, 0u8)?; // too long for such a chunk: it gets one of its own
    /// arena.put([0u8; 100])?;
    /// let loads: Vec<_> = arena.chunk_stats().map(|chunk| (chunk.len, chunk.used)).collect();
    /// assert_eq!(loads[0], (1024, 100));
    /// assert_eq!(loads[1].1, 5000);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    pub fn chunk_stats(&self) -> impl Iterator<Item = ChunkStats> {
        let newest = self.newest.get();
        // Now, for the cursor may be in another chunk later.
        let newest_used = newest.map_or(HEADER_LEN, |chunk| self.cursor_offset(chunk));
        let loaded = self.chunks().map(move |chunk| {
            (chunk, if Some(chunk) == newest { newest_used } else { chunk.used() })
        });
        let spare = Chunk::list(self.spare.get()).map(|chunk| (chunk, HEADER_LEN));
        let stats = |(chunk, used)| ChunkStats { len: Chunk::len(chunk), used: used - HEADER_LEN };
        loaded.chain(spare).map(stats)
    }

    /// Returns how many bytes are taken by blocks, freed ones that were not the last and padding
    /// included.
    pub fn used(&self) -> usize {
        self.used_up_to(self.cursor.get().addr().get())
    }

    /// Returns the most bytes that were ever taken at once, as [`used`](Self::used) counts.
    ///
    /// ```
    /// use alloc_arena::{Arena, Reset};
    ///
    /// let mut arena = Arena::new();
    /// for count in [10, 1000, 100] {
    ///     arena.put_slice_fill(count, 0u8)?;
    ///     arena.reset(Reset::FreeAll);
    /// }
    /// assert_eq!((arena.used(), arena.high_water()), (0, 1000));
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    pub fn high_water(&self) -> usize {
        let peak = self.peak.get().max(self.cursor.get().addr().get());
        self.high_water.get().max(self.used_up_to(peak))
    }

    /// How many bytes are taken, or were when the newest chunk's cursor was at `addr`.
    fn used_up_to(&self, addr: usize) -> usize {
        let newest = self.newest.get();
        let first = newest.map_or(addr, |chunk| chunk.first_byte().addr().get());
        self.used_before.get() + (addr - first)
    }

    /// Makes `chunk`, which has no blocks, the newest one; without one, the arena is empty. The caller
    /// says what is in the chunks before it.
    pub(crate) fn enter(&self, chunk: Option<Chunk>, used_before: usize) {
        self.high_water.set(self.high_water());
        self.newest.set(chunk);
        self.move_to(chunk.map_or(NOWHERE, Chunk::first_byte), used_before);
    }

    /// Puts the cursor to a place in the newest chunk, the peak with it, the limit behind the chunk.
    pub(crate) fn move_to(&self, cursor: NonNull<u8>, used_before: usize) {
        self.used_before.set(used_before);
        self.cursor.set(cursor);
        self.peak.set(cursor.addr().get());
        self.limit.set(self.newest.get().map_or(NOWHERE_ADDR.get(), Chunk::limit));
    }

    /// The chunks in use, the newest first.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = Chunk> {
        Chunk::list(self.newest.get())
    }

    /// Gives a list of chunks back.
    ///
    /// # Safety
    ///
    /// They are this arena's, the caller forgets them, and no block in them is live.
    pub(crate) unsafe fn free_list(&self, first: Option<Chunk>) {
        let mut next = first;
        while let Some(chunk) = next {
            next = chunk.older();
            // SAFETY: the caller's promise, for one of the list; `next` was read, so it is in none.
            unsafe { self.free_chunk(chunk) };
        }
    }

    /// Gives one chunk back.
    ///
    /// # Safety
    ///
    /// It is this arena's and in no list any more, and no block in it is live.
    pub(crate) unsafe fn free_chunk(&self, chunk: Chunk) {
        self.discharge(chunk.len());
        // SAFETY: it came from this backing (invariant 1); the rest by the contract.
        unsafe { chunk.free(&self.backing) };
    }

    /// The offset of the cursor in the newest chunk.
    pub(crate) fn cursor_offset(&self, newest: Chunk) -> usize {
        self.cursor.get().addr().get() - newest.start().addr().get()
    }

    /// Takes `size` bytes from `start` on, if `place` found them.
    ///
    /// # Safety
    ///
    /// `cursor <= start` and `start + size <= limit`, without a wrap.
    #[inline(always)]
    unsafe fn take(&self, start: usize, size: usize) -> NonNull<u8> {
        let cursor = self.cursor.get();
        let skipped = start.wrapping_sub(cursor.addr().get());
        // SAFETY: between cursor and limit (contract), which lies in the newest chunk (invariant 3).
        let block = unsafe { cursor.add(skipped) };
        // SAFETY: as above, for the end.
        self.cursor.set(unsafe { block.add(size) });
        poison::allow(block, size);
        block
    }

    /// Takes the `size` bytes before `end`, if `place_end` found it.
    ///
    /// # Safety
    ///
    /// `cursor + size <= end <= limit`, without a wrap.
    #[inline(always)]
    unsafe fn take_before(&self, end: usize, size: usize) -> NonNull<u8> {
        let cursor = self.cursor.get();
        let taken = end.wrapping_sub(cursor.addr().get());
        // SAFETY: between cursor and limit (contract), which lies in the newest chunk (invariant 3).
        let end = unsafe { cursor.add(taken) };
        self.cursor.set(end);
        // SAFETY: at or above the cursor (contract).
        let block = unsafe { end.sub(size) };
        poison::allow(block, size);
        block
    }

    /// Bumps the cursor, if the newest chunk has room.
    #[inline(always)]
    fn bump(&self, layout: Layout) -> Option<NonNull<u8>> {
        let cursor = self.cursor.get().addr().get();
        let start = growth::place(cursor, self.limit.get(), layout.size(), layout.align())?;
        // SAFETY: a postcondition of `place`, whose needs are met: invariant 3, and a `Layout`.
        Some(unsafe { self.take(start, layout.size()) })
    }

    /// As `raw_alloc`, also for no bytes, for a layout whose size is a multiple of its alignment.
    #[inline(always)]
    pub(crate) fn alloc_padded(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let (size, align) = (layout.size(), layout.align());
        alloc_core::check!(size.is_multiple_of(align), "{layout:?}");
        let cursor = self.cursor.get().addr().get();
        match growth::place_end(cursor, self.limit.get(), size, align) {
            // SAFETY: a postcondition of `place_end`, whose needs are met: invariant 3, and a `Layout` of this
            // kind.
            Some(end) => Ok(unsafe { self.take_before(end, size) }),
            None => self.alloc_slow(layout),
        }
    }

    /// As `raw_alloc`, for a size that the compiler knows.
    #[inline(always)]
    pub(crate) fn alloc_for<T>(&self) -> Result<NonNull<u8>, AllocError> {
        let layout = const { Layout::new::<T>() };
        if SMALL_MAX < const { size_of::<T>() + align_of::<T>() } {
            return self.raw_alloc(layout);
        }
        let cursor = self.cursor.get().addr().get();
        match growth::place_end_small(cursor, self.limit.get(), size_of::<T>(), align_of::<T>()) {
            // SAFETY: a postcondition of `place_end_small`, whose needs are met: by the comparison above,
            // because a type's size is a multiple of its alignment, and because chunks end where it needs it
            // (`growth::is_reachable`).
            Some(end) => Ok(unsafe { self.take_before(end, size_of::<T>()) }),
            None => self.alloc_slow(layout),
        }
    }

    /// Makes room, and copies `size` bytes of a block there.
    ///
    /// # Safety
    ///
    /// The block is live and has that many bytes; `new` has no less.
    #[cold]
    #[inline(never)]
    unsafe fn move_slow(
        &self,
        block: NonNull<u8>,
        size: usize,
        new: Layout,
    ) -> Option<NonNull<u8>> {
        let moved = self.alloc_slow(new).ok()?;
        // SAFETY: the contract; two live blocks do not overlap.
        unsafe { moved.copy_from_nonoverlapping(block, size) };
        poison::forbid(block, size);
        Some(moved)
    }

    /// Makes room, and bumps again.
    #[cold]
    #[inline(never)]
    fn alloc_slow(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if layout.size() == 0 {
            return Ok(layout.dangling_ptr());
        }
        self.make_room(layout)?;
        self.bump(layout).ok_or(AllocError)
    }

    /// Whether a live block of `size` bytes is the last one.
    #[inline]
    pub(crate) fn is_last(&self, block: NonNull<u8>, size: usize) -> bool {
        // Only a block of the newest chunk can end at the cursor: before each chunk's first block
        // lies its header.
        block.as_ptr().wrapping_add(size) == self.cursor.get().as_ptr()
    }

    /// Takes the cursor back to `cursor`.
    ///
    /// # Safety
    ///
    /// It lies in the newest chunk at or below the present one, and no live block lies above it.
    #[inline]
    pub(crate) unsafe fn lower(&self, cursor: NonNull<u8>) {
        let old = self.cursor.get().addr().get();
        if self.peak.get() < old {
            self.peak.set(old);
        }
        self.cursor.set(cursor);
        poison::forbid(cursor, old.wrapping_sub(cursor.addr().get()));
    }
}

// SAFETY: by number, on the invariants of the crate:
// 1 Fit: `bump` returns aligned memory of the newest chunk, which the backing promised to be valid.
// 2 Exclusive: it lies above the cursor, below which all live blocks of the chunk are (2); headers
//   lie before the first block.
// 3 Stable: blocks are in the chunks, not in `self`. Only `reset` and drop free chunks; both have the
//   arena uniquely.
// 4 No unwind: no indexing, no unwrap, no overflow; the backing does not unwind either. Drop frees
//   chunks, then drops the backing, which promises the same.
// 5 Hands off: only headers are read and written.
// 6 Kept: a resize moves the cursor or lengthens the chunk in place, a remap may copy; on `false` and
//   `None` nothing has changed.
// 7 Clean failure: a refused chunk changes nothing; a chunk that was added before a failure is in the
//   list and freed with it.
unsafe impl<A: Allocator> Allocator for Arena<A> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        match self.bump(layout) {
            Some(block) => Ok(block),
            None => self.alloc_slow(layout),
        }
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        if !self.is_last(block, layout.size()) {
            return new_size <= layout.size();
        }
        let start = block.addr().get();
        // No wrap: the last block starts at or below the cursor, which is at most the limit.
        if self.limit.get().wrapping_sub(start) < new_size && !self.grow_last_slow(block, new_size)
        {
            return false;
        }
        // SAFETY: `new_size` bytes from the block on end at or before the limit, in the newest
        // chunk: compared above, or made so by `grow_last_slow`.
        let end = unsafe { block.add(new_size) };
        if new_size < layout.size() {
            // SAFETY: within the last block; what lies behind it is given up by the caller.
            unsafe { self.lower(end) };
        } else {
            self.cursor.set(end);
            // SAFETY: the old end of the block.
            let added = unsafe { block.add(layout.size()) };
            // No more: the block may be a chunk of another arena, which forbids what it likes of it.
            poison::allow(added, new_size - layout.size());
        }
        true
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller keeps the same contract towards `raw_resize`.
        if unsafe { self.raw_resize(block, layout, new_size) } {
            return Some(block);
        }
        // SAFETY: the new size makes a layout, by the caller's promise.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        let Some(moved) = self.bump(new) else {
            // SAFETY: only a growth was refused, so the block has no more bytes than `new`; live.
            return unsafe { self.move_slow(block, layout.size(), new) };
        };
        // SAFETY: as above: the old block is readable for its size, the new one writable for more, and two
        // live blocks do not overlap.
        unsafe { moved.copy_from_nonoverlapping(block, layout.size()) };
        // Not the last block, or it would have grown: nothing comes back.
        poison::forbid(block, layout.size());
        Some(moved)
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        if self.is_last(block, layout.size()) {
            // SAFETY: the last block's start; the block is dead, by the caller's promise.
            unsafe { self.lower(block) };
        } else {
            poison::forbid(block, layout.size());
        }
    }
}

alloc_core::impl_foreign_allocator!(impl[A: Allocator] for Arena<A>);

/// Gives all chunks back.
impl<A: Allocator> Drop for Arena<A> {
    fn drop(&mut self) {
        // SAFETY: nobody uses the arena after its drop; blocks are used only while it is borrowed.
        unsafe { self.free_list(self.newest.get()) };
        // SAFETY: as above; spare chunks have no blocks.
        unsafe { self.free_list(self.spare.get()) };
    }
}

impl<A: Allocator> fmt::Debug for Arena<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("capacity", &self.capacity())
            .field("used", &self.used())
            .field("high_water", &self.high_water())
            .field("chunks", &self.chunks().count())
            .finish_non_exhaustive()
    }
}
