//! Each kind of misuse of an explicit `Gpa`: what is told, about which block, and that the allocator
//! goes on. The misuse is done through the raw contract, with addresses that the allocator checks.

use std::ptr::NonNull;

use alloc_core::{Allocator, AllocatorExt, Layout, UnsizedFree};
use alloc_gpa::{Check, Finding, FindingKind, Gpa, LeakTotals, StackId};

fn gpa() -> Gpa {
    Gpa::builder().quiet().build()
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

/// Writes one byte `offset` bytes from the start of a block.
fn poke(block: NonNull<u8>, offset: isize) {
    // SAFETY: the tests stay inside the slot and its neighbours, which are mapped.
    let at = unsafe { block.offset(offset) };
    // SAFETY: mapped, and no live block of a test is read meanwhile.
    unsafe { at.write_volatile(0) };
}

/// The only finding so far.
fn only(gpa: &Gpa) -> Finding {
    let findings = gpa.findings().collect::<Vec<_>>();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings[0]
}

#[test]
fn a_clean_run_is_ok() {
    let gpa = gpa();
    let numbers = gpa.alloc_fill(5, 0u32).unwrap();
    let single = gpa.create(42u64).unwrap();
    gpa.destroy(single);
    drop(numbers);
    assert_eq!(gpa.deinit(), Check::Ok);
}

#[test]
fn an_unused_allocator_is_ok() {
    assert_eq!(Gpa::new().deinit(), Check::Ok);
}

#[test]
fn leaks_are_counted_with_their_bytes() {
    let gpa = gpa();
    for size in [1, 100, 5000, 3 << 20] {
        alloc(&gpa, size);
    }
    let freed = alloc(&gpa, 7);
    free(&gpa, freed, 7);
    let leaks = LeakTotals { count: 4, bytes: 1 + 100 + 5000 + (3 << 20) };
    assert_eq!(gpa.detect_leaks(), leaks);
    let mut text = String::new();
    gpa.report(&mut text).unwrap();
    assert!(text.contains("0 findings, 4 blocks leaked (3150829 bytes)"), "{text}");
    assert_eq!(gpa.deinit(), Check::Leak(leaks));
}

/// At every size: the second free is told, with the block and three stacks, and changes nothing.
#[test]
fn double_free_is_told_with_all_stacks() {
    for size in [1, 24, 4000, 5000, 100_000, 3 << 20] {
        let gpa = gpa();
        let block = alloc(&gpa, size);
        free(&gpa, block, size);
        free(&gpa, block, size);
        let finding = only(&gpa);
        assert_eq!(finding.kind, FindingKind::DoubleFree);
        assert_eq!(finding.block.map(|b| (b.addr, b.size)), Some((block.addr().get(), size)));
        for stack in [finding.here, finding.allocated, finding.freed] {
            assert_ne!(stack, StackId::NONE);
            assert!(stack.frames().next().is_some());
        }
        assert_eq!(gpa.stats().frees, 1);
        let leaks = LeakTotals::default();
        assert_eq!(gpa.deinit(), Check::Misuse { findings: 1, leaks });
    }
}

/// One byte past the end is found at free, whatever the size; also when the block is never freed.
#[test]
fn one_byte_past_the_end_is_found() {
    for size in (1..200).chain([4088, 4089, 5000, 8168, 300_001, 3 << 20]) {
        for freed in [true, false] {
            let gpa = gpa();
            let block = alloc(&gpa, size);
            poke(block, size as isize);
            if freed {
                free(&gpa, block, size);
            } else {
                let _ = gpa.check();
            }
            let finding = only(&gpa);
            assert_eq!(finding.kind, FindingKind::Overflow, "size {size}");
            assert_eq!(finding.offset, size as isize);
            assert_eq!(finding.block.map(|b| b.size), Some(size));
            assert_eq!(finding.addr, block.addr().get() + size);
        }
    }
}

/// A write before the start is found at free and by the audit, for the first block of a slab and for
/// a later one, and is told of the block that it belongs to.
#[test]
fn a_byte_before_the_start_is_found() {
    for size in [1, 20, 100, 2000, 5000, 100_000] {
        for index in [0, 1, 2] {
            for freed in [true, false] {
                let gpa = gpa();
                let blocks = [(); 4].map(|()| alloc(&gpa, size));
                poke(blocks[index], -1);
                if freed {
                    free(&gpa, blocks[index], size);
                } else {
                    let _ = gpa.check();
                }
                let finding = only(&gpa);
                assert_eq!(finding.kind, FindingKind::Underflow, "size {size} index {index}");
                assert_eq!(finding.offset, -1);
                assert_eq!(finding.block.map(|b| b.addr), Some(blocks[index].addr().get()));
            }
        }
    }
}

/// Damage between two blocks is met by both frees and told once, without a write to bytes that the
/// block before may grow into meanwhile.
#[test]
fn damage_is_told_once_and_left_as_it_is() {
    let gpa = gpa();
    let blocks = [(); 2].map(|()| alloc(&gpa, 20));
    poke(blocks[1], -1);
    free(&gpa, blocks[1], 20);
    // SAFETY: inside the slot of the block before, which is live.
    let at = unsafe { blocks[1].sub(1) };
    // SAFETY: mapped, and this thread is the only one.
    assert_eq!(unsafe { at.read_volatile() }, 0, "what was written is still there");
    free(&gpa, blocks[0], 20);
    assert_eq!(only(&gpa).count, 1);
}

#[test]
fn a_write_after_free_is_found_with_both_stacks() {
    for size in [1, 24, 100, 4000] {
        let gpa = gpa();
        let (block, _other) = (alloc(&gpa, size), alloc(&gpa, size));
        free(&gpa, block, size);
        poke(block, size as isize / 2);
        let _ = gpa.check();
        let finding = only(&gpa);
        assert_eq!(finding.kind, FindingKind::UseAfterFree);
        assert_eq!(finding.offset, size as isize / 2);
        assert_ne!(finding.allocated, StackId::NONE);
        assert_ne!(finding.freed, StackId::NONE);
    }
}

/// The same when the block's group of slabs is all freed before anybody looks.
#[test]
fn a_write_after_free_is_found_when_the_memory_goes() {
    for size in [100, 2000, 20_000] {
        let gpa = gpa();
        let blocks = (0..(1 << 20) / size).map(|_| alloc(&gpa, size)).collect::<Vec<_>>();
        free(&gpa, blocks[5], size);
        poke(blocks[5], 50);
        for (index, block) in blocks.iter().enumerate() {
            if index != 5 {
                free(&gpa, *block, size);
            }
        }
        assert_eq!(only(&gpa).kind, FindingKind::UseAfterFree);
        assert_eq!(only(&gpa).block.map(|b| b.addr), Some(blocks[5].addr().get()));
        assert!(!is_readable(blocks[5].addr().get()));
    }
}

/// Whether the process may read a byte.
fn is_readable(addr: usize) -> bool {
    let mut byte = 0u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(addr), iov_len: 1 };
    // SAFETY: no preconditions.
    let pid = unsafe { libc::getpid() };
    // SAFETY: one vector each; `local` spans one byte of ours, the kernel checks `remote`.
    unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) == 1 }
}

