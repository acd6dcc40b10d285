//! `FailingAllocator`: which calls fail, what is counted, where the failure was.

use std::panic::Location;

use alloc_core::{AllocError, Allocator, AllocatorExt};
use alloc_testing::hostile::Backing;
use alloc_testing::{Fail, FailingAllocator, RawBlock};

/// Whether each of `count` requests was granted.
fn pattern(fail: Fail, count: usize) -> Vec<bool> {
    let backing = Backing::new();
    let failing = FailingAllocator::new(&backing).requests(fail);
    (0..count).map(|_| failing.create(0u8).is_ok()).collect()
}

#[test]
fn each_mode_fails_its_requests() {
    assert_eq!(pattern(Fail::Never, 4), [true; 4]);
    assert_eq!(pattern(Fail::Only(2), 5), [true, true, false, true, true]);
    assert_eq!(pattern(Fail::From(2), 5), [true, true, false, false, false]);
    assert_eq!(pattern(Fail::From(0), 2), [false; 2]);
    assert_eq!(pattern(Fail::Pair(1, 3), 5), [true, false, true, false, true]);
    assert_eq!(pattern(Fail::Every(3), 7), [true, true, false, true, true, false, true]);
    assert_eq!(pattern(Fail::Every(1), 2), [false; 2]);
}

/// Rules about sizes look at what is asked for: of a resize or remap the new size.
#[test]
fn sizes_choose_what_fails() {
    let granted = |fail: Fail| -> Vec<usize> {
        let failing = FailingAllocator::new(Backing::new()).requests(fail);
        (1..=5).filter(|size| failing.alloc::<u8>(*size).is_ok()).collect()
    };
    assert_eq!(granted(Fail::SizeAtLeast(3)), [1, 2]);
    assert_eq!(granted(Fail::Size(3)), [1, 2, 4, 5]);
    let failing = FailingAllocator::new(Backing::new()).changes(Fail::SizeAtLeast(100));
    let mut block = RawBlock::new(&failing, 100, 1).unwrap();
    assert!(!block.resize(100) && !block.remap(101) && block.resize(99));
}

/// Resizes and remaps fail apart, each by its own count.
#[test]
fn resizes_and_remaps_fail_apart() {
    let failing =
        FailingAllocator::new(Backing::new()).resizes(Fail::Only(1)).remaps(Fail::Only(0));
    let mut block = RawBlock::new(&failing, 8, 1).unwrap();
    assert!(block.resize(7) && !block.remap(6), "the first resize passes, the first remap fails");
    assert!(!block.resize(6) && block.remap(5), "the second resize fails, the second remap passes");
    assert!(block.resize(4));
    let (counts, induced) = (failing.counts(), failing.induced().unwrap());
    assert_eq!((counts.resizes, counts.remaps, counts.changes), (3, 2, 5));
    assert_eq!((induced.method, induced.index, induced.fail), ("raw_remap", 0, Fail::Only(0)));
    assert_eq!(failing.induced_request(), None);
}

/// In a pause nothing fails and no request is counted; it ends with its code, and when that panics.
#[test]
fn a_pause_is_not_counted() {
    let failing = FailingAllocator::new(Backing::new()).requests(Fail::From(0));
    let first = failing.without_failures(|| failing.create(1)).unwrap();
    assert!(failing.create(2).is_err());
    assert_eq!((failing.counts().requests, failing.counts().allocations), (1, 1));
    let unwound = std::panic::catch_unwind(|| failing.without_failures(|| panic!("in the pause")));
    assert!(unwound.is_err() && failing.create(3).is_err());
    drop(first);
}

/// The stack of the failure begins at the code under test, and names its callers and their lines.
#[test]
fn the_stack_is_that_of_the_code_under_test() {
    #[inline(never)]
    fn planted(gpa: impl Allocator + Copy) -> (u32, bool) {
        let (line, failed) = (line!(), gpa.create(1u64).is_err());
        std::hint::black_box((line, failed))
    }
    let failing = FailingAllocator::new(Backing::new()).requests(Fail::Only(0));
    let (line, failed) = planted(&failing);
    assert!(failed);
    let text = failing.induced().unwrap().stack_text();
    let first = text.lines().next().unwrap_or_default();
    assert!(first.contains("planted") && first.ends_with(&format!("failing.rs:{line}")), "{text}");
    assert!(text.contains("the_stack_is_that_of_the_code_under_test"), "{text}");
    assert!(!text.contains("alloc_core::") && !text.contains("FailingAllocator"), "{text}");
}

/// The rate is kept, equal seeds agree, others do not, and 0 and 1 are never and always.
#[test]
fn random_failures_follow_rate_and_seed() {
    let random = |rate, seed| pattern(Fail::Randomly { rate, seed }, 2000);
    let failed = random(0.05, 1).iter().filter(|granted| !**granted).count();
    assert!((60..140).contains(&failed), "{failed} of 2000 at a rate of 0.05");
    assert_eq!(random(0.05, 1), random(0.05, 1));
    assert_ne!(random(0.05, 1), random(0.05, 2));
    assert_eq!(random(0.0, 1), [true; 2000]);
    assert_eq!(random(1.0, 1), [false; 2000]);
}

