//! The general heap: what it holds after each operation, what joins, what is found in `check` builds.

use std::alloc::Layout;
use std::mem::MaybeUninit;

use alloc_core::{AllocError, Allocator, AllocatorExt, UnsizedFree};
use alloc_fixed::{StackBuffer, StaticBytes, TlsfHeap};
use alloc_testing::RawBlock;

mod common;

use common::Rng;

const LEN: usize = 64 << 10;

fn buffer(len: usize) -> Vec<MaybeUninit<u8>> {
    vec![MaybeUninit::uninit(); len]
}

/// Goal: no sequence of operations breaks an invariant, and when all is freed the heap is one piece
/// again. Method: random requests, resizes and frees over a heap that is often full, at an odd address,
/// with contents that are compared, and a walk over everything after each.
#[test]
fn random_operations_keep_the_invariants() {
    let (seed_count, step_count) = if cfg!(miri) { (1, 100) } else { (60, 800) };
    for seed in 0..seed_count {
        let mut rng = Rng::new(seed);
        let mut memory = buffer(LEN + 3);
        let heap = TlsfHeap::new(&mut memory[rng.below(3)..]);
        let mut live: Vec<(RawBlock<&TlsfHeap<'_>>, u8)> = Vec::new();
        let size_max = [40, 300, 3000, 20_000][rng.below(4)];
        for step in 0..step_count {
            match rng.below(8) {
                0..4 => {
                    let align = 1 << if rng.below(8) == 0 { rng.below(12) } else { rng.below(5) };
                    if let Ok(mut block) = RawBlock::new(&heap, 1 + rng.below(size_max), align) {
                        block.fill(step as u8);
                        live.push((block, step as u8));
                    }
                }
                4..7 if !live.is_empty() => {
                    let (block, fill) = live.swap_remove(rng.below(live.len()));
                    block.assert_filled(block.layout().size(), fill);
                }
                _ if !live.is_empty() => {
                    let index = rng.below(live.len());
                    let (block, fill) = &mut live[index];
                    let old_size = block.layout().size();
                    let new_size = 1 + rng.below(size_max);
                    if block.resize(new_size) {
                        block.assert_filled(old_size.min(new_size), *fill);
                        block.fill(*fill);
                    } else {
                        block.assert_filled(old_size, *fill);
                    }
                }
                _ => {}
            }
            heap.check_invariants();
            assert_eq!(heap.stats().block_count, live.len(), "seed {seed}");
        }
        for (block, fill) in &live {
            block.assert_filled(block.layout().size(), *fill);
        }
        live.clear();
        heap.check_invariants();
        let stats = heap.stats();
        assert_eq!((stats.used, stats.holes, stats.top), (0, 0, heap.capacity()), "seed {seed}");
    }
}

/// Blocks are freed in every order of five: whatever is free between two blocks is one piece.
#[test]
fn neighbours_join_in_every_order() {
    let mut orders = vec![vec![]];
    for index in 0..5usize {
        orders = orders
            .iter()
            .flat_map(|order: &Vec<usize>| {
                (0..=order.len()).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, index);
                    order
                })
            })
            .collect();
    }
    assert_eq!(orders.len(), 120);
    for order in orders {
        let mut memory = buffer(8192);
        let heap = TlsfHeap::new(&mut memory);
        let mut blocks: Vec<_> =
            (0..5).map(|i| Some(RawBlock::new(&heap, 40 + 400 * i, 8).unwrap())).collect();
        let guard = RawBlock::new(&heap, 1, 1).unwrap();
        for (count, index) in order.into_iter().enumerate() {
            blocks[index] = None;
            heap.check_invariants();
            let stats = heap.stats();
            assert_eq!(stats.block_count, 5 - count);
        }
        assert_eq!(heap.stats().hole_count, 1);
        drop(guard);
        assert_eq!(heap.stats().top, heap.capacity());
    }
}

