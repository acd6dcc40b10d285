//! Guarded blocks: each in pages of its own, between pages that trap. Once freed, its pages trap too.
//!
//! They are slots of slabs, with records as all others have: the map finds them, one exchange of the
//! state word decides who frees them, and reports say the same of them. What differs is where a block
//! lies in its slot (`place`), and that its bytes are not verified once it is freed: they are gone.
//!
//! 1. A slab is closed whole when it is made; a block's pages are opened when it is handed out.
//! 2. The bytes of these pages that are not the block's hold the canary: fewer than a page.
//! 3. A freed block's pages are closed before its state says `Freed`; a slab whose blocks are all
//!    freed becomes one inaccessible mapping, which neighbours join.

use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;

use super::canary::{self, Damage};
use super::chunk::{BlockRef, Chunk, Shape};
use super::classes::{LARGE_LEN_MAX, UNIT_LEN};
use super::notes::Note;
use super::state::{Origin, StateWord};
use super::{Fresh, Heap};
use crate::config::{Config, Guard, GuardAlign, GuardImpl};
use crate::lock::Lock;
use crate::stack::StackId;
use crate::sys::{guards, pages, peek};

pub(super) mod place;

use guards::Means;
use place::{PAGE_COUNT_MAX, PAGE_LEN, SLAB_UNITS, Side};

/// The share of the process's mappings that guards may take, where each block takes two: one half.
const MAP_SHARE: usize = 4;

/// Where the next block comes from. All zero: nowhere yet.
#[derive(Clone, Copy)]
pub(super) struct Current {
    chunk: *const Chunk,
    head: u32,
    /// Index of the next slot to hand out.
    next: u32,
    count: u32,
}

// SAFETY: the pointer leads to a chunk, which any thread may use; the lock guards the rest.
unsafe impl Send for Current {}

/// What a heap needs for guarded blocks. All zero, but for `setup`: none yet.
pub(super) struct Guards {
    /// Written before the heap is published, never again.
    pub(super) setup: Setup,
    /// Where the next block of so many pages comes from, less one.
    pub(super) currents: Lock<[Current; PAGE_COUNT_MAX]>,
    /// Guarded blocks whose pages are open.
    open_count: AtomicUsize,
}

/// How blocks are guarded.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    /// `None`: this system has no means.
    pub(super) means: Option<Means>,
    side: Side,
    /// Guarded blocks that may be open at once.
    open_max: usize,
    /// Said when the first block is guarded.
    note: Option<Note>,
}

impl Setup {
    /// Finds out what this system can do.
    pub(super) fn new(config: &Config) -> Self {
        let side = match config.guard_align {
            GuardAlign::Right => Side::Right,
            GuardAlign::Left => Side::Left,
            GuardAlign::Exact => Side::Exact,
        };
        let mut setup = Self { means: None, side, open_max: usize::MAX, note: None };
        let is_wanted = config.guard != Guard::Off;
        if !guards::page_len_fits() {
            setup.note = is_wanted.then_some(Note::NoGuards);
            return setup;
        }
        let has_markers = config.guard_impl != GuardImpl::Mprotect && guards::has_markers();
        setup.means = Some(if has_markers { Means::Madvise } else { Means::Mprotect });
        if !has_markers && is_wanted {
            setup.open_max = guards::map_count_max() / MAP_SHARE;
            if config.guard_impl == GuardImpl::Madvise {
                setup.note = Some(Note::NoMarkers);
            }
        }
        setup
    }
}

impl BlockRef<'_> {
    /// Returns the end of its pages that the block lies at; `None` if it is not guarded.
    #[inline]
    fn side(&self) -> Option<Side> {
        Side::of(self.slab.side.load(Relaxed).into())
    }

    /// Whether the block has pages of its own between pages that trap.
    #[inline]
    pub(crate) fn is_guarded(&self) -> bool {
        self.slab.side.load(Relaxed) != 0
    }

    /// Returns how many bytes of the block's pages lie before it; 0 if it is not guarded.
    #[inline]
    pub(super) fn gap(&self) -> usize {
        self.side().map_or(0, |side| self.gap_slow(side))
    }

    #[cold]
    #[inline(never)]
    fn gap_slow(&self, side: Side) -> usize {
        // Relaxed, both: published with the state, which whoever knows the block has read.
        let size = self.size().min(self.pages_len());
        side.gap(self.pages_len(), size, StateWord::load(&self.slot.state, Relaxed).align())
    }

    /// Returns the length of a guarded block's own pages in bytes.
    pub(super) fn pages_len(&self) -> usize {
        // Saturating, here and in `room`: a header that was blanked meanwhile holds zeroes.
        self.slab.slot_size.load(Relaxed).saturating_sub(PAGE_LEN)
    }

    /// Returns the first of a guarded block's own pages, and their length.
    fn pages(&self) -> (NonNull<u8>, usize) {
        let slab = self.slab;
        let offset =
            slab.lead.load(Relaxed) as usize + self.index as usize * slab.slot_size.load(Relaxed);
        // SAFETY: `index < count`, and `count` slots after the lead lie inside the slab.
        (unsafe { self.slab_base.add(offset) }, self.pages_len())
    }
}

