//! The bump allocator over a borrowed buffer.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

use crate::bump::{self, Padded};

/// A bump allocator over a borrowed buffer; `!Sync`, never asks the system for memory.
///
/// The last block can be freed, grown and shrunk in place; every other block shrinks, and comes back
/// with [`reset`](Self::reset).
pub struct FixedBuffer<'buf> {
    /// Invariant 1: valid for reads and writes of `len` bytes, for all of `'buf`.
    base: NonNull<u8>,
    /// Length of the buffer in bytes.
    len: usize,
    /// Offset of the first byte that was never handed out, or was taken back. Invariants 2 and 3.
    end_index: Cell<usize>,
    /// Which blocks have padding before them. Invariant 4.
    padded: Cell<Padded>,
    _buffer: PhantomData<&'buf mut [MaybeUninit<u8>]>,
}

// SAFETY: it is a unique borrow of plain bytes, and integers.
unsafe impl Send for FixedBuffer<'_> {}

impl<'buf> FixedBuffer<'buf> {
    /// Makes an allocator of initialised bytes, such as an array on the stack.
    ///
    /// The bytes keep values when the allocator is dropped, unspecified ones where blocks were.
    #[inline]
    pub const fn new(buffer: &'buf mut [u8]) -> Self {
        let len = buffer.len();
        // SAFETY: a slice pointer is never null.
        let base = unsafe { NonNull::new_unchecked(buffer.as_mut_ptr()) };
        // SAFETY: the bytes of `buffer`, which is borrowed uniquely for `'buf`.
        unsafe { Self::from_parts(base, len) }
    }

    /// Makes an allocator of bytes without a value, such as a static buffer or a large array that
    /// nobody needs to clear.
    ///
    /// ```
    /// use alloc_core::AllocatorExt;
    /// use alloc_fixed::FixedBuffer;
    /// use core::mem::MaybeUninit;
    ///
    /// let mut stack = [MaybeUninit::uninit(); 1024];
    /// let fixed = FixedBuffer::from_uninit(&mut stack);
    /// assert_eq!(*fixed.alloc_fill(3, 7u32)?, [7, 7, 7]);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    #[inline]
    pub const fn from_uninit(buffer: &'buf mut [MaybeUninit<u8>]) -> Self {
        let len = buffer.len();
        // SAFETY: a slice pointer is never null.
        let base = unsafe { NonNull::new_unchecked(buffer.as_mut_ptr()) };
        // SAFETY: the bytes of `buffer`, which is borrowed uniquely for `'buf`.
        unsafe { Self::from_parts(base.cast(), len) }
    }

    /// The one place where invariants 1 to 4 are established.
    ///
    /// # Safety
    ///
    /// The `len` bytes at `base` are valid for reads and writes for all of `'buf`, and nobody else
    /// uses them.
    #[inline]
    const unsafe fn from_parts(base: NonNull<u8>, len: usize) -> Self {
        let (end_index, padded) = (Cell::new(0), Cell::new(Padded::EMPTY));
        Self { base, len, end_index, padded, _buffer: PhantomData }
    }

    /// Takes every block back at once. No block can be alive: the borrow is unique.
    ///
    /// ```compile_fail,E0502
    /// # use alloc_core::AllocatorExt;
    /// # let mut stack = [0u8; 64];
    /// let mut fixed = alloc_fixed::FixedBuffer::new(&mut stack);
    /// let block = fixed.create(5u8).unwrap();
    /// fixed.reset();
    /// drop(block);
    /// ```
    #[inline]
    pub const fn reset(&mut self) {
        *self.end_index.get_mut() = 0;
        *self.padded.get_mut() = Padded::EMPTY;
    }

    /// Returns the length of the buffer in bytes.
    #[inline]
    pub const fn capacity(&self) -> usize {
        self.len
    }

    /// Returns how many bytes are taken by blocks, padding included, and by blocks that were freed
    /// while others lay above them.
    #[inline]
    pub const fn used(&self) -> usize {
        self.end_index.get()
    }

    /// Returns how many bytes are free: what a block of alignment 1 can have.
    #[inline]
    pub const fn remaining(&self) -> usize {
        self.len - self.end_index.get()
    }

    /// Whether `ptr` points into the buffer.
    #[inline]
    pub fn owns_ptr(&self, ptr: *const u8) -> bool {
        self.offset(ptr).is_some_and(|offset| offset < self.len)
    }

    /// Whether the whole of `slice` lies in the buffer.
    #[inline]
    pub fn owns_slice(&self, slice: *const [u8]) -> bool {
        self.offset(slice.cast())
            .is_some_and(|offset| offset <= self.len && slice.len() <= self.len - offset)
    }

    /// Whether `slice` is the last block: the one that can be freed and resized. A part of it that
    /// reaches to its end passes for it.
    #[inline]
    pub fn is_last(&self, slice: *const [u8]) -> bool {
        self.offset(slice.cast())
            .is_some_and(|offset| offset.checked_add(slice.len()) == Some(self.end_index.get()))
    }

    /// The distance of an address from the start of the buffer, if it is not before it.
    #[inline]
    fn offset(&self, ptr: *const u8) -> Option<usize> {
        ptr.addr().checked_sub(self.base.addr().get())
    }

    /// The offset of a live block, whose size is `size`, and whether it is the last one.
    #[inline]
    fn locate(&self, block: NonNull<u8>, size: usize) -> (usize, bool) {
        let start = block.addr().get().wrapping_sub(self.base.addr().get());
        alloc_core::check!(
            start <= self.end_index.get() && size <= self.end_index.get() - start,
            "no block of this buffer: {size} bytes at {block:p}, buffer at {:p} with {} used",
            self.base,
            self.end_index.get()
        );
        (start, start.wrapping_add(size) == self.end_index.get())
    }

