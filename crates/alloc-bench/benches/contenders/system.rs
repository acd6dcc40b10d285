//! Pages and malloc beside the system's own calls.

use alloc_bench::{lifo, megabytes, pages, pair, random};
use alloc_core::Allocator;

use super::heaps::{ErasedLibc, Libc, Memmap2, Mmap};
use super::{Case, Contender};

/// Ours behind `dyn`: the compiler must not see through it.
fn erased() -> &'static dyn Allocator {
    std::hint::black_box(&alloc_c::CAllocator)
}

/// malloc behind the plainest trait object, of the same two calls.
fn erased_malloc() -> ErasedLibc {
    ErasedLibc(std::hint::black_box(&Libc))
}

pub(super) const CASES: &[Case] = &[
    case!("page/pages":
        "alloc-page" => |count| pages(&alloc_page::PageAllocator, count),
        "mmap" => |count| pages(&Mmap, count),
        "memmap2" => |count| pages(&Memmap2::default(), count),
    ),
    case!("page/megabytes":
        "alloc-page" => |count| megabytes(&alloc_page::PageAllocator, count),
        "mmap" => |count| megabytes(&Mmap, count),
        "memmap2" => |count| megabytes(&Memmap2::default(), count),
    ),
    case!("c/pair":
        "alloc-c" => |count| pair(&alloc_c::CAllocator, count),
        "malloc" => |count| pair(&Libc, count),
        "alloc-c, dyn" => |count| pair(&erased(), count),
        "malloc, dyn" => |count| pair(&erased_malloc(), count),
    ),
    case!("c/lifo":
        "alloc-c" => |count| lifo(&alloc_c::CAllocator, count),
        "malloc" => |count| lifo(&Libc, count),
        "alloc-c, dyn" => |count| lifo(&erased(), count),
        "malloc, dyn" => |count| lifo(&erased_malloc(), count),
    ),
    case!("c/random":
        "alloc-c" => |count| random(&alloc_c::CAllocator, count),
        "malloc" => |count| random(&Libc, count),
        "alloc-c, dyn" => |count| random(&erased(), count),
        "malloc, dyn" => |count| random(&erased_malloc(), count),
    ),
];
