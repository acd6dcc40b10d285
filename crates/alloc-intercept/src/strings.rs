//! Functions on strings that end with a zero byte.

use core::ffi::{c_char, c_int};
use core::ptr;

use crate::bytes;
use crate::checker::{reads, room, writes};

/// Searches from `start` on, `len` bytes at most; returns how far it came, `len` if nothing was
/// found. As far as bytes are known to be the program's it searches those first: if that is not
/// enough, it reads past the end of a block, which is told, and then goes on.
///
/// # Safety
///
/// `search` may read the bytes up to what it finds, `len` at most. It is called with ranges for which
/// the program vouches, or this library knows it.
#[inline]
pub(crate) unsafe fn bounded(
    name: &'static str,
    start: *const u8,
    len: usize,
    search: impl Fn(*const u8, usize) -> usize,
) -> usize {
    let known = room(start);
    if len <= known {
        return search(start, len);
    }
    let found = search(start, known);
    if found < known {
        return found;
    }
    reads(start, known + 1, name);
    // As without this library: what is behind the block is read.
    known + search(start.wrapping_add(known), len - known)
}

/// Returns the length of a string, at most `len`.
///
/// # Safety
///
/// As `strnlen`'s.
#[inline]
pub(crate) unsafe fn length(from: *const c_char, len: usize, name: &'static str) -> usize {
    let find = |start, len| {
        // SAFETY: as `bounded` promises.
        unsafe { bytes::find(start, 0, len) }
    };
    // SAFETY: the same contract.
    unsafe { bounded(name, from.cast(), len, find) }
}

/// Compares two strings, `len` bytes of each at most.
///
/// # Safety
///
/// As `strncmp`'s.
#[inline]
unsafe fn compare(
    left: *const c_char,
    right: *const c_char,
    len: usize,
    name: &'static str,
) -> c_int {
    let (left, right) = (left.cast::<u8>(), right.cast::<u8>());
    let (left_room, right_room) = (room(left), room(right));
    let known = left_room.min(right_room).min(len);
    // SAFETY: as many bytes are the program's.
    let mut at = unsafe { bytes::compare::<true>(left, right, known) };
    if at == known && known < len {
        if left_room == known {
            reads(left, known + 1, name);
        }
        if right_room == known {
            reads(right, known + 1, name);
        }
        let (left, right) = (left.wrapping_add(at), right.wrapping_add(at));
        // SAFETY: the caller's contract: as without this library.
        at += unsafe { bytes::compare::<true>(left, right, len - known) };
    }
    // SAFETY: the byte at which the comparison ended.
    if at == len { 0 } else { unsafe { bytes::difference(left, right, at) } }
}

/// Copies a string with its end; returns its length.
///
/// # Safety
///
/// As `strcpy`'s.
#[inline]
pub(crate) unsafe fn copy(to: *mut c_char, from: *const c_char, name: &'static str) -> usize {
    // SAFETY: the same contract.
    let len = unsafe { length(from, usize::MAX, name) };
    // SAFETY: the same contract.
    unsafe { copy_measured(to, from, len, name) }
}

/// The same, of a string that was looked at and is `len` bytes long.
///
/// # Safety
///
/// As `strcpy`'s.
#[inline]
pub(crate) unsafe fn copy_measured(
    to: *mut c_char,
    from: *const c_char,
    len: usize,
    name: &'static str,
) -> usize {
    writes(to, len + 1, name);
    // SAFETY: the same contract.
    unsafe { bytes::copy(to.cast(), from.cast(), len + 1) };
    len
}

/// Copies a string, and fills with zero bytes up to `len`; returns the string's length, at most `len`.
///
/// # Safety
///
/// As `strncpy`'s.
#[inline]
pub(crate) unsafe fn copy_filled(
    to: *mut c_char,
    from: *const c_char,
    len: usize,
    name: &'static str,
) -> usize {
    // SAFETY: the same contract.
    let used = unsafe { length(from, len, name) };
    if len != 0 {
        writes(to, len, name);
    }
    // SAFETY: the same contract.
    unsafe { bytes::copy(to.cast(), from.cast(), used) };
    // SAFETY: the same contract.
    unsafe { bytes::fill(to.wrapping_add(used).cast(), 0, len - used) };
    used
}

