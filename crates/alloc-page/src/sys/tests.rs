//! The system calls of every operation: the table of `docs/design/alloc-page.md`, asserted; and what
//! becomes of a request when one of them fails.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::vec;
use std::vec::Vec;

use alloc_core::Allocator;

use super::watch::{calls, calls_with_failure};
use crate::{
    Decommit, GuardedPages, HugePages, PageAllocator, Region, SecretPages, dont_dump, page_size,
};

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// The calls of an allocation, the block, and those of its free.
fn alloc_and_free(alloc: impl Allocator, layout: Layout) -> [Vec<&'static str>; 2] {
    let (taken, block) = calls(|| alloc.raw_alloc(layout).unwrap());
    // SAFETY: live, with this layout.
    let (freed, ()) = calls(|| unsafe { alloc.raw_free(block, layout) });
    [taken, freed]
}

/// Asserts that `made` is `first`, one `munmap` each for what was cut off, and `last`.
fn assert_cut(made: &[&str], first: &[&str], last: &[&str]) {
    let cuts = made.len() - first.len() - last.len();
    assert!(cuts <= 2, "{made:?}");
    let expected = [first, &["munmap", "munmap"][..cuts], last].concat();
    assert_eq!(made, expected);
}

/// Sizes up to some pages at every alignment up to a page: one call to take, one to give back.
#[test]
fn pages_cost_one_call() {
    let page = page_size();
    for shift in 0..=page.trailing_zeros() {
        for size in [1, 64, page, page + 1, 10 * page] {
            let layout = layout(size, 1 << shift);
            assert_eq!(alloc_and_free(PageAllocator, layout), [["mmap"], ["munmap"]]);
            let (zeroed, block) = calls(|| PageAllocator.raw_alloc_zeroed(layout).unwrap());
            assert_eq!(zeroed, ["mmap"], "zero pages are zero already");
            // SAFETY: live, with this layout.
            unsafe { PageAllocator.raw_free(block, layout) };
        }
    }
}

/// Above a page: a longer mapping, and what is cut off before and behind.
#[test]
fn larger_alignments_cost_three_calls_at_most() {
    let page = page_size();
    for shift in 1..16 {
        let [taken, freed] = alloc_and_free(PageAllocator, layout(3 * page, page << shift));
        assert_cut(&taken, &["mmap"], &[]);
        assert_eq!(freed, ["munmap"]);
    }
}

/// Sizes in place and moved: none for the same pages, else one.
#[test]
fn a_change_of_size_costs_one_call() {
    let page = page_size();
    let at = |alloc: &dyn Allocator, block: NonNull<u8>, layout, new_size| {
        // SAFETY: live, fitting; the new size is not zero and makes a layout.
        calls(|| unsafe { alloc.raw_resize(block, layout, new_size) })
    };
    for (align, granted) in [(8, 2 * page), (16 * page, 2 * page)] {
        let first = layout(3 * page, align);
        let block = PageAllocator.raw_alloc(first).unwrap();
        assert_eq!(at(&PageAllocator, block, first, 2 * page + 1), (vec![], true));
        assert_eq!(at(&PageAllocator, block, first, granted), (vec!["munmap"], true));
        let second = layout(granted, align);
        // Whether the pages behind are free is other threads' business; the price is not.
        let (made, grown) = at(&PageAllocator, block, second, 3 * page);
        assert_eq!(made, ["mremap"]);
        let third = layout(if grown { 3 * page } else { granted }, align);
        // SAFETY: live, fitting; the new size is not zero and makes a layout.
        let (made, moved) = calls(|| unsafe { PageAllocator.raw_remap(block, third, 100 * page) });
        let moved = moved.unwrap();
        if align <= page || moved == block {
            assert_eq!(made, ["mremap"]);
        } else {
            assert_cut(&made, &["mremap", "mmap"], &["mremap"]);
        }
        // SAFETY: live, with the layout it has now.
        unsafe { PageAllocator.raw_free(moved, layout(100 * page, align)) };
    }
}

