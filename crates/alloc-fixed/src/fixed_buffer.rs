//! The bump allocator over a borrowed buffer.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

use crate::bump::{self, Padded};
use crate::padding;
use crate::settle::Settle;

/// A bump allocator over a borrowed buffer; `!Sync`, never asks the system for memory.
///
/// The last block can be freed, grown and shrunk in place; every other block shrinks, and comes back
/// with [`reset`](Self::reset) or at the end of its [`scope`](Self::scope).
pub struct FixedBuffer<'buf> {
    /// The first byte that was never handed out, or was taken back. Invariants 2 and 3.
    cursor: Cell<NonNull<u8>>,
    /// One past the last byte of the buffer. Invariant 1.
    end: NonNull<u8>,
    /// Which blocks have padding before them. Invariant 4.
    padded: Cell<Padded>,
    /// The first byte of the buffer. Invariant 1.
    base: NonNull<u8>,
    _buffer: PhantomData<&'buf mut [MaybeUninit<u8>]>,
}

// SAFETY: it is a unique borrow of plain bytes, pointers into them, and integers.
unsafe impl Send for FixedBuffer<'_> {}

/// A place in a [`FixedBuffer`], to which it can be [rewound](FixedBuffer::rewind).
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint(usize);

impl<'buf> FixedBuffer<'buf> {
    /// Makes an allocator of bytes without a value: a [`StackBuffer`](crate::StackBuffer), an array
    /// or slice of `MaybeUninit<u8>`, the spare capacity of a `Vec<u8>`.
    ///
    /// ```
    /// use alloc_core::AllocatorExt;
    /// use alloc_fixed::{FixedBuffer, StackBuffer};
    ///
    /// let mut stack = StackBuffer::<1024>::new();
    /// let fixed = FixedBuffer::new(&mut stack);
    /// assert_eq!(*fixed.alloc_fill(3, 7u32)?, [7, 7, 7]);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    ///
    /// Bytes that somebody will read again are no such buffer: a block may leave some of them without
    /// a value, and nothing that has a destructor can promise to give them one, for it can be
    /// forgotten. For those there is [`with_bytes`](Self::with_bytes).
    ///
    /// ```compile_fail,E0308
    /// let mut stack = [0u8; 1024];
    /// let fixed = alloc_fixed::FixedBuffer::new(&mut stack);
    /// ```
    #[inline]
    pub const fn new(buffer: &'buf mut [MaybeUninit<u8>]) -> Self {
        let len = buffer.len();
        // SAFETY: a slice pointer is never null.
        let base = unsafe { NonNull::new_unchecked(buffer.as_mut_ptr()) };
        // SAFETY: the bytes of `buffer`, which is borrowed uniquely for `'buf` and promises no values.
        unsafe { Self::from_raw_parts(base.cast(), len) }
    }

    /// Makes an allocator of a buffer that nobody gets back.
    ///
    /// ```
    /// use alloc_core::AllocatorExt;
    /// use alloc_fixed::FixedBuffer;
    ///
    /// let fixed = FixedBuffer::from_static(Box::leak(Box::new([0u8; 1024])));
    /// let number: &'static mut u32 = {
    ///     let fixed: &'static FixedBuffer<'_> = Box::leak(Box::new(fixed));
    ///     alloc_core::Owned::leak(fixed.create(5)?)
    /// };
    /// assert_eq!(*number, 5);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    #[inline]
    pub const fn from_static(buffer: &'static mut [u8]) -> Self {
        let len = buffer.len();
        // SAFETY: a slice pointer is never null.
        let base = unsafe { NonNull::new_unchecked(buffer.as_mut_ptr()) };
        // SAFETY: borrowed uniquely for ever, so nobody reads the bytes again; `'static` outlives
        // `'buf`.
        unsafe { Self::from_raw_parts(base, len) }
    }

