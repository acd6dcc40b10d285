//! The forms that programs call which were compiled with `_FORTIFY_SOURCE`: they know how much room
//! there is, and end the process if it is too little.
//!
//! What does not fit is told first: the compiler knows the room of a block too, and then the end of the
//! process would be all that is heard.

use core::ffi::{c_char, c_int, c_void};

use crate::checker::writes;
use crate::{memory, strings};

unsafe extern "C" {
    /// glibc's: says so, and ends the process.
    fn __chk_fail() -> !;
}

/// Ends the process as libc does if `len` bytes are more than there is room for, once that was told.
#[inline]
fn demand(to: *mut c_void, len: usize, room: usize, name: &'static str) {
    if room < len {
        writes(to, len, name);
        // SAFETY: no contract; it does not return.
        unsafe { __chk_fail() }
    }
}

/// Writes functions that are one call each, behind a look at the room for `need` bytes, which may ask for
/// lengths that the call uses.
macro_rules! fortified {
    ($(
        $name:ident($to:ident; $($arg:ident: $type:ty),*) -> $result:ty, $as:literal,
        ($($length:ident = $measured:expr),*): $need:expr, $call:expr;
    )*) => {$(
        #[doc = concat!("glibc's `", stringify!($name), "`, as the compiler calls it.")]
        ///
        /// # Safety
        ///
        /// As C's form without `_chk`; the last argument is how much room there is.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($arg: $type,)* room: usize) -> $result {
            $(
                // SAFETY: the same contract.
                let $length = unsafe { $measured };
            )*
            demand($to.cast(), $need, room, $as);
            // SAFETY: the same contract.
            unsafe { $call }
        }
    )*};
}

const ALL: usize = usize::MAX;

fortified! {
    __memcpy_chk(to; to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void, "memcpy", ():
        len, memory::copy(to, from, len, "memcpy");
    __memmove_chk(to; to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void, "memmove", ():
        len, memory::copy(to, from, len, "memmove");
    __mempcpy_chk(to; to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void, "mempcpy", ():
        len, memory::copy(to, from, len, "mempcpy").wrapping_byte_add(len);
    __memset_chk(to; to: *mut c_void, byte: c_int, len: usize) -> *mut c_void, "memset", ():
        len, memory::fill(to, byte, len, "memset");
    __explicit_bzero_chk(to; to: *mut c_void, len: usize) -> *mut c_void, "explicit_bzero", ():
        len, memory::fill(to, 0, len, "explicit_bzero");
    __strcpy_chk(to; to: *mut c_char, from: *const c_char) -> *mut c_char, "strcpy",
        (len = strings::length(from, ALL, "strcpy")):
        len + 1, strings::same(to, strings::copy_measured(to, from, len, "strcpy"));
    __stpcpy_chk(to; to: *mut c_char, from: *const c_char) -> *mut c_char, "stpcpy",
        (len = strings::length(from, ALL, "stpcpy")):
        len + 1, to.wrapping_add(strings::copy_measured(to, from, len, "stpcpy"));
    __strncpy_chk(to; to: *mut c_char, from: *const c_char, len: usize) -> *mut c_char, "strncpy", ():
        len, strings::same(to, strings::copy_filled(to, from, len, "strncpy"));
    __stpncpy_chk(to; to: *mut c_char, from: *const c_char, len: usize) -> *mut c_char, "stpncpy", ():
        len, to.wrapping_add(strings::copy_filled(to, from, len, "stpncpy"));
    __strcat_chk(to; to: *mut c_char, from: *const c_char) -> *mut c_char, "strcat",
        (before = strings::length(to, ALL, "strcat"), used = strings::length(from, ALL, "strcat")):
        before + used + 1, strings::append_measured(to, before, from, used, "strcat");
    __strncat_chk(to; to: *mut c_char, from: *const c_char, len: usize) -> *mut c_char, "strncat",
        (before = strings::length(to, ALL, "strncat"), used = strings::length(from, len, "strncat")):
        before + used + 1, strings::append_measured(to, before, from, used, "strncat");
}
