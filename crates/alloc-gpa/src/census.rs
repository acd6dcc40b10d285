//! Counts a heap's blocks by the place that allocated them.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::sync::atomic::fence;

use crate::heap::Heap;
use crate::heap::state::StateWord;
use crate::sys::mapped::Mapped;
use crate::tag::TagId;

/// Blocks from one place. All zero: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the stack that allocated them.
    pub(crate) stack: u32,
    pub(crate) tag: TagId,
    /// Blocks that are live, and their bytes.
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    /// Blocks that were ever allocated, as far as records are kept, and the bytes of their last size.
    pub(crate) total_blocks: u64,
    pub(crate) total_bytes: u64,
}

impl Place {
    fn is_none(&self) -> bool {
        self.total_blocks == 0
    }

    fn is_of(&self, stack: u32, tag: TagId) -> bool {
        self.stack == stack && self.tag == tag
    }
}

/// Places of the first table.
const PLACE_COUNT_FIRST: usize = 1 << 9;
/// Places of the largest; it takes three quarters of that, and the rest is counted as of no stack.
const PLACE_COUNT_MAX: usize = 1 << 17;

/// Which blocks count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Live ones.
    Live,
    /// Freed ones too, as far as records are kept: of live ones and of all there have been.
    Ever,
}

/// The places of a heap's blocks, in memory of their own.
pub(crate) struct Census {
    table: Mapped<Place>,
    /// Places in the table; once sorted, they come first.
    count: usize,
}

impl Census {
    /// Counts the heap's blocks that were allocated in this process, not in the one that it was
    /// forked from. `None` without memory.
    pub(crate) fn take(heap: &Heap, scope: Scope) -> Option<Self> {
        // Relaxed: changes in a forked child before any thread runs there.
        let epoch = heap.epoch.load(Relaxed);
        let mut census = Self { table: Mapped::new(PLACE_COUNT_FIRST)?, count: 0 };
        // No record becomes another block's meanwhile. Whoever waits for that too long leaves out what
        // changes while it is read.
        let held = heap.hold_memory();
        heap.for_each_slot(|block, word| {
            let is_live = word.is_allocated();
            if word.epoch() != epoch || scope == Scope::Live && !is_live {
                return;
            }
            // Relaxed, all: published with the state.
            let size = block.size() as u64;
            let stack = block.slot.allocated.load(Relaxed);
            let tag = TagId::of_slot(block.slot);
            // Acquire: orders the reads above before the next one.
            fence(Acquire);
            if held.is_none() && StateWord::load(&block.slot.state, Relaxed) != word {
                return;
            }
            let live = if is_live { (1, size) } else { (0, 0) };
            census.add(Place {
                stack,
                tag,
                blocks: live.0,
                bytes: live.1,
                total_blocks: 1,
                total_bytes: size,
            });
        });
        census.table.sort_unstable_by_key(|place| {
            let Place { stack, tag, bytes, .. } = *place;
            (place.is_none(), core::cmp::Reverse(bytes), stack, tag.0)
        });
        Some(census)
    }

    /// The places, most live bytes first.
    pub(crate) fn places(&self) -> &[Place] {
        &self.table[..self.count]
    }

    /// Adds blocks to those of their place.
    fn add(&mut self, more: Place) {
        if self.table.len() * 3 <= self.count * 4 {
            self.grow();
        }
        let is_full = self.table.len() * 3 <= self.count * 4;
        let (mut stack, mut tag) = (more.stack, more.tag);
        if is_full && Self::find(&mut self.table, stack, tag).is_none() {
            // A place too many: together with those of unknown origin.
            (stack, tag) = (0, TagId::NONE);
        }
        let entry = Self::find(&mut self.table, stack, tag);
        self.count += usize::from(entry.is_none());
        (entry.stack, entry.tag) = (stack, tag);
        entry.blocks += more.blocks;
        entry.bytes += more.bytes;
        entry.total_blocks += more.total_blocks;
        entry.total_bytes += more.total_bytes;
    }

