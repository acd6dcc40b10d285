//! The way from a leaked block back to itself, for those that have one.

use core::sync::atomic::Ordering::Relaxed;

use super::marker::Mark;
use super::reader::{LEN_MAX, Reader};
use crate::heap::Heap;
use crate::leaks::{CYCLE_LEN_MAX, Cycle, Group, LeakKind, Leaks};
use crate::sys::mapped::Mapped;

/// Blocks that are looked at for one cycle.
const BLOCK_COUNT_MAX: usize = 1 << 14;
/// Blocks that are read for all cycles.
const READ_COUNT_MAX: usize = 1 << 18;
/// Places of the table of blocks that were met: a power of two, twice as many.
const MET_COUNT: usize = 2 * BLOCK_COUNT_MAX;

/// Looks for the cycles of what leaked, as many as `leaks` has room for: of lost blocks those that
/// are known to lead back to themselves, of others the largest block of each group. What is too far
/// to see is left out.
pub(super) fn find(heap: &Heap, reader: &mut Reader, leaks: &mut Leaks) {
    let Leaks { groups, group_count, cycles, .. } = leaks;
    let groups = &mut groups[..*group_count];
    let may_loop = |group: &Group| {
        group.looping().or((group.key.kind == LeakKind::Indirect).then(|| group.largest()))
    };
    if !groups.iter().any(|group| may_loop(group).is_some()) {
        return;
    }
    let Some(mut walk) = Walk::new(heap) else { return };
    let mut count = 0;
    // Lost ones come first, so that a cycle is told with the block that is lost, if it is in it.
    for group in groups {
        let Some(start) = may_loop(group) else { continue };
        let Some(way) = walk.way(start, reader) else { continue };
        let (known, rest) = cycles.split_at_mut(count);
        if known.iter().any(|known| is_same(known, &way)) {
            continue;
        }
        let Some(place) = rest.first_mut() else { return };
        *place = way;
        count += 1;
        group.cycle = count as u32;
    }
}

/// Whether two cycles go through the same places, wherever they begin.
fn is_same(a: &Cycle, b: &Cycle) -> bool {
    let len = |cycle: &Cycle| cycle.iter().position(|stack| *stack == 0).unwrap_or(cycle.len());
    let (a, b) = (&a[..len(a)], &b[..len(b)]);
    let rotated = |by: usize| (0..a.len()).all(|index| a[(index + by) % a.len()] == b[index]);
    a.len() == b.len() && (0..a.len()).any(rotated)
}

/// A search through the blocks, nearest first.
struct Walk<'h> {
    heap: &'h Heap,
    /// Blocks in the order in which they were met: start, and the index of the one that led there.
    queue: Mapped<(usize, usize)>,
    count: usize,
    /// Blocks that may still be read, for all cycles.
    budget: usize,
    /// The starts of those blocks, each at the first free place from its hash on; 0: none.
    met: Mapped<usize>,
}

impl<'h> Walk<'h> {
    fn new(heap: &'h Heap) -> Option<Self> {
        let (queue, met) = (Mapped::new(BLOCK_COUNT_MAX)?, Mapped::new(MET_COUNT)?);
        Some(Self { heap, queue, count: 0, budget: READ_COUNT_MAX, met })
    }

    /// Returns the stacks of the blocks on the shortest way from the block at `start` back to it.
    fn way(&mut self, start: usize, reader: &mut Reader) -> Option<Cycle> {
        self.met.fill(0);
        self.count = 0;
        self.meet(start, 0);
        let mut at = 0;
        while at < self.count && self.budget != 0 {
            self.budget -= 1;
            let (from, _) = self.queue[at];
            let mut closed = false;
            if let Some((block, size)) = self.heap.live_at(from) {
                let len = size.min(LEN_MAX);
                let heap = self.heap;
                reader.read_block(block.start().addr().get(), len, &mut |words| {
                    for word in words {
                        let Some((to, _)) = heap.live_at(*word) else { continue };
                        let found = to.start().addr().get();
                        closed |= found == start && at != 0;
                        if Mark::of(&to) == Mark::Indirect {
                            self.meet(found, at);
                        }
                    }
                });
            }
            if closed {
                return Some(self.stacks_to(at));
            }
            at += 1;
        }
        None
    }

    /// Enters a block, unless it is known or there are too many.
    fn meet(&mut self, start: usize, from: usize) {
        if self.count == BLOCK_COUNT_MAX {
            return;
        }
        let mut place = (start >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40 & (MET_COUNT - 1);
        // Half of the places stay free, so that this ends.
        while self.met[place] != 0 {
            if self.met[place] == start {
                return;
            }
            place = (place + 1) & (MET_COUNT - 1);
        }
        self.met[place] = start;
        self.queue[self.count] = (start, from);
        self.count += 1;
    }

    /// Returns the stacks of the blocks from the first one to that at `index`, as far as there is
    /// room.
    fn stacks_to(&self, index: usize) -> Cycle {
        let mut len = 1;
        let mut at = index;
        while at != 0 {
            len += 1;
            at = self.queue[at].1;
        }
        let mut cycle = [0; CYCLE_LEN_MAX];
        let mut at = index;
        for place in (0..len).rev() {
            let stack = self.heap.live_at(self.queue[at].0).map_or(0, |(block, _)| {
                // Relaxed: published with the state.
                block.slot.allocated.load(Relaxed)
            });
            if let Some(kept) = cycle.get_mut(place) {
                *kept = stack;
            }
            at = self.queue[at].1;
        }
        cycle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycle(stacks: &[u32]) -> Cycle {
        let mut cycle = [0; CYCLE_LEN_MAX];
        cycle[..stacks.len()].copy_from_slice(stacks);
        cycle
    }

    #[test]
    fn a_cycle_is_the_same_from_every_block() {
        let one = cycle(&[1, 2, 3, 2]);
        for same in [[1, 2, 3, 2], [2, 3, 2, 1], [3, 2, 1, 2], [2, 1, 2, 3]] {
            assert!(is_same(&one, &cycle(&same)), "{same:?}");
        }
        for other in [&[1, 2, 2, 3][..], &[1, 2, 3], &[1, 2, 3, 2, 1]] {
            assert!(!is_same(&one, &cycle(other)), "{other:?}");
        }
        assert!(is_same(&[7; CYCLE_LEN_MAX], &[7; CYCLE_LEN_MAX]));
    }
}
