//! Workloads for an allocator that is known as a table of functions only, as Zig's are used.

use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::NonNull;
use std::time::Duration;

use alloc_core::Allocator;

use crate::clock::Clock;
use crate::numbers::Numbers;

const ENOUGH: &str = "a benchmark has enough memory";

/// Operations between two resets.
const ROUND: u64 = 1000;

/// Makes a block of 8 to 64 bytes, aligned to 8; `reset` is called after each 1000.
#[inline(never)]
pub fn blocks<A: Allocator>(heap: &mut A, count: u64, mut reset: impl FnMut(&mut A)) -> Duration {
    let mut numbers = Numbers::new(4);
    let layout = |size| Layout::from_size_align(size, 8).expect("a small size has a layout");
    let layouts: Vec<Layout> = (0..ROUND).map(|_| layout(8 + numbers.below(57))).collect();
    let begin = Clock::now();
    for _ in 0..count.div_ceil(ROUND) {
        let erased: &dyn Allocator = black_box(heap);
        for layout in &layouts {
            let block = erased.raw_alloc(*layout).expect(ENOUGH);
            // SAFETY: the block is valid for writes of its 8 bytes or more.
            unsafe { black_box(block).write(1) };
        }
        reset(heap);
    }
    begin.elapsed()
}

/// 1000 blocks of 16 to 512 bytes, aligned to 1, are taken, then given back in reverse: without padding,
/// which an arena does not get back.
#[inline(never)]
pub fn lifo<A: Allocator>(heap: &A, count: u64) -> Duration {
    let mut numbers = Numbers::new(1);
    let layout = |size| Layout::from_size_align(size, 1).expect("a small size has a layout");
    let layouts: Vec<Layout> = (0..ROUND).map(|_| layout(16 + numbers.below(497))).collect();
    let mut blocks = Vec::with_capacity(layouts.len());
    let begin = Clock::now();
    for _ in 0..count.div_ceil(ROUND) {
        let erased: &dyn Allocator = black_box(heap);
        for layout in &layouts {
            let block = erased.raw_alloc(*layout).expect(ENOUGH);
            // SAFETY: the block is valid for writes of its 16 bytes or more.
            unsafe { block.write(1) };
            blocks.push((black_box(block), *layout));
        }
        while let Some((block, layout)) = blocks.pop() {
            // SAFETY: taken above with this layout; `pop` yields each block once.
            unsafe { erased.raw_free(block, layout) };
        }
    }
    begin.elapsed()
}

/// Items of the long list.
const LONG: usize = 1_000_000;

/// Appends a `u64` to a list of a million; the list is freed and `reset` called after that. Returns the part
/// for `count` of the time that whole lists took.
#[inline(never)]
pub fn long_list<A: Allocator>(
    heap: &mut A,
    count: u64,
    mut reset: impl FnMut(&mut A),
) -> Duration {
    let begin = Clock::now();
    let rounds = count.div_ceil(LONG as u64);
    for _ in 0..rounds {
        let erased: &dyn Allocator = black_box(heap);
        let (mut block, mut capacity) = (NonNull::dangling(), 0);
        for item in 0..LONG {
            if item == capacity {
                (block, capacity) = grown(erased, block, capacity);
            }
            // SAFETY: below the capacity.
            let place = unsafe { block.add(item) };
            // SAFETY: as above, and nobody else's.
            unsafe { place.write(item as u64) };
        }
        // SAFETY: made by `grown`, of this heap, with the layout of that capacity; not used again.
        unsafe { erased.raw_free(black_box(block).cast(), list_layout(capacity)) };
        reset(heap);
    }
    let items = (rounds.max(1) * LONG as u64) as f64;
    begin.elapsed().mul_f64(count as f64 / items)
}

fn list_layout(count: usize) -> Layout {
    Layout::array::<u64>(count).expect("a list of a million has a layout")
}

/// A list's memory with more capacity: half as much again and eight, as Zig's lists grow.
#[inline(never)]
fn grown(heap: &dyn Allocator, block: NonNull<u64>, capacity: usize) -> (NonNull<u64>, usize) {
    let more = capacity + capacity / 2 + 8;
    if capacity == 0 {
        return (heap.raw_alloc(list_layout(more)).expect(ENOUGH).cast(), more);
    }
    let (old, new) = (list_layout(capacity), list_layout(more));
    // SAFETY: made by this function, of this heap, with the layout of that capacity.
    let moved = unsafe { heap.raw_remap(block.cast(), old, new.size()) };
    if let Some(moved) = moved {
        return (moved.cast(), more);
    }
    let fresh = heap.raw_alloc(new).expect(ENOUGH);
    // SAFETY: two blocks of at least the old size, of which one is fresh.
    unsafe { fresh.copy_from_nonoverlapping(block.cast(), old.size()) };
    // SAFETY: as above; nobody uses the old block any more.
    unsafe { heap.raw_free(block.cast(), old) };
    (fresh.cast(), more)
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use alloc_core::{Counting, FromGlobal};

    use super::*;

    #[test]
    fn the_list_is_freed_and_rounds_end_with_a_reset() {
        let mut heap = Counting::new(FromGlobal::new(System));
        let mut reset_count = 0;
        long_list(&mut heap, LONG as u64 + 1, |_| reset_count += 1);
        assert_eq!((heap.counts().live_blocks, reset_count), (0, 2));
        let mut reset_count = 0;
        lifo(&heap, 1);
        assert_eq!(heap.counts().live_blocks, 0);
        blocks(&mut heap, 1, |_| reset_count += 1);
        assert_eq!((heap.counts().live_blocks, reset_count), (ROUND as usize, 1));
    }
}
