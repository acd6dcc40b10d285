//! The C functions, as a seam: the C library's own, or a table of pointers.

use core::ffi::c_void;
use core::ptr;

/// The functions that an allocator over C calls.
///
/// # Safety
///
/// They behave as the C standard and the manual pages say of the functions of the same names; all of
/// them work on the same heap, from every thread, and none unwinds.
pub(crate) unsafe trait Functions {
    /// `malloc(3)`; `size` is not zero.
    fn malloc(&self, size: usize) -> *mut c_void;

    /// `calloc(3)` of one item; `size` is not zero.
    fn calloc(&self, size: usize) -> *mut c_void;

    /// `memalign(3)`, or null where the system has no such function whose blocks `free` takes;
    /// `align` is a power of two and a multiple of a pointer's size.
    fn memalign(&self, align: usize, size: usize) -> *mut c_void;

    /// `realloc(3)`; `size` is not zero.
    ///
    /// # Safety
    ///
    /// `block` is live.
    unsafe fn realloc(&self, block: *mut c_void, size: usize) -> *mut c_void;

    /// `free(3)`.
    ///
    /// # Safety
    ///
    /// `block` is live.
    unsafe fn free(&self, block: *mut c_void);

    /// `malloc_usable_size(3)`.
    ///
    /// # Safety
    ///
    /// `block` is live.
    unsafe fn usable_size(&self, block: *mut c_void) -> usize;
}

/// The C library that the program is linked with, or what is preloaded before it.
pub(crate) struct Libc;

// SAFETY: they are the functions themselves.
unsafe impl Functions for Libc {
    #[inline]
    fn malloc(&self, size: usize) -> *mut c_void {
        // SAFETY: any size may be asked for.
        unsafe { libc::malloc(size) }
    }

    #[inline]
    fn calloc(&self, size: usize) -> *mut c_void {
        // SAFETY: any size may be asked for.
        unsafe { libc::calloc(1, size) }
    }

    #[cfg(windows)]
    #[inline]
    fn memalign(&self, _: usize, _: usize) -> *mut c_void {
        ptr::null_mut()
    }

    #[cfg(not(windows))]
    #[inline]
    fn memalign(&self, align: usize, size: usize) -> *mut c_void {
        let mut block = ptr::null_mut();
        // SAFETY: `block` may be written; the alignment is one that posix_memalign(3) takes.
        match unsafe { libc::posix_memalign(&raw mut block, align, size) } {
            0 => block,
            // What is in `block` now differs between systems.
            _ => ptr::null_mut(),
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: live, by the contract of this method.
        unsafe { libc::realloc(block, size) }
    }

    #[inline]
    unsafe fn free(&self, block: *mut c_void) {
        // SAFETY: live, by the contract of this method.
        unsafe { libc::free(block) };
    }

    #[inline]
    unsafe fn usable_size(&self, block: *mut c_void) -> usize {
        // SAFETY: live, by the contract of this method.
        unsafe { c_usable_size(block) }
    }
}

#[cfg(target_vendor = "apple")]
use libc::malloc_size as c_usable_size;
#[cfg(not(any(target_vendor = "apple", windows)))]
use libc::malloc_usable_size as c_usable_size;

#[cfg(windows)]
unsafe extern "C" {
    #[link_name = "_msize"]
    fn c_usable_size(block: *mut c_void) -> usize;
}

/// A family of C functions that allocate from one heap, for
/// [`CAllocatorWith`](crate::CAllocatorWith).
///
/// It is how a library that *is* the process's `malloc` reaches the C library's: through
/// `__libc_malloc` and its sisters, or through `dlsym(RTLD_NEXT, ..)`.
#[derive(Clone, Copy, Debug)]
pub struct CFunctions {
    /// `malloc(size)`.
    pub malloc: unsafe extern "C" fn(size: usize) -> *mut c_void,
    /// `calloc(count, size)`.
    pub calloc: unsafe extern "C" fn(count: usize, size: usize) -> *mut c_void,
    /// `memalign(align, size)`: `align` is a power of two and at least a pointer's size. What it
    /// returns may be given to `realloc` and `free`.
    pub memalign: unsafe extern "C" fn(align: usize, size: usize) -> *mut c_void,
    /// `realloc(block, size)`.
    pub realloc: unsafe extern "C" fn(block: *mut c_void, size: usize) -> *mut c_void,
    /// `free(block)`.
    pub free: unsafe extern "C" fn(block: *mut c_void),
    /// `malloc_usable_size(block)`: how many bytes of a block may be used, at least what was asked
    /// for.
    pub usable_size: unsafe extern "C" fn(block: *mut c_void) -> usize,
}

// SAFETY: `CAllocatorWith::new`, the only way to such a reference here, asks for it.
unsafe impl Functions for &'static CFunctions {
    #[inline]
    fn malloc(&self, size: usize) -> *mut c_void {
        // SAFETY: any size may be asked for.
        unsafe { (self.malloc)(size) }
    }

    #[inline]
    fn calloc(&self, size: usize) -> *mut c_void {
        // SAFETY: any size may be asked for.
        unsafe { (self.calloc)(1, size) }
    }

    #[inline]
    fn memalign(&self, align: usize, size: usize) -> *mut c_void {
        // SAFETY: the alignment is one that the field's doc allows.
        unsafe { (self.memalign)(align, size) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: live, by the contract of this method.
        unsafe { (self.realloc)(block, size) }
    }

    #[inline]
    unsafe fn free(&self, block: *mut c_void) {
        // SAFETY: live, by the contract of this method.
        unsafe { (self.free)(block) };
    }

    #[inline]
    unsafe fn usable_size(&self, block: *mut c_void) -> usize {
        // SAFETY: live, by the contract of this method.
        unsafe { (self.usable_size)(block) }
    }
}
