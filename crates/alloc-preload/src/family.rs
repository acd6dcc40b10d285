//! C's rules for `malloc` and its relatives, over any allocator that knows its blocks' sizes.
//!
//! Nothing here is exported and nothing here is the process's own: the functions take the allocator,
//! so tests run them over any.
//!
//! | rule | where it is from |
//! | --- | --- |
//! | `errno` is ENOMEM after a failure and untouched after a success, also by `free` | POSIX, glibc 2.33 |
//! | a request for no bytes gets a block of its own | glibc |
//! | `realloc(p, 0)` frees and returns null | glibc |
//! | sizes above `PTRDIFF_MAX` fail, products that overflow too | glibc 2.30 |
//! | `aligned_alloc` refuses an alignment that is no power of two with EINVAL | C17, glibc 2.38 |
//! | `posix_memalign` returns its error, leaves `errno` alone, and takes multiples of a word only | POSIX |
//! | `memalign` takes the next power of two | glibc |
//! | `pvalloc` rounds the size up to whole pages | glibc |

use core::alloc::Layout;
use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};

use alloc_core::UnsizedFree;

use crate::errno;

/// Alignment of every block in bytes, whatever its size: that of `max_align_t`.
pub(crate) const ALIGN_MIN: usize = 16;

/// The largest alignment that there is in bytes.
const ALIGN_MAX: usize = 1 << (usize::BITS - 1);

/// The layout of a block that a caller asked `size` bytes for; `None` above `PTRDIFF_MAX`.
#[inline]
fn layout_of(size: usize, align: usize) -> Option<Layout> {
    Layout::from_size_align(size.max(1), align.max(ALIGN_MIN)).ok()
}

/// Allocates without touching `errno`.
#[inline]
pub(crate) fn allocate<A: UnsizedFree>(heap: &A, size: usize, align: usize) -> *mut c_void {
    let Some(layout) = layout_of(size, align) else { return ptr::null_mut() };
    let saved = errno::get();
    let block = heap.raw_alloc(layout);
    errno::set(saved);
    block.map_or(ptr::null_mut(), |block| block.as_ptr().cast())
}

/// Returns `block`; if it is null, `errno` is ENOMEM afterwards.
#[inline]
fn or_no_memory(block: *mut c_void) -> *mut c_void {
    if block.is_null() {
        errno::set(libc::ENOMEM);
    }
    block
}

/// `malloc`: a block of `size` bytes, of a byte at least.
#[inline]
pub(crate) fn malloc<A: UnsizedFree>(heap: &A, size: usize) -> *mut c_void {
    or_no_memory(allocate(heap, size, ALIGN_MIN))
}

/// `calloc`: a block of `count * size` bytes, all zero.
#[inline]
pub(crate) fn calloc<A: UnsizedFree>(heap: &A, count: usize, size: usize) -> *mut c_void {
    let layout = count.checked_mul(size).and_then(|size| layout_of(size, ALIGN_MIN));
    let saved = errno::get();
    let block = layout.and_then(|layout| heap.raw_alloc_zeroed(layout).ok());
    errno::set(saved);
    or_no_memory(block.map_or(ptr::null_mut(), |block| block.as_ptr().cast()))
}

/// `free`, which null may be given to. `errno` stays.
///
/// # Safety
///
/// `block` is null or a live block of `heap`.
#[inline]
pub(crate) unsafe fn free<A: UnsizedFree>(heap: &A, block: *mut c_void) {
    let Some(block) = NonNull::new(block.cast()) else { return };
    let saved = errno::get();
    // SAFETY: the caller's contract.
    unsafe { heap.free_unsized(block) };
    errno::set(saved);
}

/// `free_sized`, `free_aligned_sized` and the sized forms of `operator delete`: the caller says what
/// it asked for. `errno` stays.
///
/// # Safety
///
/// `block` is null or a live block of `heap`, which was asked for with this size, and with this
/// alignment or with none that is above the usual one.
#[inline]
pub(crate) unsafe fn free_sized<A: UnsizedFree>(
    heap: &A,
    block: *mut c_void,
    size: usize,
    align: usize,
) {
    let align = if align.is_power_of_two() { align } else { ALIGN_MIN };
    let Some(layout) = layout_of(size, align) else {
        // No block is as large as that: what the caller says is of no use.
        // SAFETY: the caller's contract.
        return unsafe { free(heap, block) };
    };
    let Some(block) = NonNull::new(block.cast()) else { return };
    let saved = errno::get();
    // SAFETY: live by the caller's contract; the layout is made as that of the request was.
    unsafe { heap.raw_free(block, layout) };
    errno::set(saved);
}

