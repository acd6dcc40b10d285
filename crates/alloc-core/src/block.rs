//! Blocks and their layouts: what the owners, the adapters and the foreign traits do with an
//! allocator. Zero bytes end here; a layout without bytes has a dangling, aligned pointer.

use core::alloc::Layout;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use crate::{AllocError, Allocator};

/// Returns a block for `layout`, dangling and aligned if it has no bytes.
///
/// # Errors
///
/// [`AllocError`] if no memory can be had.
#[inline]
#[track_caller]
pub fn allocate<A: Allocator + ?Sized>(
    alloc: &A,
    layout: Layout,
) -> Result<NonNull<u8>, AllocError> {
    if layout.size() == 0 { Ok(layout.dangling_ptr()) } else { alloc.raw_alloc(layout) }
}

/// As [`allocate`], all bytes zero.
///
/// # Errors
///
/// [`AllocError`] if no memory can be had.
#[inline]
#[track_caller]
pub fn allocate_zeroed<A: Allocator + ?Sized>(
    alloc: &A,
    layout: Layout,
) -> Result<NonNull<u8>, AllocError> {
    if layout.size() == 0 { Ok(layout.dangling_ptr()) } else { alloc.raw_alloc_zeroed(layout) }
}

/// Takes a block back, if it has bytes.
///
/// # Safety
///
/// `layout` has no bytes; or `block` is a live block of the allocator that fits it.
#[inline]
#[track_caller]
pub unsafe fn deallocate<A: Allocator + ?Sized>(alloc: &A, block: NonNull<u8>, layout: Layout) {
    if layout.size() != 0 {
        // SAFETY: live and fitting by this function's contract.
        unsafe { alloc.raw_free(block, layout) };
    }
}

/// What a change of size comes to when the allocator is not needed for it, or cannot help.
enum Plan {
    /// The block stays as it is, or is freed: this is its address.
    Done(NonNull<u8>),
    /// Both layouts have bytes and the same alignment: the allocator may know a way.
    Ask,
    /// The block must move to one of another alignment, or there is none yet.
    Move,
}

