//! From one kind of owner to another, and copies.

use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::str::{self, Utf8Error};

use super::Owned;
use crate::ext::{alloc_uninit, create_uninit};
use crate::{AllocError, Allocator};

impl<A: Allocator> Owned<str, A> {
    /// Takes bytes for text, if they are UTF-8.
    ///
    /// # Errors
    ///
    /// The bytes, and where they stop being UTF-8.
    pub fn from_utf8(bytes: Owned<[u8], A>) -> Result<Self, (Owned<[u8], A>, Utf8Error)> {
        match str::from_utf8(&bytes) {
            // SAFETY: checked just now.
            Ok(_) => Ok(unsafe { Self::from_utf8_unchecked(bytes) }),
            Err(error) => Err((bytes, error)),
        }
    }

    /// Takes bytes for text.
    ///
    /// # Safety
    ///
    /// The bytes are UTF-8.
    #[inline]
    pub unsafe fn from_utf8_unchecked(bytes: Owned<[u8], A>) -> Self {
        let (ptr, alloc) = Owned::into_raw_parts(bytes);
        let text = ptr.as_ptr() as *mut str;
        // SAFETY: it came from a `NonNull`.
        let text = unsafe { NonNull::new_unchecked(text) };
        // SAFETY: same block and layout; valid by this function's contract.
        unsafe { Owned::from_raw_parts(text, alloc) }
    }
}

impl<A: Allocator> Owned<CStr, A> {
    /// Takes bytes for a C string.
    ///
    /// # Safety
    ///
    /// The last byte is NUL and no other is.
    #[inline]
    pub unsafe fn from_bytes_with_nul_unchecked(bytes: Owned<[u8], A>) -> Self {
        let (ptr, alloc) = Owned::into_raw_parts(bytes);
        let text = ptr.as_ptr() as *mut CStr;
        // SAFETY: it came from a `NonNull`.
        let text = unsafe { NonNull::new_unchecked(text) };
        // SAFETY: same block; a `CStr` spans its bytes with the NUL, so the layout is the same;
        // valid by this function's contract.
        unsafe { Owned::from_raw_parts(text, alloc) }
    }
}

impl<A: Allocator> From<Owned<str, A>> for Owned<[u8], A> {
    #[inline]
    fn from(text: Owned<str, A>) -> Self {
        let len = text.len();
        let (ptr, alloc) = Owned::into_raw_parts(text);
        let bytes = NonNull::slice_from_raw_parts(ptr.cast::<u8>(), len);
        // SAFETY: same block and layout; any bytes of a `str` are bytes.
        unsafe { Owned::from_raw_parts(bytes, alloc) }
    }
}

impl<T, A: Allocator, const N: usize> From<Owned<[T; N], A>> for Owned<[T], A> {
    #[inline]
    fn from(array: Owned<[T; N], A>) -> Self {
        let (ptr, alloc) = Owned::into_raw_parts(array);
        let slice = NonNull::slice_from_raw_parts(ptr.cast::<T>(), N);
        // SAFETY: same block; an array of `N` items has the layout of a slice of as many.
        unsafe { Owned::from_raw_parts(slice, alloc) }
    }
}

impl<T, A: Allocator, const N: usize> TryFrom<Owned<[T], A>> for Owned<[T; N], A> {
    type Error = Owned<[T], A>;

    /// Fails, and returns the slice, if it has not `N` items.
    #[inline]
    fn try_from(slice: Owned<[T], A>) -> Result<Self, Owned<[T], A>> {
        if slice.len() != N {
            return Err(slice);
        }
        let (ptr, alloc) = Owned::into_raw_parts(slice);
        // SAFETY: same block; a slice of `N` items has the layout of an array of as many.
        Ok(unsafe { Owned::from_raw_parts(ptr.cast::<[T; N]>(), alloc) })
    }
}

/// Values that can be cloned into memory of an allocator: every `Clone` type, slices of them, `str`,
/// `CStr`.
pub trait CloneIn {
    /// Returns a clone in memory of `alloc`.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had; nothing is cloned then.
    #[track_caller]
    fn clone_in<A: Allocator>(&self, alloc: A) -> Result<Owned<Self, A>, AllocError>;
}

