//! One buffer for whoever needs room for a moment.

use core::cell::Cell;
use core::fmt;
use core::ops::{Deref, DerefMut};

use alloc_core::{AlignedSlice, AllocError, Allocator, AllocatorExt};

/// One buffer, aligned to `ALIGN` bytes, lent to one user at a time.
///
/// For work that needs a large buffer for a moment, again and again, in places that never overlap: the
/// memory is taken once. Where they do overlap, the second gets `None`. `!Sync`.
///
/// ```
/// use alloc_core::Global;
/// use alloc_pool::Scratch;
///
/// let scratch = Scratch::<Global, 4096>::new(Global, 16 << 10)?;
/// let mut buffer = scratch.acquire().expect("nobody has it");
/// buffer[0] = 1;
/// assert!(scratch.acquire().is_none());
/// drop(buffer);
/// assert!(scratch.acquire().is_some());
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
pub struct Scratch<A: Allocator, const ALIGN: usize = 4096> {
    /// `None` while a guard has it.
    buffer: Cell<Option<AlignedSlice<u8, ALIGN, A>>>,
    len: usize,
}

impl<A: Allocator + Copy, const ALIGN: usize> Scratch<A, ALIGN> {
    /// Takes memory for `len` bytes, and writes zeros to them.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if there is no such memory.
    pub fn new(backing: A, len: usize) -> Result<Self, AllocError> {
        let buffer = backing.aligned_alloc::<u8, ALIGN>(len)?.write_with(|_| 0);
        Ok(Self { buffer: Cell::new(Some(buffer)), len })
    }
}

impl<A: Allocator, const ALIGN: usize> Scratch<A, ALIGN> {
    /// Returns the buffer's length in bytes.
    #[inline]
    pub const fn capacity(&self) -> usize {
        self.len
    }

    /// Lends the buffer until the guard is dropped; `None` while somebody has it. Its bytes are what the
    /// user before left there (in builds of the mode `check`: `0xaa`).
    #[inline]
    pub fn acquire(&self) -> Option<ScratchGuard<'_, A, ALIGN>> {
        Some(ScratchGuard { buffer: Some(self.buffer.take()?), scratch: self })
    }
}

impl<A: Allocator, const ALIGN: usize> fmt::Debug for Scratch<A, ALIGN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("capacity", &self.len).finish_non_exhaustive()
    }
}

/// Has the buffer of a [`Scratch`]; derefs to its bytes.
#[must_use = "the buffer goes back when the guard is dropped"]
pub struct ScratchGuard<'s, A: Allocator, const ALIGN: usize> {
    /// Invariant: `Some` until the drop.
    buffer: Option<AlignedSlice<u8, ALIGN, A>>,
    scratch: &'s Scratch<A, ALIGN>,
}

impl<A: Allocator, const ALIGN: usize> Deref for ScratchGuard<'_, A, ALIGN> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.buffer.as_deref().unwrap_or(&[])
    }
}

impl<A: Allocator, const ALIGN: usize> DerefMut for ScratchGuard<'_, A, ALIGN> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.buffer.as_deref_mut().unwrap_or(&mut [])
    }
}

impl<A: Allocator, const ALIGN: usize> fmt::Debug for ScratchGuard<'_, A, ALIGN> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScratchGuard").field("len", &self.len()).finish()
    }
}

impl<A: Allocator, const ALIGN: usize> Drop for ScratchGuard<'_, A, ALIGN> {
    fn drop(&mut self) {
        if alloc_core::CHECKED {
            self.fill(crate::POISON);
        }
        self.scratch.buffer.set(self.buffer.take());
    }
}
