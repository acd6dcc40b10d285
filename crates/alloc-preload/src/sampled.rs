//! The production mode, `ALLOC_GPA=guard=sampled:N`: one block in N is guarded by the checking heap, the
//! others are glibc's, as under strategy `c`.
//!
//! What most calls do is a countdown or the comparison of an address, and a jump to glibc. A block is
//! told by its address: guarded ones lie in chunks, which are in the map. What is in no chunk goes to
//! glibc untouched, whatever it is.

use core::alloc::Layout;
use core::ffi::c_void;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator, UnsizedFree};
use alloc_gpa::{Origin, ProcessHeap};

use crate::checked::Checked;
use crate::family::{self, Served};
use crate::glibc::{self, GLIBC};

/// glibc, but for the blocks that are picked. For one family of functions, as [`Checked`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampled(Checked);

/// The same for an allocation that is picked already.
#[derive(Clone, Copy, Debug)]
struct Picked(Sampled);

impl Sampled {
    /// For `malloc` and its relatives.
    pub(crate) const MALLOC: Self = Self(Checked::MALLOC);

    /// For the functions that `checked` is for.
    pub(crate) const fn of(checked: Checked) -> Self {
        Self(checked)
    }

    fn alloc_picked(self, layout: Layout) -> Option<NonNull<u8>> {
        ProcessHeap.alloc_picked(layout, self.origin())
    }

    fn origin(self) -> Origin {
        self.0.origin()
    }
}

/// The layout, of a byte at least.
fn of_a_byte(layout: Layout) -> Layout {
    // An alignment that is one already.
    Layout::from_size_align(layout.size().max(1), layout.align()).unwrap_or(layout)
}

/// Whether the block is one of the checking heap.
#[inline]
fn is_guarded(block: NonNull<u8>) -> bool {
    ProcessHeap.may_hold(block.addr().get()) && ProcessHeap.owns(block.as_ptr())
}

// SAFETY: promises 1 to 7 are kept by forwarding each block to the heap that it is of, by its address;
// both keep them, and their memory is disjoint.
unsafe impl Allocator for Sampled {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if ProcessHeap.picks() {
            Picked(*self).raw_alloc(layout)
        } else {
            GLIBC.raw_alloc(of_a_byte(layout))
        }
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if ProcessHeap.picks() {
            Picked(*self).raw_alloc_zeroed(layout)
        } else {
            GLIBC.raw_alloc_zeroed(of_a_byte(layout))
        }
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        if is_guarded(block) {
            // SAFETY: the same contract.
            return unsafe { self.0.raw_resize(block, layout, new_size) };
        }
        // SAFETY: the same contract: not of the checking heap, so of glibc.
        unsafe { GLIBC.raw_resize(block, layout, new_size) }
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        if is_guarded(block) {
            return None;
        }
        // SAFETY: as above.
        unsafe { GLIBC.raw_remap(block, layout, new_size) }
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the same contract.
        unsafe { self.free_told(block, Some(layout.size()), Some(layout.align())) };
    }
}

// SAFETY: as above; each heap knows the sizes of its blocks.
unsafe impl UnsizedFree for Sampled {
    unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        if is_guarded(block) {
            // SAFETY: the same contract.
            return unsafe { self.0.usable_size(block) };
        }
        // SAFETY: the same contract.
        unsafe { GLIBC.usable_size(block) }
    }

    #[inline]
    unsafe fn free_unsized(&self, block: NonNull<u8>) {
        // SAFETY: the same contract.
        unsafe { self.free_told(block, None, None) };
    }

    /// A guess for what is not guarded: glibc keeps no map.
    fn owns(&self, _: *const u8) -> bool {
        true
    }

    unsafe fn realloc_unsized(
        &self,
        block: NonNull<u8>,
        new_layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        if !is_guarded(block) {
            // SAFETY: the same contract: of glibc.
            return unsafe { GLIBC.realloc_unsized(block, new_layout) };
        }
        // SAFETY: any address of the heap may be asked for.
        let old_size = unsafe { self.0.usable_size(block) };
        if old_size == 0 {
            // No block, which the heap tells, or one without a byte.
            // SAFETY: the same contract.
            return unsafe { self.0.realloc_unsized(block, new_layout) };
        }
        // A block that grows step by step would be copied at each if it stayed guarded.
        let new = self.raw_alloc(new_layout)?;
        // SAFETY: both live, and as long as that; two blocks never overlap.
        unsafe { new.copy_from_nonoverlapping(block, old_size.min(new_layout.size())) };
        // SAFETY: live by the contract; the new block takes its place.
        unsafe { self.0.free_unsized(block) };
        Ok(new)
    }
}

