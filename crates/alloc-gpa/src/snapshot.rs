//! What is live at one moment, and what grew between two.
#![forbid(unsafe_code)]

use core::cmp::Reverse;
use core::fmt;
use core::time::Duration;

use alloc_core::AllocError;

use crate::LeakTotals;
use crate::census::{Census, Place, Scope};
use crate::heap::Heap;
use crate::stack::{self, StackId};
use crate::sys;
use crate::sys::mapped::Mapped;
use crate::tag::TagId;
use crate::text::{self, Frames};
use crate::words::counted;

/// What is live at one moment, by the stack that allocated it, and by tag. It does not change any
/// more, and lies in memory of its own.
///
/// ```
/// use alloc_core::AllocatorExt;
/// use alloc_gpa::Gpa;
///
/// let gpa = Gpa::new();
/// let before = gpa.alloc_fill(100, 0u8)?;
/// let first = gpa.snapshot()?;
/// let sessions = [gpa.create([0u8; 64])?, gpa.create([1u8; 64])?];
/// drop(before);
/// let second = gpa.snapshot()?;
///
/// let diff = first.diff(&second)?;
/// assert_eq!(diff.bytes(), 128 - 100);
/// let most = diff.iter().next().expect("something grew");
/// assert!(most.bytes == 64 || most.bytes == 128, "each stack by itself");
/// println!("{diff}"); // most growth first, with functions and lines
/// # drop(sessions);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
pub struct Snapshot {
    census: Census,
    live: LeakTotals,
    allocations: u64,
    taken: Duration,
}

/// Live blocks from one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Where they were allocated.
    pub allocated: StackId,
    /// The name that their part of the program was given, if it was.
    pub tag: Option<&'static str>,
    /// Number of blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Snapshot {
    /// Counts what is live. `None` without memory.
    pub(crate) fn take(heap: &Heap) -> Option<Self> {
        let allocations = heap.stats().allocations;
        let taken = sys::now();
        let census = Census::take(heap, Scope::Live)?;
        let live = census.places().iter().fold(LeakTotals::default(), |sum, place| LeakTotals {
            count: sum.count + place.blocks,
            bytes: sum.bytes + place.bytes,
        });
        Some(Self { census, live, allocations, taken })
    }

    /// Returns what is live, most bytes first. More than some hundred thousand places are not told
    /// apart: the rest is one entry without stack.
    pub fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        self.census.places().iter().map(|place| Entry {
            allocated: StackId::from_raw(place.stack),
            tag: place.tag.name(),
            blocks: place.blocks,
            bytes: place.bytes,
        })
    }

    /// Returns how many blocks were live, and their bytes.
    #[must_use]
    pub fn live(&self) -> LeakTotals {
        self.live
    }

    /// Returns how many allocations there had been: of two snapshots of a heap, the earlier one has
    /// fewer.
    #[must_use]
    pub fn allocations(&self) -> u64 {
        self.allocations
    }

    /// Returns how long after `earlier` this was taken; zero if it was not.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        self.taken.saturating_sub(earlier.taken)
    }

    /// Returns what grew and what shrank between this snapshot and a later one of the same heap.
    ///
    /// # Errors
    ///
    /// If the system has no memory for it.
    pub fn diff(&self, later: &Self) -> Result<Diff, AllocError> {
        let (before, after) = (self.census.places(), later.census.places());
        // Twice as long as there can be places, so that every search ends soon.
        let len = (2 * (before.len() + after.len())).next_power_of_two();
        let mut changes = Mapped::<Change>::new(len.max(2)).ok_or(AllocError)?;
        for (places, side) in [(before, 0), (after, 1)] {
            places.iter().for_each(|place| Change::enter(&mut changes, place, side));
        }
        changes.sort_unstable_by_key(|change| {
            let growth = change.growth();
            let is_same = growth.bytes == 0 && growth.blocks == 0;
            (is_same, Reverse((growth.bytes, growth.blocks)), change.stack, change.tag.0)
        });
        let is_change = |change: &Change| {
            change.blocks[0] != change.blocks[1] || change.bytes[0] != change.bytes[1]
        };
        let count = changes.partition_point(is_change);
        Ok(Diff { changes, count, duration: later.since(self) })
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("live", &self.live)
            .field("places", &self.census.places().len())
            .field("allocations", &self.allocations)
            .finish()
    }
}