/// Once a group of slabs is freed, no byte of it can be read; large blocks cannot at once. What is
/// live can.
#[test]
fn freed_memory_traps() {
    for (size, count) in [(24, 100_000), (100, 10_000), (5000, 200), (100_000, 2), (3 << 20, 1)] {
        let gpa = gpa();
        let kept = alloc(&gpa, size);
        let blocks = (0..count).map(|_| alloc(&gpa, size)).collect::<Vec<_>>();
        assert!(is_readable(blocks[count / 2].addr().get()));
        blocks.iter().for_each(|block| free(&gpa, *block, size));
        let block = blocks[count / 2].addr().get();
        for offset in [0, size / 2, size - 1] {
            assert!(!is_readable(block + offset), "size {size} offset {offset}");
            assert!(is_readable(kept.addr().get() + offset));
        }
        assert_eq!(gpa.check(), Check::Leak(LeakTotals { count: 1, bytes: size as u64 }));
        free(&gpa, kept, size);
        free(&gpa, blocks[0], size);
        assert_eq!(only(&gpa).kind, FindingKind::DoubleFree, "the record is still there");
        assert_ne!(only(&gpa).freed, StackId::NONE);
    }
}

/// Memory is used again, and then it is not zero by itself: zeroed blocks are zero all the same.
#[test]
fn zeroed_blocks_are_zero_in_memory_that_was_used() {
    let gpa = Gpa::builder().quiet().stacks(0).build();
    let mut used = 0;
    for round in 0..60_000 {
        let size = [40, 200, 1000, 4000, 6000][round % 5];
        let plain = alloc(&gpa, size);
        let zeroed = gpa.raw_alloc_zeroed(layout(size, 1)).unwrap();
        // SAFETY: live, of that size; the bytes are those of the system or were written before.
        used += usize::from(unsafe { plain.read_volatile() } != 0);
        // SAFETY: live, of that size, all zero.
        let bytes = unsafe { NonNull::slice_from_raw_parts(zeroed, size).as_mut() };
        assert!(bytes.iter().all(|byte| *byte == 0), "round {round}");
        bytes.fill(0xff);
        free(&gpa, plain, size);
        free(&gpa, zeroed, size);
    }
    assert!(10_000 < used, "{used}: most memory was used before");
    assert_eq!(gpa.deinit(), Check::Ok);
}

