//! Whole pages of the operating system behind the [`alloc_core`] contract.
//!
//! [`PageAllocator`] serves each request with a mapping of its own: for large buffers, for memory
//! that shall go back to the system at once, and as the backing of allocators that cut pages up.
//! [`FileRegion`] maps a file, as memory for an allocator over a given buffer.
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
//! Three layers: `pages` computes lengths on integers; this file obeys it; `sys` has one file per
//! system behind one list of functions.
//!
//! # Invariants
//!
//! 1. A block of a layout starts at a page boundary and owns exactly `size` bytes rounded up to whole
//!    pages; nothing else is mapped for it. Hence the layout alone says what to unmap, and there is
//!    no state: no header, no list, no lock.
//! 2. All pages of a block come from the system as zeros, and no block is handed out twice without
//!    having been unmapped.
//! 3. No call of [`PageAllocator`] or [`page_size`] changes `errno`, neither when it succeeds nor when
//!    it fails: a `malloc` built upon it decides what its caller sees.
//!
//! # Drawbacks
//!
//! * A system call and a page fault per request, and a page at the least: 64 bytes cost 4 KiB and
//!   microseconds. For small blocks put an arena or a general allocator in front.
//! * The bytes between a block's end and the end of its last page are not guarded.
//! * The system may hand out the addresses of a freed block again at once.
//! * Where the process has used up its mappings (`vm.max_map_count` on Linux) a block whose
//!   neighbours are in use cannot be unmapped. Its physical memory is given back then, its addresses
//!   stay taken.
#![no_std]

#[cfg(any(test, feature = "file"))]
extern crate std;

#[cfg(feature = "file")]
mod file_region;
mod page_allocator;
mod pages;
mod sys;

#[cfg(feature = "file")]
pub use file_region::FileRegion;
pub use page_allocator::PageAllocator;

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
