//! Allocators whose blocks are freed one by one, and their peers.

use std::alloc::Layout;
use std::ptr::NonNull;

use alloc_bench::Heap;

fn enough(block: *mut u8) -> NonNull<u8> {
    NonNull::new(block).expect("a benchmark has enough memory")
}

/// The system calls, straight.
pub(crate) struct Mmap;

impl Heap for Mmap {
    #[inline]
    fn take(&self, layout: Layout) -> NonNull<u8> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh private mapping at an address of the system's choice touches nothing else.
        let pages =
            unsafe { libc::mmap(std::ptr::null_mut(), layout.size(), protection, flags, -1, 0) };
        assert!(pages != libc::MAP_FAILED, "a benchmark has enough memory");
        enough(pages.cast())
    }

    #[inline]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: a whole mapping of this size, by this function's contract; nobody uses it any more.
        let result = unsafe { libc::munmap(block.as_ptr().cast(), layout.size()) };
        assert_eq!(result, 0, "munmap of a whole mapping");
    }
}
