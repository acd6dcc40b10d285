//! Blocks that were never freed, by the place that allocated them.
#![forbid(unsafe_code)]

use core::fmt;

use crate::StackId;
use crate::sys::mapped::Mapped;
use crate::tag::TagId;
use crate::{stack, text};

/// How a block that was never freed is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LeakKind {
    /// Nothing points to it; at most blocks that it leads to itself.
    Lost = 0,
    /// Only lost blocks point to it.
    Indirect,
    /// As lost, but not everything that might point to it could be read.
    Possible,
    /// Something that is in use leads to it.
    Reachable,
}

impl LeakKind {
    /// Returns the kind in words that follow "blocks".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Indirect => "held by lost ones only",
            Self::Possible => "possibly lost",
            Self::Reachable => "in use",
        }
    }

    /// Returns the name that records use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Indirect => "indirect",
            Self::Possible => "possible",
            Self::Reachable => "reachable",
        }
    }
}

/// Stacks of a cycle that are kept.
pub(crate) const CYCLE_LEN_MAX: usize = 16;

/// The stacks of the blocks on a way from a block back to itself, its own first; 0 where there are
/// no more.
pub(crate) type Cycle = [u32; CYCLE_LEN_MAX];

/// What tells groups of blocks apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) kind: LeakKind,
    /// Number of the stack that allocated them.
    pub(crate) stack: u32,
    /// The part of the program that they belong to.
    pub(crate) tag: TagId,
    /// Of indirect ones: the number of the stack of the lost blocks that lead to them; 0: unknown.
    pub(crate) holder: u32,
}

/// Blocks with one key. All zero: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) key: Key,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// Sizes of the smallest and the largest.
    pub(crate) min: u64,
    pub(crate) max: u64,
    /// The address of the largest, inverted: a later search shall not find it here.
    largest: usize,
    /// The address, inverted, of one that leads back to itself; 0: none is known.
    looping: usize,
    /// Index in the table of cycles, plus one; 0: none.
    pub(crate) cycle: u32,
}

impl Group {
    /// The address of the largest block, the first of equals.
    pub(crate) fn largest(&self) -> usize {
        !self.largest
    }

    /// The address of a block that leads back to itself, if one is known.
    pub(crate) fn looping(&self) -> Option<usize> {
        (self.looping != 0).then_some(!self.looping)
    }
}

/// A block that is counted in a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaked {
    pub(crate) addr: usize,
    pub(crate) size: usize,
    /// Whether it leads back to itself through other blocks.
    pub(crate) loops: bool,
}

/// Number and bytes of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

/// All live blocks by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) lost: Sum,
    pub(crate) indirect: Sum,
    pub(crate) possible: Sum,
    pub(crate) reachable: Sum,
}

impl Totals {
    /// Counts a block.
    pub(crate) fn add(&mut self, kind: LeakKind, size: usize) {
        let sum = match kind {
            LeakKind::Lost => &mut self.lost,
            LeakKind::Indirect => &mut self.indirect,
            LeakKind::Possible => &mut self.possible,
            LeakKind::Reachable => &mut self.reachable,
        };
        sum.count += 1;
        sum.bytes += size as u64;
    }

    /// The sum of a kind.
    pub(crate) fn of(&self, kind: LeakKind) -> Sum {
        match kind {
            LeakKind::Lost => self.lost,
            LeakKind::Indirect => self.indirect,
            LeakKind::Possible => self.possible,
            LeakKind::Reachable => self.reachable,
        }
    }

