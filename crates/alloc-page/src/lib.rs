//! Whole pages of the operating system behind the [`alloc_core`] contract.
//!
//! | | for |
//! | --- | --- |
//! | [`PageAllocator`] | large buffers, memory that goes back at once, the backing of allocators that cut pages up |
//! | [`HugePages`] | large tables that are read at random |
//! | [`GuardedPages`] | memory of code that may run over its end or before its start |
//! | [`SecretPages`] | keys and passwords: locked, in no dump, wiped |
//! | [`Region`] | a range of addresses whose memory comes and goes |
//! | [`FileRegion`] | a file, as memory for an allocator over a given buffer |
//! | [`CowBlob`] | bytes that many share and each may change for itself |
//! | [`lock_all`], [`dont_dump`], [`limit_address_space`] | the whole process |
//!
//! ```
//! use alloc_core::AllocatorExt;
//! use alloc_page::{PageAllocator, page_size};
//!
//! let zeros = PageAllocator.alloc_zeroed::<u64>(100_000)?;      // straight from the system
//! assert!(zeros.iter().all(|&x| x == 0));
//! assert!(Vec::from_iter(zeros.iter()).len() == 100_000);
//!
//! let aligned = PageAllocator.aligned_alloc::<u8, { 2 << 20 }>(3 * page_size())?;
//! assert_eq!(aligned.as_ptr().addr() % (2 << 20), 0);
//! # Ok::<(), alloc_core::AllocError>(())
//! ```
//!
//! # Design
//!
//! ```text
//!  request    size, align <= page                 size, align > page
//!                 |                                   |
//!  arithmetic     | len = size rounded up             | len + align - page
//!  (pages.rs)     v                                   v
//!             +---+---+---+                   +---+---+---+---+---+---+---+
//!  mapping    | len bytes |                   | head  | len bytes | tail  |
//!             +---+---+---+                   +---+---+---+---+---+---+---+
//!             ^ block                           cut   ^ block       cut
//!
//!  shrink     the pages behind the new end are unmapped
//!  grow       the mapping is extended in place, or (remap) its page tables are moved: no byte is
//!             copied
//!  free       all pages are unmapped
//! ```
//!
//! Three layers: `pages` computes lengths on integers; the allocators obey it; `sys` has one file per
//! system behind one list of functions. Every allocator here finds what to unmap from the block's
//! address and layout alone:
//!
//! ```text
//!  HugePages       |  len, in pages of 2 MiB        |
//!  GuardedPages    | guard | ...... | block | guard |      right-aligned; or | guard | block | ...
//!  SecretPages     | block | wiped on free  |
//! ```
//!
//! # Invariants
//!
//! 1. A block of a layout starts at a page boundary and owns exactly `size` bytes rounded up to whole
//!    pages; nothing else is mapped for it. Hence the layout alone says what to unmap, and there is
//!    no state: no header, no list, no lock. ([`GuardedPages`] adds what its drawing shows.)
//! 2. All pages of a block come from the system as zeros, and no block is handed out twice without
//!    having been unmapped.
//! 3. No call of an allocator, a [`Region`] or [`page_size`] changes `errno`, neither when it succeeds
//!    nor when it fails: a `malloc` built upon it decides what its caller sees.
//! 4. An allocation or a remap that fails leaves nothing mapped, whichever of its system calls it was.
//!
//! # Drawbacks
//!
//! * A system call and a page fault per request, and a page at the least: 64 bytes cost 4 KiB and
//!   microseconds. For small blocks put an arena or a general allocator in front.
//! * The bytes between a block's end and the end of its last page are not guarded.
//! * The system may hand out the addresses of a freed block again at once.
//! * Where the process has used up its mappings (`vm.max_map_count` on Linux) a block whose
//!   neighbours are in use cannot be unmapped. Its physical memory is given back then, its addresses
//!   stay taken. (A secret that is locked, for want of `memfd_secret`, keeps its memory as well: as zeros.)
//! * On x86-64 Linux the calls that every block needs go straight to the kernel, past the C library: a
//!   tool that replaces its `mmap` sees nothing of them. Builds for a sanitizer take `--cfg sanitized`.
#![no_std]

#[cfg(any(test, feature = "file"))]
extern crate std;

mod page_allocator;
mod huge;
mod guarded;
mod secret;
mod region;
mod process;
#[cfg(feature = "file")]
mod file_region;
#[cfg(feature = "file")]
mod cow_blob;
mod pages;
mod sys;

#[cfg(feature = "file")]
pub use cow_blob::{CowBlob, PrivateCopy};
#[cfg(feature = "file")]
pub use file_region::FileRegion;
pub use guarded::GuardedPages;
pub use huge::{HUGE_PAGE_LEN, HugePages};
pub use page_allocator::PageAllocator;
pub use process::{OsError, dont_dump, limit_address_space, lock_all};
pub use region::{Decommit, Region};
pub use secret::SecretPages;

use core::sync::atomic::{AtomicUsize, Ordering};

/// Returns the length of a page of the running system in bytes, a power of two.
///
/// The system is asked once; later calls are one load. Never allocates; safe in a signal handler
/// and before `main`.
#[inline]
#[must_use]
pub fn page_size() -> usize {
    // Relaxed: the value is all there is, it publishes nothing else. A thread that reads 0 asks the
    // system itself, and every answer is the same.
    match PAGE_SIZE.load(Ordering::Relaxed) {
        0 => page_size_slow(),
        size => size,
    }
}

/// The answer of the system, or 0 before it was asked.
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);

#[cold]
#[inline(never)]
fn page_size_slow() -> usize {
    let size = sys::page_size();
    // Relaxed: see `page_size`.
    PAGE_SIZE.store(size, Ordering::Relaxed);
    size
}

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
