//! Functions whose work depends on the locale, or is long: looked at, and passed on to libc.

use core::ffi::{c_char, c_int, c_void};
use core::mem;

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
    strspn(from: *const c_char, set: *const c_char) -> usize, c"strspn":
        length(from, ALL, "strspn"), length(set, ALL, "strspn");
    strcspn(from: *const c_char, set: *const c_char) -> usize, c"strcspn":
        length(from, ALL, "strcspn"), length(set, ALL, "strcspn");
    strpbrk(from: *const c_char, set: *const c_char) -> *mut c_char, c"strpbrk":
        length(from, ALL, "strpbrk"), length(set, ALL, "strpbrk");
}