    /// Each kind's name with its sum.
    pub(crate) fn each(&self) -> [(&'static str, Sum); 4] {
        [
            ("lost", self.lost),
            ("indirect", self.indirect),
            ("possible", self.possible),
            ("reachable", self.reachable),
        ]
    }
}

/// Counts a block in a table of groups, of which each key is looked for from its hash on. Returns
/// `false` if the table has no room for one more key.
pub(crate) fn count(table: &mut [Group], key: Key, block: Leaked) -> bool {
    let Some(mask) = table.len().checked_sub(1) else { return false };
    let Leaked { addr, size, loops } = block;
    let size = size as u64;
    let hash = (key.stack ^ key.holder.rotate_left(16) ^ u32::from(key.tag.0) << 24)
        .wrapping_mul(0x9e37_79b9);
    let first = (hash >> 3) as usize ^ key.kind as usize;
    // A table that is nearly full is not searched to its end for each block.
    for step in 0..table.len().min(1 << 10) {
        let place = &mut table[(first + step) & mask];
        if place.count == 0 {
            place.key = key;
            (place.min, place.max, place.largest) = (size, size, !addr);
        } else if place.key != key {
            continue;
        }
        place.count += 1;
        place.bytes += size;
        place.min = place.min.min(size);
        if place.max < size {
            (place.max, place.largest) = (size, !addr);
        }
        if loops && place.looping == 0 {
            place.looping = !addr;
        }
        return true;
    }
    false
}

/// Blocks of one kind, from one place, that are still there; of [`Leaks`](crate::Leaks).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leak {
    /// How they are held.
    pub kind: LeakKind,
    /// Where they were allocated.
    pub allocated: StackId,
    /// The name that their part of the program was given, if it was.
    pub tag: Option<&'static str>,
    /// Of [`Indirect`](LeakKind::Indirect) ones: where the lost blocks that lead to them were
    /// allocated; [`StackId::NONE`] if that is not known.
    pub holder: StackId,
    /// Number of blocks.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Size of the smallest in bytes.
    pub min: u64,
    /// Size of the largest in bytes.
    pub max: u64,
    /// Address of the largest, the first of equals.
    pub largest: usize,
}

/// What a search for leaks found: [`Gpa::find_leaks`](crate::Gpa::find_leaks), or
/// [`process::detect_leaks`](crate::process::detect_leaks).
///
/// It lives in memory of its own, not in the heap that was searched. It displays as text, with stacks
/// as functions and lines; that takes long the first time.
pub struct Leaks {
    pub(crate) groups: Mapped<Group>,
    pub(crate) group_count: usize,
    pub(crate) cycles: Mapped<Cycle>,
    pub(crate) totals: Totals,
    notes: [&'static str; NOTE_COUNT_MAX],
    note_count: usize,
}

/// Notes at most.
const NOTE_COUNT_MAX: usize = 4;

impl Leaks {
    /// One of which the groups are still to be put in order.
    pub(crate) fn new(groups: Mapped<Group>, cycle_count_max: usize) -> Option<Self> {
        Some(Self {
            groups,
            group_count: 0,
            cycles: Mapped::new(cycle_count_max)?,
            totals: Totals::default(),
            notes: [""; NOTE_COUNT_MAX],
            note_count: 0,
        })
    }

    /// Whether nothing leaked: no block is lost, possibly lost, or held by such blocks only.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.group_count == 0
    }

