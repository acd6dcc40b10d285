//! Our allocators behind the `Allocator` traits of others: `allocator_api2` 0.2 and 0.4, and
//! `core::alloc`.
//!
//! The three traits have the same six methods, so the methods are written once, here, as functions
//! over our contract; [`impl_foreign_allocator!`](crate::impl_foreign_allocator) writes the impls.
//! They answer requests for zero bytes without the allocator, and return blocks of exactly the
//! requested size, so the layout at a free is always the one the allocator knows.

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::{AllocError, Allocator};

/// What the foreign `allocate` does.
///
/// # Errors
///
/// [`AllocError`] if no memory can be had.
#[inline]
#[track_caller]
pub fn allocate<A: Allocator + ?Sized>(
    alloc: &A,
    layout: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    let block = if layout.size() == 0 { layout.dangling_ptr() } else { alloc.raw_alloc(layout)? };
    Ok(NonNull::slice_from_raw_parts(block, layout.size()))
}

/// What the foreign `allocate_zeroed` does.
///
/// # Errors
///
/// [`AllocError`] if no memory can be had.
#[inline]
#[track_caller]
pub fn allocate_zeroed<A: Allocator + ?Sized>(
    alloc: &A,
    layout: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    let block =
        if layout.size() == 0 { layout.dangling_ptr() } else { alloc.raw_alloc_zeroed(layout)? };
    Ok(NonNull::slice_from_raw_parts(block, layout.size()))
}

/// What the foreign `deallocate` does.
///
/// # Safety
///
/// * `block` came from one of these functions with the same allocator and is still allocated.
/// * `layout` is the one it was last allocated, grown or shrunk with.
#[inline]
#[track_caller]
pub unsafe fn deallocate<A: Allocator + ?Sized>(alloc: &A, block: NonNull<u8>, layout: Layout) {
    if layout.size() != 0 {
        // SAFETY: live and fitting by this function's contract; a block with bytes came from the
        // allocator.
        unsafe { alloc.raw_free(block, layout) };
    }
}

/// What the foreign `grow` and `shrink` do: the two differ only in which size is the larger, and
/// nothing here depends on that.
///
/// # Errors
///
/// [`AllocError`] if no memory can be had; the old block is as it was then.
///
/// # Safety
///
/// As [`deallocate`] for `block` and `old`; on `Ok` the block belongs to the allocator again.
#[inline]
#[track_caller]
pub unsafe fn reallocate<A: Allocator + ?Sized>(
    alloc: &A,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Result<NonNull<[u8]>, AllocError> {
    // SAFETY: this function's contract.
    if let Some(moved) = unsafe { remap(alloc, block, old, new) } {
        return Ok(moved);
    }
    let fresh = allocate(alloc, new)?;
    // SAFETY: this function's contract; `fresh` has the new layout and is live.
    unsafe { replace(alloc, block, old, fresh) };
    Ok(fresh)
}

/// What the foreign `grow_zeroed` does: the bytes behind the old size are zero.
///
/// # Errors
///
/// [`AllocError`] if no memory can be had; the old block is as it was then.
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
) -> Result<NonNull<[u8]>, AllocError> {
    // SAFETY: this function's contract.
    if let Some(moved) = unsafe { remap(alloc, block, old, new) } {
        if old.size() < new.size() {
            // SAFETY: the old size is less than the block's, so the offset lies inside it.
            let tail = unsafe { moved.cast::<u8>().add(old.size()) };
            // SAFETY: promise 1 (Fit): the block is writable from there to its new size.
            unsafe { tail.write_bytes(0, new.size() - old.size()) };
        }
        return Ok(moved);
    }
    let fresh = allocate_zeroed(alloc, new)?;
    // SAFETY: this function's contract; `fresh` has the new layout and is live.
    unsafe { replace(alloc, block, old, fresh) };
    Ok(fresh)
}