/// Appends a string, `len` bytes of it at most, and an end.
///
/// # Safety
///
/// As `strncat`'s.
#[inline]
pub(crate) unsafe fn append(
    to: *mut c_char,
    from: *const c_char,
    len: usize,
    name: &'static str,
) -> *mut c_char {
    // SAFETY: the same contract.
    let used = unsafe { length(from, len, name) };
    // SAFETY: the same contract.
    let before = unsafe { length(to, usize::MAX, name) };
    // SAFETY: the same contract.
    unsafe { append_measured(to, before, from, used, name) }
}

/// The same, of strings that were looked at: `before` bytes are there, `used` are appended.
///
/// # Safety
///
/// As `strncat`'s.
#[inline]
pub(crate) unsafe fn append_measured(
    to: *mut c_char,
    before: usize,
    from: *const c_char,
    used: usize,
    name: &'static str,
) -> *mut c_char {
    let end = to.wrapping_add(before);
    writes(end, used + 1, name);
    // SAFETY: the same contract.
    unsafe { bytes::copy(end.cast(), from.cast(), used) };
    // SAFETY: the same contract.
    unsafe { bytes::fill(end.wrapping_add(used).cast(), 0, 1) };
    to
}

/// Returns how far the first such byte is, or the end.
///
/// # Safety
///
/// As `strchr`'s.
#[inline]
unsafe fn find_or_end(from: *const c_char, byte: c_int, name: &'static str) -> usize {
    let find = |start, len| {
        // SAFETY: as `bounded` promises.
        unsafe { bytes::find_or_nul(start, byte as u8, len) }
    };
    // SAFETY: the same contract.
    unsafe { bounded(name, from.cast(), usize::MAX, find) }
}

/// As `strchr`.
///
/// # Safety
///
/// As its.
#[inline]
unsafe fn find(from: *const c_char, byte: c_int, name: &'static str) -> *mut c_char {
    // SAFETY: the same contract.
    let at = from.wrapping_add(unsafe { find_or_end(from, byte, name) });
    // SAFETY: the byte at which the search ended.
    let found = unsafe { at.cast::<u8>().read_volatile() };
    if found == byte as u8 { at.cast_mut() } else { ptr::null_mut() }
}

/// As `strrchr`.
///
/// # Safety
///
/// As its.
#[inline]
unsafe fn find_last(from: *const c_char, byte: c_int, name: &'static str) -> *mut c_char {
    // SAFETY: the same contract.
    let len = unsafe { length(from, usize::MAX, name) };
    // SAFETY: the string with its end.
    let found = unsafe { bytes::find_last(from.cast(), byte as u8, len + 1) };
    found.map_or(ptr::null_mut(), |at| from.wrapping_add(at).cast_mut())
}