    /// Writes the length of the padding that ends at offset `start` into the padding: one byte, or,
    /// if that is 255, the word before it.
    ///
    /// # Safety
    ///
    /// The `padding` bytes before offset `start` lie in the buffer and in no block; they are not none.
    #[inline]
    unsafe fn write_padding(&self, start: usize, padding: usize) {
        let short = if padding < 255 { padding as u8 } else { 255 };
        // SAFETY: there is a byte of padding before `start`, and it is in the buffer (contract).
        let last = unsafe { self.base.add(start - 1) };
        // SAFETY: in the buffer, which is writable (invariant 1), and in no block (contract).
        unsafe { last.write(short) };
        if short == 255 {
            // SAFETY: `255 <= padding`, so the word before that byte lies in the padding too.
            let word = unsafe { last.sub(size_of::<usize>()) }.cast::<usize>();
            // SAFETY: as above; no alignment is needed.
            unsafe { word.write_unaligned(padding) };
        }
    }

    /// Reads what `write_padding` wrote.
    ///
    /// # Safety
    ///
    /// The bit of the block at offset `start` is set in `padded`.
    #[inline]
    unsafe fn read_padding(&self, start: usize) -> usize {
        // SAFETY: invariant 4: padding lies before `start`, in the buffer.
        let last = unsafe { self.base.add(start - 1) };
        // SAFETY: `write_padding` wrote it, and no block contains it.
        let short = unsafe { last.read() };
        if short < 255 {
            return usize::from(short);
        }
        // SAFETY: at least 255 bytes of padding, so the word before that byte is padding too.
        let word = unsafe { last.sub(size_of::<usize>()) }.cast::<usize>();
        // SAFETY: `write_padding` wrote it, and no block contains it.
        unsafe { word.read_unaligned() }
    }
}

// SAFETY: by number, on the invariants of the crate:
// 1 Fit: `place` puts the block at an aligned address within `len` bytes, which are valid (1).
// 2 Exclusive: it starts at or after `end_index`, above all live blocks (2); the allocator itself
//   reads and writes only padding.
// 3 Stable: the blocks are in the borrowed buffer, not in `self`; `reset` takes `&mut self`.
// 4 No unwind: no indexing, no unwrap, no overflow (`bump` is checked); drop panics nowhere.
// 5 Hands off: only padding is read or written; drop runs when no block can be alive.
// 6 Kept: a resize changes `end_index` alone, and only for the last block; on `false` nothing.
// 7 Clean failure: on an error nothing has changed.
unsafe impl Allocator for FixedBuffer<'_> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let end_index = self.end_index.get();
        let base_addr = self.base.addr().get();
        let span = bump::place(base_addr, self.len, end_index, layout.size(), layout.align())
            .ok_or(AllocError)?;
        let padding = span.start - end_index;
        if padding != 0 {
            // SAFETY: `place` promises `end_index <= span.start <= len`; what lies between them is in
            // no block (invariant 2).
            unsafe { self.write_padding(span.start, padding) };
        }
        self.padded.set(self.padded.get().push(padding != 0));
        self.end_index.set(span.end);
        // SAFETY: `place` promises `span.start <= self.len`, and the `len` bytes from `base` lie in
        // one allocated object (invariant 1); so the sum stays in bounds.
        Ok(unsafe { self.base.add(span.start) })
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let (start, is_last) = self.locate(block, layout.size());
        if !is_last {
            return new_size <= layout.size();
        }
        match bump::regrow(start, new_size, self.len) {
            Some(end) => {
                self.end_index.set(end);
                true
            }
            None => false,
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
        let (start, is_last) = self.locate(block, layout.size());
        if !is_last {
            return;
        }
        let padded = self.padded.get();
        let padding = if padded.last() {
            // SAFETY: the bit is set, and it is the last block's (invariant 4).
            unsafe { self.read_padding(start) }
        } else {
            0
        };
        self.padded.set(padded.pop());
        self.end_index.set(start - padding);
    }
}

alloc_core::impl_foreign_allocator!(impl['buf] for FixedBuffer<'buf>);

/// Settles the values of all bytes, for an owner who lent them initialised.
impl Drop for FixedBuffer<'_> {
    #[inline]
    fn drop(&mut self) {
        freeze(self.base, self.len);
    }
}

/// Gives every byte some value: the one it happens to have. Costs nothing.
#[cfg(all(
    not(miri),
    any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "riscv32",
        target_arch = "riscv64"
    )
))]
#[inline]
fn freeze(base: NonNull<u8>, _: usize) {
    // SAFETY: the assembly is empty. Not declared `nomem`, it stands for a write of what the memory
    // holds to all that `base` reaches, which is this buffer; so the compiler may no longer take a
    // byte for one without a value.
    unsafe {
        core::arch::asm!("/* {0} */", in(reg) base.as_ptr(), options(nostack, preserves_flags));
    };
}

/// Gives every byte a value: zero.
#[cfg(not(all(
    not(miri),
    any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "riscv32",
        target_arch = "riscv64"
    )
)))]
fn freeze(base: NonNull<u8>, len: usize) {
    // SAFETY: invariant 1; no block is alive when the allocator is dropped.
    unsafe { base.write_bytes(0, len) };
}

impl fmt::Debug for FixedBuffer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedBuffer")
            .field("capacity", &self.capacity())
            .field("used", &self.used())
            .finish()
    }
}
