//! The system calls of every operation: the table of `docs/design/alloc-page.md`, asserted; and what
//! becomes of a request when one of them fails.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::vec;
use std::vec::Vec;

use alloc_core::Allocator;

use super::watch::{Failure, calls, calls_with, calls_with_failure, take_lost};
use crate::{
    Decommit, GuardedPages, HUGE_PAGE_LEN, HugePages, PageAllocator, Region, SecretPages,
    dont_dump, page_size,
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
            assert_cut(&made, &["mremap", "mmap", "mremap"], &[]);
        }
        // SAFETY: live, with the layout it has now.
        unsafe { PageAllocator.raw_free(moved, layout(100 * page, align)) };
    }
}

/// What [`moves`] finds.
struct Moved {
    made: Vec<&'static str>,
    mapped_len: isize,
    /// The kept block is as it was: the move was refused.
    is_refused: bool,
}

/// Remaps a block that cannot grow where it lies to three times its size, where a call may fail; checks
/// alignment and content, and gives everything back.
fn moves(mover: &Mover, failure: Failure) -> Moved {
    let (alloc, old) = (mover.alloc, mover.old);
    let (block, obstacle) = blocked(mover);
    let word = block.cast::<u64>();
    // SAFETY: the block's first and only bytes that are used.
    unsafe { word.write(0x1234_5678) };
    let new = layout(3 * old.size(), old.align());
    // SAFETY: live, fitting; the new size makes a layout.
    let remap = || unsafe { alloc.raw_remap(block, old, new.size()) };
    let (made, mapped_len, moved) = calls_with(failure, remap);
    let (now, fits) = moved.map_or((block, old), |moved| (moved, new));
    assert!(moved != Some(block), "it was in the way of nobody");
    assert!(now.addr().get().is_multiple_of(mover.align));
    // SAFETY: written above, and maybe moved with its page.
    assert_eq!(unsafe { now.cast::<u64>().read() }, 0x1234_5678, "{made:?}");
    // SAFETY: live, with the layout it has now.
    unsafe { alloc.raw_free(now, fits) };
    // SAFETY: mapped by `blocked`, and nobody's.
    unsafe { libc::munmap(obstacle.as_ptr().cast(), page_size()) };
    Moved { made, mapped_len, is_refused: moved.is_none() }
}

/// An allocator that keeps an alignment above a page when a block moves.
struct Mover {
    alloc: &'static dyn Allocator,
    old: Layout,
    /// Of every block, whatever its layout asks for.
    align: usize,
    /// The call that fails when a block is taken, if one does.
    fails: usize,
}

fn movers() -> [Mover; 3] {
    const TRANSPARENT: HugePages = HugePages::transparent();
    const RESERVED: HugePages = HugePages::reserved();
    let (align, small_align) = (64 * page_size(), 8);
    let old = layout(page_size(), align);
    let (huge_align, huge) = (HUGE_PAGE_LEN, layout(HUGE_PAGE_LEN, small_align));
    [
        Mover { alloc: &PageAllocator, old, align, fails: usize::MAX },
        Mover { alloc: &TRANSPARENT, old: huge, align: huge_align, fails: usize::MAX },
        // No page was set aside.
        Mover { alloc: &RESERVED, old: huge, align: huge_align, fails: 0 },
    ]
}

/// Goal: a block that cannot grow where it is moves to an address with its alignment, by page tables: the
/// content is there, and each call that fails leaves the block as it was and nothing mapped. Method: a page
/// of somebody else's right behind the block; the calls fail in turn, until none is left that could.
#[test]
fn an_aligned_block_moves_with_its_pages() {
    for mover in movers() {
        let more_len = (2 * mover.old.size()).cast_signed();
        for number in 1.. {
            let failure = Failure { number, error: libc::ENOMEM, loses_target: false };
            let Moved { made, mapped_len, is_refused } = moves(&mover, failure);
            if !is_refused && made.len() <= number {
                assert_cut(&made, &["mremap", "mmap", "mremap"], &[]);
                // The old pages are gone, the new ones there, and what was around them is not.
                assert_eq!(mapped_len, more_len);
                break;
            }
            match number {
                1 => assert_eq!(made, ["mremap", "mmap"]),
                // All of the target goes back, by one call, after it was asked whose it is.
                2 => assert_eq!(made, ["mremap", "mmap", "mremap", "mremap", "munmap"]),
                // No kernel refuses it: what is unmapped here is no part of a mapping.
                _ => assert!(!is_refused && made[number] == "munmap", "{made:?}"),
            }
            assert!(mapped_len == 0 || !is_refused, "{made:?}: {mapped_len} bytes are lost");
        }
    }
}

