//! The verbs: what users of an allocator call.

use core::alloc::Layout;
use core::ffi::CStr;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use crate::sizes::{aligned_array_layout, array_layout};
use crate::{AlignedSlice, AllocError, Allocator, Owned, Zeroable, block, copy, print};

/// The verbs, for every handle: a reference, a zero-sized allocator, `&dyn Allocator`.
///
/// Methods take the handle by value, so `gpa.create(5)` works the same for `gpa: Gpa` (it borrows),
/// `gpa: &Gpa` and `gpa: &dyn Allocator`. Nothing here is `unsafe`: memory is owned by what a verb
/// returns. Verbs that take an [`Owned`] act through the handle inside it, so that two allocators of
/// one type cannot be mixed up.
///
/// Zero bytes never reach the allocator: the verbs answer with a dangling, aligned pointer.
///
/// No verb panics for lack of memory, nor for a size that overflows: that is [`AllocError`].
///
/// # Examples
///
/// The allocator is the first argument, erased or generic. Memory of the caller is borrowed; memory
/// for the caller is returned, and the type says so.
///
/// ```
/// use alloc_core::{AllocError, Allocator, AllocatorExt, FromGlobal, Owned};
/// use std::alloc::System;
///
/// /// Caller owns: the buffer is only used.
/// fn process_in_place(buffer: &mut [u8], data: &[u8]) {
///     buffer[..data.len()].copy_from_slice(data);
/// }
///
/// /// Callee returns owned: freed by whoever lets go of it, with no allocator at hand.
/// fn process<'a>(
///     gpa: &'a dyn Allocator,
///     data: &[u8],
/// ) -> Result<Owned<[u8], &'a dyn Allocator>, AllocError> {
///     let mut buffer = gpa.alloc_fill(data.len() * 2, 0u8)?;
///     process_in_place(&mut buffer, data);
///     Ok(buffer)
/// }
///
/// /// The same for one allocator at a time, compiled for it.
/// fn process_fast<A: Allocator + Copy>(gpa: A, data: &[u8]) -> Result<Owned<[u8], A>, AllocError> {
///     gpa.dupe(data)
/// }
///
/// let heap = FromGlobal::new(System);
/// assert_eq!(*process(&heap, b"ab")?, *b"ab\0\0");
/// assert_eq!(*process_fast(heap, b"ab")?, *b"ab");
/// # Ok::<(), AllocError>(())
/// ```
///
/// A value of several parts needs no `deinit`, and no `errdefer`: if a later part finds no memory,
/// the earlier ones drop.
///
/// ```
/// use alloc_core::{AllocError, Allocator, AllocatorExt, Counting, FromGlobal, Limited, Owned};
/// use std::alloc::System;
///
/// struct Resources<A: Allocator> {
///     small: Owned<[u8], A>,
///     large: Owned<[u8], A>,
/// }
///
/// impl<A: Allocator + Copy> Resources<A> {
///     fn init(gpa: A) -> Result<Self, AllocError> {
///         Ok(Self { small: gpa.alloc_fill(100, 0)?, large: gpa.alloc_fill(200, 0)? })
///     }
/// }
///
/// let gpa = Limited::new(Counting::new(FromGlobal::new(System)), 250);
/// assert!(Resources::init(&gpa).is_err(), "the second part does not fit");
/// assert_eq!(gpa.inner().counts().live_blocks, 0, "the first is gone");
/// ```
pub trait AllocatorExt: Allocator + Copy {
    /// Returns an owned `value`.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had; the value is dropped then. See
    /// [`create_or_return`](Self::create_or_return) to have it back.
    #[inline]
    #[track_caller]
    fn create<T>(self, value: T) -> Result<Owned<T, Self>, AllocError> {
        match create_uninit(self) {
            Ok(block) => Ok(block.write(value)),
            Err(error) => Err(error),
        }
    }

    /// As [`create`](Self::create), and loses nothing.
    ///
    /// # Errors
    ///
    /// The value and [`AllocError`] if no memory can be had.
    #[inline]
    #[track_caller]
    fn create_or_return<T>(self, value: T) -> Result<Owned<T, Self>, (T, AllocError)> {
        match create_uninit(self) {
            Ok(block) => Ok(block.write(value)),
            Err(error) => Err((value, error)),
        }
    }

