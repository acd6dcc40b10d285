//! Addresses first, memory later.

use core::fmt;
use core::ops::Range;
use core::ptr::NonNull;
use core::slice;

use alloc_core::AllocError;

use crate::pages::{self, Place};
use crate::{page_size, sys};

/// A reserved range of addresses, whose pages get memory and lose it again while the addresses stay.
///
/// For what must never move and may become large: a heap of one's own, a list whose items have
/// addresses for ever, a buffer that is idle most of the time.
///
/// ```
/// use alloc_page::{Decommit, Region};
///
/// let mut region = Region::reserve(1 << 40)?;              // a tebibyte of addresses, no memory
/// region.commit(0..1 << 20)?;
/// // SAFETY: committed above.
/// unsafe { region.bytes_mut(0..1 << 20) }.fill(7);
/// region.decommit(0..1 << 20, Decommit::Strict)?;          // the memory is the system's again
/// region.commit(0..1 << 20)?;                              // at the same addresses, zero
/// // SAFETY: committed above.
/// assert!(unsafe { region.bytes(0..1 << 20) }.iter().all(|&byte| byte == 0));
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// A page is *committed*, and may be read and written, or not, and a touch is a fatal signal. Ranges
/// are in bytes from the start: [`commit`](Self::commit) takes the pages that hold any byte of a range,
/// [`decommit`](Self::decommit) those that lie in it whole. Each is one system call. Dropping the region
/// gives everything back.
pub struct Region {
    /// Invariant: `len` bytes from here are whole pages of a reservation that is this region's alone.
    base: NonNull<u8>,
    len: usize,
}

/// What becomes of pages that a [`Region`] decommits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decommit {
    /// Their memory goes back, and they stay committed: the next touch finds zeros.
    Zero,
    /// Their memory goes back, and they are no longer committed: a touch is a fatal signal, and the
    /// system need not have memory for them. [`Region::commit`] makes them zeros.
    Strict,
}

// SAFETY: the pages are reached through the region alone, from whichever thread has it.
unsafe impl Send for Region {}
// SAFETY: a shared region gives out addresses and shared bytes only.
unsafe impl Sync for Region {}

impl Region {
    /// Reserves addresses for `len` bytes, rounded up to whole pages, none of which is committed.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no such range is free, or `len` is zero.
    pub fn reserve(len: usize) -> Result<Self, AllocError> {
        Self::reserve_aligned(len, 1)
    }

    /// The same, from a multiple of `align` on.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve); also if `align` is no power of two.
    pub fn reserve_aligned(len: usize, align: usize) -> Result<Self, AllocError> {
        if !align.is_power_of_two() {
            return Err(AllocError);
        }
        let page = page_size();
        let len = pages::round_up(len, page).ok_or(AllocError)?;
        let base = sys::reserve(Place { len, lead: 0, align }, page).ok_or(AllocError)?;
        Ok(Self { base, len })
    }

    /// Returns the first address: the same for as long as the region lives.
    #[inline]
    #[must_use]
    pub const fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Returns the number of bytes from the first address on, a multiple of the page size.
    #[expect(clippy::len_without_is_empty, reason = "no region is empty")]
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Commits the pages that hold any byte of `range`. Those that were not are zero, the others as they
    /// were.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if the range does not lie in the region; nothing has changed then. Also if there is no
    /// memory, or a limit of the process is reached: what was committed is as it was then, but some of the
    /// other pages may be committed, as where the system came to them before the one that it refused.
    pub fn commit(&mut self, range: Range<usize>) -> Result<(), AllocError> {
        let pages = pages::around(range, self.len, page_size()).ok_or(AllocError)?;
        // SAFETY: pages of this reservation; the borrow is unique, so nobody uses them.
        self.on(pages, |start, len| unsafe { sys::commit(start, len) })
    }

    /// Takes the memory of the pages that lie in `range` whole, and gives it back to the system. Whatever
    /// they held is gone.
    ///
    /// For [`Decommit::Zero`] all of them are committed.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if the range does not lie in the region; nothing has changed then. Also if the system
    /// refuses (one that is out of mappings may; Linux before 5.18 does for pages that are locked): some of
    /// the pages may have lost what they held. Windows makes zeros by committing pages anew: those of a
    /// [`Decommit::Zero`] that it refuses may no longer be committed.
    pub fn decommit(&mut self, range: Range<usize>, how: Decommit) -> Result<(), AllocError> {
        let pages = pages::inside(range, self.len, page_size()).ok_or(AllocError)?;
        self.on(pages, |start, len| match how {
            // SAFETY: pages of this reservation, whose content nobody can need: the borrow is unique.
            Decommit::Zero => unsafe { sys::zero(start, len) },
            // SAFETY: the same.
            Decommit::Strict => unsafe { sys::decommit(start, len) },
        })
    }

    /// Calls the system for pages of the region, unless there are none.
    fn on(
        &self,
        pages: Range<usize>,
        call: impl FnOnce(NonNull<u8>, usize) -> bool,
    ) -> Result<(), AllocError> {
        if pages.is_empty() {
            return Ok(());
        }
        // SAFETY: `around` and `inside` return ranges in the region, which is one reservation.
        let start = unsafe { self.base.add(pages.start) };
        if call(start, pages.len()) { Ok(()) } else { Err(AllocError) }
    }

    /// Returns bytes to read.
    ///
    /// # Safety
    ///
    /// Every page that holds any of them is committed.
    ///
    /// # Panics
    ///
    /// If the range does not lie in the region.
    #[inline]
    #[must_use]
    pub unsafe fn bytes(&self, range: Range<usize>) -> &[u8] {
        assert!(range.start <= range.end && range.end <= self.len, "no range of the region");
        // SAFETY: inside the region, by the check.
        let start = unsafe { self.base.add(range.start) };
        // SAFETY: committed (contract), initialised by the system, one mapping; written only through
        // unique borrows of the region.
        unsafe { slice::from_raw_parts(start.as_ptr(), range.len()) }
    }

    /// Returns bytes to write.
    ///
    /// # Safety
    ///
    /// As [`bytes`](Self::bytes).
    ///
    /// # Panics
    ///
    /// If the range does not lie in the region.
    #[inline]
    #[must_use]
    pub unsafe fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        assert!(range.start <= range.end && range.end <= self.len, "no range of the region");
        // SAFETY: inside the region, by the check.
        let start = unsafe { self.base.add(range.start) };
        // SAFETY: committed (contract), initialised by the system, one mapping; the borrow is unique.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), range.len()) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the whole reservation, which is this region's alone (invariant), and gone with it.
        let unmapped = unsafe { sys::unmap(self.base, self.len) };
        if !unmapped {
            // SAFETY: as above; still mapped, since unmapping failed.
            unsafe { sys::discard(self.base, self.len) };
        }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("base", &self.base).field("len", &self.len).finish()
    }
}
