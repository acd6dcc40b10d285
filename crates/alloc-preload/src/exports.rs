//! C's names.

use core::ffi::{c_int, c_void};

use crate::checked::Checked;
use crate::decided::strategy;
use crate::family;
use crate::glibc::GLIBC;
use crate::sampled::{self, Sampled};
use crate::strategy::Strategy;
use crate::symbols;

/// Makes a call with the heap that serves this process.
macro_rules! serve {
    ($heap:ident => $call:expr) => {
        match strategy() {
            Strategy::Gpa => {
                let $heap = &Checked::MALLOC;
                $call
            }
            Strategy::Glibc | Strategy::Own => {
                let $heap = &GLIBC;
                $call
            }
            Strategy::Sampled => {
                let $heap = &Sampled::MALLOC;
                $call
            }
        }
    };
}

/// Whether the program, or a library preloaded before this one, answers `malloc` or `free`.
pub(crate) fn is_any_replaced() -> bool {
    let malloc = symbols::global_address!("malloc");
    let free = symbols::global_address!("free");
    !symbols::is_not_replaced(malloc) || !symbols::is_not_replaced(free)
}

/// `void *malloc(size_t size)`: see malloc(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn malloc(size: usize) -> *mut c_void {
    if strategy() == Strategy::Sampled {
        return sampled::malloc(size);
    }
    serve!(heap => family::malloc(heap, size))
}

/// `void *calloc(size_t count, size_t size)`: see malloc(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    if strategy() == Strategy::Sampled {
        return sampled::calloc(count, size);
    }
    serve!(heap => family::calloc(heap, count, size))
}

/// `void free(void *block)`: see malloc(3).
///
/// # Safety
///
/// As C's: null or a live block. (Under `gpa` anything else is told.)
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn free(block: *mut c_void) {
    if strategy() == Strategy::Sampled {
        // SAFETY: the same contract.
        return unsafe { sampled::free(block) };
    }
    // SAFETY: the same contract.
    serve!(heap => unsafe { family::free(heap, block) });
}

/// `void cfree(void *block)`: `free`'s old name, which old programs still call.
///
/// # Safety
///
/// As [`free`].
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cfree(block: *mut c_void) {
    // SAFETY: the same contract.
    serve!(heap => unsafe { family::free(heap, block) });
}

/// `void free_sized(void *block, size_t size)`: C23, 7.24.3.4.
///
/// # Safety
///
/// As [`free`], and the block was asked for with this size.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn free_sized(block: *mut c_void, size: usize) {
    // SAFETY: the same contract.
    serve!(heap => unsafe { family::free_told(heap, block, Some(size), Some(family::ALIGN_MIN)) });
}

/// `void free_aligned_sized(void *block, size_t align, size_t size)`: C23, 7.24.3.5.
///
/// # Safety
///
/// As [`free`], and the block was asked for with this alignment and size.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn free_aligned_sized(block: *mut c_void, align: usize, size: usize) {
    // SAFETY: the same contract.
    serve!(heap => unsafe { family::free_told(heap, block, Some(size), Some(align)) });
}

/// `void *realloc(void *block, size_t size)`: see malloc(3).
///
/// # Safety
///
/// As [`free`].
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if strategy() == Strategy::Sampled {
        // SAFETY: the same contract.
        return unsafe { sampled::realloc(block, size) };
    }
    // SAFETY: the same contract.
    serve!(heap => unsafe { family::realloc(heap, block, size) })
}

/// `void *reallocarray(void *block, size_t count, size_t size)`: see malloc(3).
///
/// # Safety
///
/// As [`free`].
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn reallocarray(
    block: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    // SAFETY: the same contract.
    serve!(heap => unsafe { family::reallocarray(heap, block, count, size) })
}

/// `void *aligned_alloc(size_t align, size_t size)`: see posix_memalign(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    serve!(heap => family::aligned_alloc(heap, align, size))
}

/// `void *memalign(size_t align, size_t size)`: see posix_memalign(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    serve!(heap => family::memalign(heap, align, size))
}

/// `int posix_memalign(void **place, size_t align, size_t size)`: see posix_memalign(3).
///
/// # Safety
///
/// `place` may be written to.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    align: usize,
    size: usize,
) -> c_int {
    // SAFETY: the same contract.
    serve!(heap => unsafe { family::posix_memalign(heap, place, align, size) })
}

/// `void *valloc(size_t size)`: see posix_memalign(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn valloc(size: usize) -> *mut c_void {
    serve!(heap => family::valloc(heap, size))
}

/// `void *pvalloc(size_t size)`: see posix_memalign(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn pvalloc(size: usize) -> *mut c_void {
    serve!(heap => family::pvalloc(heap, size))
}

/// `size_t malloc_usable_size(void *block)`: see malloc_usable_size(3).
///
/// # Safety
///
/// As [`free`].
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    // SAFETY: the same contract.
    serve!(heap => unsafe { family::usable_size(heap, block) })
}
