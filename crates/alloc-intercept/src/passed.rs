//! Functions whose work depends on the locale, or is long: looked at, and passed on to libc.

use core::ffi::{c_char, c_int, c_void};
use core::mem;

use crate::checker::reads;
use crate::next::Next;
use crate::strings::length;

/// Writes each function: its strings are looked at, then libc's is called.
macro_rules! passed {
    ($( $name:ident($($arg:ident: $type:ty),*) -> $result:ty, $text:literal: $($look:expr),*; )*) => {$(
        #[doc = concat!("libc's `", stringify!($name), "`: see its manual page.")]
        ///
        /// # Safety
        ///
        /// As C's.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($arg: $type),*) -> $result {
            type Function = unsafe extern "C" fn($($type),*) -> $result;
            static NEXT: Next = Next::new($text);
            $(
                // SAFETY: the same contract.
                unsafe { $look };
            )*
            // SAFETY: libc has the function, of this type: it is older than any libc that Rust's
            // standard library runs on.
            let next = unsafe { mem::transmute::<*mut c_void, Function>(NEXT.get()) };
            // SAFETY: the same contract.
            unsafe { next($($arg),*) }
        }
    )*};
}

const ALL: usize = usize::MAX;

/// A string is about to be read, unless it is null.
///
/// # Safety
///
/// As `strlen`'s, if it is not null.
#[inline]
unsafe fn text_if_any(text: *const c_char, name: &'static str) {
    if !text.is_null() {
        // SAFETY: the same contract.
        unsafe { length(text, ALL, name) };
    }
}

/// Bytes are about to be read.
///
/// # Safety
///
/// None: it is an `unsafe` function so that it may stand where others do.
#[inline]
unsafe fn range(from: *const c_void, len: usize, name: &'static str) {
    if len != 0 {
        reads(from, len, name);
    }
}

passed! {
    strcasecmp(left: *const c_char, right: *const c_char) -> c_int, c"strcasecmp":
        length(left, ALL, "strcasecmp"), length(right, ALL, "strcasecmp");
    strncasecmp(left: *const c_char, right: *const c_char, len: usize) -> c_int, c"strncasecmp":
        length(left, len, "strncasecmp"), length(right, len, "strncasecmp");
    strcoll(left: *const c_char, right: *const c_char) -> c_int, c"strcoll":
        length(left, ALL, "strcoll"), length(right, ALL, "strcoll");
    strstr(from: *const c_char, wanted: *const c_char) -> *mut c_char, c"strstr":
        length(from, ALL, "strstr"), length(wanted, ALL, "strstr");
    strcasestr(from: *const c_char, wanted: *const c_char) -> *mut c_char, c"strcasestr":
        length(from, ALL, "strcasestr"), length(wanted, ALL, "strcasestr");
    strverscmp(left: *const c_char, right: *const c_char) -> c_int, c"strverscmp":
        length(left, ALL, "strverscmp"), length(right, ALL, "strverscmp");
    strtok(text: *mut c_char, set: *const c_char) -> *mut c_char, c"strtok":
        text_if_any(text, "strtok"), length(set, ALL, "strtok");
    strtok_r(text: *mut c_char, set: *const c_char, place: *mut *mut c_char) -> *mut c_char, c"strtok_r":
        text_if_any(text, "strtok_r"), length(set, ALL, "strtok_r");
    memmem(from: *const c_void, len: usize, wanted: *const c_void, wanted_len: usize) -> *mut c_void, c"memmem":
        range(from, len, "memmem"), range(wanted, wanted_len, "memmem");
    strspn(from: *const c_char, set: *const c_char) -> usize, c"strspn":
        length(from, ALL, "strspn"), length(set, ALL, "strspn");
    strcspn(from: *const c_char, set: *const c_char) -> usize, c"strcspn":
        length(from, ALL, "strcspn"), length(set, ALL, "strcspn");
    strpbrk(from: *const c_char, set: *const c_char) -> *mut c_char, c"strpbrk":
        length(from, ALL, "strpbrk"), length(set, ALL, "strpbrk");
}
