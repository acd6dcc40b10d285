//! Bytes in `.bss` that one owner takes.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use alloc_core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// `N` bytes for a `static`, aligned to 16, that take no room in the program's file; whoever asks first
/// has them for ever.
///
/// ```
/// use alloc_fixed::{FixedBuffer, StaticBytes};
///
/// static BYTES: StaticBytes<4096> = StaticBytes::new();
///
/// let fixed = FixedBuffer::new(BYTES.take().expect("nobody has taken them before"));
/// assert_eq!(fixed.capacity(), 4096);
/// assert!(BYTES.take().is_none());
/// ```
#[repr(C, align(16))]
pub struct StaticBytes<const N: usize> {
    bytes: UnsafeCell<[MaybeUninit<u8>; N]>,
    is_taken: AtomicBool,
}

// SAFETY: the bytes are reached by the one who swaps `is_taken` from false to true.
unsafe impl<const N: usize> Sync for StaticBytes<N> {}

impl<const N: usize> StaticBytes<N> {
    /// Makes bytes that nobody has taken.
    #[cfg(not(loom))]
    #[inline]
    pub const fn new() -> Self {
        Self::with_state(AtomicBool::new(false))
    }

    /// Makes bytes that nobody has taken.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self::with_state(AtomicBool::new(false))
    }

    const fn with_state(is_taken: AtomicBool) -> Self {
        Self { bytes: UnsafeCell::new([MaybeUninit::zeroed(); N]), is_taken }
    }

    /// Returns the bytes to the first who asks.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "only the first call returns a reference")]
    pub fn take(&'static self) -> Option<&'static mut [MaybeUninit<u8>]> {
        let (base, len) = self.reserve().take()?;
        let bytes = core::ptr::slice_from_raw_parts_mut(base.as_ptr().cast(), len);
        // SAFETY: static bytes, which nobody else was given or will be; they promise no values.
        Some(unsafe { &mut *bytes })
    }

    /// The bytes without their number in the type.
    #[inline]
    pub(crate) const fn reserve(&'static self) -> Reserve {
        // SAFETY: a pointer to a static is not null.
        let base = unsafe { NonNull::new_unchecked(self.bytes.get()) };
        Reserve { base: base.cast(), len: N, is_taken: &self.is_taken }
    }
}

impl<const N: usize> Default for StaticBytes<N> {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for StaticBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticBytes")
            .field("len", &N)
            .field("is_taken", &self.is_taken.load(Relaxed))
            .finish_non_exhaustive()
    }
}

/// Static bytes that may be taken once.
#[derive(Clone, Copy)]
pub(crate) struct Reserve {
    /// Invariant: `len` static bytes, reached by the one who swaps `is_taken` from false to true.
    base: NonNull<u8>,
    len: usize,
    is_taken: &'static AtomicBool,
}

impl Reserve {
    /// Returns the bytes, address and number, to the first who asks.
    pub(crate) fn take(self) -> Option<(NonNull<u8>, usize)> {
        // Relaxed: only one swap finds `false`, and nobody has written to the bytes before it.
        let was_taken = self.is_taken.swap(true, Relaxed);
        (!was_taken).then_some((self.base, self.len))
    }
}