    /// Returns the entry of a place, or the free one that it belongs to. A quarter of the table is
    /// free.
    fn find(table: &mut [Place], stack: u32, tag: TagId) -> &mut Place {
        let mask = table.len() - 1;
        let mut index = ((stack ^ u32::from(tag.0) << 24).wrapping_mul(0x9e37_79b9) >> 7) as usize;
        loop {
            index &= mask;
            if table[index].is_none() || table[index].is_of(stack, tag) {
                return &mut table[index];
            }
            index += 1;
        }
    }

    /// Makes the table twice as long, if it may be and there is memory.
    fn grow(&mut self) {
        let len = self.table.len() * 2;
        if PLACE_COUNT_MAX < len {
            return;
        }
        let Some(mut table) = Mapped::new(len) else { return };
        for place in self.table.iter().filter(|place| !place.is_none()) {
            *Self::find(&mut table, place.stack, place.tag) = *place;
        }
        self.table = table;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(stack: u32, tag: u8, size: u64) -> Place {
        Place { stack, tag: TagId(tag), blocks: 1, bytes: size, total_blocks: 1, total_bytes: size }
    }

    fn empty() -> Census {
        Census { table: Mapped::new(PLACE_COUNT_FIRST).expect("memory"), count: 0 }
    }

    #[test]
    fn places_are_told_apart_while_the_table_grows() {
        let mut census = empty();
        for round in 0..3 {
            for stack in 0..3000 {
                census.add(block(stack, (stack % 3) as u8, u64::from(stack) + round));
            }
        }
        assert_eq!(census.count, 3000);
        for stack in 0..3000 {
            let tag = TagId((stack % 3) as u8);
            let place = *Census::find(&mut census.table, stack, tag);
            assert_eq!((place.blocks, place.bytes), (3, 3 * u64::from(stack) + 3));
            assert!(Census::find(&mut census.table, stack, TagId(9)).is_none());
        }
    }

    /// Beyond the largest table every block is still counted.
    #[test]
    fn what_does_not_fit_is_counted_together() {
        let mut census = empty();
        let count = PLACE_COUNT_MAX as u32;
        for stack in 1..=count {
            census.add(block(stack, 1, 1));
        }
        let sum: u64 = census.table.iter().map(|place| place.blocks).sum();
        assert_eq!(sum, u64::from(count));
        let rest = *Census::find(&mut census.table, 0, TagId::NONE);
        assert!(rest.is_of(0, TagId::NONE));
        assert_eq!(rest.blocks + census.count as u64 - 1, u64::from(count));
        census.add(block(1, 1, 1));
        assert_eq!(Census::find(&mut census.table, 1, TagId(1)).blocks, 2);
    }

    /// While another thread frees and allocates in the same slots, no block is counted with the stack
    /// of one and the size of another.
    #[cfg(not(loom))]
    #[test]
    fn records_are_read_whole() {
        use core::alloc::Layout;
        use core::sync::atomic::AtomicBool;

        use alloc_core::AllocatorExt;

        use crate::Gpa;
        use crate::stack::StackId;

        let gpa = Gpa::builder().stacks(0).quarantine(0).quiet().build();
        drop(gpa.create(0u64).expect("memory"));
        let heap = gpa.heap().expect("it was used");
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Relaxed) {
                    for size in [97, 101, 105, 109] {
                        let layout = Layout::from_size_align(size, 8).expect("a layout");
                        // A stack that tells the size.
                        let here = StackId::from_raw(size as u32);
                        let block = heap.alloc(layout, here).expect("memory");
                        heap.free(block, None, StackId::NONE);
                    }
                }
            });
            let mut torn = None;
            for _ in 0..100 {
                let Some(census) = Census::take(heap, Scope::Live) else { break };
                let is_torn = |place: &&Place| place.bytes != place.blocks * u64::from(place.stack);
                torn = torn.or(census.places().iter().find(is_torn).copied());
            }
            ends.store(true, Relaxed);
            assert_eq!(torn, None);
        });
    }
}
