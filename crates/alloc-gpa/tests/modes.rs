//! Each mode of an explicit `Gpa`: what it keeps, what it finds, what it refuses.

use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use alloc_core::{Allocator, AllocatorExt, Layout, Owned, UnsizedFree};
use alloc_gpa::{Builder, Check, FindingKind, Gpa, Guard, GuardAlign, GuardImpl, StackId};

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
    // Counted in after the allocation and out before the free: never more than is live.
    let held = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 1..5usize {
            let (gpa, held) = (&gpa, &held);
            scope.spawn(move || {
                for round in 0..2000 {
                    let len = thread * 700 + round % 64;
                    if let Ok(bytes) = gpa.alloc_fill(len, 1u8) {
                        assert!(held.fetch_add(len, Ordering::SeqCst) + len <= 4096);
                        held.fetch_sub(len, Ordering::SeqCst);
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

const PAGE_LEN: usize = 4096;
const MEANS: [GuardImpl; 2] = [GuardImpl::Auto, GuardImpl::Mprotect];

/// Whether an access to the byte `offset` bytes from a block would trap: the kernel is asked.
fn traps(block: NonNull<u8>, offset: isize) -> bool {
    let mut byte = 0u8;
    let at = block.as_ptr().wrapping_offset(offset);
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: at.cast(), iov_len: 1 };
    // SAFETY: no preconditions.
    let pid = unsafe { libc::getpid() };
    // SAFETY: one byte each, `local` ours to write; the kernel checks `remote`.
    unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) != 1 }
}

fn poke(block: NonNull<u8>, offset: isize) {
    let at = block.as_ptr().wrapping_offset(offset);
    // SAFETY: the tests write to pages that they have found open.
    unsafe { at.write_volatile(0) };
}

fn every(align: GuardAlign, means: GuardImpl) -> Builder {
    quiet().guard(Guard::Every).guard_align(align).guard_impl(means)
}

/// Sizes around what changes the geometry: pages, slabs shared and alone, chunks alone.
const SIZES: [usize; 14] = [
    0,
    1,
    13,
    16,
    100,
    PAGE_LEN - 1,
    PAGE_LEN,
    PAGE_LEN + 1,
    3 * PAGE_LEN,
    16 * PAGE_LEN,
    16 * PAGE_LEN + 1,
    1 << 20,
    5_000_000,
    8 << 20,
];

/// Whatever the size and alignment: the block may be used to its last byte; the byte behind its slack,
/// which is shorter than the alignment, traps; once freed, all of it does, and so it stays.
#[test]
fn right_aligned_blocks_end_where_it_traps() {
    for means in MEANS {
        let gpa = every(GuardAlign::Right, means).build();
        for align in [1, 2, 16, 64, PAGE_LEN, 1 << 16, 1 << 20] {
            let mut blocks = Vec::new();
            for size in SIZES.into_iter().chain(SIZES) {
                let block = gpa.raw_alloc(layout(size, align)).unwrap();
                assert_eq!(block.addr().get() % align, 0);
                if size == 0 {
                    // It may lie in the page that traps, or before one that is all canary.
                    blocks.push((block, size));
                    continue;
                }
                // SAFETY: live, of this size.
                unsafe { block.write_bytes(0xa5, size) };
                let end = block.addr().get() + size;
                let slack = end.next_multiple_of(PAGE_LEN) - end;
                assert!(slack < align, "{size} {align}");
                assert!(traps(block, (size + slack) as isize));
                // What lies before the block in its first page is canary, and before that it traps.
                let before = (block.addr().get() % PAGE_LEN).cast_signed();
                assert!(!traps(block, -before) && traps(block, -before - 1), "{size} {align}");
                blocks.push((block, size));
            }
            for (block, size) in &blocks {
                // SAFETY: live, allocated with this layout.
                unsafe { gpa.raw_free(*block, layout(*size, align)) };
            }
            for (block, size) in &blocks {
                assert!(traps(*block, 0) && traps(*block, size.saturating_sub(1) as isize));
            }
        }
        assert_eq!(gpa.notes().count(), 0);
        assert_eq!(gpa.findings().count(), 0, "{:#?}", gpa.findings().collect::<Vec<_>>());
        assert_eq!(gpa.deinit(), Check::Ok);
    }
}

/// Left-aligned: the byte before the block traps.
#[test]
fn left_aligned_blocks_begin_where_it_traps() {
    for means in MEANS {
        let gpa = every(GuardAlign::Left, means).build();
        for size in SIZES.into_iter().chain(SIZES) {
            let block = alloc(&gpa, size);
            assert!(traps(block, -1), "{size}");
            assert!(size == 0 || !traps(block, size as isize - 1));
            assert!(traps(block, size.next_multiple_of(PAGE_LEN).max(PAGE_LEN) as isize));
            free(&gpa, block, size);
            assert!(traps(block, 0));
        }
        assert_eq!(gpa.deinit(), Check::Ok);
    }
}

/// One byte written next to a guarded block where it does not trap is found when the block is freed, and
/// at the end if it never is; on either side, and told of the right block.
#[test]
fn canaries_around_guarded_blocks() {
    for (align, size, offset, kind) in [
        (GuardAlign::Right, 100, 100, FindingKind::Overflow),
        (GuardAlign::Right, 100, 111, FindingKind::Overflow),
        (GuardAlign::Right, 100, -1, FindingKind::Underflow),
        (GuardAlign::Right, 100, -1000, FindingKind::Underflow),
        (GuardAlign::Right, 70_000, -2, FindingKind::Underflow),
        (GuardAlign::Left, 100, 100, FindingKind::Overflow),
        (GuardAlign::Left, 100, 4095, FindingKind::Overflow),
        (GuardAlign::Left, 2 << 20, (2 << 20) - PAGE_LEN as isize - 1, FindingKind::Overflow),
    ] {
        let size =
            if PAGE_LEN < size && kind == FindingKind::Overflow { size - 5000 } else { size };
        for is_freed in [true, false] {
            let gpa = every(align, GuardImpl::Auto).build();
            let [_before, block, _behind] =
                [size; 3].map(|size| gpa.raw_alloc(layout(size, 16)).unwrap());
            poke(block, offset);
            if is_freed {
                // SAFETY: live, allocated with this layout.
                unsafe { gpa.raw_free(block, layout(size, 16)) };
            }
            let _ = gpa.check();
            let findings = gpa.findings().collect::<Vec<_>>();
            let [finding] = &findings[..] else { panic!("{size} {offset}: {findings:#?}") };
            assert_eq!((finding.kind, finding.offset), (kind, offset), "{size}");
            let told = finding.block.unwrap();
            assert_eq!((told.addr, told.size), (block.addr().get(), size));
        }
    }
}

/// Double frees, interior frees and wrong layouts are told as of any other block.
#[test]
fn guarded_blocks_have_records() {
    for size in [100, 100_000, 3 << 20] {
        let gpa = every(GuardAlign::Right, GuardImpl::Auto).build();
        let block = alloc(&gpa, size);
        // SAFETY: inside the block.
        free(&gpa, unsafe { block.add(50) }, size - 50);
        free(&gpa, block, size + 1);
        free(&gpa, block, size);
        let kinds = gpa.findings().map(|finding| finding.kind).collect::<Vec<_>>();
        let expected =
            [FindingKind::InvalidFree, FindingKind::SizeMismatch, FindingKind::DoubleFree];
        assert_eq!(kinds, expected, "{size}");
        assert_eq!(gpa.detect_leaks().count, 0);
    }
}

/// More live blocks than the system grants mappings; each still traps behind its end.
#[test]
fn guards_by_markers_are_not_counted_by_the_system() {
    const COUNT: usize = 100_000;
    let gpa = every(GuardAlign::Right, GuardImpl::Auto).stacks(0).build();
    let blocks = (0..COUNT).map(|_| alloc(&gpa, 64)).collect::<Vec<_>>();
    if gpa.notes().count() != 0 {
        println!("not run: this kernel has no guard markers");
        return;
    }
    assert!(blocks.iter().step_by(997).all(|block| traps(*block, 64)));
    blocks.iter().for_each(|block| free(&gpa, *block, 64));
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// Guards by protection end where mappings do: what comes then is a block like any other, which is
/// checked, and said once; when blocks are freed, there are guards again.
#[test]
fn guards_by_protection_degrade() {
    const COUNT: usize = 40_000;
    let gpa = every(GuardAlign::Right, GuardImpl::Mprotect).stacks(0).build();
    let blocks = (0..COUNT).map(|_| alloc(&gpa, 64)).collect::<Vec<_>>();
    let notes = gpa.notes().collect::<Vec<_>>();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("degraded: not every block is guarded"), "{notes:?}");
    assert!(traps(blocks[10_000], 64) && !traps(blocks[COUNT - 1], 64));
    poke(blocks[COUNT - 1], 64);
    blocks.iter().for_each(|block| free(&gpa, *block, 64));
    assert_eq!(
        gpa.findings().map(|finding| finding.kind).collect::<Vec<_>>(),
        [FindingKind::Overflow]
    );
    let block = alloc(&gpa, 64);
    assert!(traps(block, 64));
    free(&gpa, block, 64);
}

/// The end of a guarded block is not moved; a block that grows or shrinks by moving keeps its bytes.
#[test]
fn guarded_blocks_move() {
    let gpa = every(GuardAlign::Right, GuardImpl::Auto).build();
    let block = alloc(&gpa, 100);
    // SAFETY: live, of this size.
    unsafe { block.write_bytes(7, 100) };
    for new in [99, 101] {
        // SAFETY: live, with this layout.
        assert!(!unsafe { gpa.raw_resize(block, layout(100, 1), new) });
    }
    // SAFETY: live; the size is not zero.
    let moved = unsafe { gpa.realloc_unsized(block, layout(10_000, 1)) }.unwrap();
    // SAFETY: as above.
    let moved = unsafe { gpa.realloc_unsized(moved, layout(90, 1)) }.unwrap();
    assert!(traps(block, 0) && traps(moved, 90));
    // SAFETY: live, 90 bytes, which came along.
    let bytes = unsafe { NonNull::slice_from_raw_parts(moved, 90).as_ref() };
    assert!(bytes.iter().all(|byte| *byte == 7));
    free(&gpa, moved, 90);
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// About one block in so many is guarded, wherever it lies; the others are the system's, and come and go
/// by every path without a finding.
#[test]
fn one_block_in_so_many_is_guarded() {
    let rate = NonZeroU32::new(10).unwrap();
    let gpa = quiet().guard(Guard::Sampled(rate)).guard_seed(1).build();
    let mut guarded = 0;
    for round in 0..1000usize {
        let (size, align) = (round % 300, 1 << (round % 7));
        let block = match round % 2 {
            0 => gpa.raw_alloc(layout(size, align)).unwrap(),
            _ => gpa.raw_alloc_zeroed(layout(size, align)).unwrap(),
        };
        assert_eq!(block.addr().get() % align, 0);
        assert!(gpa.owns(block.as_ptr()));
        // SAFETY: live.
        assert!(size <= unsafe { gpa.usable_size(block) });
        // SAFETY: live, of this size.
        unsafe { block.write_bytes(7, size) };
        // SAFETY: live; the size is not zero.
        let block = unsafe { gpa.realloc_unsized(block, layout(size + 100, align)) }.unwrap();
        // SAFETY: live, and that long; the bytes came along.
        let bytes = unsafe { NonNull::slice_from_raw_parts(block, size).as_ref() };
        assert!(bytes.iter().all(|byte| *byte == 7));
        let is_guarded = gpa.stats().live_bytes != 0;
        guarded += usize::from(is_guarded);
        match round % 3 {
            // SAFETY: live.
            0 => unsafe { gpa.free_unsized(block) },
            // SAFETY: live, with this layout.
            _ => unsafe { gpa.raw_free(block, layout(size + 100, align)) },
        }
        assert!(!is_guarded || traps(block, 0));
    }
    assert!((70..130).contains(&guarded), "{guarded}");
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// What is picked is checked as all guarded blocks are; at a rate of 1 all are picked.
#[test]
fn picked_blocks_are_checked() {
    let one = NonZeroU32::new(1).unwrap();
    let gpa = quiet().guard(Guard::Sampled(one)).build();
    let block = alloc(&gpa, 100);
    assert!(traps(block, 100));
    free(&gpa, block, 100);
    free(&gpa, block, 100);
    let leaked = alloc(&gpa, 50);
    assert!(traps(leaked, 50));
    assert_eq!(gpa.detect_leaks().count, 1);
    assert!(gpa.notes().eq(["sampled: only the blocks that guard=sampled picked were checked"]));
    assert_eq!(gpa.findings().next().unwrap().kind, FindingKind::DoubleFree);
}

/// Bytes of the slots that a number of blocks of 100 bytes take.
const fn slots(count: usize) -> usize {
    count * 112
}

fn has_frames(stack: StackId) -> bool {
    stack.frames().next().is_some()
}

/// An address comes back once more than the quarantine was freed behind it, and not before; a second
/// free until then is told, with both stacks.
#[test]
fn addresses_come_back_after_the_quarantine() {
    let gpa = quiet().quarantine(slots(50)).build();
    let first = alloc(&gpa, 100);
    free(&gpa, first, 100);
    for _ in 0..49 {
        let block = alloc(&gpa, 100);
        assert_ne!(block, first);
        free(&gpa, block, 100);
    }
    free(&gpa, first, 100);
    let findings = gpa.findings().collect::<Vec<_>>();
    let [finding] = &findings[..] else { panic!("{findings:#?}") };
    assert_eq!((finding.kind, finding.block.unwrap().size), (FindingKind::DoubleFree, 100));
    assert!([finding.allocated, finding.freed, finding.here].map(has_frames) == [true; 3]);
    let last = alloc(&gpa, 100);
    assert_ne!(last, first, "as much waits as may");
    free(&gpa, last, 100);
    assert_eq!(alloc(&gpa, 100), first, "the oldest comes first");
    // The new life is one like any other.
    free(&gpa, first, 100);
    free(&gpa, first, 100);
    assert!(gpa.findings().all(|finding| finding.kind == FindingKind::DoubleFree));
    assert_eq!(gpa.findings().count(), 2);
    assert_eq!(gpa.stats().live_bytes, 0);
    assert_eq!(gpa.stats().peak_bytes, 100);
}

/// A write to a freed block is found when the block leaves the quarantine, once, and one that comes later
/// when its slot is handed out.
#[test]
fn late_writes_are_found_when_a_block_leaves() {
    let gpa = quiet().quarantine(slots(2)).build();
    let blocks = [
        alloc(&gpa, 100),
        alloc(&gpa, 100), // Findings are told apart by the place that allocated.
        alloc(&gpa, 100),
        alloc(&gpa, 100),
    ];
    for block in &blocks[..2] {
        free(&gpa, *block, 100);
    }
    poke(blocks[0], 10);
    assert_eq!(gpa.findings().count(), 0);
    free(&gpa, blocks[2], 100);
    let told = |index: usize, offset| {
        let finding = gpa.findings().nth(index).unwrap();
        assert_eq!((finding.kind, finding.offset), (FindingKind::UseAfterFree, offset));
        assert_eq!(finding.block.unwrap().addr, blocks[index].addr().get());
        assert!(has_frames(finding.allocated) && has_frames(finding.freed));
    };
    told(0, 10);
    free(&gpa, blocks[3], 100);
    poke(blocks[1], 20);
    assert_eq!(alloc(&gpa, 100), blocks[0]);
    assert_eq!(gpa.findings().count(), 1, "its bytes were mended");
    assert_eq!(alloc(&gpa, 100), blocks[1]);
    told(1, 20);
    let _ = gpa.check();
    assert_eq!(gpa.findings().count(), 2);
}

/// Memory that is used again is zero where zero was asked for, and what a block holds is its own.
#[test]
fn zeroed_blocks_of_used_memory_are_zero() {
    let gpa = quiet().quarantine(0).build();
    for size in [1, 100, 4000, 16_000] {
        let block = alloc(&gpa, size);
        // SAFETY: live, of this size.
        unsafe { block.write_bytes(0xa5, size) };
        free(&gpa, block, size);
        let again = gpa.raw_alloc_zeroed(layout(size, 1)).unwrap();
        assert_eq!(again, block);
        // SAFETY: live, of this size.
        let bytes = unsafe { NonNull::slice_from_raw_parts(again, size).as_ref() };
        assert!(bytes.iter().all(|byte| *byte == 0));
        free(&gpa, again, size);
    }
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// Threads that free each other's blocks: no block is handed out twice at once, none is damaged, and all
/// are counted.
#[test]
fn threads_share_a_quarantine() {
    for bytes in [0, 10_000] {
        let gpa = quiet().stacks(2).quarantine(bytes).build();
        let empty = || std::sync::Mutex::new(None::<Owned<[u8], &Gpa>>);
        let slots = (0..64).map(|_| empty()).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            for thread in 1..5u8 {
                let (gpa, slots) = (&gpa, &slots);
                scope.spawn(move || {
                    let mut random = u64::from(thread);
                    for _ in 0..20_000 {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let len = 1 + (random >> 40) as usize % 200;
                        let mut block = gpa.alloc_fill(len, thread).unwrap();
                        let place = &slots[(random >> 50) as usize % slots.len()];
                        block.iter_mut().for_each(|byte| *byte ^= len as u8);
                        let old = place.lock().unwrap().replace(block);
                        // All bytes are as one thread left them.
                        assert!(old.is_none_or(|old| {
                            (1..5).contains(&(old[0] ^ old.len() as u8))
                                && old.iter().all(|byte| *byte == old[0])
                        }));
                    }
                });
            }
            let _ = gpa.check();
            let _ = gpa.find_leaks();
        });
        drop(slots);
        let stats = gpa.stats();
        assert_eq!((stats.allocations, stats.frees), (80_000, 80_000));
        assert_eq!(stats.live_bytes, 0);
        assert_eq!(gpa.findings().count(), 0, "{:#?}", gpa.findings().collect::<Vec<_>>());
        assert_eq!(gpa.deinit(), Check::Ok);
    }
}

/// Two threads free one block: one of them is told, in each life of the slot.
#[test]
fn one_free_wins_in_each_life() {
    let gpa = quiet().stacks(0).quarantine(0).build();
    let barrier = std::sync::Barrier::new(2);
    let shared = std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());
    let round = |allocates: bool| {
        for _ in 0..2000 {
            if allocates {
                let block = alloc(&gpa, 100).as_ptr();
                shared.store(block, std::sync::atomic::Ordering::Relaxed);
            }
            barrier.wait();
            let block = shared.load(std::sync::atomic::Ordering::Relaxed);
            free(&gpa, NonNull::new(block).unwrap(), 100);
            barrier.wait();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| round(true));
        round(false);
    });
    let stats = gpa.stats();
    assert_eq!((stats.allocations, stats.frees, stats.live_bytes), (2000, 2000, 0));
    let kinds = gpa.findings().map(|finding| finding.kind).collect::<Vec<_>>();
    assert!(kinds.iter().all(|kind| *kind == FindingKind::DoubleFree), "{kinds:?}");
}

/// Guarded blocks trap for ever: with them there is no quarantine.
#[test]
fn guarded_blocks_do_not_come_back() {
    let gpa = every(GuardAlign::Right, GuardImpl::Auto).quarantine(0).build();
    let first = alloc(&gpa, 100);
    free(&gpa, first, 100);
    assert_ne!(alloc(&gpa, 100), first);
    assert!(traps(first, 0));
}
