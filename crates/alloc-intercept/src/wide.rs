//! Functions on wide characters.

use core::ffi::c_int;

use crate::bytes;
use crate::checker::{reads, room, writes};

/// glibc's `wchar_t` on the machines that this is for.
type Wide = i32;

const WIDTH: usize = size_of::<Wide>();

/// Returns the length of a wide string, at most `len`, reading in a way that no compiler makes
/// something else of.
///
/// # Safety
///
/// As `wcsnlen`'s.
unsafe fn length(from: *const Wide, len: usize, name: &'static str) -> usize {
    let known = room(from) / WIDTH;
    let mut at = 0;
    while at < len {
        if at == known {
            reads(from, (known + 1) * WIDTH, name);
        }
        // SAFETY: the caller's contract: no end before.
        if unsafe { from.wrapping_add(at).read_volatile() } == 0 {
            break;
        }
        at += 1;
    }
    at
}

/// Copies characters after a look at both ranges.
///
/// # Safety
///
/// As `wmemmove`'s.
#[inline]
pub(crate) unsafe fn copy(
    to: *mut Wide,
    from: *const Wide,
    count: usize,
    name: &'static str,
) -> *mut Wide {
    let len = count.wrapping_mul(WIDTH);
    if len != 0 {
        reads(from, len, name);
        writes(to, len, name);
    }
    // SAFETY: the same contract.
    unsafe { bytes::copy(to.cast(), from.cast(), len) };
    to
}

/// Writes functions that are one call each.
macro_rules! wide {
    ($( $name:ident($($arg:ident: $type:ty),*) -> $result:ty: $call:expr; )*) => {$(
        #[doc = concat!("libc's `", stringify!($name), "`: see its manual page.")]
        ///
        /// # Safety
        ///
        /// As C's.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($arg: $type),*) -> $result {
            // SAFETY: the same contract.
            unsafe { $call }
        }
    )*};
}

wide! {
    wcslen(from: *const Wide) -> usize: length(from, usize::MAX, "wcslen");
    wcsnlen(from: *const Wide, len: usize) -> usize: length(from, len, "wcsnlen");
    wcscmp(left: *const Wide, right: *const Wide) -> c_int: compare(left, right, "wcscmp");
    wcscpy(to: *mut Wide, from: *const Wide) -> *mut Wide:
        copy(to, from, length(from, usize::MAX, "wcscpy") + 1, "wcscpy");
    wcscat(to: *mut Wide, from: *const Wide) -> *mut Wide: append(to, from, "wcscat");
    wmemcpy(to: *mut Wide, from: *const Wide, count: usize) -> *mut Wide:
        copy(to, from, count, "wmemcpy");
    wmemmove(to: *mut Wide, from: *const Wide, count: usize) -> *mut Wide:
        copy(to, from, count, "wmemmove");
    wmempcpy(to: *mut Wide, from: *const Wide, count: usize) -> *mut Wide:
        copy(to, from, count, "wmempcpy").wrapping_add(count);
    wmemset(to: *mut Wide, value: Wide, count: usize) -> *mut Wide:
        fill(to, value, count, "wmemset");
}

/// Compares two strings, character by character.
///
/// # Safety
///
/// As `wcscmp`'s.
unsafe fn compare(left: *const Wide, right: *const Wide, name: &'static str) -> c_int {
    let known = [room(left) / WIDTH, room(right) / WIDTH];
    let mut at = 0;
    loop {
        for (from, known) in [left, right].into_iter().zip(known) {
            if at == known {
                reads(from, (known + 1) * WIDTH, name);
            }
        }
        // SAFETY: the caller's contract: no end before.
        let one = unsafe { left.wrapping_add(at).read_volatile() };
        // SAFETY: as above.
        let other = unsafe { right.wrapping_add(at).read_volatile() };
        if one != other || one == 0 {
            return one.cmp(&other) as c_int;
        }
        at += 1;
    }
}

/// Appends a string with its end.
///
/// # Safety
///
/// As `wcscat`'s.
unsafe fn append(to: *mut Wide, from: *const Wide, name: &'static str) -> *mut Wide {
    // SAFETY: the same contract.
    let used = unsafe { length(from, usize::MAX, name) };
    // SAFETY: the same contract.
    let before = unsafe { length(to, usize::MAX, name) };
    // SAFETY: the same contract.
    unsafe { copy(to.wrapping_add(before), from, used + 1, name) };
    to
}

/// Fills characters after a look at the range.
///
/// # Safety
///
/// As `wmemset`'s.
unsafe fn fill(to: *mut Wide, value: Wide, count: usize, name: &'static str) -> *mut Wide {
    if count != 0 {
        writes(to, count.wrapping_mul(WIDTH), name);
    }
    for index in 0..count {
        // SAFETY: the caller's contract.
        unsafe { to.wrapping_add(index).write_volatile(value) };
    }
    to
}
