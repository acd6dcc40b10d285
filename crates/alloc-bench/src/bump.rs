//! Workloads for allocators that free everything at once.

use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::NonNull;
use std::time::Duration;

use crate::clock::Clock;
use crate::numbers::Numbers;

/// What the workloads call: each contender's own, usual way of doing it.
///
/// # Panics
///
/// Every method may panic if there is no memory.
pub trait Bump {
    /// Returns a place that holds `value` until the reset.
    #[expect(clippy::mut_from_ref, reason = "each call returns memory of its own")]
    fn value(&self, value: u64) -> &mut u64;

    /// Returns `count` copies of `item`, valid until the reset.
    #[expect(clippy::mut_from_ref, reason = "each call returns memory of its own")]
    fn slice(&self, count: usize, item: u32) -> &mut [u32];

    /// Returns a block that is not initialised.
    fn block(&self, layout: Layout) -> NonNull<u8>;

    /// Frees everything, and keeps the memory for the next round.
    fn reset(&mut self);
}

/// Operations between two resets.
const ROUND: u64 = 1000;

/// The most bytes that a round of any workload takes, padding included.
pub const ROUND_BYTES_MAX: usize = ROUND as usize * 512;

/// Part of the workload, whatever else is in the program: whether the compiler knows where a contender is shall
/// not depend on how many there are.
#[inline(always)]
fn rounds<B: Bump>(bump: &mut B, count: u64, mut operation: impl FnMut(&B, u64)) -> Duration {
    let begin = Clock::now();
    for _ in 0..count.div_ceil(ROUND) {
        for index in 0..ROUND {
            operation(bump, index);
        }
        bump.reset();
    }
    begin.elapsed()
}

/// Makes a `u64`; reset after each 1000.
#[inline(always)]
pub fn values(bump: &mut impl Bump, count: u64) -> Duration {
    rounds(bump, count, |bump, index| {
        black_box(bump.value(index));
    })
}

/// Makes a slice of 1 to 100 `u32`, filled; reset after each 1000.
#[inline(always)]
pub fn slices(bump: &mut impl Bump, count: u64) -> Duration {
    let mut numbers = Numbers::new(3);
    let counts: Vec<usize> = (0..ROUND).map(|_| 1 + numbers.below(100)).collect();
    rounds(bump, count, |bump, index| {
        black_box(bump.slice(counts[index as usize], 7));
    })
}

/// Makes a block of 8 to 64 bytes, aligned to 8; reset after each 1000.
#[inline(always)]
pub fn blocks(bump: &mut impl Bump, count: u64) -> Duration {
    let mut numbers = Numbers::new(4);
    let layout = |size| Layout::from_size_align(size, 8).expect("a small size has a layout");
    let layouts: Vec<Layout> = (0..ROUND).map(|_| layout(8 + numbers.below(57))).collect();
    rounds(bump, count, |bump, index| {
        let block = bump.block(layouts[index as usize]);
        // SAFETY: the block is valid for writes of its 8 bytes or more.
        unsafe { black_box(block).write(1) };
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts, and hands out memory that the test leaks.
    #[derive(Default)]
    struct Leaky {
        calls: Cell<u64>,
        bytes: Cell<usize>,
        bytes_max: usize,
        resets: u64,
    }

    impl Leaky {
        fn count(&self, bytes: usize) {
            self.calls.set(self.calls.get() + 1);
            self.bytes.set(self.bytes.get() + bytes);
        }
    }

    impl Bump for Leaky {
        fn value(&self, value: u64) -> &mut u64 {
            self.count(8);
            Box::leak(Box::new(value))
        }

        fn slice(&self, count: usize, item: u32) -> &mut [u32] {
            self.count(count * 4);
            Box::leak(vec![item; count].into_boxed_slice())
        }

        fn block(&self, layout: Layout) -> NonNull<u8> {
            self.count(layout.size());
            NonNull::from(Box::leak(vec![0; layout.size().div_ceil(8)].into_boxed_slice()))
                .cast::<u64>()
                .cast()
        }

        fn reset(&mut self) {
            self.bytes_max = self.bytes_max.max(self.bytes.take());
            self.resets += 1;
        }
    }

    #[test]
    fn workloads_reset_after_each_round() {
        let mut leaky = Leaky::default();
        values(&mut leaky, 1);
        slices(&mut leaky, ROUND + 1);
        blocks(&mut leaky, 2 * ROUND);
        assert_eq!(leaky.calls.get(), 5 * ROUND);
        assert_eq!(leaky.resets, 5);
        assert_eq!(leaky.bytes.get(), 0);
        assert!(leaky.bytes_max < ROUND_BYTES_MAX);
    }
}
