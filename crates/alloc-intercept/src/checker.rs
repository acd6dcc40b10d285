//! The other library, which knows the heap: found once, by name and version.

use core::ptr;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Release};

/// Its functions, in the order of version 1. The other library declares the same.
#[repr(C)]
struct Checker {
    /// Bytes from an address to the end of its live block: none if that is freed; `usize::MAX` if it
    /// is no block's.
    room: extern "C" fn(usize) -> usize,
    /// Tells if a range is not all in one live block: address, length, whether it is written, and
    /// who does it, as text.
    check: unsafe extern "C" fn(usize, usize, bool, *const u8, usize),
}

/// Null until the constructor found it, and for ever if this process is not checked.
static CHECKER: AtomicPtr<Checker> = AtomicPtr::new(ptr::null_mut());

/// The loader calls it when all libraries are relocated.
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    type Find = unsafe extern "C" fn() -> *mut Checker;
    // SAFETY: a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"alloc_preload_checker_1".as_ptr()) };
    if !found.is_null() {
        // SAFETY: the function of this name has this type; the name carries its version.
        let find = unsafe { core::mem::transmute::<*mut libc::c_void, Find>(found) };
        // SAFETY: no contract.
        let checker = unsafe { find() };
        // Release: pairs with the Acquire in `checker`.
        CHECKER.store(checker, Release);
    }
}

#[inline]
fn checker() -> Option<&'static Checker> {
    // Acquire: pairs with the Release in `start`; the table was written before the program began.
    // SAFETY: null, or a table that lives as long as the other library, which is never closed.
    unsafe { CHECKER.load(Acquire).as_ref() }
}

/// `len` bytes are about to be read by `name`.
#[inline]
pub(crate) fn reads<T>(from: *const T, len: usize, name: &'static str) {
    if let Some(checker) = checker() {
        // SAFETY: a text of that length.
        unsafe { (checker.check)(from.addr(), len, false, name.as_ptr(), name.len()) };
    }
}

/// `len` bytes are about to be written by `name`.
#[inline]
pub(crate) fn writes<T>(to: *mut T, len: usize, name: &'static str) {
    if let Some(checker) = checker() {
        // SAFETY: a text of that length.
        unsafe { (checker.check)(to.addr(), len, true, name.as_ptr(), name.len()) };
    }
}

/// Returns how many bytes from an address on are known to be the program's; `usize::MAX` if nothing
/// is known of it.
#[inline]
pub(crate) fn room<T>(from: *const T) -> usize {
    checker().map_or(usize::MAX, |checker| (checker.room)(from.addr()))
}
