//! The contract: what an allocator offers, and what it promises.

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::AllocError;

/// Hands out blocks of memory and takes them back.
///
/// This trait is for those who write allocators. Those who use one call the verbs of
/// [`AllocatorExt`](crate::AllocatorExt), which are safe.
///
/// The erased handle is `&dyn Allocator`: two words, `Copy`; `Option` of it is two words as well.
/// The form that crosses threads is `&(dyn Allocator + Sync)`. `&A` implements the trait for every
/// `A` that does, so generic code takes `A: Allocator + Copy` and gets a reference or a zero-sized
/// allocator.
///
/// A *block* is what one successful call of [`raw_alloc`](Self::raw_alloc),
/// [`raw_alloc_zeroed`](Self::raw_alloc_zeroed) or [`raw_remap`](Self::raw_remap) returned. It is
/// *live* until it is passed to `raw_free` or moved by a successful `raw_remap`, or until the
/// allocator is reset or dropped. A block *fits* a layout that has the alignment it was requested
/// with, and the size of the last successful alloc, resize or remap.
///
/// Every method is `#[track_caller]`: an implementation may ask for
/// [`Location::caller`](core::panic::Location::caller), and gets the user's line for a call through
/// a verb. A wrapper keeps that by calling straight, never inside a closure.
///
/// # Safety
///
/// An implementation promises, for every block:
///
/// 1. **Fit.** The block spans `layout.size()` bytes that are valid for reads and writes, and its
///    address is a multiple of `layout.align()`.
/// 2. **Exclusive.** While live it overlaps no other live block and nothing that the allocator
///    itself reads or writes.
/// 3. **Stable.** Moving, sharing, copying or cloning the allocator moves and invalidates no block,
///    and a copy or clone takes the blocks of the original, which live on while one of them exists;
///    no safe method that takes `&self` invalidates one.
/// 4. **No unwind.** No method of this trait unwinds, nor does the drop of the implementing type.
/// 5. **Hands off.** The bytes of a live block are neither read nor written by the allocator, with
///    two exceptions: the copy that a remap makes, and reports, which read through the operating
///    system and not through references.
/// 6. **Kept.** A successful resize or remap keeps the first `min(old, new)` bytes. On `false` or
///    `None` the old block is live, valid and unchanged.
/// 7. **Clean failure.** A call that fails changes no count of live blocks or bytes and leaks
///    nothing.
///
/// Each `unsafe impl` answers these by number.
///
/// # Callers
///
/// Sizes are never zero: the verbs and the adapters answer requests for zero bytes themselves.
#[diagnostic::on_unimplemented(
    note = "an allocator is passed on by value if it is `Copy`, else as `&gpa`; never as `&mut gpa`"
)]
pub unsafe trait Allocator {
    /// Returns a block that fits `layout`, with unspecified content.
    ///
    /// `layout.size()` is not zero; an implementation may refuse it with an error, or check it, but
    /// stays memory-safe if it is.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had; nothing has changed then.
    #[track_caller]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError>;

    /// As [`raw_alloc`](Self::raw_alloc), with every byte zero.
    ///
    /// By default it allocates and then fills. Whoever gets zero pages from the system overrides it;
    /// a wrapper forwards it.
    ///
    /// # Errors
    ///
    /// As [`raw_alloc`](Self::raw_alloc).
    #[track_caller]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let block = self.raw_alloc(layout)?;
        // SAFETY: promise 1 (Fit): the block is valid for writes of `layout.size()` bytes, and
        // nobody else has it yet (promise 2).
        unsafe { block.write_bytes(0, layout.size()) };
        Ok(block)
    }

    /// Changes the size of a block without moving it; returns whether it did.
    ///
    /// On `true` the block fits `layout` with its size replaced by `new_size`. On `false` nothing
    /// has changed; a shrink may be refused too.
    ///
    /// # Safety
    ///
    /// * `block` is a live block of this allocator.
    /// * It fits `layout`.
    /// * `new_size` is not zero, and with `layout.align()` it makes a valid [`Layout`].
    #[track_caller]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool;

    /// Changes the size of a block and may move it; returns its new address.
    ///
    /// `None` means: allocating, copying and freeing yourself is as cheap, or there is no memory;
    /// the block has not changed. On `Some` the old address is dead, also when it is the same.
    ///
    /// # Safety
    ///
    /// As [`raw_resize`](Self::raw_resize).
    #[track_caller]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>>;

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// * `block` is a live block of this allocator.
    /// * It fits `layout`.
    #[track_caller]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout);
}

/// An allocator that knows the size of its blocks by itself: what C's `free(p)` needs.
///
/// # Safety
///
/// As [`Allocator`]; and the sizes it tells are true: [`usable_size`](Self::usable_size) is at least
/// the size that the block was last given, and that many bytes may be read and written.
pub unsafe trait UnsizedFree: Allocator {
    /// Returns how many bytes of the block its owner may use, at least the requested size.
    ///
    /// # Safety
    ///
    /// `block` is a live block of this allocator.
    unsafe fn usable_size(&self, block: NonNull<u8>) -> usize;

    /// Takes a block back whose layout the caller does not know.
    ///
    /// # Safety
    ///
    /// `block` is a live block of this allocator.
    #[track_caller]
    unsafe fn free_unsized(&self, block: NonNull<u8>);

    /// Whether `ptr` may point into memory of this allocator. `false` is certain; `true` may be a
    /// guess where the allocator keeps no map of its memory.
    fn owns(&self, ptr: *const u8) -> bool;

    /// Changes the size of a block whose layout the caller does not know, and may move it; what
    /// C's `realloc` needs. The new block has `new_layout`'s alignment and size, and keeps the first
    /// `min(old, new)` bytes.
    ///
    /// By default: allocate, copy, free.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had; the old block is live and unchanged then.
    ///
    /// # Safety
    ///
    /// `block` is a live block of this allocator, and `new_layout.size()` is not zero.
    #[track_caller]
    unsafe fn realloc_unsized(
        &self,
        block: NonNull<u8>,
        new_layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        // SAFETY: `block` is live by this function's own contract.
        let old_size = unsafe { self.usable_size(block) };
        let new_block = self.raw_alloc(new_layout)?;
        let count = old_size.min(new_layout.size());
        // SAFETY: the old block is readable for its usable size, the new one writable for its
        // layout's size (promise 1); both live, so they do not overlap (promise 2).
        unsafe { new_block.copy_from_nonoverlapping(block, count) };
        // SAFETY: `block` is live, and dead to the caller once we return `Ok`.
        unsafe { self.free_unsized(block) };
        Ok(new_block)
    }
}

// SAFETY: promises 1 to 7 are kept by forwarding to `A`, which keeps them; moving the reference does
// not move the allocator (3), and dropping it does nothing (4).
unsafe impl<A: Allocator + ?Sized> Allocator for &A {
    crate::forward!(**self);
}

// SAFETY: the sizes are those that `A` tells.
unsafe impl<A: UnsizedFree + ?Sized> UnsizedFree for &A {
    crate::forward_unsized!(**self);
}
