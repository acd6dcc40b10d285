//! Functions on wide characters.

use core::ffi::c_int;
use core::ptr;

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
    wcscmp(left: *const Wide, right: *const Wide) -> c_int:
        compare(left, right, usize::MAX, "wcscmp");
    wcsncmp(left: *const Wide, right: *const Wide, len: usize) -> c_int:
        compare(left, right, len, "wcsncmp");
    wcschr(from: *const Wide, wanted: Wide) -> *mut Wide: find(from, wanted, "wcschr");
    wcsrchr(from: *const Wide, wanted: Wide) -> *mut Wide: find_last(from, wanted, "wcsrchr");
    wmemchr(from: *const Wide, wanted: Wide, count: usize) -> *mut Wide:
        find_among(from, wanted, count);
    wmemcmp(left: *const Wide, right: *const Wide, count: usize) -> c_int:
        compare_all(left, right, count);
    wcsncpy(to: *mut Wide, from: *const Wide, len: usize) -> *mut Wide:
        start_of(to, copy_filled(to, from, len, "wcsncpy"));
    wcpncpy(to: *mut Wide, from: *const Wide, len: usize) -> *mut Wide:
        to.wrapping_add(copy_filled(to, from, len, "wcpncpy"));
    wcpcpy(to: *mut Wide, from: *const Wide) -> *mut Wide: copy_to_end(to, from);
    wcsncat(to: *mut Wide, from: *const Wide, len: usize) -> *mut Wide:
        append(to, from, len, "wcsncat");
    wcscpy(to: *mut Wide, from: *const Wide) -> *mut Wide:
        copy(to, from, length(from, usize::MAX, "wcscpy") + 1, "wcscpy");
    wcscat(to: *mut Wide, from: *const Wide) -> *mut Wide: append(to, from, usize::MAX, "wcscat");
    wmemcpy(to: *mut Wide, from: *const Wide, count: usize) -> *mut Wide:
        copy(to, from, count, "wmemcpy");
    wmemmove(to: *mut Wide, from: *const Wide, count: usize) -> *mut Wide:
        copy(to, from, count, "wmemmove");
    wmempcpy(to: *mut Wide, from: *const Wide, count: usize) -> *mut Wide:
        copy(to, from, count, "wmempcpy").wrapping_add(count);
    wmemset(to: *mut Wide, value: Wide, count: usize) -> *mut Wide:
        fill(to, value, count, "wmemset");
}

/// Reads a character in a way that no compiler makes something else of.
///
/// # Safety
///
/// It may be read.
#[inline(always)]
unsafe fn get(from: *const Wide, index: usize) -> Wide {
    // SAFETY: the caller's contract.
    unsafe { from.wrapping_add(index).read_volatile() }
}

/// Compares two strings, character by character, `len` of each at most.
///
/// # Safety
///
/// As `wcsncmp`'s.
unsafe fn compare(left: *const Wide, right: *const Wide, len: usize, name: &'static str) -> c_int {
    let known = [room(left) / WIDTH, room(right) / WIDTH];
    for at in 0..len {
        for (from, known) in [left, right].into_iter().zip(known) {
            if at == known {
                reads(from, (known + 1) * WIDTH, name);
            }
        }
        // SAFETY: the caller's contract: no end before.
        let one = unsafe { get(left, at) };
        // SAFETY: as above.
        let other = unsafe { get(right, at) };
        if one != other || one == 0 {
            return one.cmp(&other) as c_int;
        }
    }
    0
}

/// Compares `count` characters after a look at both ranges.
///
/// # Safety
///
/// As `wmemcmp`'s.
unsafe fn compare_all(left: *const Wide, right: *const Wide, count: usize) -> c_int {
    if count != 0 {
        reads(left, count.wrapping_mul(WIDTH), "wmemcmp");
        reads(right, count.wrapping_mul(WIDTH), "wmemcmp");
    }
    for at in 0..count {
        // SAFETY: the caller's contract.
        let one = unsafe { get(left, at) };
        // SAFETY: as above.
        let other = unsafe { get(right, at) };
        if one != other {
            return one.cmp(&other) as c_int;
        }
    }
    0
}

