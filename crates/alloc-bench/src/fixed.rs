//! Workloads for allocators over a given buffer.

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
/// path through a heap that splits and joins. `take` makes a block of this many bytes and alignment and
/// returns its number, or `None` if there is no memory; `give` frees the block of a number.
///
/// # Panics
///
/// If there is no memory where every heap has some.
pub fn adversary(mut take: impl FnMut(usize, usize) -> Option<u64>, mut give: impl FnMut(u64)) {
    let mut must = |size, align| take(size, align).expect("a heap that is almost empty");
    // Neighbours of every size, freed so that each free joins none, the left, the right, or both.
    for size in [1, 8, 24, 25, 100, 500, 1000, 1009, 3000, 40_000] {
        let blocks: Vec<u64> = (0..9).map(|_| must(size, 8)).collect();
        for index in [0, 2, 1, 4, 6, 5, 8, 7, 3] {
            give(blocks[index]);
        }
    }
    holes(&mut must, &mut give);
    // Two holes that are alone of their kind, and what lies between them: lists become empty, and one
    // that was empty does not stay so.
    let sizes = [40, 3000, 100_000, 300_000, 1_200_000];
    for (left, right) in sizes.iter().flat_map(|left| sizes.map(|right| (*left, right))) {
        let [left, middle, right, guard] = [left, 100, right, 1].map(|size| must(size, 8));
        [left, right, middle, guard].into_iter().for_each(&mut give);
    }
    full(&mut take, &mut give);
}

/// Holes of every size between blocks that stay; then each size once more, and a byte more, which fits in a
/// larger hole only, or in none; then alignments, which leave holes before the block.
fn holes(take: &mut impl FnMut(usize, usize) -> u64, give: &mut impl FnMut(u64)) {
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
}

/// A heap with nothing left but holes of about one size, of which one is large enough for what is asked of
/// it then: the first that was freed, or the last but one. Searches that end there, or find none.
fn full(take: &mut impl FnMut(usize, usize) -> Option<u64>, give: &mut impl FnMut(u64)) {
    for (size, align, fits) in [(1110, 8, 0), (1060, 32, 0), (1110, 8, 6), (1060, 32, 6)] {
        let (mut holes, mut rest) = (Vec::new(), Vec::new());
        for hole in 0..8 {
            holes.extend(take(if hole == fits { 1120 } else { 1040 }, 8));
            rest.extend(take(1, 1));
        }
        for shift in (0..21).rev().step_by(2) {
            while let Some(block) = take(1 << shift, 8) {
                rest.push(block);
            }
        }
        holes.into_iter().for_each(&mut *give);
        for (size, align) in
            [(size, align), (1130, 8), (2000, 8), (1 << 22, 8), (2000, 64), (1, 4096)]
        {
            rest.extend(take(size, align));
        }
        rest.into_iter().for_each(&mut *give);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// The adversary frees each block once, and all of them, also in a heap that is soon full.
    #[test]
    fn the_adversary_frees_what_it_takes() {
        let live = std::cell::RefCell::new(Vec::new());
        let calls = Cell::new(0u64);
        adversary(
            |size, _| {
                calls.set(calls.get() + 1);
                let used: usize = live.borrow().iter().map(|(_, size)| *size).sum();
                let fits = used + size <= 5 << 20;
                fits.then(|| {
                    live.borrow_mut().push((calls.get(), size));
                    calls.get()
                })
            },
            |number| {
                let at = live.borrow().iter().position(|(live, _)| *live == number);
                live.borrow_mut().swap_remove(at.expect("a live block"));
            },
        );
        assert!(400 < calls.get());
        assert!(live.borrow().is_empty());
    }
}
