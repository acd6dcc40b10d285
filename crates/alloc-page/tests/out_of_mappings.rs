//! A process that has used up its mappings. A file of its own, since that is the whole process's matter.
#![cfg(all(target_os = "linux", not(miri)))]

use std::io::Error;

use alloc_page::{PageAllocator, page_size};
use alloc_testing::RawBlock;

/// How many frees are expected to fail.
const STUCK_COUNT: usize = 1000;

/// How many blocks are shrunk.
const INNER_COUNT: usize = 16;

/// Goal: where the kernel cannot split a mapping any more, a free gives the memory back, if not the
/// addresses; a shrink is refused and changes nothing; an aligned request leaves nothing behind, whether
/// it was served or refused; `errno` stays. Method: of blocks that lie side by side in few mappings every
/// second one is freed, each of which splits a mapping, until the limit is passed. All is let go before
/// anything is asserted: an assertion that fails allocates.
#[test]
#[cfg_attr(sanitized, ignore = "the sanitizers' runtimes end the process where mmap fails")]
fn frees_shrinks_and_aligned_requests() {
    let page = page_size();
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    let free_count = limit.trim().parse::<usize>().unwrap() + STUCK_COUNT;
    if 4 << 20 < free_count {
        println!("not tested: this system allows {limit} mappings, more than a test can make");
        return;
    }
    let block = || RawBlock::new_zeroed(PageAllocator, page, 1).unwrap();
    let (mut kept, mut freed) =
        (Vec::with_capacity(2 * free_count), Vec::with_capacity(free_count));
    for _ in 0..free_count {
        kept.push(block());
        freed.push(block());
    }
    // Three pages each, with neighbours on both sides.
    let mut inner: Vec<_> = (0..INNER_COUNT)
        .map(|_| {
            kept.push(block());
            RawBlock::new(PageAllocator, 3 * page, 1).unwrap()
        })
        .collect();
    kept.push(block());
    inner.iter_mut().for_each(|block| block.fill(5));
    freed[free_count - STUCK_COUNT..].iter_mut().for_each(|block| block.fill(6));

    assert!(std::fs::File::open("/no such file").is_err());
    let errno = Error::last_os_error().raw_os_error();
    let freed_addrs: Vec<usize> = freed.iter().map(RawBlock::addr).collect();
    let before = statm_len();
    freed.clear();
    let after = statm_len();
    let shrunk_count = inner.iter_mut().map(|block| usize::from(block.resize(page))).sum::<usize>();
    let before_aligned = statm_len();
    for shift in 1..12 {
        drop(RawBlock::new(PageAllocator, page, page << shift));
    }
    let after_aligned = statm_len();
    let errno_after = Error::last_os_error().raw_os_error();
    let resident_count = freed_addrs.iter().filter(|addr| is_resident(**addr, page)).count();
    kept.clear();

    let stuck_count = free_count - (before - after);
    assert!(STUCK_COUNT <= stuck_count, "the limit was not reached: {before} {after} pages");
    // The kernel may make large pages of small ones at any time: then some are there again.
    assert!(resident_count < STUCK_COUNT / 2, "{resident_count} of {stuck_count} are in memory");
    // The C library may have joined a mapping or two of its own in the meantime.
    assert!(shrunk_count < INNER_COUNT / 2, "{shrunk_count} blocks were cut off in a mapping");
    assert!(before_aligned.abs_diff(after_aligned) < 2, "{before_aligned} {after_aligned}");
    assert_eq!(errno_after, errno);
    for block in &mut inner {
        block.assert_filled(block.layout().size(), 5);
        assert!(block.resize(page), "there are mappings again");
    }
}

/// The number of pages that the process has mapped.
fn statm_len() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Whether a page is mapped, and in memory.
fn is_resident(addr: usize, page: usize) -> bool {
    let mut state = 0u8;
    let start = std::ptr::without_provenance_mut(addr);
    // SAFETY: it says where a page is, in one byte; nothing of the page is read.
    unsafe { libc::mincore(start, page, (&raw mut state).cast()) == 0 && state & 1 == 1 }
}
