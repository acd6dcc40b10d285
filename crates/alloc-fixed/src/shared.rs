//! The bump allocator that threads share.

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use alloc_core::sync::atomic::AtomicUsize;
use alloc_core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use alloc_core::{AllocError, Allocator};

use crate::{bump, padding};

/// As [`FixedBuffer`](crate::FixedBuffer), for many threads at once and without a lock: the last block
/// is handed out, grown, shrunk and freed by one compare-and-swap of one word.
///
/// Every call makes progress whatever the other threads do, also when one of them is stopped in the
/// middle; it tries again only when another call has succeeded.
///
/// ```
/// use alloc_core::AllocatorExt;
/// use alloc_fixed::{SharedFixedBuffer, StackBuffer};
///
/// let mut stack = StackBuffer::<4096>::new();
/// let fixed = SharedFixedBuffer::new(&mut stack);
/// std::thread::scope(|scope| {
///     for number in 0..2 {
///         let fixed = &fixed;
///         scope.spawn(move || assert_eq!(*fixed.create(number).unwrap(), number));
///     }
/// });
/// assert!(fixed.used() < 16);
/// ```
pub struct SharedFixedBuffer<'buf> {
    /// Invariants 1 to 4 of the crate, where `cursor` and `padded` are both in this word: a
    /// [`State`].
    state: AtomicUsize,
    base: NonNull<u8>,
    /// Bytes at `base`, at most `LEN_MAX`.
    len: usize,
    _buffer: PhantomData<&'buf mut [MaybeUninit<u8>]>,
}

// SAFETY: it is a unique borrow of plain bytes, and integers.
unsafe impl Send for SharedFixedBuffer<'_> {}
// SAFETY: each byte is written by the thread that a compare-and-swap gave it to: the bytes of a block
// and of the padding before it belong to that block's owner.
unsafe impl Sync for SharedFixedBuffer<'_> {}

/// Bits for the offset of the first free byte; the rest are for the padding.
const OFFSET_BITS: u32 = if usize::BITS == 64 { 40 } else { 26 };

/// The longest buffer, in bytes: 1 TiB, or 64 MiB on 32 bits.
const LEN_MAX: usize = (1 << OFFSET_BITS) - 1;

/// The offset of the first free byte, and for each of the newest 24 blocks (6 on 32 bits) a bit that
/// says whether there is padding before it, newest at the low end of the upper part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(usize);

impl State {
    #[inline]
    const fn offset(self) -> usize {
        self.0 & LEN_MAX
    }

    #[inline]
    const fn is_last_padded(self) -> bool {
        self.0 >> OFFSET_BITS & 1 == 1
    }

    /// With one more block of `len` bytes, no padding before it. The sum leaves an offset that is at
    /// most [`LEN_MAX`].
    #[inline]
    const fn push_plain(self, len: usize) -> Self {
        // Twice the word is the bits moved up by one, of which the oldest falls out, and twice the
        // offset.
        Self(self.0.wrapping_add(self.0).wrapping_sub(self.offset()).wrapping_add(len))
    }

    /// With one more block, which takes `len` bytes together with the padding before it.
    #[inline]
    const fn push_padded(self, len: usize) -> Self {
        Self(self.push_plain(len).0 | 1 << OFFSET_BITS)
    }

    /// Without the last block, which began at `start` and has no padding.
    #[inline]
    const fn pop_plain(self, start: usize) -> Self {
        // The lowest of the bits is zero, so none of them comes down into the offset.
        Self(((self.0 - self.offset()) >> 1) + start)
    }

    /// Without the last block, which began at `start` together with its padding.
    #[inline]
    const fn pop_padded(self, start: usize) -> Self {
        Self((self.0 >> 1 & !LEN_MAX) + start)
    }

    /// With the last block ending at `offset`.
    #[inline]
    const fn with_offset(self, offset: usize) -> Self {
        Self(self.0 & !LEN_MAX | offset)
    }
}

impl<'buf> SharedFixedBuffer<'buf> {
    /// Makes an allocator of bytes without a value; of more than 1 TiB (64 MiB on 32 bits) it uses the
    /// first.
    #[cfg(not(loom))]
    #[inline]
    pub const fn new(buffer: &'buf mut [MaybeUninit<u8>]) -> Self {
        Self::with_state(buffer, AtomicUsize::new(0))
    }

    /// Makes an allocator of bytes without a value.
    #[cfg(loom)]
    pub fn new(buffer: &'buf mut [MaybeUninit<u8>]) -> Self {
        Self::with_state(buffer, AtomicUsize::new(0))
    }

