//! Buffers of one length that several users share, counted.

use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::ops::Deref;
use core::slice;

use alloc_core::{AlignedSlice, AllocError, Allocator, AllocatorExt, Owned};

/// A fixed number of buffers of one length, aligned to `ALIGN` bytes, each shared by any number of users
/// and free again when the last lets go of it. `!Sync`.
///
/// All memory is taken at the start. Costs are constant.
///
/// ```
/// use alloc_core::Global;
/// use alloc_pool::BufferPool;
///
/// let pool = BufferPool::<Global, 512>::new(Global, 4096, 2)?;
/// let mut message = pool.get().expect("two are free");
/// message.get_mut().expect("nobody shares it")[0] = 7;
/// let shared = message.clone();
/// assert!(message.get_mut().is_none(), "it is shared now");
/// drop(message);
/// assert_eq!((shared[0], pool.available()), (7, 1));
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// What is longer than a buffer has another origin, which its type says, and by which it is freed:
///
/// ```
/// use alloc_core::{AllocatorExt, Global, Owned};
/// use alloc_pool::{Buffer, BufferPool};
///
/// enum Message<'p> {
///     Pooled(Buffer<'p, Global>),
///     Oversize(Owned<[u8], Global>),
/// }
///
/// let pool = BufferPool::<Global>::new(Global, 4096, 2)?;
/// let message = |len| match pool.get().filter(|_| len <= pool.buffer_len()) {
///     Some(buffer) => Ok(Message::Pooled(buffer)),
///     None => Global.alloc_fill(len, 0).map(Message::Oversize),
/// };
/// let (short, long) = (message(100)?, message(10_000)?);
/// assert!(matches!(short, Message::Pooled(_)) && pool.available() == 1);
/// assert!(matches!(long, Message::Oversize(bytes) if bytes.len() == 10_000));
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
pub struct BufferPool<A: Allocator, const ALIGN: usize = 16> {
    /// All buffers, one after the other. Invariant: bytes of a buffer whose count is one are written by
    /// its user alone, of a larger count by nobody.
    bytes: AlignedSlice<UnsafeCell<u8>, ALIGN, A>,
    /// How many users each buffer has.
    counts: Owned<[Cell<u32>], A>,
    /// The first `free_count` are the free buffers; invariant 5 of the crate.
    free: Owned<[Cell<u32>], A>,
    free_count: Cell<usize>,
    len: usize,
}

impl<A: Allocator + Copy, const ALIGN: usize> BufferPool<A, ALIGN> {
    /// Takes memory for `count` buffers of `len` bytes, and writes zeros to them. The length is rounded
    /// up to a multiple of `ALIGN`.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if there is no such memory, or the count is above `u32`'s.
    pub fn new(backing: A, len: usize, count: usize) -> Result<Self, AllocError> {
        u32::try_from(count).map_err(|_| AllocError)?;
        let len = len.checked_next_multiple_of(ALIGN).ok_or(AllocError)?;
        let all = len.checked_mul(count).ok_or(AllocError)?;
        let bytes = backing.aligned_alloc::<UnsafeCell<u8>, ALIGN>(all)?;
        let counts = backing.alloc_with(count, |_| Cell::new(0))?;
        // The first buffer is handed out first.
        let free = backing.alloc_with(count, |index| Cell::new((count - 1 - index) as u32))?;
        let bytes = bytes.write_with(|_| UnsafeCell::new(0));
        Ok(Self { bytes, counts, free, free_count: Cell::new(count), len })
    }
}

