//! The forms that programs call which were compiled with `_FORTIFY_SOURCE`: they know how much room
//! there is, and end the process if it is too little.

use core::ffi::{c_char, c_int, c_void};

use crate::{memory, strings};

unsafe extern "C" {
    /// glibc's: says so, and ends the process.
    fn __chk_fail() -> !;
}

/// Ends the process as libc does if `len` bytes are more than there is room for.
#[inline]
fn demand(len: usize, room: usize) {
    if room < len {
        // SAFETY: no contract; it does not return.
        unsafe { __chk_fail() }
    }
}

/// Writes functions that are one call each, behind a look at the room.
macro_rules! fortified {
    ($( $name:ident($($arg:ident: $type:ty),*) -> $result:ty: $need:expr, $call:expr; )*) => {$(
        #[doc = concat!("glibc's `", stringify!($name), "`, as the compiler calls it.")]
        ///
        /// # Safety
        ///
        /// As C's form without `_chk`; the last argument is how much room there is.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($arg: $type,)* room: usize) -> $result {
            // SAFETY: the same contract.
            demand(unsafe { $need }, room);
            // SAFETY: the same contract.
            unsafe { $call }
        }
    )*};
}

const ALL: usize = usize::MAX;

/// Returns how many bytes a call needs; in a block, so that a need may ask for a length.
#[inline]
const unsafe fn exactly(len: usize) -> usize {
    len
}

fortified! {
    __memcpy_chk(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void:
        exactly(len), memory::copy(to, from, len, "memcpy");
    __memmove_chk(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void:
        exactly(len), memory::copy(to, from, len, "memmove");
    __mempcpy_chk(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void:
        exactly(len), memory::copy(to, from, len, "mempcpy").wrapping_byte_add(len);
    __memset_chk(to: *mut c_void, byte: c_int, len: usize) -> *mut c_void:
        exactly(len), memory::fill(to, byte, len, "memset");
    __strcpy_chk(to: *mut c_char, from: *const c_char) -> *mut c_char:
        strings::length(from, ALL, "strcpy") + 1, strings::same(to, strings::copy(to, from, "strcpy"));
    __stpcpy_chk(to: *mut c_char, from: *const c_char) -> *mut c_char:
        strings::length(from, ALL, "stpcpy") + 1,
        to.wrapping_add(strings::copy(to, from, "stpcpy"));
    __strncpy_chk(to: *mut c_char, from: *const c_char, len: usize) -> *mut c_char:
        exactly(len), strings::same(to, strings::copy_filled(to, from, len, "strncpy"));
    __stpncpy_chk(to: *mut c_char, from: *const c_char, len: usize) -> *mut c_char:
        exactly(len), to.wrapping_add(strings::copy_filled(to, from, len, "stpncpy"));
    __strcat_chk(to: *mut c_char, from: *const c_char) -> *mut c_char:
        strings::length(to, ALL, "strcat") + strings::length(from, ALL, "strcat") + 1,
        strings::append(to, from, ALL, "strcat");
    __strncat_chk(to: *mut c_char, from: *const c_char, len: usize) -> *mut c_char:
        strings::length(to, ALL, "strncat") + strings::length(from, len, "strncat") + 1,
        strings::append(to, from, len, "strncat");
}