    const fn with_state(buffer: &'buf mut [MaybeUninit<u8>], state: AtomicUsize) -> Self {
        let len = if buffer.len() < LEN_MAX { buffer.len() } else { LEN_MAX };
        // SAFETY: a slice pointer is never null.
        let base = unsafe { NonNull::new_unchecked(buffer.as_mut_ptr()) };
        Self { state, base: base.cast(), len, _buffer: PhantomData }
    }

    /// Takes every block back at once. No block can be alive: the borrow is unique.
    #[inline]
    pub fn reset(&mut self) {
        // Relaxed: whoever shared this before has given it back, and so happens before.
        self.state.store(0, Relaxed);
    }

    /// Returns the length of the buffer in bytes.
    #[inline]
    pub const fn capacity(&self) -> usize {
        self.len
    }

    /// Returns how many bytes are taken at the moment, padding included, as
    /// [`FixedBuffer::used`](crate::FixedBuffer::used).
    #[inline]
    pub fn used(&self) -> usize {
        // Relaxed: a number, old when it is returned; nothing is reached through it.
        State(self.state.load(Relaxed)).offset()
    }

    /// Whether `ptr` points into the buffer.
    #[inline]
    pub fn owns_ptr(&self, ptr: *const u8) -> bool {
        ptr.addr().wrapping_sub(self.base.addr().get()) < self.len
    }

    /// Whether the whole of `slice` lies in the buffer.
    #[inline]
    pub fn owns_slice(&self, slice: *const [u8]) -> bool {
        let offset = slice.addr().wrapping_sub(self.base.addr().get());
        bump::fits(offset, slice.len(), self.len)
    }

    /// Hands out a block, with padding before it where its alignment asks for that.
    #[inline(never)]
    fn alloc_padded(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let base_addr = self.base.addr().get();
        // Relaxed: what was free according to an old state is found out by the swap.
        let mut seen = State(self.state.load(Relaxed));
        loop {
            let padding = bump::padding(base_addr.wrapping_add(seen.offset()), layout.align());
            // No overflow: size and alignment of a `Layout` together are at most `isize::MAX` and one,
            // and an offset is far below that.
            let len = padding + layout.size();
            if self.len < seen.offset() + len {
                return Err(AllocError);
            }
            let new = if padding == 0 { seen.push_plain(len) } else { seen.push_padded(len) };
            // Acquire, Relaxed: as in `raw_alloc`.
            match self.state.compare_exchange_weak(seen.0, new.0, Acquire, Relaxed) {
                Err(other) => seen = State(other),
                Ok(_) => {
                    // SAFETY: the block starts before `len`, and the bytes are one object.
                    let block = unsafe { self.base.add(seen.offset() + padding) };
                    if padding != 0 {
                        // SAFETY: so many bytes before the block are this thread's too (the swap).
                        unsafe { padding::write(block, padding) };
                    }
                    return Ok(block);
                }
            }
        }
    }

    /// The offset of the padding before the block at `start`.
    ///
    /// # Safety
    ///
    /// The block is live, the caller's, and has padding.
    #[inline]
    unsafe fn padding_of(&self, start: usize) -> usize {
        // SAFETY: the offset of a live block is in the buffer.
        let block = unsafe { self.base.add(start) };
        // SAFETY: whoever owns a block may read the padding before it, which it has (contract).
        let begin = unsafe { padding::start(block) };
        begin.addr().get() - self.base.addr().get()
    }

    /// The offset of a live block.
    #[inline]
    fn offset_of(&self, block: NonNull<u8>, size: usize) -> usize {
        let start = block.addr().get().wrapping_sub(self.base.addr().get());
        alloc_core::check!(
            bump::fits(start, size, self.len),
            "no block of this buffer: {size} bytes at {block:p}, buffer at {:p}",
            self.base
        );
        start
    }
}