/// A place, before and after. All zero: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    stack: u32,
    tag: TagId,
    is_known: bool,
    /// Before, and after.
    blocks: [u64; 2],
    bytes: [u64; 2],
}

impl Change {
    /// Enters the figures of a place, on one side of its change.
    fn enter(table: &mut [Self], place: &Place, side: usize) {
        let mask = table.len() - 1;
        let hash = (place.stack ^ u32::from(place.tag.0) << 24).wrapping_mul(0x9e37_79b9) >> 7;
        let mut index = hash as usize & mask;
        while table[index].is_known
            && (table[index].stack, table[index].tag) != (place.stack, place.tag)
        {
            index = (index + 1) & mask;
        }
        let change = &mut table[index];
        (change.stack, change.tag, change.is_known) = (place.stack, place.tag, true);
        change.blocks[side] = place.blocks;
        change.bytes[side] = place.bytes;
    }

    fn growth(&self) -> Growth {
        let by = |figures: [u64; 2]| figures[1].wrapping_sub(figures[0]).cast_signed();
        Growth {
            allocated: StackId::from_raw(self.stack),
            tag: self.tag.name(),
            blocks: by(self.blocks),
            bytes: by(self.bytes),
            now: LeakTotals { count: self.blocks[1], bytes: self.bytes[1] },
        }
    }
}

/// What grew and what shrank between two [`Snapshot`]s. It displays as text: what grew, the most
/// first, with stacks as functions and lines; that takes long the first time.
pub struct Diff {
    changes: Mapped<Change>,
    count: usize,
    duration: Duration,
}

/// A place from which more, or less, is live than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Growth {
    /// Where it is allocated.
    pub allocated: StackId,
    /// The name that this part of the program was given, if it was.
    pub tag: Option<&'static str>,
    /// By how many blocks it grew; negative if there are fewer.
    pub blocks: i64,
    /// By how many bytes.
    pub bytes: i64,
    /// What is live now.
    pub now: LeakTotals,
}

/// Places that the text shows.
const PRINTED_COUNT_MAX: usize = 20;

impl Diff {
    /// Returns all places that changed: the one that grew by the most bytes first, the one that shrank
    /// by the most last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Growth> + ExactSizeIterator + '_ {
        self.changes[..self.count].iter().map(Change::growth)
    }

    /// Returns by how many bytes all places together grew; negative if less is live than before.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        self.iter().map(|growth| growth.bytes).sum()
    }

    /// Returns by how many blocks all places together grew.
    #[must_use]
    pub fn blocks(&self) -> i64 {
        self.iter().map(|growth| growth.blocks).sum()
    }

    /// Returns how long it was between the two snapshots.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Writes what grew.
    pub(crate) fn write(
        &self,
        frames: Frames,
        prefix: &str,
        out: &mut dyn fmt::Write,
    ) -> fmt::Result {
        let (bytes, blocks) = (self.bytes(), self.blocks());
        let seconds = self.duration.as_secs_f64();
        let (bytes, blocks) = (counted(bytes, "byte"), counted(blocks, "block"));
        writeln!(out, "{prefix}{bytes:+}, {blocks:+} live after {seconds:.3} s")?;
        let grown = || self.iter().take_while(|growth| 0 < growth.bytes);
        for growth in grown().take(PRINTED_COUNT_MAX) {
            let Growth { tag, blocks, bytes, now, .. } = growth;
            write!(out, "{prefix}{:+}, {:+}", counted(bytes, "byte"), counted(blocks, "block"))?;
            let (bytes, blocks) = (counted(now.bytes, "byte"), counted(now.count, "block"));
            write!(out, " (now {bytes}, {blocks})")?;
            if let Some(name) = tag {
                write!(out, ", tag {}", name.escape_debug())?;
            }
            out.write_str(", allocated at\n")?;
            text::stack(growth.allocated, frames, out)?;
        }
        match grown().count().checked_sub(PRINTED_COUNT_MAX) {
            Some(more @ 1..) => {
                writeln!(out, "{prefix}and {} that grew", counted(more, "more place"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _inside = stack::thread::enter();
        self.write(Frames::Resolved, "", f)
    }
}

impl fmt::Debug for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
