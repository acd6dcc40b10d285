//! Workloads for allocators over a given buffer.

use std::cell::Cell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::bump::Bump;
use crate::clock::Clock;
use crate::numbers::Numbers;

/// What the workloads call beyond [`Bump`].
///
/// # Panics
///
/// Every method may panic if there is no memory.
pub trait Buffer: Bump {
    /// Returns a place that holds a struct of three words until the reset.
    #[expect(clippy::mut_from_ref, reason = "each call returns memory of its own")]
    fn words(&self, words: [u64; 3]) -> &mut [u64; 3];

    /// Returns a copy of a text, valid until the reset.
    fn text(&self, text: &str) -> &str;

    /// Appends this many numbers to a list that starts empty, and returns the length of the list.
    fn list(&self, count: u64) -> usize;

    /// As [`list`](Self::list), to ten lists in turn, which are in a list.
    fn lists(&self, count: u64) -> usize;
}

/// Operations between two resets.
const ROUND: u64 = 1000;

/// Makes `count` operations, one for each of the inputs, which are those of a round, and again from the
/// first.
fn rounds<B: Buffer, I: Copy>(
    buffer: &mut B,
    count: u64,
    inputs: impl Iterator<Item = I> + Clone,
    mut operation: impl FnMut(&B, I),
) -> Duration {
    let begin = Clock::now();
    for _ in 0..count.div_ceil(ROUND) {
        inputs.clone().for_each(|input| operation(buffer, input));
        buffer.reset();
    }
    begin.elapsed()
}

/// Texts of 1 to 40 bytes.
fn draw_texts(seed: u64) -> Vec<&'static str> {
    let text = "forty bytes of text, or the first of it.";
    let mut numbers = Numbers::new(seed);
    (0..ROUND).map(|_| &text[..1 + numbers.below(40)]).collect()
}

/// Makes a struct of three words; reset after each 1000.
pub fn words(buffer: &mut impl Buffer, count: u64) -> Duration {
    rounds(buffer, count, 0..ROUND, |buffer, index| {
        black_box(buffer.words([index, 1, 2]));
    })
}

/// Makes a copy of a text of 1 to 40 bytes; reset after each 1000.
pub fn texts(buffer: &mut impl Buffer, count: u64) -> Duration {
    let texts = draw_texts(5);
    rounds(buffer, count, texts.iter(), |buffer, text| {
        black_box(buffer.text(text).as_ptr());
    })
}

/// Makes a text of 1 to 40 bytes and a `u64` in turn, so that almost every `u64` needs padding; reset
/// after each 1000.
pub fn mixed(buffer: &mut impl Buffer, count: u64) -> Duration {
    let texts = draw_texts(6);
    rounds(buffer, count, (0..ROUND).zip(&texts), |buffer, (index, text)| {
        if index % 2 == 0 {
            black_box(buffer.text(text).as_ptr());
        } else {
            black_box(buffer.value(index));
        }
    })
}

/// Appends a `u64` to a list that grows in place; a new list and a reset after each 1000.
pub fn list(buffer: &mut impl Buffer, count: u64) -> Duration {
    let begin = Clock::now();
    for _ in 0..count.div_ceil(ROUND) {
        black_box(buffer.list(black_box(ROUND)));
        buffer.reset();
    }
    begin.elapsed()
}

/// Appends a `u64` to one of ten lists in turn, which are in a list; new lists and a reset after each 1000.
pub fn lists(buffer: &mut impl Buffer, count: u64) -> Duration {
    let begin = Clock::now();
    for _ in 0..count.div_ceil(ROUND) {
        black_box(buffer.lists(black_box(ROUND)));
        buffer.reset();
    }
    begin.elapsed()
}

/// Pairs of a round in two threads.
const SHARED_ROUND: u64 = 1 << 15;

/// Bytes that the pairs of a round take if none is given back: a block that is not the last one stays.
pub const SHARED_LEN: usize = SHARED_ROUND as usize * 64;

/// Makes 64 bytes and frees them, in two threads at once over one allocator; an operation is one pair of
/// either. `round` runs a round over an allocator of its own: it calls `two_threads` with the pairs that
/// are to be made.
pub fn shared_rounds(count: u64, mut round: impl FnMut(u64) -> Duration) -> Duration {
    let whole = (0..count / SHARED_ROUND).map(|_| round(SHARED_ROUND)).sum::<Duration>();
    whole + round(count % SHARED_ROUND)
}

/// Makes `count` pairs in two threads. `pairs` makes this many.
pub fn two_threads(count: u64, pairs: impl Fn(u64) + Sync) -> Duration {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| pairs(count / 2));
        pairs(count - count / 2);
        other.join().expect("a workload does not panic");
    });
    begin.elapsed()
}

/// An adversary for general heaps: each call makes one operation, and together they bring about every
/// path through a heap that splits and joins. `take` makes a block of this many bytes and returns its
/// number, `give` frees the block of a number.
pub fn adversary(mut take: impl FnMut(usize, usize) -> u64, mut give: impl FnMut(u64)) {
    let calls = Cell::new(0u64);
    let mut take = |size, align| {
        calls.set(calls.get() + 1);
        take(size, align)
    };
    // Neighbours of every size, freed so that each free joins none, the left, the right, or both.
    for size in [1, 8, 24, 25, 100, 500, 1000, 1009, 3000, 40_000] {
        let blocks: Vec<u64> = (0..9).map(|_| take(size, 8)).collect();
        for index in [0, 2, 1, 4, 6, 5, 8, 7, 3] {
            give(blocks[index]);
        }
    }
    // Holes of every size between blocks that stay; then each size once more, and a byte more, which
    // fits in a larger hole only, or in none.
    let (mut holes, mut guards) = (Vec::new(), Vec::new());
    for size in (16..2000).step_by(48).chain((2000..60_000).step_by(3000)) {
        holes.push((take(size, 8), size));
        guards.push(take(1, 1));
    }
    for (hole, _) in &holes {
        give(*hole);
    }
    let mut again = Vec::new();
    for (_, size) in &holes {
        again.push(take(*size, 8));
        again.push(take(*size + 1, 8));
    }
    // Alignments, which leave holes before the block.
    for shift in 4..13 {
        again.push(take(100, 1 << shift));
    }
    for (index, block) in again.iter().enumerate().rev() {
        if index % 2 == 0 {
            give(*block);
        }
    }
    for (index, block) in again.iter().enumerate() {
        if index % 2 == 1 {
            give(*block);
        }
    }
    for guard in guards {
        give(guard);
    }
    assert!(200 < calls.get());
}