/// Goal: a block that cannot grow where it is moves to an address with its alignment, by page tables: the
/// content is there, and each call that fails leaves the block as it was. Method: a page of somebody else's
/// right behind the block; the calls fail in turn, until none is left that could.
#[test]
fn an_aligned_block_moves_with_its_pages() {
    let page = page_size();
    let cases: [(&dyn Allocator, usize, usize); 2] = [
        (&PageAllocator, page, 64 * page),
        (&HugePages::transparent(), crate::HUGE_PAGE_LEN, crate::HUGE_PAGE_LEN),
    ];
    for (alloc, len, align) in cases {
        let old = layout(len, align);
        let (block, obstacle) = blocked(alloc, old);
        // SAFETY: the block's first and only bytes that are used.
        unsafe { block.cast::<u64>().write(0x1234_5678) };
        let mut number = 1;
        let moved = loop {
            // SAFETY: live, fitting; the new size makes a layout.
            let remap = || unsafe { alloc.raw_remap(block, old, 3 * len) };
            let (made, mapped_len, moved) = calls_with_failure(number, remap);
            if let Some(moved) = moved {
                assert!(made.len() <= number, "a call failed: {made:?}");
                assert_cut(&made, &["mremap", "mmap"], &["mremap"]);
                // The old pages are gone, the new ones there, and what was cut off is not.
                assert_eq!(mapped_len, (2 * len).cast_signed());
                break moved;
            }
            // Addresses are lost only where the system may have unmapped them already.
            let is_last = made.last() == Some(&"mremap");
            assert_eq!(mapped_len, if is_last { (3 * len).cast_signed() } else { 0 }, "{made:?}");
            // SAFETY: live, and as it was.
            assert_eq!(unsafe { block.cast::<u64>().read() }, 0x1234_5678);
            number += 1;
        };
        assert!(moved != block && moved.addr().get().is_multiple_of(align));
        // SAFETY: written above, and moved with its page.
        assert_eq!(unsafe { moved.cast::<u64>().read() }, 0x1234_5678);
        // SAFETY: live, with its new layout.
        unsafe { alloc.raw_free(moved, layout(3 * len, align)) };
        // SAFETY: mapped by `blocked`, and nobody's.
        unsafe { libc::munmap(obstacle.as_ptr().cast(), page) };
    }
}

/// A block, and behind it a page that keeps it from growing.
fn blocked(alloc: &dyn Allocator, old: Layout) -> (NonNull<u8>, NonNull<u8>) {
    let twice = layout(2 * old.size(), old.align());
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    for _ in 0..100 {
        let block = alloc.raw_alloc(twice).unwrap();
        // SAFETY: live, fitting; a shrink.
        assert!(unsafe { alloc.raw_resize(block, twice, old.size()) });
        let end = block.as_ptr().wrapping_add(old.size());
        // SAFETY: it replaces nothing.
        let found = unsafe { libc::mmap(end.cast(), page_size(), 0, flags, -1, 0) };
        if found == end.cast() {
            return (block, NonNull::new(end).unwrap());
        }
        // Another thread was faster.
        if found != libc::MAP_FAILED {
            // SAFETY: mapped just now, elsewhere.
            unsafe { libc::munmap(found, page_size()) };
        }
        // SAFETY: live, with this layout.
        unsafe { alloc.raw_free(block, old) };
    }
    panic!("the pages behind a hundred blocks were taken at once");
}

/// Guards: a reservation, and access to its middle; no fewer, as there are two kinds of pages.
#[test]
fn guards_cost_one_call_more() {
    let page = page_size();
    for alloc in [GuardedPages::right_aligned(), GuardedPages::left_aligned()] {
        for (size, align) in [(1, 1), (100, 16), (page, page), (5 * page, 8)] {
            let made = alloc_and_free(alloc, layout(size, align));
            assert_eq!(made, [vec!["mmap", "mprotect"], vec!["munmap"]]);
        }
        let [taken, freed] = alloc_and_free(alloc, layout(page, 64 * page));
        assert_cut(&taken, &["mmap"], &["mprotect"]);
        assert_eq!(freed, ["munmap"]);
    }
}

/// Secrets: a file that the kernel itself does not see, mapped, and kept from children; or without such
/// files memory that is locked, hidden from dumps, and kept from children. One call gives them back.
#[test]
fn secrets_cost_what_hides_them() {
    let page = page_size();
    let by_file = ["memfd_secret", "ftruncate", "mmap", "close", "madvise"];
    let by_lock = ["memfd_secret", "mmap", "mlock", "madvise", "madvise"];
    let [taken, freed] = alloc_and_free(SecretPages, layout(100, 16));
    assert!(taken == by_file || taken == by_lock, "{taken:?}");
    assert_eq!(freed, ["munmap"]);
    let (taken, _, block) = calls_with_failure(0, || SecretPages.raw_alloc(layout(page, 1)));
    assert_eq!(taken, by_lock);
    // SAFETY: live, with this layout.
    unsafe { SecretPages.raw_free(block.unwrap(), layout(page, 1)) };
    let [taken, _] = alloc_and_free(SecretPages, layout(page, 4 * page));
    if taken.contains(&"close") {
        assert_cut(&taken, &by_file[..4], &by_file[4..]);
    } else {
        assert_cut(&taken, &by_lock[..2], &by_lock[2..]);
    }
}

