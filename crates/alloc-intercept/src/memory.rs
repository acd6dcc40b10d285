//! Functions on bytes of a given number.

use core::ffi::{c_int, c_void};
use core::ptr;

use crate::bytes;
use crate::checker::{reads, writes};
use crate::strings::bounded;

/// Copies after a look at both ranges; returns `to`.
///
/// # Safety
///
/// As `memmove`'s.
#[inline]
pub(crate) unsafe fn copy(
    to: *mut c_void,
    from: *const c_void,
    len: usize,
    name: &'static str,
) -> *mut c_void {
    if len != 0 {
        reads(from, len, name);
        writes(to, len, name);
    }
    // SAFETY: the same contract.
    unsafe { bytes::copy(to.cast(), from.cast(), len) };
    to
}

/// Fills after a look at the range; returns `to`.
///
/// # Safety
///
/// As `memset`'s.
#[inline]
pub(crate) unsafe fn fill(
    to: *mut c_void,
    byte: c_int,
    len: usize,
    name: &'static str,
) -> *mut c_void {
    if len != 0 {
        writes(to, len, name);
    }
    // SAFETY: the same contract. C converts the value to a byte.
    unsafe { bytes::fill(to.cast(), byte as u8, len) };
    to
}

/// Compares after a look at both ranges.
///
/// # Safety
///
/// As `memcmp`'s.
#[inline]
unsafe fn compare(
    left: *const c_void,
    right: *const c_void,
    len: usize,
    name: &'static str,
) -> c_int {
    if len != 0 {
        reads(left, len, name);
        reads(right, len, name);
    }
    let (left, right) = (left.cast(), right.cast());
    // SAFETY: the same contract.
    let at = unsafe { bytes::compare::<false>(left, right, len) };
    // SAFETY: `at` is below the length.
    if at == len { 0 } else { unsafe { bytes::difference(left, right, at) } }
}

/// `void *memcpy(void *to, const void *from, size_t len)`: see memcpy(3).
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcpy(
    to: *mut c_void,
    from: *const c_void,
    len: usize,
) -> *mut c_void {
    // SAFETY: the same contract.
    unsafe { copy(to, from, len, "memcpy") }
}

/// `void *memmove(void *to, const void *from, size_t len)`: see memmove(3).
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memmove(
    to: *mut c_void,
    from: *const c_void,
    len: usize,
) -> *mut c_void {
    // SAFETY: the same contract.
    unsafe { copy(to, from, len, "memmove") }
}

/// `void *mempcpy(void *to, const void *from, size_t len)`: see mempcpy(3).
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn mempcpy(
    to: *mut c_void,
    from: *const c_void,
    len: usize,
) -> *mut c_void {
    // SAFETY: the same contract.
    unsafe { copy(to, from, len, "mempcpy") }.wrapping_byte_add(len)
}

/// `void bcopy(const void *from, void *to, size_t len)`: see bcopy(3).
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn bcopy(from: *const c_void, to: *mut c_void, len: usize) {
    // SAFETY: the same contract.
    unsafe { copy(to, from, len, "bcopy") };
}

/// `void *memset(void *to, int byte, size_t len)`: see memset(3).
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memset(to: *mut c_void, byte: c_int, len: usize) -> *mut c_void {
    // SAFETY: the same contract.
    unsafe { fill(to, byte, len, "memset") }
}

/// `void bzero(void *to, size_t len)`: see bzero(3).
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn bzero(to: *mut c_void, len: usize) {
    // SAFETY: the same contract.
    unsafe { fill(to, 0, len, "bzero") };
}

/// `void explicit_bzero(void *to, size_t len)`: see bzero(3).
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn explicit_bzero(to: *mut c_void, len: usize) {
    // SAFETY: the same contract. A fill by an instruction is never left out.
    unsafe { fill(to, 0, len, "explicit_bzero") };
}

/// `int memcmp(const void *left, const void *right, size_t len)`: see memcmp(3).
///
/// # Safety
///
/// As C's: all `len` bytes of each may be read.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcmp(
    left: *const c_void,
    right: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: the same contract.
    unsafe { compare(left, right, len, "memcmp") }
}

/// `int bcmp(const void *left, const void *right, size_t len)`: see bcmp(3).
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn bcmp(
    left: *const c_void,
    right: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: the same contract.
    unsafe { compare(left, right, len, "bcmp") }
}

/// `void *memchr(const void *from, int byte, size_t len)`: see memchr(3). It reads up to the byte
/// (C11, 7.24.5.1).
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memchr(
    from: *const c_void,
    byte: c_int,
    len: usize,
) -> *mut c_void {
    let start = from.cast::<u8>();
    let find = |start, len| {
        // SAFETY: as `bounded` promises.
        unsafe { bytes::find(start, byte as u8, len) }
    };
    // SAFETY: the same contract.
    let at = unsafe { bounded("memchr", start, len, find) };
    if at == len { ptr::null_mut() } else { start.wrapping_add(at).cast_mut().cast() }
}

/// `void *memrchr(const void *from, int byte, size_t len)`: see memrchr(3).
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memrchr(
    from: *const c_void,
    byte: c_int,
    len: usize,
) -> *mut c_void {
    if len != 0 {
        reads(from, len, "memrchr");
    }
    let start = from.cast::<u8>();
    // SAFETY: the same contract.
    let found = unsafe { bytes::find_last(start, byte as u8, len) };
    found.map_or(ptr::null_mut(), |at| start.wrapping_add(at).cast_mut().cast())
}

/// `void *rawmemchr(const void *from, int byte)`: see rawmemchr(3).
///
/// # Safety
///
/// As C's: the byte is there.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn rawmemchr(from: *const c_void, byte: c_int) -> *mut c_void {
    let start = from.cast::<u8>();
    let find = |start, len| {
        // SAFETY: as `bounded` promises.
        unsafe { bytes::find(start, byte as u8, len) }
    };
    // SAFETY: the same contract.
    let at = unsafe { bounded("rawmemchr", start, usize::MAX, find) };
    start.wrapping_add(at).cast_mut().cast()
}