impl Heap {
    /// Hands out a block with pages of its own; `None` if it has to do without.
    #[cold]
    #[inline(never)]
    pub(crate) fn alloc_guarded(
        &self,
        layout: Layout,
        origin: Origin,
        here: StackId,
    ) -> Option<Fresh> {
        crate::fault::heap_grows();
        let setup = &self.guards.setup;
        if let Some(note) = setup.note {
            self.note(note);
        }
        let means = setup.means?;
        let (size, align) = (layout.size(), layout.align());
        let page_count = place::page_count(size)?;
        if place::ALIGN_MAX < align {
            return None;
        }
        // Relaxed, all: a count that publishes nothing.
        if setup.open_max <= self.guards.open_count.fetch_add(1, Relaxed) {
            self.guards.open_count.fetch_sub(1, Relaxed);
            self.note(Note::GuardsUsedUp);
            return None;
        }
        let block = match page_count {
            ..=PAGE_COUNT_MAX if align <= PAGE_LEN => self.take_guarded(means, page_count),
            _ => self.take_guarded_large(means, page_count, align),
        };
        if block.is_none() {
            self.guards.open_count.fetch_sub(1, Relaxed);
        }
        let block = block?;
        let (start, pages_len) = block.pages();
        let gap = setup.side.gap(pages_len, size, align);
        // SAFETY: `gap` bytes are inside the pages.
        let at = unsafe { start.add(gap) };
        // SAFETY: so are `gap + size`.
        let end = unsafe { at.add(size) };
        // SAFETY: open pages of a slot that was just taken.
        unsafe { canary::fill_canary(start, gap) };
        // SAFETY: as above.
        unsafe { canary::fill_canary(end, pages_len - gap - size) };
        block.begin(here.get(), size);
        // Relaxed, both: written before the block is taken.
        let fresh = Fresh { start: at, is_used: block.slab.is_used.load(Relaxed) };
        let turn = block.slab.turn.load(Relaxed);
        self.word(turn, align, origin).publish(&block.slot.state);
        self.count_allocated(1, size);
        if block.index == 0 {
            self.beat();
        }
        Some(fresh)
    }

