//! Retired slabs whose groups are not: where too much memory waits for its group, it goes without.
//!
//! ```text
//!   group   | retired | retired | in use | retired |      one slab in use keeps all of it
//!   sweep   | trapped | trapped | in use | trapped |      markers: one call for each run
//!   later   |         one mapping without access   |      when the last slab retires
//! ```
//!
//! * What waits is counted as slabs retire. Above what is live and a little, each slab that retires
//!   has one chunk swept: the oldest first, whose groups are the least likely to be complete soon, and
//!   never the one that slabs are cut from. One thread sweeps at a time.
//! * The bytes are verified before they go. The units of a run are taken out of the group's count
//!   meanwhile, so that nobody else ends the group.
//! * Where the kernel has no markers the memory is given back and stays accessible: what was written
//!   there is found when the group goes.
//! * A group with such slabs is not moved to new addresses: markers would move along.

use core::ops::Range;
use core::ptr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicIsize};

use super::chunk::{BlockRef, Chunk, GROUP_COUNT, GROUP_UNITS, Memory};
use super::classes::UNIT_LEN;
use super::grow::Growth;
use super::retire::Wanted;
use super::sites::Site;
use super::{Heap, canary};
use crate::sys::guards::Means;
use crate::sys::pages;

/// Memory that may wait however little is live: the chunk that slabs are cut from is not swept.
const WAITING_LEN_MIN: usize = 8 << 20;
/// What may wait beyond that: what is live, divided by this.
const LIVE_SHARE: usize = 1;
/// Chunks that are looked at for one that has something to sweep.
const LOOKS_MAX: usize = 64;

/// What waits in all chunks of a site. All zero: nothing.
pub(super) struct Waiting {
    /// Units of retired slabs whose memory waits for their groups.
    units: AtomicIsize,
    /// Whether a thread is sweeping.
    is_swept: AtomicBool,
}

impl Waiting {
    /// Lets others sweep. It waits for no lock, so that it cannot fail.
    pub(super) fn end_sweep(&self) {
        // Release: pairs with the Acquire in `begin_sweep`.
        self.is_swept.store(false, Release);
    }
}

/// Whether all blocks of a slab are freed, and its memory waits for its group.
fn is_waiting(first: &BlockRef<'_>) -> bool {
    // Where all are freed, all junk is seen: `Freed`.
    first.slab.memory() == Memory::Here
        && !first.goes_at_once()
        && first.slab.freed.get() == first.slab.count.load(Relaxed)
}

impl Heap {
    /// Counts units of a chunk that wait for their group, or do not any more.
    pub(super) fn count_waiting(&self, chunk: &Chunk, units: isize) {
        // Relaxed, both: estimates.
        chunk.waiting.fetch_add(units as i32, Relaxed);
        self.sites.of(chunk).waiting.units.fetch_add(units, Relaxed);
    }

    /// Whether too much memory of a chunk's site waits for its group.
    pub(super) fn is_over(&self, chunk: &Chunk) -> bool {
        // Relaxed: an estimate. Below zero while a thread is about to count what is swept already.
        let waiting = &self.sites.of(chunk).waiting.units;
        let waiting = waiting.load(Relaxed).max(0).cast_unsigned() * UNIT_LEN;
        let share = LIVE_SHARE * self.sites.active_count();
        WAITING_LEN_MIN < waiting
            && self.shards.sample() as usize / share < waiting - WAITING_LEN_MIN
    }

    /// Takes the memory of retired slabs of one chunk of a site away, if nobody asks to keep memory.
    /// Without the lock: findings are told here.
    pub(super) fn sweep(&self, of_site: &Chunk) {
        let site = self.sites.of(of_site);
        let Some(chunk) = self.begin_sweep(site) else { return };
        (0..GROUP_COUNT).for_each(|group| self.sweep_group(chunk, group));
        if let Some(mut growth) = site.growth.lock_or_give_up() {
            // Groups whose last unit was counted here, or that waited for their neighbours.
            self.trap_ready(&mut growth, chunk, Wanted::All);
        }
        site.waiting.end_sweep();
    }

    /// Returns a chunk of a site to sweep; its slabs are this thread's to sweep until the site's
    /// [`end_sweep`](Waiting::end_sweep).
    fn begin_sweep(&self, site: &Site) -> Option<&Chunk> {
        // Acquire: sees what the last one that swept did; pairs with the Release in `end_sweep`.
        if site.waiting.is_swept.swap(true, Acquire) {
            return None;
        }
        let chunk = self.next_with_waiting(site);
        if chunk.is_none() {
            site.waiting.end_sweep();
        }
        chunk
    }

