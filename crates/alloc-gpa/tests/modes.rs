//! Each mode of an explicit `Gpa`: what it keeps, what it finds, what it refuses.

use std::ptr::NonNull;

use alloc_core::{Allocator, AllocatorExt, Layout, UnsizedFree};
use alloc_gpa::{Builder, Check, Gpa};

fn quiet() -> Builder {
    Gpa::builder().quiet()
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

fn alloc(gpa: &Gpa, size: usize) -> NonNull<u8> {
    gpa.raw_alloc(layout(size, 1)).unwrap()
}

fn free(gpa: &Gpa, block: NonNull<u8>, size: usize) {
    // SAFETY: `Gpa` defines what happens for every address and layout: that is what is tested.
    unsafe { gpa.raw_free(block, layout(size, 1)) };
}

/// Every byte counts, on every path by which a block comes, grows, shrinks and goes; a refusal
/// changes nothing; and the refusal is said once.
#[test]
fn a_memory_limit_is_exact() {
    let gpa = quiet().memory_limit(10_000).build();
    let small = alloc(&gpa, 1000);
    let large = alloc(&gpa, 9000);
    assert_eq!(gpa.notes().count(), 0);
    assert!(gpa.raw_alloc(layout(1, 1)).is_err());
    free(&gpa, small, 1000);
    let small = alloc(&gpa, 999);
    // SAFETY: live, of this size.
    let grown = unsafe { gpa.raw_resize(small, layout(999, 1), 1001) };
    assert!(!grown, "the limit holds for growth in place");
    // SAFETY: as above.
    let grown = unsafe { gpa.raw_resize(small, layout(999, 1), 1000) };
    assert!(grown);
    // SAFETY: as above.
    let shrunk = unsafe { gpa.raw_resize(small, layout(1000, 1), 10) };
    assert!(shrunk);
    // SAFETY: live; the new size is not zero. It would need both places at once.
    let moved = unsafe { gpa.realloc_unsized(large, layout(9001, 1)) };
    assert!(moved.is_err());
    assert!(gpa.raw_alloc(layout(usize::MAX / 4, 1)).is_err());
    let rest = alloc(&gpa, 990);
    let notes = gpa.notes().collect::<Vec<_>>();
    assert_eq!(notes, ["limit: allocations failed because memory_limit was reached"]);
    for (block, size) in [(small, 10), (large, 9000), (rest, 990)] {
        free(&gpa, block, size);
    }
    assert_eq!(alloc(&gpa, 10_000).addr().get() % 16, 0, "all of it is free again");
    assert_eq!(gpa.findings().count(), 0);
}

/// What the system refuses is not counted against the limit.
#[test]
fn a_failure_takes_nothing_of_the_limit() {
    let gpa = quiet().memory_limit(usize::MAX / 2).build();
    for _ in 0..4 {
        assert!(gpa.raw_alloc(layout(usize::MAX / 4, 1)).is_err());
    }
    let block = alloc(&gpa, 100);
    free(&gpa, block, 100);
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// Many threads never have more than the limit between them, and all of it is there at the end.
#[test]
fn a_memory_limit_holds_for_threads() {
    let gpa = quiet().stacks(0).memory_limit(4096).build();
    std::thread::scope(|scope| {
        for thread in 1..5usize {
            let gpa = &gpa;
            scope.spawn(move || {
                for round in 0..2000 {
                    if let Ok(bytes) = gpa.alloc_fill(thread * 700 + round % 64, 1u8) {
                        assert!(gpa.stats().live_bytes <= 4096);
                        drop(bytes);
                    }
                }
            });
        }
    });
    drop(gpa.alloc_fill(4096, 0u8).unwrap());
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// Freed bytes hold the byte that was asked for, and a write of any other byte is found.
#[test]
fn junk_is_what_was_asked_for() {
    for junk in [0x00, 0x5a, 0xff] {
        let gpa = quiet().junk(junk).build();
        let (first, kept) = (alloc(&gpa, 100), alloc(&gpa, 100));
        free(&gpa, first, 100);
        // SAFETY: freed memory of this allocator stays mapped while its slab has a live block.
        let byte = unsafe { first.add(50) };
        // SAFETY: as above.
        assert_eq!(unsafe { byte.read_volatile() }, junk);
        // SAFETY: as above.
        unsafe { byte.write_volatile(junk ^ 1) };
        free(&gpa, kept, 100);
        assert!(matches!(gpa.deinit(), Check::Misuse { findings: 1, .. }), "{junk:#x}");
    }
}