    /// Takes the next slot of so many pages and opens it.
    fn take_guarded(&self, means: Means, page_count: usize) -> Option<BlockRef<'_>> {
        let mut currents = self.guards.currents.lock();
        let current = &mut currents[page_count - 1];
        if current.next == current.count {
            *current = self.new_guarded_slab(means, page_count)?;
        }
        let index = current.next;
        current.next += 1;
        // SAFETY: a current whose `next` is below its `count` names a chunk of this heap, which
        // stays mapped while the heap does.
        let chunk = unsafe { &*current.chunk };
        let block = chunk.block_ref(current.head as usize, index)?;
        drop(currents);
        let (start, len) = block.pages();
        // SAFETY: closed with its slab, by the same means.
        if unsafe { means.open(start, len) } {
            return Some(block);
        }
        // The slot is lost: it counts as freed, so that its slab retires all the same.
        self.note(Note::GuardsUsedUp);
        self.count_unused(&block);
        None
    }

    /// Makes a slab for blocks of so many pages.
    fn new_guarded_slab(&self, means: Means, page_count: usize) -> Option<Current> {
        let len = SLAB_UNITS * UNIT_LEN;
        let mut growth = self.sites.own().growth.lock();
        let slot_size = (page_count + 1) * PAGE_LEN;
        let count = place::slot_count(len, page_count);
        let side = self.guards.setup.side;
        let shape = Shape::guarded((PAGE_LEN, slot_size, count), side);
        let (chunk, head) = self.cut_slab(&mut growth, SLAB_UNITS, 1, shape).ok()?;
        drop(growth);
        let first = chunk.block_ref(head, 0)?;
        // SAFETY: units that were just taken hold nothing that is needed.
        if !unsafe { means.close(first.slab_base, len) } {
            self.note(Note::GuardsUsedUp);
            // No slot of it will be handed out.
            (0..count).for_each(|_| self.count_unused(&first));
            return None;
        }
        Some(Current {
            chunk: ptr::from_ref(chunk),
            head: head as u32,
            next: 0,
            count: count as u32,
        })
    }

    /// Takes a slab for one block of so many pages.
    fn take_guarded_large(
        &self,
        means: Means,
        page_count: usize,
        align: usize,
    ) -> Option<BlockRef<'_>> {
        let (lead, slot_size) = (place::lead(align), (page_count + 1) * PAGE_LEN);
        let shape = Shape::guarded((lead, slot_size, 1), self.guards.setup.side);
        let block = if lead + slot_size <= LARGE_LEN_MAX {
            let units = (lead + slot_size).div_ceil(UNIT_LEN);
            let mut growth = self.sites.own().growth.lock();
            let cut = self.cut_slab(&mut growth, units, align.div_ceil(UNIT_LEN), shape);
            let (chunk, head) = cut.ok()?;
            chunk.block_ref(head, 0)?
        } else {
            self.single(lead + slot_size, align, shape).ok()?.block_ref(0, 0)?
        };
        let ((base, whole), (start, len)) = (block.slab_range(), block.pages());
        // SAFETY: the block's pages end inside the slab.
        let tail = unsafe { start.add(len) };
        // SAFETY: before the pages of a slab that was just made nothing is needed.
        let closed = unsafe { means.close(base, lead) }
            // SAFETY: nor behind them.
            && unsafe { means.close(tail, whole - lead - len) };
        if !closed {
            self.note(Note::GuardsUsedUp);
            self.count_unused(&block);
            return None;
        }
        Some(block)
    }

    /// Counts a slot that was never handed out, and will not be, as freed.
    fn count_unused(&self, block: &BlockRef<'_>) {
        self.count_slot(block);
    }

    /// Checks what is around a guarded block that `here` is freeing, and closes its pages.
    #[cold]
    #[inline(never)]
    pub(super) fn close_freed(&self, block: &BlockRef<'_>, size: usize, here: StackId) {
        self.check_canary(block, size, here);
        self.check_gap(block, here);
        // Relaxed: see `alloc_guarded`.
        self.guards.open_count.fetch_sub(1, Relaxed);
        // One that is alone in its slab is closed with it.
        if block.slab.count.load(Relaxed) == 1 {
            return;
        }
        let (start, len) = block.pages();
        // SAFETY: the block is dead: nobody needs its bytes.
        let closed =
            self.guards.setup.means.is_some_and(|means| unsafe { means.close(start, len) });
        if !closed {
            self.note(Note::GuardsUsedUp);
            // SAFETY: as above.
            unsafe { pages::discard(start, len) };
        }
    }

    /// Tells of damage before a guarded block.
    fn check_gap(&self, block: &BlockRef<'_>, here: StackId) {
        let (start, _) = block.pages();
        let gap = block.gap();
        // SAFETY: the block's own pages, which are open while it is not freed.
        if let Some(damage) = unsafe { canary::canary_damage(start, gap) } {
            self.tell_underflow(block, gap, damage, here);
        }
    }

    /// Tells of damage around a guarded block that was live when `word` was read.
    pub(super) fn audit_guarded(&self, block: &BlockRef<'_>, word: StateWord) {
        let whole = block.size();
        let size = whole.min(block.pages_len());
        let ((start, _), gap) = (block.pages(), block.gap());
        let start = start.addr().get();
        let before = damage_of(start, gap);
        let behind = damage_of(start + gap + size, block.pages_len() - gap - size);
        if !block.is_still(word, whole) {
            return;
        }
        if let Some(damage) = behind {
            self.tell_overflow(block, size, damage, StackId::NONE);
        }
        if let Some(damage) = before {
            self.tell_underflow(block, gap, damage, StackId::NONE);
        }
    }
}

/// Returns where `[addr, addr + len)` differs from the canary. It is read through the kernel: another
/// thread may close the pages meanwhile, which counts as undamaged.
fn damage_of(addr: usize, len: usize) -> Option<Damage> {
    #[repr(align(8))]
    struct Piece([u8; 256]);
    let mut piece = Piece([0; 256]);
    let (mut found, mut offset) = (None::<Damage>, 0);
    while offset < len {
        // As far from a multiple of eight as in memory: the canary depends on it.
        let shift = (addr + offset) & 7;
        let count = (len - offset).min(piece.0.len() - shift);
        let bytes = &mut piece.0[shift..shift + count];
        if !peek::read(addr + offset, bytes) {
            return None;
        }
        // SAFETY: a slice's bytes may be read.
        let damage = unsafe { canary::canary_damage(NonNull::from(bytes).cast(), count) };
        if let Some(damage) = damage {
            let first = found.map_or(offset + damage.first, |found| found.first);
            found = Some(Damage { first, last: offset + damage.last });
        }
        offset += count;
    }
    found
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Damage is found where it is, in whatever piece and at whatever alignment.
    #[test]
    fn damage_is_found_through_the_kernel() {
        let mut buffer = [0u8; 1000];
        for start in 0..8 {
            let range = &mut buffer[start..990];
            let (at, len) = (NonNull::from(&mut *range).cast::<u8>(), range.len());
            for hits in [&[][..], &[0], &[255, 256], &[3, 700], &[len - 1]] {
                // SAFETY: a live slice of this length.
                unsafe { canary::fill_canary(at, len) };
                for hit in hits {
                    // SAFETY: inside the slice.
                    let byte = unsafe { at.add(*hit) };
                    // SAFETY: as above.
                    unsafe { byte.write(b'x') };
                }
                let expected = hits.first().zip(hits.last());
                let expected = expected.map(|(first, last)| Damage { first: *first, last: *last });
                assert_eq!(damage_of(at.addr().get(), len), expected);
            }
        }
        assert_eq!(damage_of(8, 16), None, "what cannot be read is not damaged");
    }
}