/// Equal seeds fail the same sites of the code, and its draws are of the index alone: calls of other
/// threads or of changes in between do not shift them.
#[test]
fn equal_seeds_fail_the_same_sites() {
    let sites = |seed| {
        let failing = FailingAllocator::new(Backing::new())
            .requests(Fail::Randomly { rate: 0.3, seed })
            .changes(Fail::Randomly { rate: 0.5, seed: seed ^ 1 });
        let mut block = failing.without_failures(|| RawBlock::new(&failing, 90, 1).unwrap());
        (0..200)
            .filter(|index| {
                let _ = index % 3 == 0 && block.resize(90 - index % 5);
                failing.create(*index).is_err()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(sites(11), sites(11));
    assert_ne!(sites(11), sites(12));
    assert!((30..90).contains(&sites(11).len()), "{}", sites(11).len());
}

#[test]
#[should_panic(expected = "no call is the last of none")]
fn a_period_is_not_zero() {
    let _ = FailingAllocator::new(Backing::new()).requests(Fail::Every(0));
}

#[test]
#[should_panic(expected = "the rate 1.5 is not between 0 and 1")]
fn a_rate_is_a_probability() {
    let _ = FailingAllocator::new(Backing::new()).requests(Fail::Randomly { rate: 1.5, seed: 0 });
}

/// Zig's own test: the third create fails; the second remap is refused, and the resize after it.
#[test]
fn as_in_zig() {
    let backing = Backing::new();
    let failing = FailingAllocator::new(&backing).requests(Fail::From(2)).changes(Fail::From(1));
    let first = failing.create(1i32).unwrap();
    let second = failing.create(2i32).unwrap();
    assert_eq!(failing.create(3i32).map(drop), Err(AllocError));
    drop((first, second));

    let failing = FailingAllocator::new(&backing).changes(Fail::From(1));
    let mut block = RawBlock::new(&failing, 8, 1).unwrap();
    assert!(block.remap(7));
    assert!(!block.remap(6));
    assert!(!block.resize(5));
    assert_eq!(failing.counts().changes, 3);
}

/// Changes and requests are counted apart: a refused remap makes the verb allocate.
#[test]
fn a_refused_change_becomes_a_request() {
    let backing = Backing::new();
    let failing = FailingAllocator::new(&backing).changes(Fail::From(0)).requests(Fail::Only(1));
    let block = failing.alloc::<u8>(10).unwrap();
    let (block, error) = failing.realloc(block, 20).unwrap_err();
    assert_eq!((block.len(), error), (10, AllocError));
    assert_eq!(failing.realloc(block, 20).unwrap().len(), 20);
    let (counts, induced) = (failing.counts(), failing.induced().unwrap());
    assert_eq!((counts.requests, counts.changes), (3, 2));
    assert_eq!((induced.method, induced.index), ("raw_remap", 0));
    assert_eq!(failing.induced_request().map(|f| (f.method, f.index)), Some(("raw_alloc", 1)));
}

/// Counts are of successes, a growth is bytes allocated, a shrink bytes freed; at the end both sums
/// agree. A failing inner allocator is counted as no success either.
#[test]
fn counts_are_of_successes() {
    let backing = Backing::new().fail_only(1);
    let failing = FailingAllocator::new(&backing).requests(Fail::Only(0));
    assert!(failing.create(0u64).is_err(), "induced");
    assert_eq!((failing.counts().requests, failing.counts().allocations), (1, 0));
    let mut block = RawBlock::new(&failing, 100, 1).unwrap();
    assert!(RawBlock::new(&failing, 50, 1).is_err(), "refused by the backing");
    assert!(block.resize(30) && block.remap(80));
    let counts = failing.counts();
    assert_eq!((counts.allocations, counts.deallocations), (1, 0));
    assert_eq!((counts.allocated_bytes, counts.freed_bytes), (150, 70));
    drop(block);
    let counts = failing.counts();
    assert_eq!((counts.allocations, counts.deallocations), (1, 1));
    assert_eq!(counts.allocated_bytes, counts.freed_bytes);
    assert_eq!(backing.misuses(), []);
}

/// The line that is kept is the user's, through a verb, through `dyn`, and of the first failure.
#[test]
fn the_site_is_the_users_line() {
    #[track_caller]
    fn here() -> u32 {
        Location::caller().line()
    }
    let failing = FailingAllocator::new(Backing::new()).requests(Fail::From(1));
    let erased: &dyn alloc_core::Allocator = &failing;
    let kept = erased.dupe_str("kept");
    assert!(failing.induced().is_none() && !failing.has_induced_failure());
    let (line, refused) = (here(), erased.alloc_fill(3, 1u16).map(drop));
    assert!(erased.create(0).is_err(), "a later failure, which changes nothing");
    assert_eq!(refused, Err(AllocError));
    let induced = failing.induced().unwrap();
    assert_eq!((induced.site.file(), induced.site.line()), (file!(), line));
    assert_eq!((induced.index, induced.layout.size()), (1, 6));
    let text = induced.to_string();
    assert!(
        text.starts_with("raw_alloc number 1 (6 bytes) at ") && text.contains(file!()),
        "{text}"
    );
    assert!(text.ends_with(" was made to fail (from 1 on)"), "{text}");
    drop(kept);
}
