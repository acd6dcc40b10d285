//! What memory a heap holds, and for what.

use core::sync::atomic::Ordering::Relaxed;

use super::Heap;
use super::chunk::{GROUP_COUNT, GROUP_LEN, GROUP_UNITS, Memory};

/// Bytes of memory by what they are held for. Page tables and the stacks, which all heaps share, are
/// not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Requested bytes of live blocks.
    pub live: usize,
    /// Slabs with a live block, whole: what of them is not live is canaries, freed blocks, and slots
    /// that were not handed out yet.
    pub in_use: usize,
    /// Slabs all of whose blocks are freed, and whose group is not.
    pub retired: usize,
    /// Memory that waits to be used again.
    pub stock: usize,
    /// Records of live blocks and of those in the history.
    pub records: usize,
}

impl Heap {
    /// Returns what memory is held; walks over all slabs. Upper bounds: of a slab that was not used to
    /// its end the rest may never have been touched.
    pub(crate) fn kept(&self) -> Kept {
        let mut kept = Kept { live: self.stats().live_bytes, ..Kept::default() };
        self.for_each_chunk(|chunk| {
            chunk.for_each_slab(|first| {
                if first.slab.memory() != Memory::Here {
                    return;
                }
                let (_, len) = first.slab_range();
                if first.slab.freed.get() == first.slab.count.load(Relaxed) {
                    kept.retired += len;
                } else {
                    kept.in_use += len;
                }
            });
        });
        for growth in self.sites.growths() {
            let next = growth.next_unit.div_ceil(GROUP_UNITS).min(GROUP_COUNT);
            let groups = growth.stocked.saturating_sub(next) + growth.reserve_stocked;
            kept.stock += groups * GROUP_LEN;
            kept.records += growth.records.resident_len();
        }
        kept
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::alloc::Layout;

    use crate::config::Config;
    use crate::heap::Heap;
    use crate::stack::StackId;

    /// What is live, what waits for its group and what waits for blocks is told apart, and stays
    /// bounded however much is freed.
    #[test]
    fn memory_is_told_by_what_it_is_for() {
        let config = Config { stacks: 0, history: 1 << 20, ..Config::DEFAULT };
        let heap = Heap::map(config).expect("memory");
        // SAFETY: just mapped; unmapped below.
        let heap_ref = unsafe { heap.as_ref() };
        let layout = Layout::from_size_align(1000, 8).expect("a layout");
        let alloc = || heap_ref.alloc(layout, StackId::NONE).expect("memory");
        let kept_block = alloc();
        for _ in 0..100_000 {
            heap_ref.free(alloc(), None, StackId::NONE);
        }
        let kept = heap_ref.kept();
        assert_eq!(kept.live, 1000);
        assert!((64 << 10..=128 << 10).contains(&kept.in_use), "{kept:?}");
        assert!(kept.retired < 512 << 10, "{kept:?}");
        assert!(kept.stock <= 4 << 20, "{kept:?}");
        assert!(kept.records < 3 << 20, "{kept:?}");
        heap_ref.free(kept_block, None, StackId::NONE);
        // SAFETY: nobody uses the heap any more.
        unsafe { Heap::unmap(heap) };
    }
}