/// # Safety
///
/// As [`reallocate`]; on `Done` the block is that of the new layout.
#[inline]
#[track_caller]
unsafe fn plan<A: Allocator + ?Sized>(
    alloc: &A,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Plan {
    if old.align() != new.align() {
        Plan::Move
    } else if old.size() == new.size() {
        Plan::Done(block)
    } else if new.size() == 0 {
        // SAFETY: this function's contract.
        unsafe { deallocate(alloc, block, old) };
        Plan::Done(new.dangling_ptr())
    } else if old.size() == 0 {
        Plan::Move
    } else {
        Plan::Ask
    }
}

/// Changes a block's layout where it lies, or frees it if the new one has no bytes; returns its
/// address. On `None` nothing has changed.
///
/// # Safety
///
/// As [`reallocate`].
#[inline]
#[track_caller]
pub(crate) unsafe fn resize<A: Allocator + ?Sized>(
    alloc: &A,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Option<NonNull<u8>> {
    // SAFETY: this function's contract.
    match unsafe { plan(alloc, block, old, new) } {
        Plan::Done(block) => Some(block),
        Plan::Move => None,
        Plan::Ask => {
            // SAFETY: a live block of this allocator that fits `old` (this function's contract; it
            // has bytes); the new size is not zero, and makes a valid layout, `new`.
            let resized = unsafe { alloc.raw_resize(block, old, new.size()) };
            if resized { Some(block) } else { None }
        }
    }
}

/// As [`resize`], where the allocator may move the block by means of its own.
///
/// # Safety
///
/// As [`reallocate`].
#[inline]
#[track_caller]
pub(crate) unsafe fn remap<A: Allocator + ?Sized>(
    alloc: &A,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Option<NonNull<u8>> {
    // SAFETY: this function's contract.
    match unsafe { plan(alloc, block, old, new) } {
        Plan::Done(block) => Some(block),
        Plan::Move => None,
        // SAFETY: a live block of this allocator that fits `old` (this function's contract; it has
        // bytes); the new size is not zero, and makes a valid layout, `new`.
        Plan::Ask => unsafe { alloc.raw_remap(block, old, new.size()) },
    }
}

/// Changes a block's layout by any means: grows, shrinks, changes the alignment. Keeps the first
/// bytes, as many as fit.
///
/// # Errors
///
/// [`AllocError`] if no memory can be had; the old block is as it was then.
///
/// # Safety
///
/// * As [`deallocate`] for `block` and `old`.
/// * On success the old block is dead, and the one that is returned fits `new`.
#[inline]
#[track_caller]
pub unsafe fn reallocate<A: Allocator + ?Sized>(
    alloc: &A,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<u8>, AllocError> {
    // SAFETY: this function's contract.
    if let Some(moved) = unsafe { remap(alloc, block, old, new) } {
        return Ok(moved);
    }
    let fresh = allocate(alloc, new)?;
    // SAFETY: this function's contract; `fresh` was just allocated for `new`.
    unsafe { replace(alloc, block, old, fresh, new) };
    Ok(fresh)
}

/// As [`reallocate`], and the bytes behind the old size are zero.
///
/// # Errors
///
/// As [`reallocate`].
///
/// # Safety
///
/// As [`reallocate`].
#[inline]
#[track_caller]
pub unsafe fn grow_zeroed<A: Allocator + ?Sized>(
    alloc: &A,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<u8>, AllocError> {
    // SAFETY: this function's contract.
    if let Some(moved) = unsafe { remap(alloc, block, old, new) } {
        if old.size() < new.size() {
            // SAFETY: the old size is less than the block's, so the offset lies inside it.
            let tail = unsafe { moved.add(old.size()) };
            // SAFETY: promise 1 (Fit): the block is writable from there to its new size.
            unsafe { tail.write_bytes(0, new.size() - old.size()) };
        }
        return Ok(moved);
    }
    let fresh = allocate_zeroed(alloc, new)?;
    // SAFETY: this function's contract; `fresh` was just allocated for `new`.
    unsafe { replace(alloc, block, old, fresh, new) };
    Ok(fresh)
}

/// Copies what fits from the old block to a fresh one, and frees the old one.
///
/// # Safety
///
/// * As [`deallocate`] for `block` and `old`.
/// * `fresh` fits `new`, and is another block.
#[inline]
#[track_caller]
unsafe fn replace<A: Allocator + ?Sized>(
    alloc: &A,
    block: NonNull<u8>,
    old: Layout,
    fresh: NonNull<u8>,
    new: Layout,
) {
    let count = old.size().min(new.size());
    // SAFETY: the old block is readable for `old.size()` bytes, the fresh one writable for
    // `new.size()` (promise 1); both are live, so they do not overlap (promise 2); for 0 bytes any
    // pointer will do.
    unsafe { fresh.copy_from_nonoverlapping(block, count) };
    // SAFETY: this function's contract.
    unsafe { deallocate(alloc, block, old) };
}

/// What the foreign traits return: the block as a slice, or their own error.
///
/// # Errors
///
/// `error` for any error.
#[inline]
pub fn sliced<E>(
    block: Result<NonNull<u8>, AllocError>,
    size: usize,
    error: E,
) -> Result<NonNull<[u8]>, E> {
    match block {
        Ok(block) => Ok(NonNull::slice_from_raw_parts(block, size)),
        Err(AllocError) => Err(error),
    }
}

/// Takes a block back when it goes out of scope, also while something unwinds.
pub(crate) struct FreeOnDrop<'a, A: Allocator> {
    /// Invariant: `layout` has no bytes, or `block` is a live block of `alloc` that fits it, and
    /// that nobody uses after this guard is gone.
    block: NonNull<u8>,
    layout: Layout,
    alloc: &'a A,
}

impl<'a, A: Allocator> FreeOnDrop<'a, A> {
    /// # Safety
    ///
    /// * As [`deallocate`].
    /// * Nobody uses or frees the block after the guard is gone.
    #[inline]
    pub(crate) unsafe fn new(alloc: &'a A, block: NonNull<u8>, layout: Layout) -> Self {
        Self { block, layout, alloc }
    }

    /// Takes the block back now. The allocator sees the caller's place, which it cannot see from a
    /// drop.
    #[inline]
    #[track_caller]
    pub(crate) fn free(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: the invariant; `this` is not dropped, so it is done once.
        unsafe { deallocate(this.alloc, this.block, this.layout) };
    }
}

impl<A: Allocator> Drop for FreeOnDrop<'_, A> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the invariant; a guard is dropped once.
        unsafe { deallocate(self.alloc, self.block, self.layout) };
    }
}
