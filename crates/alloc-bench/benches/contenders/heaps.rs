//! Allocators whose blocks are freed one by one, and their peers.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::NonNull;

use alloc_bench::Heap;
use alloc_gpa::Gpa;
use memmap2::MmapMut;

/// Ours with its defaults: stacks at every allocation and free.
pub(crate) fn gpa() -> Gpa {
    Gpa::new()
}

/// Ours without stacks: what the other checks cost.
pub(crate) fn gpa_without_stacks() -> Gpa {
    Gpa::builder().stacks(0).build()
}

fn enough(block: *mut u8) -> NonNull<u8> {
    NonNull::new(block).expect("a benchmark has enough memory")
}

/// Rust's default allocator, called straight.
pub(crate) struct Std;

impl Heap for Std {
    #[inline]
    fn take(&self, layout: Layout) -> NonNull<u8> {
        // SAFETY: no workload asks for zero bytes.
        enough(unsafe { System.alloc(layout) })
    }

    #[inline]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: taken from `System` with this layout, by this function's contract.
        unsafe { System.dealloc(block.as_ptr(), layout) };
    }
}

/// C's malloc and free, called straight; for alignments that malloc honours.
pub(crate) struct Libc;

impl Heap for Libc {
    #[inline]
    fn take(&self, layout: Layout) -> NonNull<u8> {
        assert!(layout.align() <= 2 * size_of::<usize>(), "malloc aligns to no more");
        // SAFETY: malloc has no preconditions.
        enough(unsafe { libc::malloc(layout.size()) }.cast())
    }

    #[inline]
    unsafe fn give(&self, block: NonNull<u8>, _: Layout) {
        // SAFETY: came from malloc, not freed yet, by this function's contract.
        unsafe { libc::free(block.as_ptr().cast()) };
    }
}

/// The same behind a trait object: what one indirect call for each of the two costs.
pub(crate) struct ErasedLibc(pub(super) &'static dyn Heap);

impl Heap for ErasedLibc {
    #[inline]
    fn take(&self, layout: Layout) -> NonNull<u8> {
        self.0.take(layout)
    }

    #[inline]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: this function's contract is that of the call.
        unsafe { self.0.give(block, layout) };
    }
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

/// memmap2's anonymous maps, of which one lives at a time here.
#[derive(Default)]
pub(crate) struct Memmap2(Cell<Option<MmapMut>>);

impl Heap for Memmap2 {
    #[inline]
    fn take(&self, layout: Layout) -> NonNull<u8> {
        let mut map = MmapMut::map_anon(layout.size()).expect("a benchmark has enough memory");
        let block = enough(map.as_mut_ptr());
        self.0.set(Some(map));
        block
    }

    #[inline]
    unsafe fn give(&self, _: NonNull<u8>, _: Layout) {
        drop(self.0.take());
    }
}