// SAFETY: by number, on the invariants of the crate:
// 1 Fit: as for `FixedBuffer`; the offset never exceeds `len`.
// 2 Exclusive: a compare-and-swap moves the offset from the end of all blocks, so of two threads one
//   gets the bytes. Whoever frees the last block does so while it is the last, or not at all.
// 3 Stable: the blocks are in the borrowed buffer, not in `self`; `reset` takes `&mut self`.
// 4 No unwind: no indexing, no unwrap; sums are of numbers below `isize::MAX`; nothing to drop.
// 5 Hands off: only padding is read or written, by the owner of the block after it.
// 6 Kept: a resize changes the offset alone, and only for the last block; on `false` nothing.
// 7 Clean failure: on an error nothing has changed.
unsafe impl Allocator for SharedFixedBuffer<'_> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let base_addr = self.base.addr().get();
        // Relaxed: what was free according to an old state is found out by the swap.
        let mut seen = State(self.state.load(Relaxed));
        loop {
            let start = seen.offset();
            if bump::padding(base_addr.wrapping_add(start), layout.align()) != 0 {
                return self.alloc_padded(layout);
            }
            // No overflow: an offset is far below, and a size not above, `isize::MAX`.
            if self.len < start + layout.size() {
                return Err(AllocError);
            }
            // Acquire: pairs with the Release of the free or shrink that gave these bytes back, or
            // with one before it in the same chain of swaps: its owner's accesses come before ours.
            // Relaxed: on failure the state is only looked at.
            let new = seen.push_plain(layout.size());
            match self.state.compare_exchange_weak(seen.0, new.0, Acquire, Relaxed) {
                Err(other) => seen = State(other),
                // SAFETY: `start <= len`, and the bytes are one object.
                Ok(_) => return Ok(unsafe { self.base.add(start) }),
            }
        }
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let start = self.offset_of(block, layout.size());
        let end = start + layout.size();
        // Relaxed: whether the block is the last one is found out by the swap.
        let mut seen = State(self.state.load(Relaxed));
        loop {
            if seen.offset() != end {
                return new_size <= layout.size();
            }
            if !bump::fits(start, new_size, self.len) {
                return false;
            }
            let new = seen.with_offset(start + new_size);
            // A growth takes bytes, as an allocation; a shrink gives some back, as a free.
            let success = if layout.size() < new_size { Acquire } else { Release };
            // Acquire: pairs with the Release of a free or shrink; Release: with the Acquire of an
            // allocation or growth. Relaxed: on failure the state is only looked at.
            match self.state.compare_exchange_weak(seen.0, new.0, success, Relaxed) {
                Err(other) => seen = State(other),
                Ok(_) => return true,
            }
        }
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
        let start = self.offset_of(block, layout.size());
        let end = start + layout.size();
        // Relaxed: whether the block is the last one is found out by the swap.
        let mut seen = State(self.state.load(Relaxed));
        while seen.offset() == end {
            let new = if seen.is_last_padded() {
                // SAFETY: the block is live and ends at the offset, so it is the newest, and the bit
                // is its own.
                seen.pop_padded(unsafe { self.padding_of(start) })
            } else {
                seen.pop_plain(start)
            };
            // Release: pairs with the Acquire of the allocation or growth that takes these bytes next.
            // Relaxed: on failure the state is only looked at.
            match self.state.compare_exchange_weak(seen.0, new.0, Release, Relaxed) {
                Err(other) => seen = State(other),
                Ok(_) => return,
            }
        }
    }
}

alloc_core::impl_foreign_allocator!(impl['buf] for SharedFixedBuffer<'buf>);

impl fmt::Debug for SharedFixedBuffer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFixedBuffer")
            .field("capacity", &self.capacity())
            .field("used", &self.used())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Goal: no bit of the padding reaches the offset, and no offset the bits. Method: every sequence
    /// of ten blocks, padded or not, first up to small offsets and then up to the largest there is; all
    /// popped again, each compared with a list.
    #[test]
    fn states_are_a_stack() {
        for first in [0, 1, 2, LEN_MAX - 1023] {
            for padded in 0..1usize << if cfg!(miri) { 5 } else { 10 } {
                let mut state = State(0).push_plain(first);
                let mut starts = Vec::new();
                for index in 0..10 {
                    starts.push(state.offset());
                    let len = 1 << index;
                    let is_padded = padded >> index & 1 == 1;
                    state = if is_padded { state.push_padded(len) } else { state.push_plain(len) };
                }
                assert_eq!(state.offset(), first + 1023);
                for (index, start) in starts.into_iter().enumerate().rev() {
                    let is_padded = padded >> index & 1 == 1;
                    // Of the oldest blocks a state of 32 bits has forgotten that they were padded.
                    assert_eq!(state.is_last_padded(), is_padded && 10 - index <= BITS);
                    assert_eq!(state.with_offset(start).offset(), start);
                    state = match state.is_last_padded() {
                        true => state.pop_padded(start),
                        false => state.pop_plain(start),
                    };
                    assert_eq!(state.offset(), start);
                }
                assert_eq!(state, State(first));
            }
        }
    }

    /// What is deeper than the bits is forgotten, and the offset is none the worse for it.
    #[test]
    fn the_oldest_bits_are_forgotten() {
        let mut state = State(0);
        for _ in 0..2 * BITS {
            state = state.push_padded(2);
        }
        for block in 0..2 * BITS {
            assert_eq!(state.is_last_padded(), block < BITS);
            let start = state.offset() - 2;
            state = if block < BITS { state.pop_padded(start) } else { state.pop_plain(start) };
        }
        assert_eq!(state, State(0));
    }

    const BITS: usize = (usize::BITS - OFFSET_BITS) as usize;
}
