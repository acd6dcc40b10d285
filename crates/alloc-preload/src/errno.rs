//! The calling thread's `errno`.

use core::ffi::c_int;

/// Returns the calling thread's `errno`.
#[inline]
pub(crate) fn get() -> c_int {
    // SAFETY: no preconditions; it returns the address of a thread-local.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: `place` is this thread's `errno`, which lives as long as the thread.
    unsafe { place.read() }
}

/// Sets the calling thread's `errno`.
#[inline]
pub(crate) fn set(value: c_int) {
    // SAFETY: as in `get`.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as in `get`.
    unsafe { place.write(value) };
}