    /// Drops the value and frees its memory; the same as dropping the owner.
    #[inline]
    #[track_caller]
    fn destroy<T: ?Sized>(self, value: Owned<T, Self>) {
        value.release();
    }

    /// Frees the memory of a slice or string and drops what is in it; the same as dropping the
    /// owner.
    #[inline]
    #[track_caller]
    fn free<T: ?Sized>(self, slice: Owned<T, Self>) {
        slice.release();
    }

    /// Returns memory for `count` items, not initialised.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows.
    #[inline]
    #[track_caller]
    fn alloc<T>(self, count: usize) -> Result<Owned<[MaybeUninit<T>], Self>, AllocError> {
        alloc_uninit(self, count)
    }

    /// Returns memory for `count` items, not initialised, whose first item is aligned to `ALIGN`
    /// bytes or more.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows.
    #[inline]
    #[track_caller]
    fn aligned_alloc<T, const ALIGN: usize>(
        self,
        count: usize,
    ) -> Result<AlignedSlice<MaybeUninit<T>, ALIGN, Self>, AllocError> {
        const { assert!(ALIGN.is_power_of_two(), "ALIGN is a power of two") };
        let block = block::allocate(&self, aligned_array_layout::<T>(count, ALIGN)?)?;
        // SAFETY: the block fits `count` items at this alignment and is live, or has no bytes and is
        // aligned; any content is valid.
        Ok(unsafe { AlignedSlice::from_raw_parts(block.cast(), count, self) })
    }

    /// Returns `count` items whose bytes are all zero.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows.
    #[inline]
    #[track_caller]
    fn alloc_zeroed<T: Zeroable>(self, count: usize) -> Result<Owned<[T], Self>, AllocError> {
        let block = block::allocate_zeroed(&self, array_layout::<T>(count)?)?;
        let slice = NonNull::slice_from_raw_parts(block.cast(), count);
        // SAFETY: the block fits `[T; count]` and is live, or has no bytes; all bytes are zero,
        // which `T: Zeroable` allows.
        Ok(unsafe { Owned::from_raw_parts(slice, self) })
    }

    /// Returns `count` clones of `value`.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows; the value is dropped then.
    ///
    /// # Panics
    ///
    /// If `clone` panics; nothing leaks then.
    #[inline]
    #[track_caller]
    fn alloc_fill<T: Clone>(self, count: usize, value: T) -> Result<Owned<[T], Self>, AllocError> {
        Ok(self.alloc::<T>(count)?.write_with(|_| value.clone()))
    }

    /// As [`alloc_fill`](Self::alloc_fill), and loses nothing.
    ///
    /// # Errors
    ///
    /// The value and [`AllocError`] if no memory can be had or the size overflows.
    #[inline]
    #[track_caller]
    fn alloc_fill_or_return<T: Clone>(
        self,
        count: usize,
        value: T,
    ) -> Result<Owned<[T], Self>, (T, AllocError)> {
        match self.alloc::<T>(count) {
            Ok(block) => Ok(block.write_with(|_| value.clone())),
            Err(error) => Err((value, error)),
        }
    }

    /// Returns `count` items, each made from its index.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows; `item` is not called then.
    ///
    /// # Panics
    ///
    /// If `item` panics; nothing leaks then.
    #[inline]
    #[track_caller]
    fn alloc_with<T>(
        self,
        count: usize,
        item: impl FnMut(usize) -> T,
    ) -> Result<Owned<[T], Self>, AllocError> {
        Ok(self.alloc::<T>(count)?.write_with(item))
    }

    /// Returns a copy of a slice.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had.
    #[inline]
    #[track_caller]
    fn dupe<T: Copy>(self, items: &[T]) -> Result<Owned<[T], Self>, AllocError> {
        let mut copy = self.alloc::<T>(items.len())?;
        copy::copy_items(&mut copy, items);
        // SAFETY: every item was written.
        Ok(unsafe { copy.assume_init() })
    }