/// The whole buffer can be had as one block, and again after it was cut into pieces; one byte more is
/// refused, and so is what overflows.
#[test]
fn all_of_it_and_no_more() {
    let mut memory = buffer(LEN);
    let heap = TlsfHeap::new(&mut memory);
    let size_max = heap.stats().largest;
    assert!(LEN - 32 <= size_max);
    for _ in 0..3 {
        let whole = RawBlock::new(&heap, size_max, 8).unwrap();
        assert!(RawBlock::new(&heap, 1, 1).is_err());
        drop(whole);
        assert!(RawBlock::new(&heap, size_max + 1, 1).is_err());
        for size in [isize::MAX as usize, isize::MAX as usize - 15, 1 << 40] {
            assert_eq!(heap.alloc::<u8>(size).map(drop), Err(AllocError));
        }
        let huge = Layout::from_size_align(16, 1 << 62).unwrap();
        assert_eq!(heap.raw_alloc(huge), Err(AllocError));
        let pieces: Vec<_> = std::iter::from_fn(|| RawBlock::new(&heap, 100, 1).ok()).collect();
        assert_eq!(pieces.len(), heap.capacity() / 112);
        heap.check_invariants();
    }
}

/// A hole that the map of bits does not promise to fit is found when it is the only one.
#[test]
fn the_last_fitting_hole_is_found() {
    let mut memory = buffer(LEN);
    let heap = TlsfHeap::new(&mut memory);
    let hole = RawBlock::new(&heap, 1900, 8).unwrap();
    let guard = RawBlock::new(&heap, 1, 1).unwrap();
    let rest = RawBlock::new(&heap, heap.stats().largest, 8).unwrap();
    drop(hole);
    let again = RawBlock::new(&heap, 1890, 8).unwrap();
    assert!(again.addr() < guard.addr());
    drop((rest, again, guard));
    assert_eq!(heap.stats().top, heap.capacity());
}

/// What `largest` says can be had, also where a longer hole lies behind others of its bin, which no search
/// looks at.
#[test]
fn the_largest_block_can_be_had() {
    let mut memory = buffer(LEN);
    let heap = TlsfHeap::new(&mut memory);
    let blocks = [1100, 1040, 1030]
        .map(|size| (RawBlock::new(&heap, size, 8).unwrap(), RawBlock::new(&heap, 1, 1).unwrap()));
    let _rest = RawBlock::new(&heap, heap.stats().largest, 8).unwrap();
    // The longest first, so it is the last one of its list.
    let _guards = blocks.map(|(_, guard)| guard);
    assert_eq!(heap.stats().hole_count, 3);
    let largest = heap.stats().largest;
    assert!(1040 <= largest);
    assert!(RawBlock::new(&heap, largest, 8).is_ok());
}

/// The last block grows and shrinks in place at the top; one below a hole grows into it; a shrink
/// gives back what it can.
#[test]
fn blocks_resize_in_place() {
    let mut memory = buffer(8192);
    let heap = TlsfHeap::new(&mut memory);
    let mut block = RawBlock::new(&heap, 100, 8).unwrap();
    block.fill(1);
    assert!(block.resize(5000) && block.resize(8000) && !block.resize(9000) && block.resize(100));
    block.assert_filled(100, 1);
    assert_eq!(heap.stats().used, 112);
    let hole = RawBlock::new(&heap, 1000, 8).unwrap();
    let guard = RawBlock::new(&heap, 1, 1).unwrap();
    assert!(!block.resize(200), "something lies above");
    drop(hole);
    assert!(block.resize(200) && block.resize(1100) && !block.resize(1200));
    heap.check_invariants();
    assert_eq!(heap.stats().hole_count, 0, "the hole is used up");
    assert!(block.resize(10));
    assert_eq!(heap.stats().hole_count, 1, "and comes back");
    block.assert_filled(10, 1);
    drop((block, guard));
    assert_eq!(heap.stats().top, heap.capacity());
}

