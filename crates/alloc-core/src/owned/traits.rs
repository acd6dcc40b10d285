//! The traits that users expect of a box.

use core::ffi::CStr;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use super::Owned;
use crate::Allocator;

impl<T: ?Sized, A: Allocator> Deref for Owned<T, A> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: invariant 1: a valid value; the borrow of the owner guards it.
        unsafe { self.ptr.as_ref() }
    }
}

impl<T: ?Sized, A: Allocator> DerefMut for Owned<T, A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: invariant 1: a valid value that only this owner reaches; the unique borrow of the
        // owner guards it.
        unsafe { self.ptr.as_mut() }
    }
}

impl<A: Allocator> Owned<str, A> {
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