/// Changes a block's size by the allocator's own means, if both layouts have bytes and the same
/// alignment and the allocator has such means.
///
/// # Safety
///
/// As [`reallocate`]; on `None` nothing has changed.
#[inline]
#[track_caller]
unsafe fn remap<A: Allocator + ?Sized>(
    alloc: &A,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Option<NonNull<[u8]>> {
    if old.align() != new.align() || old.size() == 0 || new.size() == 0 {
        return None;
    }
    let moved = if old.size() == new.size() {
        block
    } else {
        // SAFETY: a live block of this allocator that fits `old`; the new size is not zero, and with
        // the same alignment it is that of a valid layout, `new`.
        unsafe { alloc.raw_remap(block, old, new.size()) }?
    };
    Some(NonNull::slice_from_raw_parts(moved, new.size()))
}

/// Copies what fits from the old block to a fresh one, and frees the old one.
///
/// # Safety
///
/// * As [`deallocate`] for `block` and `old`.
/// * `fresh` is writable and overlaps nothing.
#[inline]
#[track_caller]
unsafe fn replace<A: Allocator + ?Sized>(
    alloc: &A,
    block: NonNull<u8>,
    old: Layout,
    fresh: NonNull<[u8]>,
) {
    let count = old.size().min(fresh.len());
    // SAFETY: the old block is readable for `old.size()` bytes, the fresh one writable for its
    // length (promise 1); both are live, so they do not overlap (promise 2); for 0 bytes any
    // pointer will do.
    unsafe { fresh.cast::<u8>().copy_from_nonoverlapping(block, count) };
    // SAFETY: this function's contract.
    unsafe { deallocate(alloc, block, old) };
}

/// Implements the `Allocator` traits of others for a type that implements ours: `allocator_api2`
/// 0.2 (feature `allocator-api2-02`, on by default: what hashbrown speaks), 0.4 (feature
/// `allocator-api2-04`), and `core::alloc::Allocator` (where the compiler has it, or under the
/// feature `nightly`). Which of them is decided by the features of alloc-core, not by those of the
/// crate that writes this line, and that crate needs no dependency on any of them.
///
/// The type must be local to the invoking crate. Generics stand in brackets, which may be empty; a
/// `where` clause may follow the type.
///
/// The foreign traits ask for one thing more than ours, which promise 3 gives them: a clone or copy
/// of the allocator takes back the blocks of the original.
///
/// ```
/// use alloc_core::{AllocError, Allocator, Layout, NeverAlloc, forward, impl_foreign_allocator};
///
/// struct Named<A> { inner: A, name: &'static str }
///
/// // SAFETY: 1 to 7 are kept by forwarding to `A`, which keeps them.
/// unsafe impl<A: Allocator> Allocator for Named<A> {
///     forward!(self.inner);
/// }
/// impl_foreign_allocator!(impl[A: Allocator] for Named<A>);
///
/// # #[cfg(all(feature = "allocator-api2-02", not(all(feature = "allocator-api2-02-is-core", any(std_allocator, gated_allocator)))))] {
/// use allocator_api2_02::vec::Vec; // or `std::vec::Vec`, from Rust 1.100 on
///
/// let none = Named { inner: NeverAlloc, name: "none" };
/// let mut numbers = Vec::new_in(&none);
/// assert!(numbers.try_reserve(1).is_err(), "{} has no memory", none.name);
/// numbers.extend([(), ()].map(|()| 1).into_iter().take(0));
/// # }
/// ```
#[macro_export]
#[cfg_attr(gated_allocator, allow_internal_unstable(allocator_api))]
macro_rules! impl_foreign_allocator {
    (impl[$($generics:tt)*] for $type:ty $(where $($bounds:tt)*)?) => {
        $crate::__impl_api2_02!([$($generics)*] [$type] [$(where $($bounds)*)?]);
        $crate::__impl_api2_04!([$($generics)*] [$type] [$(where $($bounds)*)?]);
        $crate::__impl_core!([$($generics)*] [$type] [$(where $($bounds)*)?]);
    };
}

// Each of the next three exists twice, and the cfg stands on the definition: inside the body it
// would be asked of the crate that invokes the macro. Where `allocator_api2` 0.2 re-exports core's
// trait, core's impl is the one that counts.

#[doc(hidden)]
#[macro_export]
#[cfg(all(
    feature = "allocator-api2-02",
    not(all(feature = "allocator-api2-02-is-core", any(std_allocator, gated_allocator)))
))]
macro_rules! __impl_api2_02 {
    ($generics:tt $type:tt $bounds:tt) => {
        $crate::__impl_foreign!([$crate::__private::api2_02] $generics $type $bounds);
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(not(all(
    feature = "allocator-api2-02",
    not(all(feature = "allocator-api2-02-is-core", any(std_allocator, gated_allocator)))
)))]
macro_rules! __impl_api2_02 {
    ($generics:tt $type:tt $bounds:tt) => {};
}

#[doc(hidden)]
#[macro_export]
#[cfg(feature = "allocator-api2-04")]
macro_rules! __impl_api2_04 {
    ($generics:tt $type:tt $bounds:tt) => {
        $crate::__impl_foreign!([$crate::__private::api2_04] $generics $type $bounds);
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(not(feature = "allocator-api2-04"))]
macro_rules! __impl_api2_04 {
    ($generics:tt $type:tt $bounds:tt) => {};
}

#[doc(hidden)]
#[macro_export]
#[cfg(any(std_allocator, gated_allocator))]
#[cfg_attr(gated_allocator, allow_internal_unstable(allocator_api))]
macro_rules! __impl_core {
    ($generics:tt $type:tt $bounds:tt) => {
        $crate::__impl_foreign!([$crate::__private::core_alloc] $generics $type $bounds);
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(not(any(std_allocator, gated_allocator)))]
macro_rules! __impl_core {
    ($generics:tt $type:tt $bounds:tt) => {};
}

/// Writes the impl of one foreign trait.
#[doc(hidden)]
#[macro_export]
#[cfg_attr(gated_allocator, allow_internal_unstable(allocator_api))]
macro_rules! __impl_foreign {
    ([$($path:tt)*] [$($generics:tt)*] [$type:ty] [$($bounds:tt)*]) => {
        // SAFETY: the functions keep the foreign contract with the promises of ours: blocks fit (1)
        // and are disjoint (2), stay valid while the allocator is moved, shared or cloned (3),
        // nothing unwinds (4), growing and shrinking keep the bytes (6).
        unsafe impl<$($generics)*> $($path)*::Allocator for $type $($bounds)* {
            #[inline]
            #[track_caller]
            fn allocate(
                &self,
                layout: $crate::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $($path)*::AllocError> {
                $crate::__private::allocate(self, layout).map_err(|_| $($path)*::AllocError)
            }

            #[inline]
            #[track_caller]
            fn allocate_zeroed(
                &self,
                layout: $crate::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $($path)*::AllocError> {
                $crate::__private::allocate_zeroed(self, layout)
                    .map_err(|_| $($path)*::AllocError)
            }

            #[inline]
            #[track_caller]
            unsafe fn deallocate(
                &self,
                block: ::core::ptr::NonNull<u8>,
                layout: $crate::Layout,
            ) {
                // SAFETY: the foreign contract is that of the function.
                unsafe { $crate::__private::deallocate(self, block, layout) }
            }

            #[inline]
            #[track_caller]
            unsafe fn grow(
                &self,
                block: ::core::ptr::NonNull<u8>,
                old: $crate::Layout,
                new: $crate::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $($path)*::AllocError> {
                // SAFETY: the foreign contract is that of the function.
                unsafe { $crate::__private::reallocate(self, block, old, new) }
                    .map_err(|_| $($path)*::AllocError)
            }

            #[inline]
            #[track_caller]
            unsafe fn grow_zeroed(
                &self,
                block: ::core::ptr::NonNull<u8>,
                old: $crate::Layout,
                new: $crate::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $($path)*::AllocError> {
                // SAFETY: the foreign contract is that of the function.
                unsafe { $crate::__private::grow_zeroed(self, block, old, new) }
                    .map_err(|_| $($path)*::AllocError)
            }

            #[inline]
            #[track_caller]
            unsafe fn shrink(
                &self,
                block: ::core::ptr::NonNull<u8>,
                old: $crate::Layout,
                new: $crate::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $($path)*::AllocError> {
                // SAFETY: the foreign contract is that of the function.
                unsafe { $crate::__private::reallocate(self, block, old, new) }
                    .map_err(|_| $($path)*::AllocError)
            }
        }
    };
}

// The erased handles: `&dyn Allocator` works through the foreign traits' impls for references.
impl_foreign_allocator!(impl[] for dyn Allocator + '_);
impl_foreign_allocator!(impl[] for dyn Allocator + Send + '_);
impl_foreign_allocator!(impl[] for dyn Allocator + Sync + '_);
impl_foreign_allocator!(impl[] for dyn Allocator + Send + Sync + '_);
impl_foreign_allocator!(impl[] for crate::NeverAlloc);