    /// Returns a copy of a string.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had.
    #[inline]
    #[track_caller]
    fn dupe_str(self, text: &str) -> Result<Owned<str, Self>, AllocError> {
        let bytes = self.dupe(text.as_bytes())?;
        // SAFETY: the bytes are those of a `str`.
        Ok(unsafe { Owned::from_utf8_unchecked(bytes) })
    }

    /// Returns a copy of a C string, with the NUL at its end.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had.
    #[inline]
    #[track_caller]
    fn dupe_z(self, text: &CStr) -> Result<Owned<CStr, Self>, AllocError> {
        let bytes = self.dupe(text.to_bytes_with_nul())?;
        // SAFETY: the bytes are those of a `CStr`, its NUL included.
        Ok(unsafe { Owned::from_bytes_with_nul_unchecked(bytes) })
    }

    /// Returns formatted text in memory of exactly its length; usually called through
    /// [`alloc_print!`](crate::alloc_print).
    ///
    /// The text is formatted twice, to count and to write, so that a fixed buffer or an arena is
    /// asked for one block of the right size.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had, or if a `Display` implementation reports an error of
    /// its own.
    #[inline]
    #[track_caller]
    fn print(self, arguments: fmt::Arguments<'_>) -> Result<Owned<str, Self>, AllocError> {
        print::print(self, arguments)
    }

    /// Changes the number of items without moving them; returns whether it did.
    ///
    /// On `false` nothing has changed. Zero items free the memory. An empty slice cannot grow in
    /// place. New items are not initialised.
    #[inline]
    #[track_caller]
    fn resize<T>(self, slice: &mut Owned<[MaybeUninit<T>], Self>, new_count: usize) -> bool {
        slice.resize_in_place(new_count)
    }

    /// Changes the number of items, and may move them, if the allocator can do that at less cost
    /// than a copy.
    ///
    /// # Errors
    ///
    /// The slice, unchanged, if the allocator cannot.
    #[inline]
    #[track_caller]
    #[expect(clippy::type_complexity, reason = "the slice comes back in either case")]
    fn remap<T>(
        self,
        mut slice: Owned<[MaybeUninit<T>], Self>,
        new_count: usize,
    ) -> Result<Owned<[MaybeUninit<T>], Self>, Owned<[MaybeUninit<T>], Self>> {
        if slice.remap_in_owner(new_count) { Ok(slice) } else { Err(slice) }
    }

    /// Changes the number of items, in place or by a copy. New items are not initialised.
    ///
    /// # Errors
    ///
    /// The slice, unchanged, and [`AllocError`] if no memory can be had or the size overflows.
    #[inline]
    #[track_caller]
    #[expect(clippy::type_complexity, reason = "the slice comes back beside the error")]
    fn realloc<T>(
        self,
        mut slice: Owned<[MaybeUninit<T>], Self>,
        new_count: usize,
    ) -> Result<Owned<[MaybeUninit<T>], Self>, (Owned<[MaybeUninit<T>], Self>, AllocError)> {
        match slice.realloc_in_owner(new_count) {
            Ok(()) => Ok(slice),
            Err(error) => Err((slice, error)),
        }
    }
}

impl<A: Allocator + Copy> AllocatorExt for A {}

/// Returns memory for one `T`, not initialised.
#[inline]
#[track_caller]
pub(crate) fn create_uninit<A: Allocator, T>(
    alloc: A,
) -> Result<Owned<MaybeUninit<T>, A>, AllocError> {
    let block = block::allocate(&alloc, Layout::new::<T>())?;
    // SAFETY: the block fits `T` and is live, or `T` is zero-sized; any bytes are a `MaybeUninit`.
    Ok(unsafe { Owned::from_raw_parts(block.cast(), alloc) })
}

/// Returns memory for `count` items, not initialised.
#[inline]
#[track_caller]
pub(crate) fn alloc_uninit<A: Allocator, T>(
    alloc: A,
    count: usize,
) -> Result<Owned<[MaybeUninit<T>], A>, AllocError> {
    let block = block::allocate(&alloc, array_layout::<T>(count)?)?;
    let slice = NonNull::slice_from_raw_parts(block.cast(), count);
    // SAFETY: the block fits `[T; count]` and is live, or has no bytes; any content is valid.
    Ok(unsafe { Owned::from_raw_parts(slice, alloc) })
}