    /// Returns what leaked: lost blocks first, and of each kind the most bytes first.
    pub fn iter(&self) -> impl Iterator<Item = Leak> + '_ {
        self.groups().iter().map(|group| Leak {
            kind: group.key.kind,
            allocated: StackId::from_raw(group.key.stack),
            tag: group.key.tag.name(),
            holder: StackId::from_raw(group.key.holder),
            count: group.count,
            bytes: group.bytes,
            min: group.min,
            max: group.max,
            largest: group.largest(),
        })
    }

    /// Returns the stacks of the blocks on a way from one of the leak's blocks back to itself, the
    /// leak's own first, at most 16; empty if there is no such way, or the leak is of another search.
    pub fn cycle(&self, leak: &Leak) -> impl Iterator<Item = StackId> + '_ {
        let key = Key {
            kind: leak.kind,
            stack: leak.allocated.get(),
            tag: leak.tag.map_or(TagId::NONE, TagId::of),
            holder: leak.holder.get(),
        };
        let group = self.groups().iter().find(|group| group.key == key);
        let stacks = group.map_or(&[][..], |group| self.cycle_of(group));
        stacks.iter().map(|stack| StackId::from_raw(*stack))
    }

    /// Returns how many blocks are of a kind, and their bytes; of
    /// [`Reachable`](LeakKind::Reachable) ones only this is known.
    #[must_use]
    pub fn total(&self, kind: LeakKind) -> crate::LeakTotals {
        let Sum { count, bytes } = self.totals.of(kind);
        crate::LeakTotals { count, bytes }
    }

    /// Returns what a reader must know: what could not be searched, and what follows from it.
    pub fn notes(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.notes[..self.note_count].iter().copied()
    }

    pub(crate) fn note(&mut self, text: &'static str) {
        if let Some(place) = self.notes.get_mut(self.note_count) {
            *place = text;
            self.note_count += 1;
        }
    }

    /// What leaked, by key: by kind, of each the most bytes first.
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups[..self.group_count]
    }

    /// The stacks of the group's cycle; empty: none is known.
    pub(crate) fn cycle_of(&self, group: &Group) -> &[u32] {
        let cycle = (group.cycle as usize).checked_sub(1).and_then(|index| self.cycles.get(index));
        cycle.map_or(&[], |cycle| {
            &cycle[..cycle.iter().position(|stack| *stack == 0).unwrap_or(CYCLE_LEN_MAX)]
        })
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _inside = stack::thread::enter();
        text::leaks(self, text::Style::EXPLICIT, f)
    }
}

impl fmt::Debug for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaks")
            .field("totals", &self.totals)
            .field("leaks", &self.groups())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(kind: LeakKind, stack: u32, holder: u32) -> Key {
        Key { kind, stack, tag: TagId::NONE, holder }
    }

    const fn block(addr: usize, size: usize) -> Leaked {
        Leaked { addr, size, loops: false }
    }

    #[test]
    fn blocks_are_grouped_by_key() {
        let mut table = Mapped::<Group>::new(8).expect("memory");
        let lost = key(LeakKind::Lost, 5, 0);
        for (key, block) in [
            (lost, block(0x10, 10)),
            (key(LeakKind::Indirect, 5, 5), block(0x20, 1)),
            (key(LeakKind::Indirect, 5, 6), block(0x30, 2)),
            (lost, Leaked { loops: true, ..block(0x40, 30) }),
            (lost, block(0x50, 30)),
            (key(LeakKind::Lost, 6, 0), block(0x60, 7)),
            (Key { tag: TagId(1), ..lost }, block(0x70, 3)),
        ] {
            assert!(count(&mut table, key, block));
        }
        let find = |key| {
            let same = |group: &&Group| group.key == key;
            let mut found = table.iter().filter(|group| group.count != 0).filter(same);
            (found.next().copied(), found.next())
        };
        let (Some(group), None) = find(lost) else { panic!("one group") };
        assert_eq!((group.count, group.bytes, group.min, group.max), (3, 70, 10, 30));
        assert_eq!((group.largest(), group.looping()), (0x40, Some(0x40)));
        let held = find(key(LeakKind::Indirect, 5, 6)).0.expect("a group");
        assert_eq!((held.bytes, held.looping()), (2, None));
        assert_eq!(find(Key { tag: TagId(1), ..lost }).0.map(|group| group.bytes), Some(3));
        for stack in 10..13 {
            assert!(count(&mut table, key(LeakKind::Lost, stack, 0), block(0, 1)));
        }
        assert!(!count(&mut table, key(LeakKind::Lost, 99, 0), block(0, 1)), "full");
        assert!(count(&mut table, key(LeakKind::Lost, 12, 0), block(0, 1)), "known keys count");
    }
}
