//! The wrapper that sets limits.

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use crate::sync::const_unless_loom;
use crate::{AllocError, Allocator};

/// Why a [`Limited`] allocator refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Refusal {
    /// One block would have been larger than [`request_max`](Limited::with_request_max).
    Request = 1,
    /// All blocks together would have been larger than the total.
    Total = 2,
    /// Both limits were kept, and the backing had no memory.
    Backing = 3,
}

/// Hands out at most so many bytes at a time, and optionally no block larger than so many, and says
/// which of the limits was hit.
///
/// ```
/// use alloc_core::{AllocatorExt, FromGlobal, Limited, Refusal};
/// use std::alloc::System;
///
/// let limited = Limited::new(FromGlobal::new(System), 100).with_request_max(60);
/// let first = limited.alloc_fill(60, 0u8)?;
/// assert!(limited.alloc_fill(61, 0u8).is_err());
/// assert_eq!(limited.last_refusal(), Some(Refusal::Request));
/// assert!(limited.alloc_fill(41, 0u8).is_err());
/// assert_eq!(limited.last_refusal(), Some(Refusal::Total));
/// drop(first);
/// assert_eq!(limited.used(), 0);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// The limit counts the bytes that were asked for, not what the backing spends on them. With several
/// threads the bytes of a request that is under way count already, so that two requests never pass
/// the limit together.
#[derive(Debug)]
pub struct Limited<A> {
    inner: A,
    total_max: usize,
    request_max: usize,
    /// Bytes in live blocks and in requests that are under way; never more than `total_max`.
    /// Relaxed throughout: it guards no memory.
    used: AtomicUsize,
    /// A [`Refusal`], or 0. Relaxed throughout: it stands for itself.
    refusal: AtomicU8,
}

impl<A> Limited<A> {
    const_unless_loom! {
        /// Wraps an allocator, of which at most `total_max` bytes are handed out at a time.
        pub fn new(inner: A, total_max: usize) -> Self {
            Self {
                inner,
                total_max,
                request_max: usize::MAX,
                used: AtomicUsize::new(0),
                refusal: AtomicU8::new(0),
            }
        }
    }

    /// Refuses blocks larger than `request_max` bytes, grown ones as well.
    #[inline]
    #[must_use]
    pub fn with_request_max(mut self, request_max: usize) -> Self {
        self.request_max = request_max;
        self
    }

    /// Returns the bytes that are handed out.
    #[inline]
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Returns how many bytes the total still allows.
    #[inline]
    #[must_use]
    pub fn left(&self) -> usize {
        self.total_max - self.used()
    }

    /// Returns why the last request that was refused was refused, or `None` if none was.
    ///
    /// A growth that is not possible in place is no refusal, unless a limit forbids it.
    #[must_use]
    pub fn last_refusal(&self) -> Option<Refusal> {
        match self.refusal.load(Relaxed) {
            1 => Some(Refusal::Request),
            2 => Some(Refusal::Total),
            3 => Some(Refusal::Backing),
            _ => None,
        }
    }

    /// Returns the allocator inside. What is allocated through it is not limited.
    #[inline]
    pub const fn inner(&self) -> &A {
        &self.inner
    }

    /// Counts `extra` bytes for a block of `size` bytes in advance; returns whether the limits allow
    /// it. If not, nothing has changed but the refusal.
    #[inline]
    fn reserve(&self, size: usize, extra: usize) -> bool {
        if self.request_max < size {
            self.refuse(Refusal::Request);
            return false;
        }
        let reserved = self.used.fetch_update(Relaxed, Relaxed, |used| {
            used.checked_add(extra).filter(|&sum| sum <= self.total_max)
        });
        if reserved.is_err() {
            self.refuse(Refusal::Total);
        }
        reserved.is_ok()
    }

    /// Takes a count back: the backing refused, or the bytes were given back.
    #[inline]
    fn release(&self, size: usize) {
        self.used.fetch_sub(size, Relaxed);
    }

    #[cold]
    fn refuse(&self, refusal: Refusal) {
        self.refusal.store(refusal as u8, Relaxed);
    }

    /// Settles an allocation for which `size` bytes were reserved.
    #[inline]
    fn settle(
        &self,
        size: usize,
        result: Result<NonNull<u8>, AllocError>,
    ) -> Result<NonNull<u8>, AllocError> {
        if result.is_err() {
            self.release(size);
            self.refuse(Refusal::Backing);
        }
        result
    }

    /// Settles a change of size for which any growth was reserved; `done` is whether it happened.
    #[inline]
    fn settle_resize(&self, old_size: usize, new_size: usize, done: bool) {
        if done {
            self.release(old_size.saturating_sub(new_size));
        } else {
            self.release(new_size.saturating_sub(old_size));
        }
    }
}

// SAFETY: 1 to 6 are kept by passing every call on to `A`, which keeps them, or refusing; no count
// panics. 7: what was reserved for a call that fails is released again.
unsafe impl<A: Allocator> Allocator for Limited<A> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if !self.reserve(layout.size(), layout.size()) {
            return Err(AllocError);
        }
        self.settle(layout.size(), self.inner.raw_alloc(layout))
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if !self.reserve(layout.size(), layout.size()) {
            return Err(AllocError);
        }
        self.settle(layout.size(), self.inner.raw_alloc_zeroed(layout))
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let old_size = layout.size();
        if old_size < new_size && !self.reserve(new_size, new_size - old_size) {
            return false;
        }
        // SAFETY: the caller keeps the same contract towards this method.
        let resized = unsafe { self.inner.raw_resize(block, layout, new_size) };
        self.settle_resize(old_size, new_size, resized);
        resized
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let old_size = layout.size();
        if old_size < new_size && !self.reserve(new_size, new_size - old_size) {
            return None;
        }
        // SAFETY: the caller keeps the same contract towards this method.
        let moved = unsafe { self.inner.raw_remap(block, layout, new_size) };
        self.settle_resize(old_size, new_size, moved.is_some());
        moved
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller keeps the same contract towards this method.
        unsafe { self.inner.raw_free(block, layout) };
        // After the free: the backing has the bytes again before anybody may ask for them.
        self.release(layout.size());
    }
}

crate::impl_foreign_allocator!(impl[A: Allocator] for Limited<A>);
