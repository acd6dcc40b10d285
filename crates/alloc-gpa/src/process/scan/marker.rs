//! Follows pointers from block to block: an explicit stack of blocks to read, no recursion.

use core::sync::atomic::Ordering::Relaxed;

use super::reader::{LEN_MAX, Reader};
use super::roots::{Pages, Root};
use crate::heap::Heap;
use crate::heap::chunk::BlockRef;
use crate::heap::state::StateWord;
use crate::leaks::{self, Group, Key, LeakKind, Leaked};
use crate::stack::StackId;
use crate::sys::mapped::Mapped;
use crate::tag::TagId;

/// What is known of a block, in its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mark {
    /// Not there when the search began.
    Unknown = 0,
    /// Nothing leads to it so far.
    Unseen = 1,
    /// Roots lead to it.
    Reachable = 2,
    /// No root and no earlier candidate leads to it.
    Candidate = 3,
    /// A candidate leads to it.
    Followed = 4,
    /// Nothing leads to it, but what it leads to itself perhaps.
    Lost = 5,
    /// Lost blocks lead to it.
    Indirect = 6,
    /// As `Lost`, and it leads back to itself through other blocks.
    LostLoop = 7,
}

impl Mark {
    /// Returns the mark of a block.
    #[inline]
    pub(super) fn of(block: &BlockRef<'_>) -> Self {
        // Relaxed, here and below: only the searching thread uses marks.
        match block.slot.mark() {
            1 => Self::Unseen,
            2 => Self::Reachable,
            3 => Self::Candidate,
            4 => Self::Followed,
            5 => Self::Lost,
            6 => Self::Indirect,
            7 => Self::LostLoop,
            _ => Self::Unknown,
        }
    }

    /// Marks a block.
    #[inline]
    pub(super) fn set(self, block: &BlockRef<'_>) {
        block.slot.set_mark(self as u8);
    }
}

/// Marks blocks and remembers which of them are still to be read.
pub(super) struct Marker<'h> {
    heap: &'h Heap,
    /// The fork epoch whose blocks are marked: those of earlier ones lead to others, and nobody asks
    /// what leads to them.
    epoch: u16,
    /// Blocks that no root leads to so far.
    unseen: usize,
    /// The addresses that chunks of the heap span: most words are none of them.
    low: usize,
    span: usize,
    /// Blocks to read: start and size; `depth` of them.
    pending: Mapped<(usize, usize)>,
    depth: usize,
    /// What a block becomes that a word leads to.
    found: Mark,
    /// The block that is being followed, while `found` is `Indirect`.
    origin: Origin,
    /// Where blocks that lost ones lead to are counted.
    groups: Mapped<Group>,
    complete: bool,
}

/// A lost block that is being followed.
#[derive(Clone, Copy, Default)]
struct Origin {
    start: usize,
    /// Number of the stack that allocated it.
    stack: u32,
    /// Whether its own bytes are being read, not yet those of others: a block that points to itself
    /// is no cycle.
    in_itself: bool,
    /// Whether a way back to it was found.
    loops: bool,
}

/// Blocks that may be allocated while the search runs, by other threads.
pub(super) const SPARE_COUNT: usize = 4096;
const WORD_LEN: usize = size_of::<usize>();
/// Blocks of a parent that are read together.
const BATCH_COUNT: usize = 256;
/// Room for pending blocks that is tried when all of them do not fit into the address space.
const PENDING_COUNT_SMALL: usize = 1 << 16;

impl<'h> Marker<'h> {
    /// Prepares for a heap of `count` live blocks, of `group_count` groups at most.
    pub(super) fn new(heap: &'h Heap, count: usize, group_count: usize) -> Option<Self> {
        // Each block is pending once at most, one at an odd address by two ranges.
        let pending =
            Mapped::new(2 * count + SPARE_COUNT).or_else(|| Mapped::new(PENDING_COUNT_SMALL))?;
        let (mut low, mut high) = (usize::MAX, 0);
        heap.for_each_chunk(|chunk| {
            let [(start, len), _] = chunk.ranges();
            low = low.min(start);
            high = high.max(start + len);
        });
        let span = high.saturating_sub(low);
        Some(Self {
            heap,
            // Relaxed: changes in a forked child before any thread runs there.
            epoch: heap.epoch.load(Relaxed),
            unseen: count,
            low,
            span,
            pending,
            depth: 0,
            found: Mark::Reachable,
            origin: Origin::default(),
            groups: Mapped::new(group_count)?,
            complete: true,
        })
    }

    /// Returns the groups of the blocks that lost ones lead to.
    pub(super) fn into_groups(self) -> Mapped<Group> {
        self.groups
    }

    /// Where its own memory is.
    pub(super) fn range(&self) -> (usize, usize) {
        self.pending.range()
    }

    /// Whether every block that was found was also followed.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Marks what the words lead to. Most pages of stacks and mappings are all zero, and a comparison is
    /// fast in unoptimised builds, too.
    #[inline]
    pub(super) fn consider_all(&mut self, words: &[usize]) {
        const ZEROS: [usize; 512] = [0; 512];
        for words in words.chunks(ZEROS.len()) {
            if words != &ZEROS[..words.len()] {
                words.iter().for_each(|word| self.consider(*word));
            }
        }
    }

    /// Marks the block that the word leads to, if it is an address in one.
    #[inline]
    pub(super) fn consider(&mut self, word: usize) {
        if word.wrapping_sub(self.low) < self.span {
            self.look(word);
        }
    }