impl Served for Sampled {
    /// As the checking heap's; glibc is asked for a byte.
    const SIZE_MIN: usize = Checked::SIZE_MIN;

    /// Of what was to be picked; glibc refuses the others by itself.
    fn refused(&self, size: usize, align: usize, of: Option<(usize, usize)>) {
        self.0.refused(size, align, of);
    }

    #[inline]
    unsafe fn free_told(&self, block: NonNull<u8>, size: Option<usize>, align: Option<usize>) {
        if is_guarded(block) {
            // SAFETY: the same contract.
            unsafe { self.0.free_told(block, size, align) };
        } else {
            // SAFETY: the same contract: of glibc, which finds the size by itself.
            unsafe { GLIBC.free_unsized(block) };
        }
    }
}

// SAFETY: as `Sampled`, whose blocks these are.
unsafe impl Allocator for Picked {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        self.0.alloc_picked(layout).map_or_else(|| GLIBC.raw_alloc(of_a_byte(layout)), Ok)
    }

    /// The pages of a guarded block are zero when they are opened.
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        self.0.alloc_picked(layout).map_or_else(|| GLIBC.raw_alloc_zeroed(of_a_byte(layout)), Ok)
    }

    alloc_core::forward!(self.0; except raw_alloc, raw_alloc_zeroed);
}

// SAFETY: as `Sampled`.
unsafe impl UnsizedFree for Picked {
    alloc_core::forward_unsized!(self.0);
}

impl Served for Picked {
    const SIZE_MIN: usize = Sampled::SIZE_MIN;

    fn refused(&self, size: usize, align: usize, of: Option<(usize, usize)>) {
        self.0.refused(size, align, of);
    }
}

/// `malloc`.
#[inline]
pub(crate) fn malloc(size: usize) -> *mut c_void {
    if ProcessHeap.picks() {
        return malloc_picked(size);
    }
    // SAFETY: no contract.
    unsafe { glibc::__libc_malloc(size) }
}

#[cold]
#[inline(never)]
fn malloc_picked(size: usize) -> *mut c_void {
    family::malloc(&Picked(Sampled::MALLOC), size)
}

/// `calloc`.
#[inline]
pub(crate) fn calloc(count: usize, size: usize) -> *mut c_void {
    if ProcessHeap.picks() {
        return calloc_picked(count, size);
    }
    // SAFETY: no contract.
    unsafe { glibc::__libc_calloc(count, size) }
}

#[cold]
#[inline(never)]
fn calloc_picked(count: usize, size: usize) -> *mut c_void {
    family::calloc(&Picked(Sampled::MALLOC), count, size)
}

/// `realloc`. What grows in place in glibc is not picked.
///
/// # Safety
///
/// As C's.
#[inline]
pub(crate) unsafe fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return malloc(size);
    }
    if ProcessHeap.may_hold(block.addr()) {
        // SAFETY: the same contract.
        return unsafe { realloc_slow(block, size) };
    }
    // SAFETY: the same contract: in no chunk, so glibc's.
    unsafe { glibc::__libc_realloc(block, size) }
}

#[cold]
#[inline(never)]
unsafe fn realloc_slow(block: *mut c_void, size: usize) -> *mut c_void {
    if ProcessHeap.owns(block.cast()) {
        // SAFETY: the same contract.
        return unsafe { family::realloc(&Sampled::MALLOC, block, size) };
    }
    // SAFETY: as in `realloc`.
    unsafe { glibc::__libc_realloc(block, size) }
}

/// `free`.
///
/// # Safety
///
/// As C's.
#[inline]
pub(crate) unsafe fn free(block: *mut c_void) {
    if ProcessHeap.may_hold(block.addr()) {
        // SAFETY: the same contract.
        return unsafe { free_slow(block) };
    }
    // SAFETY: the same contract: null, or in no chunk, so glibc's.
    unsafe { glibc::__libc_free(block) };
}

#[cold]
#[inline(never)]
unsafe fn free_slow(block: *mut c_void) {
    if ProcessHeap.owns(block.cast()) {
        // SAFETY: the same contract.
        return unsafe { family::free(&Checked::MALLOC, block) };
    }
    // SAFETY: as in `free`.
    unsafe { glibc::__libc_free(block) };
}
