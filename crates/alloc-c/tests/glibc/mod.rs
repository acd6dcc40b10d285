//! glibc's heap by its private names, as a library that exports `malloc` itself reaches it.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::ffi::c_void;

use alloc_c::{CAllocatorWith, CFunctions};

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
    fn malloc_usable_size(block: *mut c_void) -> usize;
}

static FUNCTIONS: CFunctions = CFunctions {
    malloc: __libc_malloc,
    calloc: __libc_calloc,
    memalign: __libc_memalign,
    realloc: __libc_realloc,
    free: __libc_free,
    usable_size: malloc_usable_size,
};

// SAFETY: they are glibc's functions, all on its one heap.
pub(crate) const GLIBC: CAllocatorWith = unsafe { CAllocatorWith::new(&FUNCTIONS) };
