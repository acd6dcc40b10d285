//! What the page allocator adds to the contract: alignments, growth in place, zero pages, errno.

use std::alloc::Layout;
use std::collections::BTreeSet;

use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};
use alloc_page::{PageAllocator, page_size};
use alloc_testing::RawBlock;

/// Sizes that no address space can serve.
fn sizes_too_large() -> [usize; 5] {
    let size_max = isize::MAX as usize;
    [size_max, size_max - 1, size_max - page_size(), size_max / 2 + 1, 1 << (usize::BITS - 2)]
}

/// The page size is asked at run time and cached; both answers are the kernel's.
#[test]
#[cfg(target_os = "linux")]
fn page_size_is_the_systems() {
    // The kernel hands it to every process as `AT_PAGESZ` (6) of the auxiliary vector.
    let words = std::fs::read("/proc/self/auxv").unwrap();
    let words: Vec<_> = words
        .chunks_exact(size_of::<usize>())
        .map(|word| usize::from_ne_bytes(word.try_into().unwrap()))
        .collect();
    let expected = words.chunks_exact(2).find(|pair| pair[0] == 6).unwrap()[1];
    assert_eq!(page_size(), expected);
    assert_eq!(page_size(), expected);
}

/// Every power of two up to 16 MiB, with sizes around a page: aligned, zero, writable to the last
/// byte.
#[test]
fn any_alignment_is_met() {
    let page = page_size();
    for shift in 0..=24 {
        for size in [1, page - 1, page, page + 1, 5 * page] {
            let mut block = RawBlock::new_zeroed(PageAllocator, size, 1 << shift).unwrap();
            assert!(block.addr().is_multiple_of(1 << shift), "{:?}", block.layout());
            assert!(block.bytes().iter().all(|&byte| byte == 0));
            block.fill(3);
            block.assert_filled(size, 3);
        }
    }
}

/// Sizes and alignments that no address space holds are errors: no panic, no wrap.
#[test]
fn huge_requests_fail_cleanly() {
    for size in sizes_too_large() {
        let layout = Layout::from_size_align(size, 1).unwrap();
        assert_eq!(PageAllocator.raw_alloc(layout), Err(AllocError), "{size}");
        assert_eq!(PageAllocator.raw_alloc_zeroed(layout), Err(AllocError), "{size}");
    }
    let no_such_address = Layout::from_size_align(page_size(), 1 << (usize::BITS - 2)).unwrap();
    assert_eq!(PageAllocator.raw_alloc(no_such_address), Err(AllocError));
    assert_eq!(PageAllocator.alloc::<u64>(usize::MAX).map(drop), Err(AllocError));
    let empty = Layout::from_size_align(0, 1).unwrap();
    assert_eq!(PageAllocator.raw_alloc(empty), Err(AllocError), "refused, not undefined");
}

/// A growth that no address space holds is refused, and nothing has changed.
#[test]
fn huge_growth_is_refused() {
    let mut block = RawBlock::new(PageAllocator, 100, 1).unwrap();
    block.fill(7);
    for size in sizes_too_large() {
        assert!(!block.resize(size), "{size}");
        assert!(!block.remap(size), "{size}");
    }
    block.assert_filled(100, 7);
}

/// Zig's resize: the same number of pages is granted, a shrink gives pages back.
#[test]
fn resize_within_the_pages_and_below() {
    let page = page_size();
    let mut block = RawBlock::new(PageAllocator, 3 * page, 8).unwrap();
    block.fill(9);
    assert!(block.resize(2 * page + 1), "still three pages");
    assert!(block.resize(3 * page), "still three pages");
    assert!(block.resize(1), "one page");
    assert!(block.resize(page), "still one page");
    block.assert_filled(1, 9);
}

/// Goal: a shrink unmaps the tail, a free unmaps the rest. Method: the kernel's list of mappings.
#[test]
#[cfg(target_os = "linux")]
fn shrink_and_free_give_pages_back() {
    let page = page_size();
    // Another test may map the addresses as soon as they are free; not every time.
    let seen_free = (0..100).any(|_| {
        let mut block = RawBlock::new(PageAllocator, 64 * page, 1).unwrap();
        assert!((0..64).all(|index| is_mapped(block.addr() + index * page)));
        assert!(block.resize(page));
        let addr = block.addr();
        let tail_free = !is_mapped(addr + 63 * page);
        drop(block);
        tail_free && !is_mapped(addr)
    });
    assert!(seen_free);
}

/// Whether a page is mapped, by the kernel's own list.
#[cfg(target_os = "linux")]
fn is_mapped(addr: usize) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().any(|line| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let parse = |text| usize::from_str_radix(text, 16).unwrap();
        parse(start) <= addr && addr < parse(end)
    })
}

/// Goal: a block grows where it is when the addresses behind it are free. Method: shrink a block,
/// which frees those addresses, and grow it again; another test may be faster, but not every time.
#[test]
#[cfg(target_os = "linux")]
fn resize_grows_in_place() {
    let page = page_size();
    let grown = (0..100).any(|seed| {
        let mut block = RawBlock::new(PageAllocator, 4 * page, 1).unwrap();
        assert!(block.resize(page));
        block.fill(seed);
        let grown = block.resize(4 * page);
        block.assert_filled(page, seed);
        grown
    });
    assert!(grown, "never grew in place");
}