/// `realloc`: null is allocated, no bytes are freed.
///
/// # Safety
///
/// `block` is null or a live block of `heap`.
pub(crate) unsafe fn realloc<A: UnsizedFree>(
    heap: &A,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    let Some(live) = NonNull::new(block.cast()) else { return malloc(heap, size) };
    if size == 0 {
        // SAFETY: the caller's contract.
        unsafe { free(heap, block) };
        return ptr::null_mut();
    }
    let Some(layout) = layout_of(size, ALIGN_MIN) else { return or_no_memory(ptr::null_mut()) };
    let saved = errno::get();
    // SAFETY: live by the caller's contract; the size is not zero.
    let moved = unsafe { heap.realloc_unsized(live, layout) };
    errno::set(saved);
    or_no_memory(moved.map_or(ptr::null_mut(), |block| block.as_ptr().cast()))
}

/// `reallocarray`: `realloc` to `count * size` bytes.
///
/// # Safety
///
/// `block` is null or a live block of `heap`.
pub(crate) unsafe fn reallocarray<A: UnsizedFree>(
    heap: &A,
    block: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller's contract.
        Some(size) => unsafe { realloc(heap, block, size) },
        None => or_no_memory(ptr::null_mut()),
    }
}

/// `aligned_alloc`: any power of two; the size need not be a multiple of it.
pub(crate) fn aligned_alloc<A: UnsizedFree>(heap: &A, align: usize, size: usize) -> *mut c_void {
    if !align.is_power_of_two() {
        errno::set(libc::EINVAL);
        return ptr::null_mut();
    }
    or_no_memory(allocate(heap, size, align))
}

/// `memalign`: any alignment, rounded up to a power of two.
pub(crate) fn memalign<A: UnsizedFree>(heap: &A, align: usize, size: usize) -> *mut c_void {
    if ALIGN_MAX < align {
        errno::set(libc::EINVAL);
        return ptr::null_mut();
    }
    or_no_memory(allocate(heap, size, align.max(1).next_power_of_two()))
}

/// `posix_memalign`: returns the error and leaves `errno` and, after an error, `*place` alone.
///
/// # Safety
///
/// `place` may be written to.
pub(crate) unsafe fn posix_memalign<A: UnsizedFree>(
    heap: &A,
    place: *mut *mut c_void,
    align: usize,
    size: usize,
) -> c_int {
    if !align.is_power_of_two() || align < size_of::<*mut c_void>() {
        return libc::EINVAL;
    }
    let block = allocate(heap, size, align);
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's contract.
    unsafe { place.write(block) };
    0
}

/// `valloc`: a block that starts a page.
pub(crate) fn valloc<A: UnsizedFree>(heap: &A, size: usize) -> *mut c_void {
    or_no_memory(allocate(heap, size, page_size()))
}

/// `pvalloc`: whole pages.
pub(crate) fn pvalloc<A: UnsizedFree>(heap: &A, size: usize) -> *mut c_void {
    match size.checked_next_multiple_of(page_size()) {
        Some(size) => valloc(heap, size),
        None => or_no_memory(ptr::null_mut()),
    }
}

/// `malloc_usable_size`: the bytes that the owner may write; none of null.
///
/// # Safety
///
/// `block` is null or a live block of `heap`.
pub(crate) unsafe fn usable_size<A: UnsizedFree>(heap: &A, block: *mut c_void) -> usize {
    // SAFETY: the caller's contract.
    NonNull::new(block.cast()).map_or(0, |block| unsafe { heap.usable_size(block) })
}

/// The system's page size in bytes.
fn page_size() -> usize {
    // SAFETY: reads a word that the kernel gave the process; neither allocates nor fails.
    let size = unsafe { libc::getauxval(libc::AT_PAGESZ) };
    usize::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(4096)
}

#[cfg(test)]
mod tests;