#[test]
fn wrong_layouts_are_told_and_the_block_is_freed() {
    let gpa = gpa();
    let block = alloc(&gpa, 100);
    free(&gpa, block, 99);
    let finding = only(&gpa);
    assert_eq!(finding.kind, FindingKind::SizeMismatch);
    assert_eq!(finding.claimed, Some((99, 1)));
    assert_eq!(gpa.detect_leaks().count, 0);

    let gpa = self::gpa();
    let block = alloc(&gpa, 100);
    // SAFETY: as in `free`.
    unsafe { gpa.raw_free(block, layout(100, 8)) };
    assert_eq!(only(&gpa).kind, FindingKind::AlignMismatch);
    assert_eq!(gpa.detect_leaks().count, 0);
}

/// Maps a page past every allocator, for good.
fn mapped_page() -> usize {
    let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping touches nothing.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    page.addr()
}

/// Addresses that are no block: each is told for what it is, and nothing is freed.
#[test]
fn invalid_frees_say_what_the_address_is() {
    static STATIC: [u8; 64] = [1; 64];
    let local = [0u8; 64];
    let gpa = gpa();
    let block = alloc(&gpa, 100);
    // SAFETY: asks where the heap of C's malloc ends; nothing changes.
    let heap = unsafe { libc::sbrk(0) };
    let foreign = mapped_page();
    let interior = block.addr().get() + 8;
    let cases = [
        (interior, "interior pointer"),
        ((&raw const local).addr(), "stack address"),
        ((&raw const STATIC).addr(), "address in findings-"),
        (heap.addr() - 1, "address in [heap]"),
        (foreign + 16, "foreign block: in memory that this allocator did not map"),
        (0x10, "not mapped"),
    ];
    for (addr, detail) in cases {
        let before = gpa.findings().count();
        let pointer = std::ptr::without_provenance_mut(addr);
        free(&gpa, NonNull::new(pointer).unwrap(), 1);
        let finding = gpa.findings().last().unwrap();
        assert_eq!(gpa.findings().count(), before + 1);
        assert_eq!(finding.kind, FindingKind::InvalidFree);
        assert!(finding.detail.as_str().starts_with(detail), "{detail}: {finding:?}");
    }
    assert_eq!(gpa.detect_leaks().count, 1);
}

#[test]
fn a_block_of_another_instance_is_told_and_left_alone() {
    let (ours, theirs) = (gpa(), gpa());
    let block = alloc(&theirs, 40);
    alloc(&ours, 1);
    free(&ours, block, 40);
    let finding = only(&ours);
    assert_eq!(finding.kind, FindingKind::OtherAllocator);
    assert_eq!(finding.block.map(|b| b.size), Some(40));
    assert_eq!(theirs.detect_leaks().count, 1);
}