impl<A: Allocator, const ALIGN: usize> BufferPool<A, ALIGN> {
    /// Returns how many buffers there are.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.counts.len()
    }

    /// Returns how many of them are free.
    #[inline]
    pub fn available(&self) -> usize {
        self.free_count.get()
    }

    /// Returns the length of each buffer in bytes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        self.len
    }

    /// Hands out a free buffer; `None` if there is none. Its bytes are what its last user left there (in
    /// builds of the mode `check`: `0xaa`).
    pub fn get(&self) -> Option<Buffer<'_, A, ALIGN>> {
        let left = self.free_count.get().checked_sub(1)?;
        let index = self.free.get(left)?.get();
        self.counts.get(index as usize)?.set(1);
        self.free_count.set(left);
        Some(Buffer { pool: self, index })
    }

    /// The bytes of a buffer.
    #[inline]
    fn bytes_of(&self, index: u32) -> &[UnsafeCell<u8>] {
        let start = index as usize * self.len;
        self.bytes.get(start..start + self.len).unwrap_or(&[])
    }
}

impl<A: Allocator, const ALIGN: usize> fmt::Debug for BufferPool<A, ALIGN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("capacity", &self.capacity())
            .field("available", &self.available())
            .field("buffer_len", &self.len)
            .finish_non_exhaustive()
    }
}

/// A share of a buffer of a [`BufferPool`]; derefs to its bytes. A clone is another share.
#[must_use = "the buffer is free again when its last share is dropped"]
pub struct Buffer<'p, A: Allocator, const ALIGN: usize = 16> {
    pool: &'p BufferPool<A, ALIGN>,
    /// Invariant: a buffer of the pool, of whose count this is one.
    index: u32,
}

impl<A: Allocator, const ALIGN: usize> Buffer<'_, A, ALIGN> {
    /// Returns the bytes to write to, if nobody shares them.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        if self.count().get() != 1 {
            return None;
        }
        let bytes = self.pool.bytes_of(self.index);
        // SAFETY: `bytes` are as many in one allocation, initialised by the constructor, and may be
        // written through the cell. The count is one: this is the only share, borrowed uniquely, so
        // nobody else reads or writes them for as long; and another share is made of a share only.
        Some(unsafe { slice::from_raw_parts_mut(UnsafeCell::raw_get(bytes.as_ptr()), bytes.len()) })
    }

    /// How many shares there are.
    #[inline]
    fn count(&self) -> &Cell<u32> {
        match self.pool.counts.get(self.index as usize) {
            Some(count) => count,
            None => alloc_core::check_failed(format_args!("buffer {} does not exist", self.index)),
        }
    }
}

impl<A: Allocator, const ALIGN: usize> Deref for Buffer<'_, A, ALIGN> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let bytes = self.pool.bytes_of(self.index);
        // SAFETY: as many bytes in one allocation, initialised. Writers need the only share uniquely
        // borrowed; while this one is borrowed there is none.
        unsafe { slice::from_raw_parts(UnsafeCell::raw_get(bytes.as_ptr()), bytes.len()) }
    }
}

impl<A: Allocator, const ALIGN: usize> Clone for Buffer<'_, A, ALIGN> {
    /// Makes another share. Ends the process if there are 2^32 - 1 already, which takes leaking most of
    /// them: one more would be counted as none.
    #[inline]
    fn clone(&self) -> Self {
        let count = self.count();
        match count.get().checked_add(1) {
            Some(more) => count.set(more),
            None => alloc_core::check_failed(format_args!("2^32 shares of buffer {}", self.index)),
        }
        Self { ..*self }
    }
}

impl<A: Allocator, const ALIGN: usize> Drop for Buffer<'_, A, ALIGN> {
    fn drop(&mut self) {
        if alloc_core::CHECKED
            && let Some(bytes) = self.get_mut()
        {
            bytes.fill(crate::POISON);
        }
        let left = self.count().get() - 1;
        self.count().set(left);
        if left != 0 {
            return;
        }
        let free_count = self.pool.free_count.get();
        if let Some(place) = self.pool.free.get(free_count) {
            place.set(self.index);
            self.pool.free_count.set(free_count + 1);
        }
    }
}

impl<A: Allocator, const ALIGN: usize> fmt::Debug for Buffer<'_, A, ALIGN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("index", &self.index)
            .field("shares", &self.count().get())
            .field("len", &self.len())
            .finish()
    }
}