    /// Returns a site's next chunk in which slabs wait, if nobody asks to keep memory.
    fn next_with_waiting(&self, site: &Site) -> Option<&Chunk> {
        let mut growth = site.growth.try_lock()?;
        if growth.holders != 0 {
            return None;
        }
        for _ in 0..LOOKS_MAX {
            let chunk = growth.next_to_sweep(self)?;
            // Relaxed: an estimate.
            if 0 < chunk.waiting.load(Relaxed) && !ptr::eq(chunk, growth.chunk) {
                return Some(chunk);
            }
        }
        None
    }

    /// Sweeps the runs of retired slabs of a group.
    fn sweep_group(&self, chunk: &Chunk, group: usize) {
        let first = group * GROUP_UNITS;
        let mut run = first..first;
        chunk.for_each_slab_in(first..first + GROUP_UNITS, |slab, head| {
            if chunk.block_ref(head, 0).is_none_or(|block| !is_waiting(&block)) {
                return;
            }
            if run.end != head {
                self.sweep_run(chunk, run.clone());
                run.start = head;
            }
            run.end = head + usize::from(slab.units.load(Relaxed));
        });
        self.sweep_run(chunk, run);
    }

    /// Verifies neighbouring slabs of a group that wait for it, and takes their memory away.
    fn sweep_run(&self, chunk: &Chunk, run: Range<usize>) {
        if run.is_empty() {
            return;
        }
        // Without these units the group is not complete, and nobody else takes its memory. One that
        // is complete, or whose units are not all counted yet, is left alone.
        if !chunk.done[run.start / GROUP_UNITS].take(run.len()) {
            return;
        }
        chunk.for_each_slab_in(run.clone(), |_, head| {
            chunk.block_ref(head, 0).iter().for_each(|block| self.verify_slab(block));
        });
        let growth = self.sites.of(chunk).growth.lock_or_give_up();
        if let Some(mut growth) = growth.filter(|growth| growth.holders == 0) {
            self.close_run(&mut growth, chunk, run.clone());
        }
        self.finish_units(chunk, run.start, run.len());
    }

    /// Takes the memory of verified slabs away.
    fn close_run(&self, growth: &mut Growth, chunk: &Chunk, run: Range<usize>) {
        let (start, len) = chunk.units_range(run.start, run.len());
        let has_markers = self.guards.setup.means == Some(Means::Madvise);
        // SAFETY: all blocks of the run are freed and verified; who reads their bytes asks for their
        // memory to be held.
        let memory = if has_markers && unsafe { Means::Madvise.close(start, len) } {
            Memory::Trapped
        } else {
            // SAFETY: as above.
            unsafe { pages::discard(start, len) };
            Memory::Given
        };
        chunk.for_each_slab_in(run.clone(), |slab, _| slab.set_memory(memory));
        chunk.for_each_slab_in(run.clone(), |slab, _| self.remember(growth, slab));
        self.count_waiting(chunk, -run.len().cast_signed());
    }

    /// Tells of freed blocks that were written to after their memory was given back.
    pub(super) fn verify_given(&self, first: &BlockRef<'_>) {
        let mut next = first.neighbour(Some(0));
        while let Some(block) = next {
            // SAFETY: given memory is still mapped; nobody closes it but who counts the group's last
            // unit, and that is the caller.
            let hit = unsafe { canary::first_nonzero(block.start(), block.room()) };
            if let Some(offset) = hit {
                self.tell_late_write(&block, offset);
            }
            next = block.neighbour(Some(block.index + 1));
        }
    }
}

