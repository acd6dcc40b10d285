//! glibc's own malloc, by the names that no preloaded library takes over.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::Relaxed;

use alloc_c::{CAllocatorWith, CFunctions};

unsafe extern "C" {
    pub(crate) fn __libc_malloc(size: usize) -> *mut c_void;
    pub(crate) fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
    pub(crate) fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    pub(crate) fn __libc_free(block: *mut c_void);
}

static FUNCTIONS: CFunctions = CFunctions {
    malloc: __libc_malloc,
    calloc: __libc_calloc,
    memalign: __libc_memalign,
    realloc: __libc_realloc,
    free: __libc_free,
    usable_size,
};

/// The heap that the process would have without this library.
// SAFETY: they are glibc's malloc, calloc, memalign, realloc, free and malloc_usable_size under
// other names: one heap, thread-safe, aligned and sized as their manual pages say; none is a
// cancellation point, so none unwinds.
pub(crate) static GLIBC: CAllocatorWith = unsafe { CAllocatorWith::new(&FUNCTIONS) };

impl crate::family::Served for CAllocatorWith {}

/// glibc's `malloc_usable_size`, which has no second name.
///
/// # Safety
///
/// `block` is a live block of glibc's.
unsafe extern "C" fn usable_size(block: *mut c_void) -> usize {
    type UsableSize = unsafe extern "C" fn(*mut c_void) -> usize;
    static FOUND: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    // Relaxed: the address of a function, which is the same for every thread that looks.
    let mut found = FOUND.load(Relaxed);
    if found.is_null() {
        // SAFETY: a C string. What `dlsym` allocates comes back to `malloc`, which needs nothing
        // that is looked up here.
        found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"malloc_usable_size".as_ptr()) };
        FOUND.store(found, Relaxed);
    }
    if found.is_null() {
        return 0;
    }
    // SAFETY: the function of this name has this type (malloc_usable_size(3)).
    let usable_size = unsafe { core::mem::transmute::<*mut c_void, UsableSize>(found) };
    // SAFETY: the same contract.
    unsafe { usable_size(block) }
}
