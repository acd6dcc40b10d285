//! Where a heap's memory goes: by size class, by tag, and what it keeps.
#![forbid(unsafe_code)]

use core::fmt;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::heap::chunk::BlockRef;
use crate::heap::classes::{CLASS_COUNT, SLOT_SIZES};
use crate::heap::state::StateWord;
use crate::heap::{Heap, Kept, Stats};
use crate::tag::TagStats;
use crate::words::counted;

/// Blocks whose slots are of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Bytes of a slot: block and canary. 0: blocks with pages of their own, large or guarded.
    pub slot_size: usize,
    /// Live blocks.
    pub live_blocks: u64,
    /// Their bytes, as requested.
    pub live_bytes: u64,
    /// Blocks that were ever allocated.
    pub total_blocks: u64,
}

/// Where a heap's memory goes, at one moment; from [`Gpa::breakdown`](crate::Gpa::breakdown). It
/// displays as a table.
#[derive(Clone, Debug)]
pub struct Breakdown<'a> {
    /// The heap's numbers.
    pub stats: Stats,
    /// What memory is held, and for what.
    pub kept: Kept,
    classes: [ClassStats; CLASS_COUNT + 1],
    heap: Option<&'a Heap>,
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl<'a> Breakdown<'a> {
    /// Looks at every slab.
    pub(crate) fn of(heap: Option<&'a Heap>) -> Self {
        let mut classes = [ClassStats::default(); CLASS_COUNT + 1];
        for (class, slot_size) in classes.iter_mut().zip(SLOT_SIZES) {
            class.slot_size = slot_size as usize;
        }
        if let Some(heap) = heap {
            heap.for_each_chunk(|chunk| {
                chunk.for_each_slab(|first| count(&mut classes, first));
            });
        }
        let stats = heap.map(Heap::stats).unwrap_or_default();
        let kept = heap.map(Heap::kept).unwrap_or_default();
        Self { stats, kept, classes, heap }
    }

    /// Returns the size classes that were used, the smallest first; last the blocks with pages of their
    /// own.
    pub fn classes(&self) -> impl Iterator<Item = ClassStats> + '_ {
        self.classes.iter().copied().filter(|class| class.total_blocks != 0)
    }

    /// Returns the figures of every name that blocks were given.
    pub fn tags(&self) -> impl Iterator<Item = TagStats> + 'a {
        self.heap.into_iter().flat_map(|heap| heap.tags.iter())
    }
}

/// Counts the blocks of a slab.
fn count(classes: &mut [ClassStats; CLASS_COUNT + 1], first: BlockRef<'_>) {
    let slab = first.slab;
    let slot_size = slab.slot_size.load(Relaxed);
    let is_single = slab.count.load(Relaxed) == 1;
    let known = SLOT_SIZES.iter().position(|size| *size as usize == slot_size && !is_single);
    let class = &mut classes[known.unwrap_or(CLASS_COUNT)];
    let freed = u64::from(slab.freed.get());
    let mut handed_out = 0;
    let mut next = Some(first);
    while let Some(block) = next {
        // Acquire: pairs with the Release that made the block live.
        let word = StateWord::load(&block.slot.state, Acquire);
        let is_known = !word.is_unused() && block.is_current();
        handed_out += u64::from(is_known);
        if is_known && word.is_allocated() {
            class.live_blocks += 1;
            class.live_bytes += block.size() as u64;
        }
        next = block.neighbour(Some(block.index + 1));
    }
    // Of a slab whose records were given up only the frees are known: they are all.
    class.total_blocks += handed_out.max(freed);
}

impl fmt::Display for Breakdown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats { allocations, frees, live_bytes, peak_bytes, total_bytes } = self.stats;
        writeln!(
            f,
            "{}, {}, {}; {} live, {peak_bytes} at most",
            counted(allocations, "allocation"),
            counted(total_bytes, "byte"),
            counted(frees, "free"),
            counted(live_bytes, "byte")
        )?;
        let Kept { in_use, retired, stock, records, .. } = self.kept;
        writeln!(
            f,
            "memory: {} in slabs in use, {retired} in retired ones, {stock} to be used again, \
             {records} of records",
            counted(in_use, "byte")
        )?;
        writeln!(f, "{:>10} {:>12} {:>14} {:>14}", "slot", "live blocks", "live bytes", "ever")?;
        for class in self.classes() {
            let ClassStats { slot_size, live_blocks, live_bytes, total_blocks } = class;
            match slot_size {
                0 => write!(f, "{:>10}", "own pages")?,
                _ => write!(f, "{slot_size:>10}")?,
            }
            writeln!(f, " {live_blocks:>12} {live_bytes:>14} {total_blocks:>14}")?;
        }
        for tag in self.tags() {
            let TagStats { name, live_blocks, live_bytes, peak_bytes, total_blocks, .. } = tag;
            writeln!(
                f,
                "tag {}: {} live, {}, {peak_bytes} at most; {} ever",
                name.escape_debug(),
                counted(live_blocks, "block"),
                counted(live_bytes, "byte"),
                counted(total_blocks, "block")
            )?;
        }
        Ok(())
    }
}
