//! Workloads for allocators whose blocks are freed one by one.

use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::NonNull;
use std::time::Duration;

use alloc_core::Allocator;

use crate::clock::Clock;
use crate::numbers::Numbers;

/// What the workloads call. An allocator of ours is one through its contract; a peer implements it.
pub trait Heap {
    /// Returns a block for `layout`, whose size is not zero.
    ///
    /// # Panics
    ///
    /// If there is no memory: a benchmark has nothing else to do then.
    fn take(&self, layout: Layout) -> NonNull<u8>;

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// * `block` came from `take` of this heap with this `layout`.
    /// * It was not given back yet.
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout);
}

impl<A: Allocator> Heap for A {
    #[inline]
    fn take(&self, layout: Layout) -> NonNull<u8> {
        self.raw_alloc(layout).expect("a benchmark has enough memory")
    }

    #[inline]
    unsafe fn give(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: by this function's contract the block is live and was requested with this layout.
        unsafe { self.raw_free(block, layout) };
    }
}

/// Takes a block and writes its first byte, so that no compiler removes it.
#[inline]
fn take(heap: &impl Heap, layout: Layout) -> NonNull<u8> {
    let block = heap.take(layout);
    // SAFETY: a block is valid for writes of its size, which no workload makes zero.
    unsafe { block.write(1) };
    black_box(block)
}

const fn bytes(size: usize) -> Layout {
    match Layout::from_size_align(size, 8) {
        Ok(layout) => layout,
        Err(_) => panic!("the workloads' sizes are small"),
    }
}

/// An operation takes a block of `layout` and gives it back at once.
fn pairs(heap: &impl Heap, count: u64, layout: Layout) -> Duration {
    let begin = Clock::now();
    for _ in 0..count {
        let block = take(heap, layout);
        // SAFETY: just taken with this layout.
        unsafe { heap.give(block, layout) };
    }
    begin.elapsed()
}

/// Takes and gives back 64 bytes.
pub fn pair(heap: &impl Heap, count: u64) -> Duration {
    pairs(heap, count, bytes(64))
}

/// Takes and gives back one page of 4096 bytes, aligned to that.
pub fn pages(heap: &impl Heap, count: u64) -> Duration {
    const PAGE: Layout = match Layout::from_size_align(4096, 4096) {
        Ok(layout) => layout,
        Err(_) => panic!("a page has a layout"),
    };
    pairs(heap, count, PAGE)
}

/// Takes and gives back 1 MiB, of which one page is touched.
pub fn megabytes(heap: &impl Heap, count: u64) -> Duration {
    pairs(heap, count, bytes(1 << 20))
}

/// 1000 blocks of 16 to 512 bytes are taken, then given back in reverse. An operation is one block
/// taken and given back.
pub fn lifo(heap: &impl Heap, count: u64) -> Duration {
    const BLOCK_COUNT: usize = 1000;
    let mut numbers = Numbers::new(1);
    let layouts: Vec<Layout> = (0..BLOCK_COUNT).map(|_| bytes(16 + numbers.below(497))).collect();
    let mut blocks = Vec::with_capacity(BLOCK_COUNT);
    let begin = Clock::now();
    for _ in 0..count.div_ceil(BLOCK_COUNT as u64) {
        for layout in &layouts {
            blocks.push((take(heap, *layout), *layout));
        }
        while let Some((block, layout)) = blocks.pop() {
            // SAFETY: taken above with this layout; `pop` yields each block once.
            unsafe { heap.give(block, layout) };
        }
    }
    begin.elapsed()
}

/// 10,000 slots for blocks of 16 to 1024 bytes. An operation takes a random slot, and fills it or
/// gives its block back.
pub fn random(heap: &impl Heap, count: u64) -> Duration {
    const SLOT_COUNT: usize = 10_000;
    let mut numbers = Numbers::new(2);
    let mut slots: Vec<Option<(NonNull<u8>, Layout)>> = vec![None; SLOT_COUNT];
    let begin = Clock::now();
    for _ in 0..count {
        let slot = &mut slots[numbers.below(SLOT_COUNT)];
        *slot = match slot.take() {
            Some((block, layout)) => {
                // SAFETY: taken below with this layout; the slot is empty from now on.
                unsafe { heap.give(block, layout) };
                None
            }
            None => {
                let layout = bytes(16 + numbers.below(1009));
                Some((take(heap, layout), layout))
            }
        };
    }
    let time = begin.elapsed();
    for (block, layout) in slots.into_iter().flatten() {
        // SAFETY: taken above with this layout; a block is in one slot only.
        unsafe { heap.give(block, layout) };
    }
    time
}

#[cfg(test)]
mod tests {
    use alloc_core::{Counting, FromGlobal};
    use std::alloc::System;

    use super::*;

    /// Invariant 1, and that each workload makes as many operations as it is asked for.
    #[test]
    fn workloads_free_what_they_take() {
        let heap = Counting::new(FromGlobal::new(System));
        let mut allocations = 0;
        let mut expect = |name: &str, more: core::ops::RangeInclusive<u64>| {
            let counts = heap.counts();
            assert_eq!(counts.live_blocks, 0, "{name}");
            assert_eq!(counts.live_bytes, 0, "{name}");
            let made = counts.total_blocks as u64 - allocations;
            assert!(more.contains(&made), "{name} made {made} allocations");
            allocations += made;
        };
        pair(&heap, 10);
        expect("pair", 10..=10);
        pages(&heap, 10);
        expect("pages", 10..=10);
        megabytes(&heap, 3);
        expect("megabytes", 3..=3);
        lifo(&heap, 1500);
        expect("lifo", 2000..=2000);
        random(&heap, 30_000);
        expect("random", 15_000..=29_000);
    }
}