impl Growth {
    /// Returns the chunk whose turn it is to be swept: from the oldest to the newest, and again.
    fn next_to_sweep<'h>(&mut self, _heap: &'h Heap) -> Option<&'h Chunk> {
        if self.to_sweep.is_null() {
            // SAFETY: null, or a chunk of this heap, which stays mapped while the heap does.
            while let Some(first) = unsafe { self.first.as_ref() } {
                // Relaxed, both: under the growth lock.
                let newer = first.newer.load(Relaxed);
                // Nothing will ever wait there again.
                if newer.is_null() || !(first.single || first.trapped.load(Relaxed) == u16::MAX) {
                    break;
                }
                self.first = newer;
            }
            self.to_sweep = self.first;
        }
        // SAFETY: as above.
        let chunk = unsafe { self.to_sweep.as_ref() }?;
        // Relaxed: under the growth lock.
        self.to_sweep = chunk.newer.load(Relaxed);
        Some(chunk)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::alloc::Layout;
    use core::ptr::NonNull;
    use std::vec::Vec;

    use super::*;
    use crate::config::{Config, GuardImpl};
    use crate::finding::FindingKind;
    use crate::stack::StackId;
    use crate::sys::{guards, peek};

    const BLOCK_LEN: usize = 1000;
    /// More than a group has.
    const KEPT_EVERY: usize = 300;

    /// Takes 64 MiB, and frees all but one block of each group or two; returns who is kept, and who
    /// is freed.
    fn fragment(heap: &Heap) -> [Vec<NonNull<u8>>; 2] {
        let layout = Layout::from_size_align(BLOCK_LEN, 8).expect("a layout");
        let alloc = |_| heap.alloc(layout, StackId::NONE).expect("memory");
        let blocks = (0..65_536).map(alloc).collect::<Vec<_>>();
        let (kept, freed) =
            blocks.iter().enumerate().partition::<Vec<_>, _>(|(index, _)| index % KEPT_EVERY == 0);
        let [kept, freed] = [kept, freed].map(|list: Vec<(usize, &NonNull<u8>)>| {
            list.into_iter().map(|(_, block)| *block).collect::<Vec<_>>()
        });
        for (index, block) in freed.iter().enumerate() {
            heap.free(*block, None, StackId::NONE);
            if index == 1000 {
                // SAFETY: nothing was swept yet: the freed block's memory is there.
                unsafe { block.write(1) };
            }
        }
        [kept, freed]
    }

    fn kinds(heap: &Heap) -> Vec<(FindingKind, usize)> {
        let found = (0..heap.findings.count()).filter_map(|index| heap.findings.get(index));
        found.map(|finding| (finding.kind, finding.addr)).collect()
    }

    /// One block in each group keeps little memory; what is gone traps, or is found to be written to;
    /// and all of it is told from what is live.
    #[test]
    fn what_waits_is_bounded() {
        for guard_impl in [GuardImpl::Auto, GuardImpl::Mprotect] {
            let config = Config { stacks: 0, guard_impl, ..Config::DEFAULT };
            let heap = Heap::map(config).expect("memory");
            // SAFETY: just mapped; unmapped below.
            let heap_ref = unsafe { heap.as_ref() };
            let [kept_blocks, freed] = fragment(heap_ref);
            let written = freed[1000].addr().get();
            assert_eq!(kinds(heap_ref), [(FindingKind::UseAfterFree, written)]);

            let kept = heap_ref.kept();
            let live = kept_blocks.len() * BLOCK_LEN;
            assert_eq!(kept.live, live);
            assert!(kept.retired < WAITING_LEN_MIN + live + (1 << 20), "{kept:?}");
            let traps = guard_impl == GuardImpl::Auto && guards::has_markers();
            let reads = |block: NonNull<u8>| peek::read(block.addr().get(), &mut [0]);
            assert_eq!(reads(freed[2000]), !traps);
            assert!(kept_blocks.iter().all(|block| reads(*block)));
            heap_ref.audit_damage();
            assert_eq!(heap_ref.live_totals().bytes as usize, live);
            assert_eq!(kinds(heap_ref).len(), 1);

            let late = freed[2000];
            if !traps {
                // SAFETY: given memory stays mapped.
                unsafe { late.write(1) };
            }
            heap_ref.free(late, None, StackId::NONE);
            kept_blocks.iter().for_each(|block| heap_ref.free(*block, None, StackId::NONE));
            let mut expected = std::vec![
                (FindingKind::UseAfterFree, written),
                (FindingKind::DoubleFree, late.addr().get()),
            ];
            if !traps {
                expected.push((FindingKind::UseAfterFree, late.addr().get()));
            }
            assert_eq!(kinds(heap_ref), expected);
            assert!(!reads(late), "the group is closed");
            let waiting = heap_ref.sites.own().waiting.units.load(Relaxed);
            assert!((0..2 * GROUP_UNITS as isize).contains(&waiting), "{waiting}");
            // SAFETY: nobody uses the heap any more.
            unsafe { Heap::unmap(heap) };
        }
    }
}
