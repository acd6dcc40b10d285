//! Workloads for arenas, by what a user of each calls.

use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use allocator_api2_02::alloc::Allocator;
use allocator_api2_02::vec::Vec as ArenaVec;

use crate::clock::Clock;
use crate::numbers::Numbers;

/// What the workloads call: each contender's own, usual way of doing it.
///
/// # Panics
///
/// Every method may panic if there is no memory.
#[expect(clippy::mut_from_ref, reason = "each call returns memory of its own")]
pub trait Arena {
    /// What containers take.
    type Handle<'a>: Allocator + Copy
    where
        Self: 'a;

    /// Returns it.
    fn allocator(&self) -> Self::Handle<'_>;

    /// Returns a place that holds `value` until the reset.
    fn value(&self, value: u64) -> &mut u64;

    /// As [`value`](Self::value), three words.
    fn triple(&self, value: [u64; 3]) -> &mut [u64; 3];

    /// Returns a copy of a slice.
    fn slice(&self, items: &[u32]) -> &mut [u32];

    /// Returns `count` copies of `item`.
    fn fill(&self, count: usize, item: u32) -> &mut [u32];

    /// Returns a copy of a string.
    fn string(&self, text: &str) -> &mut str;

    /// Returns formatted text.
    fn format(&self, number: u64) -> &str;

    /// Returns a block that is not initialised.
    fn block(&self, layout: Layout) -> NonNull<u8>;

    /// Frees everything, and keeps the memory for the next round.
    fn reset(&mut self);
}

/// Operations between two resets.
const ROUND: u64 = 1000;

fn rounds<A: Arena>(arena: &mut A, count: u64, mut operation: impl FnMut(&A, u64)) -> Duration {
    let begin = Clock::now();
    for _ in 0..count.div_ceil(ROUND) {
        for index in 0..ROUND {
            operation(arena, index);
        }
        arena.reset();
    }
    begin.elapsed()
}

/// Makes a `u64`; reset after each 1000.
pub fn values(arena: &mut impl Arena, count: u64) -> Duration {
    rounds(arena, count, |arena, index| {
        black_box(arena.value(index));
    })
}

/// Makes three words; reset after each 1000.
pub fn triples(arena: &mut impl Arena, count: u64) -> Duration {
    rounds(arena, count, |arena, index| {
        black_box(arena.triple([index, 1, 2]));
    })
}

/// Copies a slice of 1 to 100 `u32`; reset after each 1000.
pub fn slices(arena: &mut impl Arena, count: u64) -> Duration {
    let mut numbers = Numbers::new(3);
    let counts: Vec<usize> = (0..ROUND).map(|_| 1 + numbers.below(100)).collect();
    let items: Vec<u32> = (0..100).collect();
    rounds(arena, count, |arena, index| {
        black_box(arena.slice(&items[..counts[index as usize]]));
    })
}

/// Makes a slice of 1 to 100 equal `u32`; reset after each 1000.
pub fn fills(arena: &mut impl Arena, count: u64) -> Duration {
    let mut numbers = Numbers::new(3);
    let counts: Vec<usize> = (0..ROUND).map(|_| 1 + numbers.below(100)).collect();
    rounds(arena, count, |arena, index| {
        black_box(arena.fill(counts[index as usize], 7));
    })
}

/// Copies a string of 1 to 40 bytes; reset after each 1000.
pub fn strings(arena: &mut impl Arena, count: u64) -> Duration {
    let text = "the quick brown fox jumps over the lazy dog";
    let mut numbers = Numbers::new(5);
    let lens: Vec<usize> = (0..ROUND).map(|_| 1 + numbers.below(40)).collect();
    rounds(arena, count, |arena, index| {
        black_box(arena.string(&text[..lens[index as usize]]));
    })
}

/// Formats a number into a string; reset after each 1000.
pub fn texts(arena: &mut impl Arena, count: u64) -> Duration {
    rounds(arena, count, |arena, index| {
        black_box(arena.format(index));
    })
}

/// Makes a block of 8 to 64 bytes, aligned to 8; reset after each 1000.
pub fn blocks(arena: &mut impl Arena, count: u64) -> Duration {
    let mut numbers = Numbers::new(4);
    let layout = |size| Layout::from_size_align(size, 8).expect("a small size has a layout");
    let layouts: Vec<Layout> = (0..ROUND).map(|_| layout(8 + numbers.below(57))).collect();
    rounds(arena, count, |arena, index| {
        let block = arena.block(layouts[index as usize]);
        // SAFETY: the block is valid for writes of its 8 bytes or more.
        unsafe { black_box(block).write(1) };
    })
}