    fn look(&mut self, word: usize) {
        let Some((block, size)) = self.heap.live_at(word) else { return };
        if self.epoch != 0 && epoch_of(&block) != self.epoch {
            return;
        }
        let is_new = matches!(
            (Mark::of(&block), self.found),
            (Mark::Unseen | Mark::Unknown, Mark::Reachable)
                | (Mark::Unseen, Mark::Followed)
                | (Mark::Candidate | Mark::Followed, Mark::Indirect)
        );
        if is_new {
            self.unseen -= usize::from(Mark::of(&block) == Mark::Unseen && 0 < self.unseen);
            self.found.set(&block);
            self.push(&block, size);
            if self.found == Mark::Indirect {
                let kind = LeakKind::Indirect;
                count(&mut self.groups, kind, self.origin.stack, &block, Mark::Indirect);
            }
        } else if self.found == Mark::Indirect
            && block.start().addr().get() == self.origin.start
            && !self.origin.in_itself
        {
            self.origin.loops = true;
        }
    }

    /// Whether roots lead to every block that is marked.
    pub(super) fn is_done(&self) -> bool {
        self.unseen == 0
    }

    /// Reads a block that the process got from its parent, or one of another heap: as a root.
    pub(super) fn inherited(&mut self, block: &BlockRef<'_>, reader: &mut Reader) {
        let (start, size) = (block.start().addr().get(), block.size());
        if !reader.counts(start, size) {
            return;
        }
        self.found = Mark::Reachable;
        self.push(block, size);
        // As many as are read together; and the table has room for all that they lead to.
        if BATCH_COUNT <= self.depth {
            self.drain(reader);
        }
    }

    /// Marks the block that holds the address as reachable, if there is one.
    pub(super) fn root(&mut self, addr: usize) {
        self.found = Mark::Reachable;
        self.consider(addr);
    }

    /// Marks a block that nothing leads to so far, and what it leads to.
    pub(super) fn candidate(&mut self, block: &BlockRef<'_>) {
        self.begin(block, Mark::Candidate, Mark::Followed);
    }

    /// Marks a candidate that no later one leads to as lost, and what it leads to as held by it.
    pub(super) fn lost(&mut self, block: &BlockRef<'_>, reader: &mut Reader) {
        // Relaxed: published with the state.
        let stack = block.slot.allocated.load(Relaxed);
        let start = block.start().addr().get();
        self.origin = Origin { start, stack, in_itself: true, loops: false };
        self.begin(block, Mark::Lost, Mark::Indirect);
        self.drain(reader);
        if self.origin.loops {
            Mark::LostLoop.set(block);
        }
    }

    fn begin(&mut self, block: &BlockRef<'_>, mark: Mark, found: Mark) {
        self.found = found;
        mark.set(block);
        // Relaxed: published with the state.
        self.push(block, block.size());
    }

    #[inline]
    fn push(&mut self, block: &BlockRef<'_>, size: usize) {
        let start = block.start().addr().get();
        let aligned = start.next_multiple_of(WORD_LEN);
        self.push_range(aligned, (start + size).saturating_sub(aligned));
        if aligned != start {
            // With `guard_align=exact` it ends at its page: its fields are where its start says.
            self.push_range(start, size.min(LEN_MAX));
        }
    }

    fn push_range(&mut self, aligned: usize, len: usize) {
        let len = len / WORD_LEN * WORD_LEN;
        if len == 0 {
            return;
        }
        match self.pending.get_mut(self.depth) {
            Some(place) => {
                *place = (aligned, len);
                self.depth += 1;
            }
            None => self.complete = false,
        }
    }

    fn pop(&mut self) -> Option<(usize, usize)> {
        self.depth = self.depth.checked_sub(1)?;
        Some(self.pending[self.depth])
    }

    /// Reads all pending blocks, and those that they lead to.
    pub(super) fn drain(&mut self, reader: &mut Reader) {
        while let Some((start, len)) = self.pop() {
            if LEN_MAX < len {
                let root = Root { start, end: start + len, pages: Pages::Existing };
                reader.read_pages(root, &mut |words| self.consider_all(words));
            } else if !reader.add(start, len) {
                reader.read_added(&mut |words| self.consider_all(words));
                // The reader is empty now, and the block no longer than it takes.
                reader.add(start, len);
            }
            if self.depth == 0 {
                reader.read_added(&mut |words| self.consider_all(words));
            }
            // The first block to be read is read alone: the one that this began with, in both ranges.
            let next = self.pending[..self.depth].last();
            self.origin.in_itself &=
                next.is_some_and(|(start, _)| start.abs_diff(self.origin.start) < WORD_LEN);
        }
    }
}

/// The fork epoch that a block was allocated in.
fn epoch_of(block: &BlockRef<'_>) -> u16 {
    // Relaxed: of a block that was found live.
    StateWord::load(&block.slot.state, Relaxed).epoch()
}

/// Counts a block in its group. `holder` is the number of the stack of the lost block that leads to
/// it, or 0.
pub(super) fn count(
    groups: &mut [Group],
    kind: LeakKind,
    holder: u32,
    block: &BlockRef<'_>,
    mark: Mark,
) {
    // Relaxed, all: published with the state.
    let stack = block.slot.allocated.load(Relaxed);
    let size = block.size();
    let tag = TagId::of_slot(block.slot);
    let loops = mark == Mark::LostLoop;
    let leaked = Leaked { addr: block.start().addr().get(), size, loops };
    if !leaks::count(groups, Key { kind, stack, tag, holder }, leaked) {
        // A place too many: together with those of unknown origin.
        let none = Key { kind, stack: StackId::NONE.get(), tag: TagId::NONE, holder: 0 };
        leaks::count(groups, none, leaked);
    }
}
