//! The address sanitizer's hooks, in builds with `--cfg sanitized` and `-Zsanitizer=address`; under
//! the other sanitizers nothing.

use core::ptr::NonNull;

#[cfg(sanitize = "address")]
mod hooks {
    use core::ffi::c_void;

    unsafe extern "C" {
        /// Of the runtime, sanitizer/asan_interface.h: the bytes may not be touched any more.
        pub(super) fn __asan_poison_memory_region(addr: *const c_void, size: usize);
        /// Of the runtime: takes that back.
        pub(super) fn __asan_unpoison_memory_region(addr: *const c_void, size: usize);
    }
}

/// Nobody may touch the bytes.
pub(crate) fn poison(start: NonNull<u8>, len: usize) {
    #[cfg(sanitize = "address")]
    // SAFETY: the runtime marks its shadow of the range; the bytes themselves stay as they are.
    unsafe {
        hooks::__asan_poison_memory_region(start.as_ptr().cast(), len);
    }
    #[cfg(not(sanitize = "address"))]
    let _ = (start, len);
}

/// The bytes may be touched again.
pub(crate) fn unpoison(start: NonNull<u8>, len: usize) {
    #[cfg(sanitize = "address")]
    // SAFETY: as above.
    unsafe {
        hooks::__asan_unpoison_memory_region(start.as_ptr().cast(), len);
    }
    #[cfg(not(sanitize = "address"))]
    let _ = (start, len);
}
