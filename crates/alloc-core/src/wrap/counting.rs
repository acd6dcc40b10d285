//! The wrapper that counts.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use super::counters::{Counters, Counts};
use crate::sync::const_unless_loom;
use crate::{AllocError, Allocator};

/// Counts what an allocator hands out: live, peak and cumulative bytes, and blocks. Only successes
/// count: a request that fails changes no figure.
///
/// Parts of a program count for themselves through [`tagged`](Self::tagged), and in the whole too.
/// It may be shared by threads if `A` may; a figure may then lag by what the calls change that are
/// under way, and is exact when none is.
///
/// ```
/// use alloc_core::{AllocatorExt, Counting, FromGlobal, Tag};
/// use std::alloc::System;
///
/// static GRID: Tag = Tag::new("grid cache");
///
/// let counting = Counting::new(FromGlobal::new(System));
/// let cells = counting.tagged(&GRID).alloc_fill(100, 0u64)?;
/// let name = counting.dupe_str("manifest")?;
/// assert_eq!(GRID.counts().live_bytes, 800);
/// assert_eq!(counting.counts().live_bytes, 808);
/// drop((cells, name));
/// assert_eq!(counting.counts().live_blocks, 0);
/// assert_eq!(counting.counts().peak_bytes, 808);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// # Drawbacks
///
/// Five atomic operations for an allocation, in cache lines that all its threads share. Not for the
/// hot path of many threads. It does not know blocks without their layout, so it is no
/// [`UnsizedFree`](crate::UnsizedFree).
#[derive(Debug)]
pub struct Counting<A> {
    inner: A,
    counters: Counters,
}

impl<A> Counting<A> {
    const_unless_loom! {
        /// Wraps an allocator; all figures are zero.
        pub fn new(inner: A) -> Self {
            Self { inner, counters: Counters::new() }
        }
    }

    /// Returns the figures of this moment, those of all tags included.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// Returns a handle whose blocks count for `tag` as well.
    #[inline]
    #[must_use]
    pub const fn tagged<'a>(&'a self, tag: &'a Tag) -> Tagged<'a, A> {
        Tagged { counting: self, tag }
    }

    /// Returns the allocator inside. What is allocated through it is not counted.
    #[inline]
    pub const fn inner(&self) -> &A {
        &self.inner
    }

    /// Returns the allocator inside, for what its users must borrow it uniquely for, like a reset.
    /// Blocks that are lost that way stay in the figures.
    #[inline]
    pub const fn inner_mut(&mut self) -> &mut A {
        &mut self.inner
    }
}

// SAFETY: 1 to 6 are kept by passing every call on to `A`, which keeps them; the counters are
// nobody's block, and no count panics. 7: nothing is counted before `A` has succeeded.
unsafe impl<A: Allocator> Allocator for Counting<A> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let block = self.inner.raw_alloc(layout)?;
        self.counters.allocated(layout.size());
        Ok(block)
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let block = self.inner.raw_alloc_zeroed(layout)?;
        self.counters.allocated(layout.size());
        Ok(block)
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        // SAFETY: the caller keeps the same contract towards this method.
        let resized = unsafe { self.inner.raw_resize(block, layout, new_size) };
        if resized {
            self.counters.resized(layout.size(), new_size);
        }
        resized
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller keeps the same contract towards this method.
        let moved = unsafe { self.inner.raw_remap(block, layout, new_size) }?;
        self.counters.resized(layout.size(), new_size);
        Some(moved)
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // Before the free: afterwards another thread may have the memory already, and be counted.
        self.counters.freed(layout.size());
        // SAFETY: the caller keeps the same contract towards this method.
        unsafe { self.inner.raw_free(block, layout) };
    }
}

crate::impl_foreign_allocator!(impl[A: Allocator] for Counting<A>);

/// A name for a part of the memory, with figures of its own; usually a `static`.
///
/// Used with several [`Counting`] allocators it sums them up.
#[derive(Debug)]
pub struct Tag {
    name: &'static str,
    counters: Counters,
}

impl Tag {
    const_unless_loom! {
        /// Names a part; all figures are zero.
        pub fn new(name: &'static str) -> Self {
            Self { name, counters: Counters::new() }
        }
    }

    /// Returns the name.
    #[inline]
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the figures of this moment.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }
}

impl fmt::Display for Tag {
    /// One line for people: `grid cache: 800 bytes in 1 block, peak 800`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { live_bytes, live_blocks, peak_bytes, .. } = self.counts();
        let plural = |count| if count == 1 { "" } else { "s" };
        let (bytes, blocks) = (plural(live_bytes), plural(live_blocks));
        write!(
            f,
            "{}: {live_bytes} byte{bytes} in {live_blocks} block{blocks}, peak {peak_bytes}",
            self.name
        )
    }
}

/// A handle of a [`Counting`] allocator whose blocks count for a [`Tag`] as well. A block that came
/// through it goes back through it, which an owner does by itself.
#[derive(Debug)]
pub struct Tagged<'a, A> {
    counting: &'a Counting<A>,
    tag: &'a Tag,
}

impl<A> Clone for Tagged<'_, A> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Tagged<'_, A> {}

// SAFETY: as for `Counting`, which every call is passed on to; a copy means the same allocator (3).
unsafe impl<A: Allocator> Allocator for Tagged<'_, A> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let block = self.counting.raw_alloc(layout)?;
        self.tag.counters.allocated(layout.size());
        Ok(block)
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let block = self.counting.raw_alloc_zeroed(layout)?;
        self.tag.counters.allocated(layout.size());
        Ok(block)
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        // SAFETY: the caller keeps the same contract towards this method.
        let resized = unsafe { self.counting.raw_resize(block, layout, new_size) };
        if resized {
            self.tag.counters.resized(layout.size(), new_size);
        }
        resized
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller keeps the same contract towards this method.
        let moved = unsafe { self.counting.raw_remap(block, layout, new_size) }?;
        self.tag.counters.resized(layout.size(), new_size);
        Some(moved)
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        self.tag.counters.freed(layout.size());
        // SAFETY: the caller keeps the same contract towards this method.
        unsafe { self.counting.raw_free(block, layout) };
    }
}

crate::impl_foreign_allocator!(impl['a, A: Allocator] for Tagged<'a, A>);