/// Goal: where the kernel refuses a move after it has unmapped the target, what another thread has mapped
/// there since is left alone. Method: a reservation like our own takes the target's place.
#[test]
fn a_target_that_became_somebody_elses_is_left_alone() {
    for mover in movers() {
        let failure = Failure { number: 2, error: libc::ENOMEM, loses_target: true };
        let Moved { made, mapped_len, is_refused } = moves(&mover, failure);
        assert!(is_refused);
        assert_cut(&made, &["mremap", "mmap", "mremap", "mremap"], &[]);
        assert_eq!(mapped_len, 0, "what is around the target is unmapped, and no more: {made:?}");
        let lost = take_lost().unwrap();
        let (start, len) = (lost.cast::<libc::c_void>().as_ptr(), lost.len());
        // SAFETY: it says whether all is mapped; nothing is read.
        assert_eq!(unsafe { libc::msync(start, len, libc::MS_ASYNC) }, 0, "it was unmapped");
        // SAFETY: mapped by `lose`, and nobody's.
        unsafe { libc::munmap(start, len) };
    }
}

/// Blocks that no system call moves: none is tried. Pages that were set aside refuse to grow with `EINVAL`,
/// a block that the program has split with `EFAULT`.
#[test]
fn what_cannot_move_is_not_tried() {
    for mover in movers() {
        for error in [libc::EINVAL, libc::EFAULT, libc::EAGAIN, libc::EPERM] {
            let failure = Failure { number: 0, error, loses_target: false };
            let Moved { made, mapped_len, is_refused } = moves(&mover, failure);
            assert_eq!((made, mapped_len, is_refused), (vec!["mremap"], 0, true));
        }
    }
}

/// A block, and behind it a page that keeps it from growing.
fn blocked(mover: &Mover) -> (NonNull<u8>, NonNull<u8>) {
    let (alloc, old) = (mover.alloc, mover.old);
    let twice = layout(2 * old.size(), old.align());
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    for _ in 0..100 {
        let (_, _, block) = calls_with_failure(mover.fails, || alloc.raw_alloc(twice));
        let block = block.unwrap();
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
    let by_file = ["memfd_secret", "getrlimit", "ftruncate", "mmap", "close", "madvise"];
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
        assert_cut(&taken, &by_file[..5], &by_file[5..]);
    } else {
        assert_cut(&taken, &by_lock[..2], &by_lock[2..]);
    }
}

/// Goal: a block is wiped when it is freed, all of it. Method: the pages of a free whose `munmap` fails are
/// still there to be read, of both kinds of memory.
#[test]
fn a_free_wipes() {
    for fails in [usize::MAX, 0] {
        for size in [1, 100, page_size(), 2 * page_size() + 5] {
            let layout = layout(size, 8);
            let (_, _, block) = calls_with_failure(fails, || SecretPages.raw_alloc(layout));
            let block = block.unwrap();
            // SAFETY: writable for its size.
            unsafe { block.write_bytes(9, size) };
            // SAFETY: live, with this layout.
            let (made, _, ()) =
                calls_with_failure(0, || unsafe { SecretPages.raw_free(block, layout) });
            assert_eq!(made, ["munmap"]);
            let bytes = NonNull::slice_from_raw_parts(block, size);
            // SAFETY: still mapped, and nobody's.
            assert!(unsafe { bytes.as_ref() }.iter().all(|byte| *byte == 0), "{size}");
            // SAFETY: still mapped, and nobody's.
            unsafe { libc::munmap(block.as_ptr().cast(), size) };
        }
    }
}

/// Goal: without secret memory of the kernel's, pages are locked, in no dump and in no child all the same.
/// Method: the kernel's flags of the mapping.
#[test]
#[cfg_attr(sanitized, ignore = "the address sanitizer's runtime locks nothing")]
fn without_secret_memory_pages_are_locked_and_hidden() {
    let layout = layout(3 * page_size(), 8);
    let (made, _, block) = calls_with_failure(0, || SecretPages.raw_alloc(layout));
    assert_eq!(made[0], "memfd_secret");
    let block = block.unwrap();
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = smaps.lines().skip_while(|line| {
        let range = line.split(' ').next().unwrap().split_once('-');
        let parse = |text| usize::from_str_radix(text, 16).unwrap_or(usize::MAX);
        !range.is_some_and(|(start, end)| {
            parse(start) <= block.addr().get() && block.addr().get() < parse(end)
        })
    });
    let flags = lines.find(|line| line.starts_with("VmFlags:")).unwrap();
    assert!([" lo", " dd", " dc"].iter().all(|flag| flags.contains(flag)), "{flags}");
    // SAFETY: live, with this layout.
    unsafe { SecretPages.raw_free(block, layout) };
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
    assert_eq!(result.map_err(|error| error.code), Err(libc::ENOMEM));
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

/// Goal: where no sealed file is to be had a blob is on the heap. Method: each call for one fails in turn.
#[test]
#[cfg(feature = "file")]
fn a_blob_without_a_file_is_on_the_heap() {
    let content = vec![7; 3 * page_size()];
    let new = || crate::CowBlob::with_threshold(&content, 0).unwrap();
    let (made, blob) = calls(new);
    assert!(blob.is_shared());
    assert_eq!(made, ["getrlimit", "memfd_create", "write", "fcntl", "mmap"]);
    for number in 0..made.len() {
        let (before_it, _, blob) = calls_with_failure(number, new);
        assert_eq!(before_it, made[..=number]);
        assert!(!blob.is_shared() && *blob == *content, "without {}", made[number]);
        assert!(*blob.private().unwrap() == *content);
    }
}
