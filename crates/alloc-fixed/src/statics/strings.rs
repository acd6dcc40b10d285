//! Texts that do not move.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr;

use alloc_core::sync::atomic::AtomicUsize;
use alloc_core::sync::atomic::Ordering::Relaxed;
use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};

/// Texts of `N` bytes together, that do not move, for a `static`; threads may add at once.
///
/// ```
/// use alloc_fixed::StaticStrings;
///
/// static TEXTS: StaticStrings<1000> = StaticStrings::new();
///
/// let kept: &'static str = {
///     let local = String::from("of a function");
///     TEXTS.add(&local)?
/// };
/// assert_eq!(kept, "of a function");
/// assert!(TEXTS.owns(kept));
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
pub struct StaticStrings<const N: usize> {
    bytes: UnsafeCell<[MaybeUninit<u8>; N]>,
    /// Bytes below are written, or being written by the thread that claimed them.
    used: AtomicUsize,
}

// SAFETY: a byte is written by the one thread that claimed it, before it returns a reference to it,
// and never again.
unsafe impl<const N: usize> Sync for StaticStrings<N> {}

impl<const N: usize> StaticStrings<N> {
    /// Makes an empty collection.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self { bytes: UnsafeCell::new([MaybeUninit::uninit(); N]), used: AtomicUsize::new(0) }
    }

    /// Makes an empty collection.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self { bytes: UnsafeCell::new([MaybeUninit::uninit(); N]), used: AtomicUsize::new(0) }
    }

    /// Returns a copy of a text.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if there is no room.
    pub fn add(&self, text: &str) -> Result<&str, AllocError> {
        // Relaxed: it only tells bytes apart; the text is reached through what is returned.
        let claim = self.used.fetch_update(Relaxed, Relaxed, |used| {
            used.checked_add(text.len()).filter(|end| *end <= N)
        });
        let Ok(start) = claim else { return Err(AllocError) };
        let place = self.bytes.get().cast::<u8>().wrapping_add(start);
        // SAFETY: `start + len <= N`, and this thread alone claimed the bytes; `text` is elsewhere or
        // older, so the two do not overlap.
        unsafe { place.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
        let copy = ptr::slice_from_raw_parts(place, text.len());
        // SAFETY: written above, never changed again, and in `self`.
        let copy = unsafe { &*copy };
        // SAFETY: the bytes of a `str`.
        Ok(unsafe { str::from_utf8_unchecked(copy) })
    }

    /// As [`add`](Self::add), and when there is no room the text goes to memory of `alloc`, which it keeps
    /// for ever.
    ///
    /// ```
    /// use alloc_core::FromGlobal;
    /// use alloc_fixed::StaticStrings;
    /// use std::alloc::System;
    ///
    /// static TEXTS: StaticStrings<8> = StaticStrings::new();
    /// static HEAP: FromGlobal<System> = FromGlobal::new(System);
    ///
    /// let short: &'static str = TEXTS.add_in("short", &HEAP)?;
    /// let longer: &'static str = TEXTS.add_in("longer", &HEAP)?;
    /// assert!(TEXTS.owns(short) && !TEXTS.owns(longer));
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocError`], if that has none either.
    pub fn add_in<A: Allocator>(
        &'static self,
        text: &str,
        alloc: &'static A,
    ) -> Result<&'static str, AllocError> {
        match self.add(text) {
            Ok(text) => Ok(text),
            Err(AllocError) => Ok(Owned::leak(alloc.dupe_str(text)?)),
        }
    }

    /// Whether a text lies in here: one of [`add_in`](Self::add_in) that went to the allocator does not.
    #[inline]
    pub fn owns(&self, text: &str) -> bool {
        let offset = text.as_ptr().addr().wrapping_sub(self.bytes.get().addr());
        crate::bump::fits(offset, text.len(), N)
    }

    /// Returns the number of bytes in use.
    #[inline]
    pub fn used(&self) -> usize {
        // Relaxed: a number, old when it is returned.
        self.used.load(Relaxed)
    }
}

impl<const N: usize> Default for StaticStrings<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for StaticStrings<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticStrings").field("used", &self.used()).finish_non_exhaustive()
    }
}