#[test]
fn resize_of_a_freed_block_is_told_and_refused() {
    let gpa = gpa();
    let block = alloc(&gpa, 40);
    free(&gpa, block, 40);
    // SAFETY: as in `free`.
    assert!(!unsafe { gpa.raw_resize(block, layout(40, 1), 20) });
    assert_eq!(only(&gpa).kind, FindingKind::ResizeAfterFree);
}

/// The new end is guarded after a resize, in both directions.
#[test]
fn resize_moves_the_canary() {
    let gpa = gpa();
    let block = alloc(&gpa, 100);
    // SAFETY: live, fits.
    assert!(unsafe { gpa.raw_resize(block, layout(100, 1), 40) });
    // SAFETY: live, fits.
    assert!(unsafe { gpa.raw_resize(block, layout(40, 1), 60) });
    assert_eq!(gpa.check(), Check::Leak(LeakTotals { count: 1, bytes: 60 }));
    poke(block, 60);
    free(&gpa, block, 60);
    assert_eq!((only(&gpa).kind, only(&gpa).offset), (FindingKind::Overflow, 60));
}

/// No address is handed out twice, in whatever order and however often blocks are freed.
#[test]
fn addresses_are_never_used_again() {
    let gpa = gpa();
    let mut seen = std::collections::HashSet::new();
    let mut state = 1u64;
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let size = 1 + (state >> 33) as usize % 600;
        let block = alloc(&gpa, size);
        assert!(seen.insert(block.addr().get()));
        free(&gpa, block, size);
    }
    for _ in 0..200 {
        let block = alloc(&gpa, 2 << 20);
        assert!(seen.insert(block.addr().get()));
        free(&gpa, block, 2 << 20);
    }
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// Blocks made in one thread and freed in another, two threads freeing at once: all is counted right.
#[test]
fn threads_free_each_others_blocks() {
    let gpa = gpa();
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel::<usize>();
        for thread in 0..3usize {
            let (sender, gpa) = (sender.clone(), &gpa);
            scope.spawn(move || {
                for index in 0..5000 {
                    let block = alloc(gpa, 1 + (index * 7 + thread) % 900);
                    sender.send(block.as_ptr().expose_provenance()).unwrap();
                }
            });
        }
        drop(sender);
        let gpa = &gpa;
        scope.spawn(move || {
            use alloc_core::UnsizedFree;
            for addr in receiver {
                let block = NonNull::new(std::ptr::with_exposed_provenance_mut(addr)).unwrap();
                // SAFETY: live, sent once.
                unsafe { gpa.free_unsized(block) };
            }
        });
    });
    assert_eq!(gpa.stats().allocations, 15_000);
    assert_eq!(gpa.stats().live_bytes, 0);
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// Two threads free the same block at once: exactly one of them is told.
#[test]
fn racing_frees_are_one_free_and_one_finding() {
    let gpa = gpa();
    for _ in 0..200 {
        let addr = alloc(&gpa, 64).as_ptr().expose_provenance();
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let block = NonNull::new(std::ptr::with_exposed_provenance_mut(addr)).unwrap();
                    start.wait();
                    free(&gpa, block, 64);
                });
            }
        });
    }
    let told = gpa.findings().map(|finding| finding.count).sum::<u64>();
    assert!(gpa.findings().all(|finding| finding.kind == FindingKind::DoubleFree));
    assert_eq!((told, gpa.stats().frees), (200, 200));
}

