//! C's `malloc` behind the [`alloc_core`] contract.
//!
//! [`CAllocator`] is the heap that C code in the same process uses: what C gives can be freed here, and
//! what is allocated here can be freed by C. [`RawCAllocator`] is the same without the alignments that C
//! does not know, [`CAllocatorWith`] over a table of functions of one's own. [`CHandle`] is an allocator
//! as C sees it, in both directions; [`FreesOnly`] owns memory that others allocated.
//!
//! ```
//! use alloc_c::CAllocator;
//! use alloc_core::{AllocatorExt, Owned};
//!
//! let text = CAllocator.dupe_z(c"for C")?;
//! let (ptr, CAllocator) = Owned::into_raw_parts(text);
//! // SAFETY: a live block of malloc, which C now owns, and frees.
//! unsafe { libc::free(ptr.as_ptr().cast()) };
//! # Ok::<(), alloc_core::AllocError>(())
//! ```
//!
//! # Design
//!
//! ```text
//!  layout --> route.rs --+-- align <= a pointer's --> malloc / calloc / realloc (size)
//!                        +-- align <= max_align_t --> the same (size.max(align))
//!                        +-- above it ------------->  posix_memalign; a growth that does not fit
//!                                                     the usable size is the caller's copy
//!
//!  CAllocator --------------------------------+
//!                                             v
//!                           Malloc<F: Functions>  --> libc, directly
//!                                             ^   --> a table of function pointers
//!  CAllocatorWith(&'static CFunctions) -------+
//!
//!  CHandle { context, &CVtable }   new(&A): functions that call A, for C
//!                                  from C: functions that the verbs call, in Rust
//! ```
//!
//! Three layers: `route` decides on numbers, `malloc` obeys it, `functions` is the seam to C.
//!
//! # Invariants
//!
//! 1. Every block is one block of C's heap, at the address that C returned: nothing is put before or
//!    behind it. So it may be freed by either side, whatever its alignment.
//! 2. No size of zero reaches C, where its meaning differs between systems.
//! 3. What must keep an alignment above `max_align_t` never goes through `realloc`.
//!
//! # Drawbacks
//!
//! * As fast and as safe as the C library's heap; misuse is its business.
//! * `errno` is what the C library leaves there. C lets it change on success too, as it does in glibc
//!   where one way to get memory failed before another succeeded.
//! * A resize to a smaller size is granted and gives nothing back; a remap does.
//! * Needs `malloc_usable_size` (Linux, Android, FreeBSD), `malloc_size` (macOS) or `_msize` (Windows). A
//!   `malloc` that is linked or preloaded in place of the C library's has to bring it along.
//! * On Windows, whose aligned blocks are freed by another function, alignments above `max_align_t`
//!   are refused.
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_vendor = "apple",
    windows
)))]
compile_error!(
    "alloc-c does not know how this system's C library tells the usable size of a block"
);

mod raw;
mod handle;
mod frees_only;
mod functions;
mod malloc;
mod route;

pub use frees_only::FreesOnly;
pub use functions::CFunctions;
pub use handle::{CHandle, CVtable};
pub use raw::RawCAllocator;

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator, UnsizedFree, forward, forward_unsized};

use functions::Libc;
use malloc::Malloc;

/// The C library's heap. Zero-sized, thread-safe.
///
/// Any alignment; zeroed memory comes from `calloc`, a remap is a `realloc`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CAllocator;

/// The functions behind [`CAllocator`].
const LIBC: Malloc<Libc> = Malloc(Libc);

// SAFETY: promises 1 to 7 are those of `Malloc`, which keeps them over the C library's functions; a
// value without bytes holds no block (3).
unsafe impl Allocator for CAllocator {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        LIBC.raw_alloc(layout)
    }

    #[inline]
    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        LIBC.raw_alloc_zeroed(layout)
    }

    #[inline]
    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        // SAFETY: the caller keeps the same contract.
        unsafe { LIBC.raw_resize(block, layout, new_size) }
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller keeps the same contract.
        unsafe { LIBC.raw_remap(block, layout, new_size) }
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller keeps the same contract.
        unsafe { LIBC.raw_free(block, layout) };
    }
}

// SAFETY: the sizes are those that `Malloc` tells.
unsafe impl UnsizedFree for CAllocator {
    #[inline]
    unsafe fn usable_size(&self, block: NonNull<u8>) -> usize {
        // SAFETY: the caller keeps the same contract.
        unsafe { LIBC.usable_size(block) }
    }

    #[inline]
    unsafe fn free_unsized(&self, block: NonNull<u8>) {
        // SAFETY: the caller keeps the same contract.
        unsafe { LIBC.free_unsized(block) };
    }

    #[inline]
    fn owns(&self, ptr: *const u8) -> bool {
        LIBC.owns(ptr)
    }

    #[inline]
    unsafe fn realloc_unsized(
        &self,
        block: NonNull<u8>,
        new_layout: Layout,
    ) -> Result<NonNull<u8>, AllocError> {
        // SAFETY: the caller keeps the same contract.
        unsafe { LIBC.realloc_unsized(block, new_layout) }
    }
}

alloc_core::impl_foreign_allocator!(impl[] for CAllocator);

/// A heap of C behind a table of functions. One word, `Copy`, thread-safe.
///
/// ```
/// # #[cfg(target_os = "linux")] {
/// use alloc_c::{CAllocatorWith, CFunctions};
/// use alloc_core::AllocatorExt;
///
/// // Of a library that exports `malloc` itself: what it found behind its own, by dlsym(RTLD_NEXT, ..).
/// static NEXT: CFunctions = CFunctions {
///     malloc: libc::malloc,
///     calloc: libc::calloc,
///     memalign: libc::memalign,
///     realloc: libc::realloc,
///     free: libc::free,
///     usable_size: libc::malloc_usable_size,
/// };
/// // SAFETY: the C library's own functions.
/// let heap = unsafe { CAllocatorWith::new(&NEXT) };
/// assert_eq!(*heap.create(5).unwrap(), 5);
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct CAllocatorWith(Malloc<&'static CFunctions>);

impl CAllocatorWith {
    /// Makes an allocator of a family of functions.
    ///
    /// # Safety
    ///
    /// The functions behave as the C standard and the manual pages say of those of the same names:
    ///
    /// * all work on one heap, and may be called from every thread at any time;
    /// * a block is aligned to `max_align_t` if it has that many bytes, to a pointer's size in any case, or
    ///   as `memalign` was asked;
    /// * every byte up to the usable size may be used, and `realloc` keeps them up to its size;
    /// * none unwinds.
    #[inline]
    pub const unsafe fn new(functions: &'static CFunctions) -> Self {
        Self(Malloc(functions))
    }
}

// SAFETY: promises 1 to 7 are those of `Malloc`, which keeps them over the table's functions; copies
// of the reference mean the same heap (3).
unsafe impl Allocator for CAllocatorWith {
    forward!(self.0);
}

// SAFETY: the sizes are those that `Malloc` tells.
unsafe impl UnsizedFree for CAllocatorWith {
    forward_unsized!(self.0);
}

alloc_core::impl_foreign_allocator!(impl[] for CAllocatorWith);

impl fmt::Debug for CAllocatorWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CAllocatorWith").field(self.0.0).finish()
    }
}

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