    /// Calls `f` with an allocator over bytes that have values before and after: an array on the
    /// stack, a file that is mapped into memory. Where blocks were the values are unspecified
    /// afterwards; the bytes that no block and no padding was put on keep theirs.
    ///
    /// ```
    /// use alloc_core::{AllocError, alloc_print};
    /// use alloc_fixed::FixedBuffer;
    ///
    /// let mut file = [b'.'; 8];
    /// FixedBuffer::with_bytes(&mut file, |fixed| {
    ///     let text = alloc_print!(&*fixed, "{}", 1234)?;
    ///     assert_eq!(&*text, "1234");
    ///     Ok::<(), AllocError>(())
    /// })?;
    /// assert_eq!(file[4..], *b"....");
    /// # Ok::<(), AllocError>(())
    /// ```
    #[inline]
    pub fn with_bytes<R>(bytes: &mut [u8], f: impl FnOnce(&mut FixedBuffer<'_>) -> R) -> R {
        let settle = Settle::new(bytes);
        let (base, len) = settle.parts();
        // SAFETY: `settle` borrows the bytes uniquely until it is dropped, which gives each a value
        // again, also when `f` unwinds. The lifetime of the allocator is one that `f` cannot name, so
        // neither it nor a block outlives the call.
        let mut fixed = unsafe { FixedBuffer::from_raw_parts(base, len) };
        f(&mut fixed)
    }

    /// Makes an allocator of any memory. It is the one place where invariants 1 to 4 are established.
    ///
    /// # Safety
    ///
    /// * The `len` bytes at `base` are one allocated object, valid for reads and writes for all of
    ///   `'buf`, and nobody else uses them for that long.
    /// * Whoever reads them afterwards takes into account that they may have no value.
    #[inline]
    pub const unsafe fn from_raw_parts(base: NonNull<u8>, len: usize) -> Self {
        // SAFETY: `len` bytes at `base` are one allocated object (contract), so its end is in bounds.
        let end = unsafe { base.add(len) };
        let (cursor, padded) = (Cell::new(base), Cell::new(Padded::EMPTY));
        Self { cursor, end, padded, base, _buffer: PhantomData }
    }

    /// Takes every block back at once. No block can be alive: the borrow is unique.
    ///
    /// ```compile_fail,E0502
    /// # use alloc_core::AllocatorExt;
    /// # let mut stack = alloc_fixed::StackBuffer::<64>::new();
    /// let mut fixed = alloc_fixed::FixedBuffer::new(&mut stack);
    /// let block = fixed.create(5u8).unwrap();
    /// fixed.reset();
    /// drop(block);
    /// ```
    #[inline]
    pub const fn reset(&mut self) {
        *self.cursor.get_mut() = self.base;
        *self.padded.get_mut() = Padded::EMPTY;
    }

    /// Returns the place up to which the buffer is used now.
    #[inline]
    pub const fn checkpoint(&self) -> Checkpoint {
        Checkpoint(self.used())
    }

    /// Takes back what was handed out since the checkpoint, as [`reset`](Self::reset) takes back
    /// everything; what was leaked before it stays out of reach. Returns `false`, and changes nothing,
    /// if less is used than at the checkpoint.
    ///
    /// ```
    /// use alloc_core::{AllocatorExt, Owned};
    /// use alloc_fixed::{FixedBuffer, StackBuffer};
    ///
    /// let mut stack = StackBuffer::<64>::new();
    /// let mut fixed = FixedBuffer::new(&mut stack);
    /// let table = Owned::into_raw_parts(fixed.create([1u8; 16])?).0; // kept, by hand
    /// let before = fixed.checkpoint();
    /// for round in 0..100u8 {
    ///     Owned::leak(fixed.create([round; 40])?);
    ///     assert!(fixed.rewind(before));
    /// }
    /// assert_eq!(fixed.used(), 16);
    /// # let _ = table;
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    #[inline]
    pub const fn rewind(&mut self, checkpoint: Checkpoint) -> bool {
        if self.used() < checkpoint.0 {
            return false;
        }
        // SAFETY: not more than what is used, so in the buffer (invariants 1 and 3).
        *self.cursor.get_mut() = unsafe { self.base.add(checkpoint.0) };
        // The bits of the older blocks are not known; "not padded" is right for all (invariant 4).
        *self.padded.get_mut() = Padded::EMPTY;
        true
    }

    /// Calls `f` with an allocator over what is free, and takes all of that back when `f` returns or
    /// unwinds. Blocks from before stay alive; while `f` runs this allocator is full, and what is
    /// freed on it comes back with a reset only.
    ///
    /// ```
    /// use alloc_core::{AllocatorExt, alloc_print};
    /// use alloc_fixed::{FixedBuffer, StackBuffer};
    ///
    /// let mut stack = StackBuffer::<64>::new();
    /// let fixed = FixedBuffer::new(&mut stack);
    /// let kept = fixed.dupe_str("kept")?;
    /// let len = fixed.scope(|scratch| alloc_print!(&*scratch, "{kept} {}", 5).map(|text| text.len()))?;
    /// assert_eq!((len, fixed.used()), (6, 4));
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    ///
    /// Nothing of the scope leaves it:
    ///
    /// ```compile_fail
    /// # use alloc_core::AllocatorExt;
    /// # use alloc_fixed::{FixedBuffer, StackBuffer};
    /// # let mut stack = StackBuffer::<64>::new();
    /// # let fixed = FixedBuffer::new(&mut stack);
    /// let escaped = fixed.scope(|scratch| scratch.create(5).unwrap());
    /// ```
    pub fn scope<R>(&self, f: impl FnOnce(&mut FixedBuffer<'_>) -> R) -> R {
        /// Gives the free bytes back to the allocator that lent them.
        struct Lent<'a, 'buf>(&'a FixedBuffer<'buf>, NonNull<u8>);

        impl Drop for Lent<'_, '_> {
            fn drop(&mut self) {
                self.0.cursor.set(self.1);
            }
        }

        let (cursor, room) = (self.cursor.get(), self.remaining());
        // SAFETY: the bytes from the cursor to the end are in no block (invariant 2) and, as the
        // cursor stands at the end until `f` is over, will be in none of this allocator's. The scope's
        // lifetime is one that `f` cannot name.
        let mut scratch = unsafe { FixedBuffer::from_raw_parts(cursor, room) };
        if room == 0 {
            return f(&mut scratch);
        }
        // No live block ends at the end of the buffer, since there is room before it; so none counts
        // as the last one, and the bits stay those of the blocks below `cursor` (invariant 4).
        self.cursor.set(self.end);
        let _lent = Lent(self, cursor);
        f(&mut scratch)
    }

    /// Returns the length of the buffer in bytes.
    #[inline]
    pub const fn capacity(&self) -> usize {
        // SAFETY: both are of one object, the base not after the end (invariant 1).
        unsafe { self.end.offset_from_unsigned(self.base) }
    }

    /// Returns how many bytes are taken by blocks, padding included, and by blocks that were freed
    /// while others lay above them.
    #[inline]
    pub const fn used(&self) -> usize {
        // SAFETY: both are of one object, the base not after the cursor (invariants 1 and 3).
        unsafe { self.cursor.get().offset_from_unsigned(self.base) }
    }

    /// Returns how many bytes are free: what a block of alignment 1 can have.
    #[inline]
    pub const fn remaining(&self) -> usize {
        // SAFETY: both are of one object, the cursor not after the end (invariants 1 and 3).
        unsafe { self.end.offset_from_unsigned(self.cursor.get()) }
    }

    /// Whether `ptr` points into the buffer.
    #[inline]
    pub fn owns_ptr(&self, ptr: *const u8) -> bool {
        ptr.addr().wrapping_sub(self.base.addr().get()) < self.capacity()
    }

    /// Whether the whole of `slice` lies in the buffer.
    #[inline]
    pub fn owns_slice(&self, slice: *const [u8]) -> bool {
        let offset = slice.addr().wrapping_sub(self.base.addr().get());
        bump::fits(offset, slice.len(), self.capacity())
    }

    /// Whether `slice` is the last block: the one that can be freed and resized. A part of it that
    /// reaches to its end passes for it.
    #[inline]
    pub fn is_last(&self, slice: *const [u8]) -> bool {
        let offset = slice.addr().wrapping_sub(self.base.addr().get());
        let used = self.used();
        bump::fits(offset, slice.len(), used) && offset + slice.len() == used
    }

    /// Whether a live block, whose size is `size`, is the last one.
    #[inline]
    fn is_last_block(&self, block: NonNull<u8>, size: usize) -> bool {
        let start = block.addr().get().wrapping_sub(self.base.addr().get());
        alloc_core::check!(
            bump::fits(start, size, self.used()),
            "no block of this buffer: {size} bytes at {block:p}, buffer at {:p} with {} used",
            self.base,
            self.used()
        );
        block.addr().get().wrapping_add(size) == self.cursor.get().addr().get()
    }

    /// Hands out a block behind `padding` bytes, fewer than its alignment and more than none.
    #[inline]
    fn alloc_padded(&self, layout: Layout, padding: usize) -> Result<NonNull<u8>, AllocError> {
        // No overflow: size and alignment of a `Layout` together are at most `isize::MAX` and one.
        let len = padding + layout.size();
        if self.remaining() < len {
            return Err(AllocError);
        }
        let cursor = self.cursor.get();
        // SAFETY: `len` bytes lie between the cursor and the end (above), in one object (invariant 1).
        let block = unsafe { cursor.add(padding) };
        // SAFETY: the padding lies in the buffer, and in no block, since it starts at the cursor
        // (invariant 2); there is some (this function).
        unsafe { padding::write(block, padding) };
        self.padded.set(self.padded.get().push_padded());
        // SAFETY: as for `block`.
        self.cursor.set(unsafe { block.add(layout.size()) });
        Ok(block)
    }
}

// SAFETY: by number, on the invariants of the crate:
// 1 Fit: the block starts at an aligned address and ends at or before `end`; the buffer is valid (1).
// 2 Exclusive: it starts at or after the cursor, above all live blocks (2); the allocator itself
//   reads and writes only padding. While a scope runs the cursor is at the end.
// 3 Stable: the blocks are in the borrowed buffer, not in `self`; `reset` and `rewind` take `&mut`.
// 4 No unwind: no indexing, no unwrap, no overflow (`bump` has none); there is nothing to drop.
// 5 Hands off: only padding is read or written.
// 6 Kept: a resize changes the cursor alone, and only for the last block; on `false` nothing.
// 7 Clean failure: on an error nothing has changed.
unsafe impl Allocator for FixedBuffer<'_> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let cursor = self.cursor.get();
        let padding = bump::padding(cursor.addr().get(), layout.align());
        if padding != 0 {
            return self.alloc_padded(layout, padding);
        }
        if self.remaining() < layout.size() {
            return Err(AllocError);
        }
        // SAFETY: so many bytes lie between the cursor and the end, in one object (invariant 1).
        self.cursor.set(unsafe { cursor.add(layout.size()) });
        self.padded.set(self.padded.get().push_plain());
        Ok(cursor)
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        if !self.is_last_block(block, layout.size()) {
            return new_size <= layout.size();
        }
        if self.end.addr().get().wrapping_sub(block.addr().get()) < new_size {
            return false;
        }
        // SAFETY: so many bytes lie between the block and the end, in one object (invariant 1).
        self.cursor.set(unsafe { self.at(block).add(new_size) });
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
        let resized = unsafe { self.raw_resize(block, layout, new_size) };
        resized.then_some(block)
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        if !self.is_last_block(block, layout.size()) {
            return;
        }
        let padded = self.padded.get();
        let mut start = self.at(block);
        if padded.last() {
            // SAFETY: the bit is set, and it is the last block's (invariant 4).
            start = unsafe { padding::start(start) };
        }
        self.padded.set(padded.pop());
        self.cursor.set(start);
    }
}

alloc_core::impl_foreign_allocator!(impl['buf] for FixedBuffer<'buf>);

impl FixedBuffer<'_> {
    /// The address of a block, as a pointer that may reach the whole buffer: the caller's may reach
    /// the block alone.
    #[inline]
    fn at(&self, block: NonNull<u8>) -> NonNull<u8> {
        self.base.with_addr(block.addr())
    }
}

impl fmt::Debug for FixedBuffer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedBuffer")
            .field("capacity", &self.capacity())
            .field("used", &self.used())
            .finish()
    }
}