/// What no address space can hold fails cleanly, and so does every size near the edges.
#[test]
fn very_large_requests_fail_cleanly() {
    let gpa = gpa();
    for (size, align) in
        [(isize::MAX as usize, 1), (isize::MAX as usize / 2, 1), (1 << 47, 1), (1 << 47, 1 << 30)]
    {
        assert!(gpa.raw_alloc(layout(size, align)).is_err());
    }
    assert_eq!(gpa.stats().live_bytes, 0);
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// What the system refuses as memory is refused, although it would reserve the addresses.
#[test]
fn more_than_the_system_has_is_refused() {
    const SIZE: usize = 1 << 45;
    let (access, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping where the kernel likes.
    let plain = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, access, flags, -1, 0) };
    if plain != libc::MAP_FAILED {
        // SAFETY: just mapped, unused.
        unsafe { libc::munmap(plain, SIZE) };
    }
    let gpa = gpa();
    assert_eq!(gpa.raw_alloc(layout(SIZE, 16)).is_ok(), plain != libc::MAP_FAILED);
}

/// A large block that shrinks to less than half gives its memory back.
#[test]
fn a_large_block_does_not_keep_what_it_lost() {
    let gpa = gpa();
    let block = alloc(&gpa, 50 << 20);
    // SAFETY: live.
    let small = unsafe { gpa.realloc_unsized(block, layout(100, 1)) }.unwrap();
    assert_ne!(small, block);
    // SAFETY: live.
    let same = unsafe { gpa.realloc_unsized(small, layout(10, 1)) }.unwrap();
    assert_eq!(same, small);
    free(&gpa, same, 10);
    assert_eq!(gpa.deinit(), Check::Ok);
}

#[test]
fn alignments_up_to_sixteen_mebibytes_hold() {
    let gpa = gpa();
    for log2 in 0..=24 {
        for size in [1, 100, 5000, 70_000] {
            let layout = layout(size, 1 << log2);
            let block = gpa.raw_alloc_zeroed(layout).unwrap();
            assert_eq!(block.addr().get() % layout.align(), 0);
            // SAFETY: live, of that size.
            let bytes = unsafe { NonNull::slice_from_raw_parts(block, size).as_mut() };
            assert!(bytes.iter().all(|byte| *byte == 0));
            bytes.fill(0xff);
            // SAFETY: live, fits.
            unsafe { gpa.raw_free(block, layout) };
        }
    }
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// History is bounded: old double frees are still told as such, without stacks.
#[test]
fn forgotten_history_is_said() {
    let gpa = Gpa::builder().quiet().stacks(0).history(0).build();
    let first = alloc(&gpa, 2000);
    free(&gpa, first, 2000);
    for _ in 0..10_000 {
        let block = alloc(&gpa, 2000);
        free(&gpa, block, 2000);
    }
    free(&gpa, first, 2000);
    let finding = only(&gpa);
    assert_eq!(finding.kind, FindingKind::DoubleFree);
    assert!(finding.detail.as_str().contains("history"), "{finding:?}");
}

/// The records of large blocks are bounded too.
#[test]
fn the_history_of_large_blocks_is_bounded() {
    const SIZE: usize = 2 << 20;
    let gpa = Gpa::builder().quiet().stacks(0).history(10 * 16).build();
    let blocks = std::iter::repeat_with(|| {
        let block = alloc(&gpa, SIZE);
        free(&gpa, block, SIZE);
        block
    });
    for block in blocks.take(100).collect::<Vec<_>>() {
        free(&gpa, block, SIZE);
    }
    let forgotten = |finding: &Finding| finding.detail.as_str().contains("history");
    let count = gpa.findings().filter(forgotten).count();
    assert!((90..=95).contains(&count), "{count} of 100 forgotten, with room for 10");
    assert!(gpa.findings().all(|finding| finding.kind == FindingKind::DoubleFree));
}

/// 64 blocks of four units use a chunk to its end; its records count once.
#[test]
fn a_chunk_used_to_its_end_counts_once() {
    const SIZE: usize = 50_000;
    let gpa = Gpa::builder().quiet().stacks(0).history(64 * 16).build();
    let blocks = (0..64).map(|_| alloc(&gpa, SIZE)).collect::<Vec<_>>();
    blocks.iter().for_each(|block| free(&gpa, *block, SIZE));
    let next = alloc(&gpa, SIZE);
    free(&gpa, blocks[0], SIZE);
    assert_eq!(only(&gpa).detail.as_str(), "", "the record is still there");
    free(&gpa, next, SIZE);
}