impl<T: Clone> CloneIn for T {
    #[inline]
    fn clone_in<A: Allocator>(&self, alloc: A) -> Result<Owned<T, A>, AllocError> {
        let block: Owned<MaybeUninit<T>, A> = create_uninit(alloc)?;
        Ok(block.write(self.clone()))
    }
}

impl<T: Clone> CloneIn for [T] {
    #[inline]
    fn clone_in<A: Allocator>(&self, alloc: A) -> Result<Owned<[T], A>, AllocError> {
        let block = alloc_uninit::<A, T>(alloc, self.len())?;
        Ok(block.write_with(|index| self[index].clone()))
    }
}

impl CloneIn for str {
    #[inline]
    fn clone_in<A: Allocator>(&self, alloc: A) -> Result<Owned<str, A>, AllocError> {
        let bytes = copy_of(self.as_bytes(), alloc)?;
        // SAFETY: the bytes are those of a `str`.
        Ok(unsafe { Owned::<str, A>::from_utf8_unchecked(bytes) })
    }
}

impl CloneIn for CStr {
    #[inline]
    fn clone_in<A: Allocator>(&self, alloc: A) -> Result<Owned<CStr, A>, AllocError> {
        let bytes = copy_of(self.to_bytes_with_nul(), alloc)?;
        // SAFETY: the bytes are those of a `CStr`, its NUL included.
        Ok(unsafe { Owned::<CStr, A>::from_bytes_with_nul_unchecked(bytes) })
    }
}

impl<T: ?Sized + CloneIn, A: Allocator + Clone> Owned<T, A> {
    /// Returns a clone in memory of the same allocator. There is no `Clone`, since that cannot fail.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had; nothing is cloned then.
    ///
    /// # Panics
    ///
    /// If `clone` panics; nothing leaks then.
    #[inline]
    #[track_caller]
    pub fn try_clone(this: &Self) -> Result<Self, AllocError> {
        (**this).clone_in(this.alloc.clone())
    }
}

impl<'a, T: ?Sized, A: Allocator> Owned<T, &'a A> {
    /// Forgets the type of the allocator: the handle becomes `&dyn Allocator`.
    #[inline]
    pub fn erase(this: Self) -> Owned<T, &'a dyn Allocator> {
        let (ptr, alloc) = Owned::into_raw_parts(this);
        // SAFETY: same block; the handle means the same allocator.
        unsafe { Owned::from_raw_parts(ptr, alloc) }
    }
}

/// Returns a copy of bytes.
#[inline]
#[track_caller]
fn copy_of<A: Allocator>(bytes: &[u8], alloc: A) -> Result<Owned<[u8], A>, AllocError> {
    let mut copy = alloc_uninit::<A, u8>(alloc, bytes.len())?;
    copy.write_copy_of_slice(bytes);
    // SAFETY: every byte was written.
    Ok(unsafe { copy.assume_init() })
}

/// Turns an owner into that of an unsized type: a trait object, or a slice of an array. Stable Rust
/// lets nobody but `std` do that by itself.
///
/// ```
/// use alloc_core::{AllocatorExt, FromGlobal, Owned, unsize_owned};
/// use std::{alloc::System, fmt::Display};
///
/// let heap = FromGlobal::new(System);
/// let number: Owned<dyn Display, _> = unsize_owned!(heap.create(42)? => dyn Display);
/// assert_eq!(number.to_string(), "42");
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// Nothing but that conversion compiles:
///
/// ```compile_fail,E0308
/// use alloc_core::{AllocatorExt, NeverAlloc, unsize_owned};
/// let number = NeverAlloc.create(42u32).unwrap();
/// let other = unsize_owned!(number => f32);
/// ```
///
/// A trait object whose value borrows is `dyn Trait + '_`.
#[macro_export]
macro_rules! unsize_owned {
    ($owned:expr => $target:ty) => {{
        let (value, alloc) = $crate::Owned::into_raw_parts($owned);
        // A coercion and no cast: the one conversion between pointers to different types that the
        // language makes without being asked is this one.
        let value: *mut $target = value.as_ptr();
        // SAFETY: it came from a `NonNull`.
        let value = unsafe { $crate::__private::NonNull::new_unchecked(value) };
        // SAFETY: the same value in the same block, whose size and alignment unsizing keeps.
        unsafe { $crate::Owned::from_raw_parts(value, alloc) }
    }};
}
