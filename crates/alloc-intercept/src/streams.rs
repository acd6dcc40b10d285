//! Functions of C's streams that read and write the program's lines: looked at, and passed on to libc. (`fread`
//! and `fwrite` are looked at by `alloc-preload` in any case.)
//!
//! How much is written is known afterwards only: then it is told, unless the block was freed before. Most of
//! these are cancellation points: a thread that is cancelled in one unwinds through the frame here, which
//! holds nothing that needs dropping.

use core::ffi::{c_char, c_int, c_void};
use core::mem;

use crate::bytes;
use crate::checker::{room, writes};
use crate::next::Next;
use crate::strings::length;

/// Room that is not known: no block of the checked heap.
pub(crate) const UNKNOWN: usize = usize::MAX;
const ALL: usize = usize::MAX;

/// Returns how many bytes `name` may write from `to` on. Where it may write none, that is told at once.
#[inline]
pub(crate) fn room_for<T>(to: *mut T, name: &'static str) -> usize {
    let room = room(to);
    if room == 0 {
        writes(to, 1, name);
    }
    room
}

/// Tells if `len` bytes were more than there was room for.
#[inline]
pub(crate) fn wrote<T>(to: *mut T, room: usize, len: usize, name: &'static str) {
    if room != 0 && room < len {
        writes(to, len, name);
    }
}

/// Tells if the line that was read does not fit.
///
/// # Safety
///
/// `line` is null, or a string of less than `len` bytes.
unsafe fn wrote_line(line: *mut c_char, room: usize, len: c_int, name: &'static str) {
    if room == UNKNOWN || line.is_null() {
        return;
    }
    // SAFETY: the contract.
    let used = unsafe { bytes::find(line.cast(), 0, usize::try_from(len).unwrap_or(0)) };
    wrote(line, room, used + 1, name);
}

/// Writes each function: what is looked at, and kept for what is looked at after libc's was called.
macro_rules! streams {
    ($(
        $name:ident($($arg:ident: $type:ty),*) -> $result:ty, $text:literal:
        $before:expr, |$kept:pat_param, $got:pat_param| $after:expr;
    )*) => {$(
        #[doc = concat!("libc's `", stringify!($name), "`: see its manual page.")]
        ///
        /// # Safety
        ///
        /// As C's.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C-unwind" fn $name($($arg: $type),*) -> $result {
            type Function = unsafe extern "C-unwind" fn($($type),*) -> $result;
            static NEXT: Next = Next::new($text);
            // SAFETY: the same contract.
            let $kept = unsafe { $before };
            // SAFETY: libc has the function, of this type: it is older than any libc that Rust's
            // standard library runs on.
            let next = unsafe { mem::transmute::<*mut c_void, Function>(NEXT.get()) };
            // SAFETY: the same contract.
            let got = unsafe { next($($arg),*) };
            let $got = got;
            // SAFETY: as C's function promises for what it returned.
            unsafe { $after };
            got
        }
    )*};
}

// As unsafe functions, so that they may stand in the table where others do: they have no contract.

#[inline]
const unsafe fn nothing() {}

/// As [`room_for`].
#[inline]
unsafe fn open<T>(to: *mut T, name: &'static str) -> usize {
    room_for(to, name)
}

streams! {
    fgets(to: *mut c_char, len: c_int, stream: *mut c_void) -> *mut c_char, c"fgets":
        open(to, "fgets"), |room, got| wrote_line(got, room, len, "fgets");
    fgets_unlocked(to: *mut c_char, len: c_int, stream: *mut c_void) -> *mut c_char, c"fgets_unlocked":
        open(to, "fgets"), |room, got| wrote_line(got, room, len, "fgets");
    __fgets_chk(to: *mut c_char, size: usize, len: c_int, stream: *mut c_void) -> *mut c_char, c"__fgets_chk":
        open(to, "fgets"), |room, got| wrote_line(got, room, len, "fgets");
    fputs(from: *const c_char, stream: *mut c_void) -> c_int, c"fputs":
        length(from, ALL, "fputs"), |_, _| nothing();
    fputs_unlocked(from: *const c_char, stream: *mut c_void) -> c_int, c"fputs_unlocked":
        length(from, ALL, "fputs"), |_, _| nothing();
    puts(from: *const c_char) -> c_int, c"puts":
        length(from, ALL, "puts"), |_, _| nothing();
}