/// Large pages: a wish beside what an alignment to them costs; none where they were set aside.
#[test]
fn large_pages_cost_a_wish() {
    let layout = layout(100, 8);
    let [taken, freed] = alloc_and_free(HugePages::transparent(), layout);
    assert_cut(&taken, &["mmap"], &["madvise"]);
    assert_eq!(freed, ["munmap"]);
    let [taken, _] = alloc_and_free(HugePages::reserved(), layout);
    if taken != ["mmap"] {
        // None is set aside on this machine.
        assert_cut(&taken, &["mmap", "mmap"], &["madvise"]);
    }
}

/// Regions: one call for each operation, none for no pages.
#[test]
fn a_region_costs_one_call_each() {
    let page = page_size();
    let (made, region) = calls(|| Region::reserve(100 * page));
    assert_eq!(made, ["mmap"]);
    let mut region = region.unwrap();
    let mut made = |run: fn(&mut Region, usize) -> bool| {
        let (made, is_done) = calls(|| run(&mut region, page));
        assert!(is_done);
        made
    };
    assert_eq!(made(|region, page| region.commit(1..9 * page).is_ok()), ["mprotect"]);
    assert_eq!(made(|region, _| region.commit(5..5).is_ok()), Vec::<&str>::new());
    assert_eq!(
        made(|region, page| region.decommit(0..4 * page, Decommit::Zero).is_ok()),
        ["madvise"]
    );
    assert_eq!(
        made(|region, page| region.decommit(0..4 * page, Decommit::Strict).is_ok()),
        ["mmap"]
    );
    let less_than_a_page = made(|region, page| region.decommit(1..page, Decommit::Zero).is_ok());
    assert_eq!(less_than_a_page, Vec::<&str>::new());
    assert_eq!(calls(|| drop(region)).0, ["munmap"]);
}

/// One call for each run of neighbours, in whichever direction they come.
#[test]
fn dumps_cost_one_call_for_each_run() {
    let page = page_size();
    let all = Region::reserve(100 * page).unwrap();
    let block = |index: usize, count: usize| {
        let start = all.base().as_ptr().wrapping_add(index * page);
        // SAFETY: never read: the length and the address are all that counts. No page is touched.
        unsafe { std::slice::from_raw_parts(start.cast_const(), count * page) }
    };
    let cases: [(&[&[u8]], usize); 6] = [
        (&[], 0),
        (&[block(0, 1), block(1, 3), block(4, 1)], 1),
        (&[block(4, 1), block(1, 3), block(0, 1)], 1),
        (&[block(0, 1), block(2, 1), block(3, 1), block(10, 1)], 3),
        (&[block(3, 1), block(0, 2), &[], block(2, 1)], 2),
        (&[&block(0, 1)[..10], &block(0, 2)[page - 1..=page]], 1),
    ];
    for (blocks, count) in cases {
        let (made, result) = calls(|| dont_dump(blocks.iter().copied()));
        assert_eq!((made.len(), result), (count, Ok(count)), "{made:?}");
        assert!(made.iter().all(|call| *call == "madvise"));
    }
    let (_, _, result) = calls_with_failure(0, || dont_dump([block(0, 1)]));
    assert_eq!(result.map_err(|error| error.code), Err(libc::EAGAIN));
}

/// Goal: a request that fails half-way leaves nothing mapped. Method: every call of every kind of request
/// fails in turn; what was mapped is unmapped, or the block is handed out and its free unmaps it.
#[test]
fn a_call_that_fails_leaks_nothing() {
    let page = page_size();
    let layouts = [layout(3 * page, 1), layout(page, 16 * page)];
    let kinds: [(&str, &dyn Allocator); 6] = [
        ("pages", &PageAllocator),
        ("transparent", &HugePages::transparent()),
        ("reserved", &HugePages::reserved()),
        ("right", &GuardedPages::right_aligned()),
        ("left", &GuardedPages::left_aligned()),
        ("secret", &SecretPages),
    ];
    for (name, alloc) in kinds {
        for layout in layouts {
            let mut failed_count = 0;
            for number in 0..8 {
                let (made, mapped_len, block) =
                    calls_with_failure(number, || alloc.raw_alloc(layout));
                if let Ok(block) = block {
                    // SAFETY: live, with this layout.
                    unsafe { alloc.raw_free(block, layout) };
                } else {
                    // Where giving a cut back is what failed, the rest is unmapped in one piece.
                    assert_eq!(mapped_len, 0, "{name} {layout:?} {number} {made:?}");
                    failed_count += 1;
                }
            }
            assert!(0 < failed_count, "{name} {layout:?}: no failure was seen");
        }
    }
}
