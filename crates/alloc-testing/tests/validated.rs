//! `Validated` and `Backing`: each misuse is recorded, and does no harm.

use std::ptr::NonNull;

use alloc_core::{Allocator, AllocatorExt, Layout};
use alloc_testing::hostile::Backing;
use alloc_testing::{Misuse, RawBlock, Validated};

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

fn free(alloc: &dyn Allocator, block: NonNull<u8>, layout: Layout) {
    // SAFETY: the allocators under test know their live blocks, and do nothing for what is none.
    unsafe { alloc.raw_free(block, layout) };
}

fn resize(alloc: &dyn Allocator, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
    // SAFETY: as in `free`.
    unsafe { alloc.raw_resize(block, layout, new_size) }
}

/// Makes every mistake a caller can make; both allocators must record the same.
fn misuse(alloc: &dyn Allocator) {
    let fits = layout(24, 8);
    assert!(alloc.raw_alloc(layout(0, 4)).is_err());
    assert!(alloc.raw_alloc_zeroed(layout(0, 1)).is_err());
    let block = alloc.raw_alloc(fits).unwrap();
    free(alloc, block, layout(16, 8));
    free(alloc, block, layout(24, 4));
    assert!(!resize(alloc, block, layout(25, 8), 10));
    assert!(!resize(alloc, block, fits, 0));
    assert!(!resize(alloc, block, fits, isize::MAX as usize));
    free(alloc, block, fits);
    free(alloc, block, fits);
    assert!(!resize(alloc, block, fits, 10));
}

#[test]
fn every_misuse_is_recorded() {
    let (backing, validated) = (Backing::new(), Validated::new(Backing::new()));
    misuse(&backing);
    misuse(&validated);
    for misuses in [backing.misuses(), validated.misuses()] {
        let kinds: Vec<_> = misuses
            .iter()
            .map(|misuse| match misuse {
                Misuse::ZeroSize { method, .. } => format!("zero {method}"),
                Misuse::InvalidSize { method, .. } => format!("invalid {method}"),
                Misuse::NotLive { method, .. } => format!("not live {method}"),
                Misuse::Unfit { method, .. } => format!("unfit {method}"),
                other => format!("{other:?}"),
            })
            .collect();
        // `Backing` has no zeroed form of its own: the default goes through `raw_alloc`.
        assert!(kinds[1] == "zero raw_alloc" || kinds[1] == "zero raw_alloc_zeroed", "{kinds:?}");
        let expected = [
            "unfit raw_free",
            "unfit raw_free",
            "unfit raw_resize",
            "zero raw_resize",
            "invalid raw_resize",
            "not live raw_free",
            "not live raw_resize",
        ];
        assert_eq!(kinds[0], "zero raw_alloc");
        assert_eq!(kinds[2..], expected);
    }
    assert_eq!(validated.inner().misuses(), [], "none of it reached the inner allocator");
    assert_eq!((validated.live_count(), validated.inner().live_count()), (0, 0));
}

#[test]
#[should_panic(
    expected = "the allocator was misused:\n  raw_alloc was called for zero bytes (align 4)"
)]
fn assert_clean_lists_them() {
    let validated = Validated::new(Backing::new());
    let _ = validated.raw_alloc(layout(0, 4));
    validated.assert_clean();
}

/// The verbs and the adapters answer requests for zero bytes themselves, whatever is asked.
#[test]
fn adapters_keep_zero_bytes_above() {
    use allocator_api2_02::alloc::Allocator as _;
    use allocator_api2_02::vec::Vec;

    let validated = Validated::new(Backing::new());
    let empty = validated.allocate(layout(0, 64)).unwrap();
    assert!(empty.cast::<u8>().addr().get().is_multiple_of(64));
    // SAFETY: allocated just above with this layout.
    let grown = unsafe { validated.grow(empty.cast(), layout(0, 64), layout(5, 64)) }.unwrap();
    // SAFETY: as above, with the layout it has grown to.
    let shrunk = unsafe { validated.shrink(grown.cast(), layout(5, 64), layout(0, 64)) };
    // SAFETY: as above.
    unsafe { validated.deallocate(shrunk.unwrap().cast(), layout(0, 64)) };
    let mut list = Vec::<u64, _>::new_in(&validated);
    list.shrink_to_fit();
    list.extend([1, 2, 3]);
    list.clear();
    list.shrink_to_fit();
    assert!(list.try_reserve(usize::MAX / 4).is_err());
    let mut nothings = Vec::<(), _>::new_in(&validated);
    nothings.extend([(); 100]);
    drop((list, nothings));
    validated.assert_clean();
    assert_eq!(validated.live_count(), 0);
}

/// A block of exact alignment is an odd multiple of it, at every size.
#[test]
fn exact_alignment_is_exact() {
    let backing = Backing::new().exact_alignment();
    for align in (0..=21).map(|shift| 1 << shift) {
        for size in [1, 2, 3, 100] {
            let block = RawBlock::new(&backing, size, align).unwrap();
            assert_eq!(block.addr() % (2 * align), align, "size {size}, align {align}");
        }
    }
    assert_eq!(backing.misuses(), []);
}

#[test]
fn never_reuse_never_reuses() {
    let backing = Backing::new().never_reuse();
    let mut addrs: Vec<_> =
        (0..100).map(|_| RawBlock::new(&backing, 64, 8).unwrap().addr()).collect();
    addrs.sort_unstable();
    addrs.dedup();
    assert_eq!(addrs.len(), 100);
}

/// Each form of in-place behaviour, and the nth failure, which a remap counts for too.
#[test]
fn changes_are_answered_as_told() {
    let plain = Backing::new();
    let mut block = RawBlock::new(&plain, 50, 1).unwrap();
    let addr = block.addr();
    assert!(block.resize(40) && block.addr() == addr && !block.resize(41));
    assert!(block.remap(30) && block.addr() == addr);
    assert!(block.remap(60) && block.addr() != addr);

    let refusing = Backing::new().refuse_changes();
    let mut block = RawBlock::new(&refusing, 50, 1).unwrap();
    assert!(!block.resize(40) && !block.remap(40) && !block.remap(60));

    let moving = Backing::new().move_on_remap();
    let mut block = RawBlock::new(&moving, 50, 1).unwrap();
    let addr = block.addr();
    assert!(!block.resize(40) && block.remap(40) && block.addr() != addr);

    let failing = Backing::new().fail_only(1);
    let mut block = RawBlock::new(&failing, 50, 1).unwrap();
    assert!(!block.remap(60) && block.remap(60));
    assert_eq!((failing.request_count(), failing.induced_count()), (3, 1));
    let gone = Backing::new().fail_from(1);
    let kept = gone.create(1);
    assert!(gone.create(2).is_err() && gone.create(3).is_err() && kept.is_ok());
}
