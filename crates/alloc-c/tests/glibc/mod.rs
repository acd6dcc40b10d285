//! glibc's heap by its private names, as a library that exports `malloc` itself reaches it.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::ffi::c_void;
use std::sync::OnceLock;

use alloc_c::{CAllocatorWith, CFunctions};

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
}

/// Writes functions that call the definition behind the program's own. A sanitizer takes these names over in
/// the program: its functions know nothing of glibc's blocks, and hand out others.
macro_rules! behind {
    ($( $name:ident($($arg:ident: $type:ty),*) -> $result:ty, $symbol:literal; )*) => {$(
        unsafe extern "C" fn $name($($arg: $type),*) -> $result {
            type Function = unsafe extern "C" fn($($type),*) -> $result;
            static FOUND: OnceLock<Function> = OnceLock::new();
            let found = FOUND.get_or_init(|| {
                // SAFETY: a C string.
                let found = unsafe { libc::dlsym(libc::RTLD_NEXT, $symbol.as_ptr()) };
                assert!(!found.is_null(), "glibc has it");
                // SAFETY: the function of that name has this type.
                unsafe { core::mem::transmute::<*mut c_void, Function>(found) }
            });
            // SAFETY: the same contract.
            unsafe { found($($arg),*) }
        }
    )*};
}

behind! {
    memalign(align: usize, size: usize) -> *mut c_void, c"__libc_memalign";
    usable_size(block: *mut c_void) -> usize, c"malloc_usable_size";
}

static FUNCTIONS: CFunctions = CFunctions {
    malloc: __libc_malloc,
    calloc: __libc_calloc,
    memalign,
    realloc: __libc_realloc,
    free: __libc_free,
    usable_size,
};

// SAFETY: they are glibc's functions, all on its one heap.
pub(crate) const GLIBC: CAllocatorWith = unsafe { CAllocatorWith::new(&FUNCTIONS) };