/// Writes functions that are one call each.
macro_rules! strings {
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

strings! {
    strlen(from: *const c_char) -> usize: length(from, usize::MAX, "strlen");
    strnlen(from: *const c_char, len: usize) -> usize: length(from, len, "strnlen");
    strcmp(left: *const c_char, right: *const c_char) -> c_int:
        compare(left, right, usize::MAX, "strcmp");
    strncmp(left: *const c_char, right: *const c_char, len: usize) -> c_int:
        compare(left, right, len, "strncmp");
    strchr(from: *const c_char, byte: c_int) -> *mut c_char: find(from, byte, "strchr");
    index(from: *const c_char, byte: c_int) -> *mut c_char: find(from, byte, "index");
    strrchr(from: *const c_char, byte: c_int) -> *mut c_char: find_last(from, byte, "strrchr");
    rindex(from: *const c_char, byte: c_int) -> *mut c_char: find_last(from, byte, "rindex");
    strchrnul(from: *const c_char, byte: c_int) -> *mut c_char:
        from.wrapping_add(find_or_end(from, byte, "strchrnul")).cast_mut();
    strcpy(to: *mut c_char, from: *const c_char) -> *mut c_char:
        same(to, copy(to, from, "strcpy"));
    stpcpy(to: *mut c_char, from: *const c_char) -> *mut c_char:
        to.wrapping_add(copy(to, from, "stpcpy"));
    __stpcpy(to: *mut c_char, from: *const c_char) -> *mut c_char:
        to.wrapping_add(copy(to, from, "stpcpy"));
    strncpy(to: *mut c_char, from: *const c_char, len: usize) -> *mut c_char:
        same(to, copy_filled(to, from, len, "strncpy"));
    stpncpy(to: *mut c_char, from: *const c_char, len: usize) -> *mut c_char:
        to.wrapping_add(copy_filled(to, from, len, "stpncpy"));
    strcat(to: *mut c_char, from: *const c_char) -> *mut c_char:
        append(to, from, usize::MAX, "strcat");
    strncat(to: *mut c_char, from: *const c_char, len: usize) -> *mut c_char:
        append(to, from, len, "strncat");
    memccpy(to: *mut c_char, from: *const c_char, byte: c_int, len: usize) -> *mut c_char:
        copy_until(to, from, byte, len);
    strlcpy(to: *mut c_char, from: *const c_char, size: usize) -> usize:
        copy_cut(to, from, size, "strlcpy");
    strlcat(to: *mut c_char, from: *const c_char, size: usize) -> usize: append_cut(to, from, size);
    strdup(from: *const c_char) -> *mut c_char: duplicate(from, usize::MAX, "strdup");
    __strdup(from: *const c_char) -> *mut c_char: duplicate(from, usize::MAX, "strdup");
    strndup(from: *const c_char, len: usize) -> *mut c_char: duplicate(from, len, "strndup");
    __strndup(from: *const c_char, len: usize) -> *mut c_char: duplicate(from, len, "strndup");
}

/// Copies a string, `len` bytes of it at most, into a block of its own.
///
/// # Safety
///
/// As `strndup`'s.
unsafe fn duplicate(from: *const c_char, len: usize, name: &'static str) -> *mut c_char {
    // SAFETY: the same contract.
    let used = unsafe { length(from, len, name) };
    // SAFETY: no contract.
    let block = unsafe { libc::malloc(used + 1) };
    if !block.is_null() {
        // SAFETY: the string is as long, and the block one byte longer.
        unsafe { bytes::copy(block.cast(), from.cast(), used) };
        // SAFETY: the block's last byte.
        unsafe { bytes::fill(block.wrapping_byte_add(used).cast(), 0, 1) };
    }
    block.cast()
}

/// Copies up to the first such byte, `len` bytes at most; returns where the copy goes on, null if the byte was
/// not among them.
///
/// # Safety
///
/// As `memccpy`'s.
unsafe fn copy_until(to: *mut c_char, from: *const c_char, byte: c_int, len: usize) -> *mut c_char {
    const NAME: &str = "memccpy";
    let find = |start, len| {
        // SAFETY: as `bounded` promises.
        unsafe { bytes::find(start, byte as u8, len) }
    };
    // SAFETY: the same contract.
    let at = unsafe { bounded(NAME, from.cast(), len, find) };
    let count = len.min(at.saturating_add(1));
    if count != 0 {
        writes(to, count, NAME);
    }
    // SAFETY: the same contract.
    unsafe { bytes::copy(to.cast(), from.cast(), count) };
    if at == len { ptr::null_mut() } else { to.wrapping_add(count) }
}

/// Copies a string as far as `size` bytes hold it and its end; returns its length.
///
/// # Safety
///
/// As `strlcpy`'s.
unsafe fn copy_cut(to: *mut c_char, from: *const c_char, size: usize, name: &'static str) -> usize {
    // SAFETY: the same contract.
    let len = unsafe { length(from, usize::MAX, name) };
    if let Some(most) = size.checked_sub(1) {
        let used = len.min(most);
        writes(to, used + 1, name);
        // SAFETY: the same contract.
        unsafe { bytes::copy(to.cast(), from.cast(), used) };
        // SAFETY: the same contract.
        unsafe { bytes::fill(to.wrapping_add(used).cast(), 0, 1) };
    }
    len
}

/// Appends a string as far as `size` bytes hold all of it and its end; returns the length of all of it.
///
/// # Safety
///
/// As `strlcat`'s.
unsafe fn append_cut(to: *mut c_char, from: *const c_char, size: usize) -> usize {
    const NAME: &str = "strlcat";
    // SAFETY: the same contract.
    let before = unsafe { length(to, size, NAME) };
    // SAFETY: the rest of the same range.
    let more = unsafe { copy_cut(to.wrapping_add(before), from, size - before, NAME) };
    before.saturating_add(more)
}

/// Returns where the copy begins; how long it is nobody asks.
pub(crate) fn same(to: *mut c_char, _len: usize) -> *mut c_char {
    to
}