/// A growth in place never takes the pages of a neighbour: while 100 blocks live, none overlaps
/// another after each tried to grow.
#[test]
fn resize_never_reaches_a_neighbour() {
    let page = page_size();
    let mut blocks: Vec<_> =
        (0..100).map(|_| RawBlock::new(PageAllocator, page, 1).unwrap()).collect();
    for (seed, block) in blocks.iter_mut().enumerate() {
        block.fill(seed as u8);
        block.resize(2 * page);
        block.fill(seed as u8);
    }
    let mut ranges = BTreeSet::new();
    for (seed, block) in blocks.iter().enumerate() {
        block.assert_filled(block.layout().size(), seed as u8);
        ranges.insert((block.addr(), block.addr() + block.layout().size()));
    }
    let ranges: Vec<_> = ranges.into_iter().collect();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0));
}

/// A remap keeps the content wherever the pages go; a shrink stays where it is.
#[test]
#[cfg(target_os = "linux")]
fn remap_keeps_the_content() {
    let page = page_size();
    let mut block = RawBlock::new(PageAllocator, page + 10, 16).unwrap();
    block.fill(77);
    assert!(block.remap(1000 * page), "there is room somewhere");
    block.assert_filled(page + 10, 77);
    let addr = block.addr();
    assert!(block.remap(10));
    assert_eq!(block.addr(), addr);
    block.assert_filled(10, 77);
}

/// Goal: a remap copies nothing. Method: 1 GiB of pages, of which a few were touched, is doubled: a copy
/// would touch them all anew, and the old ones that nobody had touched.
#[test]
#[cfg(target_os = "linux")]
fn remap_of_a_gibibyte_copies_nothing() {
    const GIB: usize = 1 << 30;
    let layout = |size| Layout::from_size_align(size, 1).unwrap();
    let touched = || (0..GIB).step_by(16 << 20);
    let mut big = PageAllocator.alloc_zeroed::<u8>(GIB).unwrap();
    touched().for_each(|index| big[index] = 7);
    let (first, _) = Owned::into_raw_parts(big);
    let before = faults();
    // SAFETY: live, and the layout it was asked with; the new size makes a layout.
    let moved = unsafe { PageAllocator.raw_remap(first.cast(), layout(GIB), 2 * GIB) }.unwrap();
    // Some are those of the code itself, which may come from its file just then.
    let faults = faults() - before;
    assert!(faults < 64, "{faults} pages were touched");
    for index in touched() {
        let place = moved.as_ptr().wrapping_add(index);
        // SAFETY: inside the block, and written above.
        assert_eq!(unsafe { place.read() }, 7);
    }
    // SAFETY: live, and the layout of the remap.
    unsafe { PageAllocator.raw_free(moved, layout(2 * GIB)) };
}

/// Pages that this thread was the first to touch.
#[cfg(target_os = "linux")]
fn faults() -> libc::c_long {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: it fills the structure.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) }, 0);
    // SAFETY: filled just above.
    unsafe { usage.assume_init() }.ru_minflt
}

/// Zig 0.15.2's remap ignored the alignment: a block aligned to more than a page must not move to
/// where the system likes.
#[test]
fn remap_keeps_alignments_above_a_page() {
    let page = page_size();
    let mut blocks: Vec<_> =
        (0..32).map(|_| RawBlock::new(PageAllocator, page, 64 * page).unwrap()).collect();
    for block in &mut blocks {
        block.fill(4);
        block.remap(65 * page);
        assert!(block.addr().is_multiple_of(64 * page));
        block.assert_filled(page, 4);
    }
}

/// Invariant 3: errno stays what it was, after successes, refusals and failures.
#[test]
#[cfg(target_os = "linux")]
fn errno_is_left_alone() {
    let errno = || std::io::Error::last_os_error().raw_os_error();
    assert!(std::fs::File::open("/no such file").is_err());
    let before = errno();
    assert_ne!(before, Some(0), "the test needs an error to look for");
    let mut block = RawBlock::new(PageAllocator, page_size(), 1).unwrap();
    for size in sizes_too_large() {
        assert!(!block.resize(size));
        assert!(!block.remap(size));
        assert!(RawBlock::new(PageAllocator, 1, 1 << (usize::BITS - 2)).is_err());
    }
    assert!(PageAllocator.alloc::<u8>(1 << (usize::BITS - 3)).is_err());
    block.resize(2 * page_size());
    drop(block);
    assert_eq!(errno(), before);
}

/// Zig's own suite for it: 100 boxes, growth to 20,000 items, a shrink across page boundaries.
#[test]
fn the_verbs_work_over_pages() {
    let boxes: Vec<_> = (0..100u64).map(|i| PageAllocator.create(i).unwrap()).collect();
    assert!(boxes.iter().enumerate().all(|(i, b)| **b == i as u64));
    let many = PageAllocator.alloc_with(100, |i| i as u32).unwrap();
    let many = Owned::grow_with(many, 20_000, |i| i as u32).map_err(|(_, e)| e).unwrap();
    let few = Owned::shrink(many, 3).map_err(|(_, e)| e).unwrap();
    assert_eq!(*few, [0, 1, 2]);
}

/// Blocks are freed by other threads than the one that asked for them.
#[test]
fn blocks_cross_threads() {
    let blocks: Vec<_> = (0..8u8).map(|i| PageAllocator.alloc_fill(10_000, i).unwrap()).collect();
    std::thread::scope(|scope| {
        for (i, block) in blocks.into_iter().enumerate() {
            scope.spawn(move || assert!(block.iter().all(|&byte| usize::from(byte) == i)));
        }
    });
}