/// Every alignment up to a page, in a heap of little more than that.
#[test]
fn alignments_need_little_more() {
    let mut memory = buffer(3 * 4096);
    let heap = TlsfHeap::new(&mut memory);
    for shift in 0..=12 {
        let below = RawBlock::new(&heap, 1, 1).unwrap();
        let mut block = RawBlock::new(&heap, 4000, 1 << shift).unwrap();
        assert!(block.addr().is_multiple_of(1 << shift));
        block.fill(shift);
        heap.check_invariants();
        assert!(block.resize(5) && heap.stats().used <= 96, "{:?}", heap.stats());
        drop(below);
        heap.check_invariants();
        block.assert_filled(5, shift);
        drop(block);
        assert_eq!(heap.stats().top, heap.capacity());
    }
}

/// A buffer that is too small for a chunk is a heap without memory; one chunk is enough for a block.
#[test]
fn tiny_buffers() {
    for len in 0..120 {
        let mut memory = buffer(len);
        let heap = TlsfHeap::new(&mut memory);
        let block = RawBlock::new(&heap, 8, 8);
        assert_eq!(block.is_ok(), 32 <= heap.capacity(), "{len}");
        assert!(len < 32 + 32 || block.is_ok(), "{len}");
        heap.check_invariants();
    }
}

/// The heap knows the sizes: what C's `free(p)` needs.
#[test]
fn blocks_are_freed_without_a_layout() {
    let mut memory = StackBuffer::<1024>::new();
    let heap = TlsfHeap::new(&mut memory);
    let (block, _, _) = RawBlock::new(&heap, 21, 1).unwrap().into_raw_parts();
    // SAFETY: live.
    let size = unsafe { heap.usable_size(block) };
    assert!((21..=24).contains(&size));
    assert!(heap.owns(block.as_ptr()));
    // SAFETY: live, and not used again.
    unsafe { heap.free_unsized(block) };
    assert_eq!(heap.stats().block_count, 0);
}

/// Static bytes are taken with the first request, by one heap; the other has no memory.
#[test]
fn static_bytes_serve_one_heap() {
    static BYTES: StaticBytes<4096> = StaticBytes::new();
    let (first, second) = (TlsfHeap::over(&BYTES), TlsfHeap::over(&BYTES));
    assert_eq!(first.capacity(), 0);
    let block = first.create(5u64).unwrap();
    assert!(4000 < first.capacity());
    assert!(second.create(5u64).is_err() && BYTES.take().is_none());
    assert_eq!(*block, 5);
}

/// It can be moved and sent; its blocks stay.
#[test]
fn it_can_be_moved_with_live_blocks() {
    let mut memory = buffer(4096);
    let heap = TlsfHeap::new(&mut memory);
    let (hole, _, _) = RawBlock::new(&heap, 100, 8).unwrap().into_raw_parts();
    let (block, layout, _) = RawBlock::new(&heap, 100, 8).unwrap().into_raw_parts();
    // SAFETY: live.
    unsafe { heap.raw_free(hole, layout) };
    let addr = block.addr();
    let moved = std::thread::scope(|scope| scope.spawn(move || heap).join().unwrap());
    let again = RawBlock::new(&moved, 100, 8).unwrap();
    assert!(again.addr() < addr.get(), "the hole is still known");
    // SAFETY: live; the handle that it came from has moved.
    unsafe { moved.raw_free(moved_block(addr, &moved), layout) };
    drop(again);
    moved.check_invariants();
    assert_eq!(moved.stats().block_count, 0);
}

/// The pointer of a block, by its address.
fn moved_block(addr: std::num::NonZero<usize>, heap: &TlsfHeap<'_>) -> std::ptr::NonNull<u8> {
    let any = RawBlock::new(heap, 1, 1).unwrap().into_raw_parts();
    // SAFETY: live.
    unsafe { heap.raw_free(any.0, any.1) };
    any.0.with_addr(addr)
}
