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

/// A heap that the family serves a program from. What it does not say of itself is as C has it.
pub(crate) trait Served: UnsizedFree {
    /// The smallest size in bytes that is asked of it.
    const SIZE_MIN: usize = 1;

    /// Frees a block of which the caller says the size it asked for, the alignment, or neither.
    ///
    /// # Safety
    ///
    /// `block` is a live block of this heap, of that size and alignment.
    #[inline]
    unsafe fn free_told(&self, block: NonNull<u8>, size: Option<usize>, align: Option<usize>) {
        let layout = size.map(|size| Layout::from_size_align(size, align.unwrap_or(ALIGN_MIN)));
        match layout {
            // SAFETY: the same contract; a size without an alignment is of a block that has none.
            Some(Ok(layout)) => unsafe { self.raw_free(block, layout) },
            // SAFETY: the same contract.
            _ => unsafe { self.free_unsized(block) },
        }
    }

    /// Hears that a size was refused that no heap can give; `of` is the product that it is, if it
    /// is one.
    fn refused(&self, _size: usize, _align: usize, _of: Option<(usize, usize)>) {}
}

/// The layout of a block that a caller asked `size` bytes for; `None` above `PTRDIFF_MAX`, which
/// the heap hears.
#[inline]
fn layout_of<A: Served>(heap: &A, size: usize, align: usize) -> Option<Layout> {
    let layout = Layout::from_size_align(size.max(A::SIZE_MIN), align.max(ALIGN_MIN)).ok();
    if layout.is_none() {
        heap.refused(size, align.max(ALIGN_MIN), None);
    }
    layout
}

/// The product of two sizes; `None` if there is no such number, which the heap hears.
#[inline]
fn product<A: Served>(heap: &A, count: usize, size: usize) -> Option<usize> {
    let product = count.checked_mul(size);
    if product.is_none() {
        heap.refused(usize::MAX, ALIGN_MIN, Some((count, size)));
    }
    product
}

/// Allocates without touching `errno`.
#[inline]
pub(crate) fn allocate<A: Served>(heap: &A, size: usize, align: usize) -> *mut c_void {
    let Some(layout) = layout_of(heap, size, align) else { return ptr::null_mut() };
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

/// `malloc`: a block of `size` bytes, with an address of its own also if they are none.
#[inline]
pub(crate) fn malloc<A: Served>(heap: &A, size: usize) -> *mut c_void {
    or_no_memory(allocate(heap, size, ALIGN_MIN))
}

/// `calloc`: a block of `count * size` bytes, all zero.
#[inline]
pub(crate) fn calloc<A: Served>(heap: &A, count: usize, size: usize) -> *mut c_void {
    let size = product(heap, count, size);
    let layout = size.and_then(|size| layout_of(heap, size, ALIGN_MIN));
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
pub(crate) unsafe fn free<A: Served>(heap: &A, block: *mut c_void) {
    let Some(block) = NonNull::new(block.cast()) else { return };
    let saved = errno::get();
    // SAFETY: the caller's contract.
    unsafe { heap.free_unsized(block) };
    errno::set(saved);
}

/// `free_sized`, `free_aligned_sized` and the forms of `operator delete` that say what the caller
/// asked for. `errno` stays.
///
/// # Safety
///
/// `block` is null or a live block of `heap`, which was asked for with this size and alignment, as
/// far as they are said.
#[inline]
pub(crate) unsafe fn free_told<A: Served>(
    heap: &A,
    block: *mut c_void,
    size: Option<usize>,
    align: Option<usize>,
) {
    let Some(block) = NonNull::new(block.cast()) else { return };
    let size = size.map(|size| size.max(A::SIZE_MIN));
    // What is no power of two says nothing.
    let align = align.filter(|align| align.is_power_of_two()).map(|align| align.max(ALIGN_MIN));
    let saved = errno::get();
    // SAFETY: live by the caller's contract; size and alignment are made as those of the request
    // were.
    unsafe { heap.free_told(block, size, align) };
    errno::set(saved);
}

/// `realloc`: null is allocated, no bytes are freed.
///
/// # Safety
///
/// `block` is null or a live block of `heap`.
pub(crate) unsafe fn realloc<A: Served>(heap: &A, block: *mut c_void, size: usize) -> *mut c_void {
    let Some(live) = NonNull::new(block.cast()) else { return malloc(heap, size) };
    if size == 0 {
        // SAFETY: the caller's contract.
        unsafe { free(heap, block) };
        return ptr::null_mut();
    }
    let Some(layout) = layout_of(heap, size, ALIGN_MIN) else {
        return or_no_memory(ptr::null_mut());
    };
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
pub(crate) unsafe fn reallocarray<A: Served>(
    heap: &A,
    block: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    match product(heap, count, size) {
        // SAFETY: the caller's contract.
        Some(size) => unsafe { realloc(heap, block, size) },
        None => or_no_memory(ptr::null_mut()),
    }
}

/// `aligned_alloc`: any power of two; the size need not be a multiple of it.
pub(crate) fn aligned_alloc<A: Served>(heap: &A, align: usize, size: usize) -> *mut c_void {
    if !align.is_power_of_two() {
        errno::set(libc::EINVAL);
        return ptr::null_mut();
    }
    or_no_memory(allocate(heap, size, align))
}

/// `memalign`: any alignment, rounded up to a power of two.
pub(crate) fn memalign<A: Served>(heap: &A, align: usize, size: usize) -> *mut c_void {
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
pub(crate) unsafe fn posix_memalign<A: Served>(
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
pub(crate) fn valloc<A: Served>(heap: &A, size: usize) -> *mut c_void {
    or_no_memory(allocate(heap, size, page_size()))
}

/// `pvalloc`: whole pages.
pub(crate) fn pvalloc<A: Served>(heap: &A, size: usize) -> *mut c_void {
    match size.checked_next_multiple_of(page_size()) {
        Some(size) => valloc(heap, size),
        None => {
            heap.refused(size, page_size(), None);
            or_no_memory(ptr::null_mut())
        }
    }
}

/// `malloc_usable_size`: the bytes that the owner may write; none of null.
///
/// # Safety
///
/// `block` is null or a live block of `heap`.
pub(crate) unsafe fn usable_size<A: Served>(heap: &A, block: *mut c_void) -> usize {
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