/// Pushes a `u64` to the only vector in the arena; reset after each 1000.
pub fn grow(arena: &mut impl Arena, count: u64) -> Duration {
    let begin = Clock::now();
    for _ in 0..count.div_ceil(ROUND) {
        let mut items = ArenaVec::new_in(arena.allocator());
        for index in 0..ROUND {
            items.push(black_box(index));
        }
        black_box(&items);
        drop(items);
        arena.reset();
    }
    begin.elapsed()
}

/// Pushes a `u64` to one of ten vectors in turn, which are in a vector; reset after each 1000.
pub fn vectors(arena: &mut impl Arena, count: u64) -> Duration {
    let begin = Clock::now();
    for _ in 0..count.div_ceil(ROUND) {
        let mut vectors = ArenaVec::new_in(arena.allocator());
        for _ in 0..10 {
            vectors.push(ArenaVec::new_in(arena.allocator()));
        }
        for index in 0..ROUND {
            vectors[index as usize % 10].push(black_box(index));
        }
        black_box(&vectors);
        drop(vectors);
        arena.reset();
    }
    begin.elapsed()
}

/// An arena that threads share.
pub trait Shared: Sync {
    /// Makes `count` values of a `u64` in the arena, as one of several threads.
    fn values(&self, count: u64);

    /// Frees everything, and keeps the memory for the next round.
    fn reset(&mut self);
}

/// Values that one thread makes before a reset.
const THREAD_ROUND: u64 = 100_000;

/// Makes a `u64` in one of two threads; they end, and all is reset, after each 200,000.
pub fn threads(shared: &mut impl Shared, count: u64) -> Duration {
    let begin = Instant::now();
    let mut left = count;
    while left != 0 {
        let each = left.div_ceil(2).min(THREAD_ROUND);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| shared.values(each));
            }
        });
        shared.reset();
        left = left.saturating_sub(2 * each);
    }
    begin.elapsed()
}

#[cfg(test)]
mod tests {
    use allocator_api2_02::alloc::Global;
    use std::cell::Cell;

    use super::*;

    /// Counts, and hands out memory that the test leaks.
    #[derive(Default)]
    struct Leaky {
        calls: Cell<u64>,
        resets: u64,
    }

    impl Leaky {
        fn count<T: ?Sized>(&self, leaked: Box<T>) -> &mut T {
            self.calls.set(self.calls.get() + 1);
            Box::leak(leaked)
        }
    }

    impl Arena for Leaky {
        type Handle<'a> = Global;

        fn allocator(&self) -> Global {
            self.calls.set(self.calls.get() + 1);
            Global
        }

        fn value(&self, value: u64) -> &mut u64 {
            self.count(Box::new(value))
        }

        fn triple(&self, value: [u64; 3]) -> &mut [u64; 3] {
            self.count(Box::new(value))
        }

        fn slice(&self, items: &[u32]) -> &mut [u32] {
            self.count(items.into())
        }

        fn fill(&self, count: usize, item: u32) -> &mut [u32] {
            self.count(vec![item; count].into())
        }

        fn string(&self, text: &str) -> &mut str {
            self.count(text.into())
        }

        fn format(&self, number: u64) -> &str {
            self.count(format!("{number}").into())
        }

        fn block(&self, layout: Layout) -> NonNull<u8> {
            NonNull::from(self.count(vec![0u64; layout.size().div_ceil(8)].into_boxed_slice()))
                .cast()
        }

        fn reset(&mut self) {
            self.resets += 1;
        }
    }

    #[test]
    fn threads_share_the_count() {
        struct Counts(std::sync::atomic::AtomicU64, u64);
        impl Shared for Counts {
            fn values(&self, count: u64) {
                self.0.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
            }
            fn reset(&mut self) {
                self.1 += 1;
            }
        }
        let mut counts = Counts(0.into(), 0);
        threads(&mut counts, 2 * THREAD_ROUND + 10);
        assert_eq!((counts.0.into_inner(), counts.1), (2 * THREAD_ROUND + 10, 2));
    }

    #[test]
    fn every_workload_calls_and_resets() {
        let mut leaky = Leaky::default();
        let workloads = [values, triples, slices, fills, strings, texts, blocks]
            as [fn(&mut Leaky, u64) -> _; 7];
        for workload in workloads {
            workload(&mut leaky, ROUND + 1);
        }
        assert_eq!((leaky.calls.get(), leaky.resets), (7 * 2 * ROUND, 14));
        grow(&mut leaky, 1);
        vectors(&mut leaky, 1);
        assert_eq!((leaky.calls.get(), leaky.resets), (7 * 2 * ROUND + 1 + 11, 16));
    }
}
