//! The contract over C's functions.

use core::alloc::Layout;
use core::ffi::c_void;
use core::ptr::{self, NonNull};

use alloc_core::{AllocError, Allocator, UnsizedFree};

use crate::functions::Functions;
use crate::route::{Route, route};

/// An allocator over the functions `F`.
#[derive(Clone, Copy)]
pub(crate) struct Malloc<F>(pub(crate) F);

// SAFETY: by number, on what `Functions` promises:
// 1 Fit: `malloc` and its like return at least the size, aligned for every type of that size: see
//   `route`; larger alignments are asked for. After a resize the size is at most the usable size.
// 2 Exclusive: blocks of C are disjoint; nothing is kept here.
// 3 Stable: there is nothing to move; only `realloc` and `free` take a block.
// 4 No unwind: C functions do not, and nothing here panics.
// 5 Hands off: C's heap keeps its bookkeeping outside the usable bytes of live blocks.
// 6 Kept: a resize does nothing at all; `realloc` keeps the first bytes, and the old block if it
//   fails.
// 7 Clean failure: a null pointer means that nothing was allocated.
unsafe impl<F: Functions> Allocator for Malloc<F> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let align = layout.align();
        match route(layout) {
            Route::Plain(len) => allocated(self.0.malloc(unknown(len)), align),
            Route::Padded(len) => {
                rare();
                allocated(self.0.malloc(unknown(len)), align)
            }
            Route::Aligned => {
                rare();
                allocated(self.0.memalign(align, unknown(layout.size())), align)
            }
        }
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        match route(layout) {
            Route::Plain(len) | Route::Padded(len) => {
                allocated(self.0.calloc(unknown(len)), layout.align())
            }
            Route::Aligned => {
                let block = self.raw_alloc(layout)?;
                // SAFETY: promise 1: writable for the layout's size.
                unsafe { block.write_bytes(0, layout.size()) };
                Ok(block)
            }
        }
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        // SAFETY: live, by this method's contract.
        new_size <= layout.size() || new_size <= unsafe { self.usable_size(block) }
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: by this method's contract the new size makes a layout with the old alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        match route(new_layout) {
            Route::Plain(len) | Route::Padded(len) => {
                // SAFETY: live, by this method's contract; dead to the caller on `Some`.
                unsafe { self.reallocated(block, len, layout.align()) }
            }
            // `realloc` would not keep the alignment.
            // SAFETY: the caller keeps the same contract towards `raw_resize`.
            Route::Aligned => unsafe { self.raw_resize(block, layout, new_size) }.then_some(block),
        }
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, _: Layout) {
        // SAFETY: live, by this method's contract; C finds its size by itself.
        unsafe { self.0.free(hide(block.as_ptr().cast())) };
    }
}

// SAFETY: the usable size is C's, whose manual allows every byte of it to be used.
unsafe impl<F: Functions> UnsizedFree for Malloc<F> {
    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        // SAFETY: live, by this method's contract.
        unsafe { self.0.usable_size(block.as_ptr().cast()) }
    }

    #[inline]
    unsafe fn free_unsized(&self, block: NonNull<u8>) {
        // SAFETY: live, by this method's contract.
        unsafe { self.0.free(hide(block.as_ptr().cast())) };
    }

    /// `true` for every address but null: C keeps no map that it would show.
    #[inline]
    fn owns(&self, ptr: *const u8) -> bool {
        !ptr.is_null()
    }

    #[inline]
    unsafe fn realloc_unsized(
        &self,
        block: NonNull<u8>,
        new_layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        match route(new_layout) {
            Route::Plain(len) | Route::Padded(len) => {
                // SAFETY: live, by this method's contract; dead to the caller on `Ok`.
                unsafe { self.reallocated(block, len, new_layout.align()) }.ok_or(AllocError)
            }
            Route::Aligned => {
                let new_block = self.raw_alloc(new_layout)?;
                // SAFETY: live, by this method's contract.
                let count = unsafe { self.usable_size(block) }.min(new_layout.size());
                // SAFETY: the old block is readable for its usable size, the new one writable for
                // its layout's; both live, so they do not overlap (promise 2).
                unsafe { new_block.copy_from_nonoverlapping(block, count) };
                // SAFETY: live until here; dead to the caller on `Ok`.
                unsafe { self.free_unsized(block) };
                Ok(new_block)
            }
        }
    }
}

impl<F: Functions> Malloc<F> {
    /// # Safety
    ///
    /// `block` is live, and forgotten on `Some`.
    #[inline]
    unsafe fn reallocated(
        &self,
        block: NonNull<u8>,
        len: usize,
        align: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: live, by contract; the size is not zero, as no size is.
        let moved = unsafe { self.0.realloc(block.as_ptr().cast(), unknown(len)) };
        allocated(moved, align).ok()
    }
}

/// Where it is called is off the usual way: the compiler lays that code elsewhere. No instruction.
#[cold]
const fn rare() {}

/// What a function of C returned, as a block that is aligned to `align`, which null is as well.
#[inline]
fn allocated(block: *mut c_void, align: usize) -> Result<NonNull<u8>, AllocError> {
    alloc_core::check!(
        block.addr().is_multiple_of(align),
        "C's heap was asked for alignment {align} and gave {block:?}"
    );
    NonNull::new(block.cast()).ok_or(AllocError)
}

/// Returns the same size, as one that the optimiser does not know.
///
/// It knows `malloc` by name and takes the size in the call for the size of the object; a block that
/// was resized within its usable size is larger. The size is hidden and not what comes back, so that the
/// call of C's function can be the last thing that a function does, which is a jump.
#[inline]
fn unknown(size: usize) -> usize {
    hide(ptr::without_provenance_mut(size)).addr()
}

/// Returns the same address, as one whose origin the optimiser cannot see. Costs no instruction.
///
/// What is freed is hidden as well: the optimiser would leave out a `malloc` with its `free` where nobody
/// looks into the block, and tell the caller that there was memory. A block that is neither looked into nor freed it
/// may still leave out, as one of `std`'s: then the answer is that there was memory.
#[inline]
fn hide(block: *mut c_void) -> *mut c_void {
    #[cfg(all(
        not(miri),
        any(
            target_arch = "x86_64",
            target_arch = "x86",
            target_arch = "aarch64",
            target_arch = "arm"
        )
    ))]
    {
        let mut block = block;
        #[expect(
            clippy::pointers_in_nomem_asm_block,
            reason = "only the pointer's value goes through, not what it points to"
        )]
        // SAFETY: the assembly is empty: the register keeps its value, and nothing else is touched.
        unsafe {
            core::arch::asm!(
                "/* {0} */",
                inout(reg) block,
                options(pure, nomem, nostack, preserves_flags)
            );
        };
        block
    }
    #[cfg(not(all(
        not(miri),
        any(
            target_arch = "x86_64",
            target_arch = "x86",
            target_arch = "aarch64",
            target_arch = "arm"
        )
    )))]
    {
        core::hint::black_box(block)
    }
}