/// Returns where the first such character is, among those up to the end of the string.
///
/// # Safety
///
/// As `wcschr`'s.
unsafe fn find(from: *const Wide, wanted: Wide, name: &'static str) -> *mut Wide {
    let known = room(from) / WIDTH;
    let mut at = 0;
    loop {
        if at == known {
            reads(from, (known + 1) * WIDTH, name);
        }
        // SAFETY: the caller's contract: no end before.
        let found = unsafe { get(from, at) };
        if found == wanted {
            return from.wrapping_add(at).cast_mut();
        }
        if found == 0 {
            return ptr::null_mut();
        }
        at += 1;
    }
}

/// Returns where the last such character of a string is; its end is one of them.
///
/// # Safety
///
/// As `wcsrchr`'s.
unsafe fn find_last(from: *const Wide, wanted: Wide, name: &'static str) -> *mut Wide {
    // SAFETY: the same contract.
    let len = unsafe { length(from, usize::MAX, name) };
    // SAFETY: the string with its end.
    let found = (0..=len).rev().find(|at| unsafe { get(from, *at) } == wanted);
    found.map_or(ptr::null_mut(), |at| from.wrapping_add(at).cast_mut())
}

/// Returns where the first such character is, among `count`.
///
/// # Safety
///
/// As `wmemchr`'s: they may be read up to it.
unsafe fn find_among(from: *const Wide, wanted: Wide, count: usize) -> *mut Wide {
    let known = room(from) / WIDTH;
    for at in 0..count {
        if at == known {
            reads(from, (known + 1) * WIDTH, "wmemchr");
        }
        // SAFETY: the caller's contract: none before.
        if unsafe { get(from, at) } == wanted {
            return from.wrapping_add(at).cast_mut();
        }
    }
    ptr::null_mut()
}

/// Copies a string, and fills with zero up to `len` characters; returns the string's length, at most `len`.
///
/// # Safety
///
/// As `wcsncpy`'s.
pub(crate) unsafe fn copy_filled(
    to: *mut Wide,
    from: *const Wide,
    len: usize,
    name: &'static str,
) -> usize {
    // SAFETY: the same contract.
    let used = unsafe { length(from, len, name) };
    if len != 0 {
        writes(to, len.wrapping_mul(WIDTH), name);
    }
    // SAFETY: the same contract.
    unsafe { bytes::copy(to.cast(), from.cast(), used * WIDTH) };
    // SAFETY: the same contract.
    unsafe { bytes::fill(to.wrapping_add(used).cast(), 0, (len - used).wrapping_mul(WIDTH)) };
    used
}

/// Copies a string; returns where its end is.
///
/// # Safety
///
/// As `wcpcpy`'s.
unsafe fn copy_to_end(to: *mut Wide, from: *const Wide) -> *mut Wide {
    // SAFETY: the same contract.
    let len = unsafe { length(from, usize::MAX, "wcpcpy") };
    // SAFETY: the same contract.
    unsafe { copy(to, from, len + 1, "wcpcpy") }.wrapping_add(len)
}

/// Returns where the copy begins; how long it is nobody asks.
fn start_of(to: *mut Wide, _len: usize) -> *mut Wide {
    to
}

/// Appends a string, `len` characters of it at most, and an end.
///
/// # Safety
///
/// As `wcsncat`'s.
unsafe fn append(to: *mut Wide, from: *const Wide, len: usize, name: &'static str) -> *mut Wide {
    // SAFETY: the same contract.
    let used = unsafe { length(from, len, name) };
    // SAFETY: the same contract.
    let before = unsafe { length(to, usize::MAX, name) };
    let end = to.wrapping_add(before);
    writes(end, (used + 1) * WIDTH, name);
    // SAFETY: the same contract.
    unsafe { bytes::copy(end.cast(), from.cast(), used * WIDTH) };
    // SAFETY: the same contract.
    unsafe { bytes::fill(end.wrapping_add(used).cast(), 0, WIDTH) };
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
