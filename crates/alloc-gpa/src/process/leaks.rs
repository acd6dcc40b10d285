//! Leaks by the place that allocated them.
#![forbid(unsafe_code)]

/// How a block that was never freed is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum LeakKind {
    /// Nothing points to it.
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
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Indirect => "held by lost ones only",
            Self::Possible => "possibly lost",
            Self::Reachable => "in use",
        }
    }

    /// Returns the name that records use.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Indirect => "indirect",
            Self::Possible => "possible",
            Self::Reachable => "reachable",
        }
    }
}

/// Blocks of one kind from one place. All zero: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) kind: LeakKind,
    /// Number of the stack that allocated them.
    pub(super) stack: u32,
    pub(super) count: u64,
    pub(super) bytes: u64,
    /// Sizes of the smallest and the largest.
    pub(super) min: u64,
    pub(super) max: u64,
}

/// Number and bytes of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

/// All live blocks by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) lost: Sum,
    pub(super) indirect: Sum,
    pub(super) possible: Sum,
    pub(super) reachable: Sum,
}

impl Totals {
    /// Counts a block.
    pub(super) fn add(&mut self, kind: LeakKind, size: usize) {
        let sum = match kind {
            LeakKind::Lost => &mut self.lost,
            LeakKind::Indirect => &mut self.indirect,
            LeakKind::Possible => &mut self.possible,
            LeakKind::Reachable => &mut self.reachable,
        };
        sum.count += 1;
        sum.bytes += size as u64;
    }

    /// Each kind's name with its sum.
    pub(super) fn each(&self) -> [(&'static str, Sum); 4] {
        [
            ("lost", self.lost),
            ("indirect", self.indirect),
            ("possible", self.possible),
            ("reachable", self.reachable),
        ]
    }
}

/// Counts a block in a table of groups, of which each place is looked for from its hash on. Returns
/// `false` if the table has no room for one more place.
pub(super) fn count(table: &mut [Group], kind: LeakKind, stack: u32, size: usize) -> bool {
    let Some(mask) = table.len().checked_sub(1) else { return false };
    let size = size as u64;
    let first = (stack.wrapping_mul(0x9e37_79b9) >> 3) as usize ^ kind as usize;
    // A table that is nearly full is not searched to its end for each block.
    for step in 0..table.len().min(1 << 10) {
        let place = &mut table[(first + step) & mask];
        if place.count == 0 {
            *place = Group { kind, stack, count: 0, bytes: 0, min: size, max: size };
        } else if place.stack != stack || place.kind != kind {
            continue;
        }
        place.count += 1;
        place.bytes += size;
        place.min = place.min.min(size);
        place.max = place.max.max(size);
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_grouped_by_place_and_kind() {
        let empty = Group { kind: LeakKind::Lost, stack: 0, count: 0, bytes: 0, min: 0, max: 0 };
        let mut table = [empty; 8];
        for (kind, stack, size) in [
            (LeakKind::Lost, 5, 10),
            (LeakKind::Indirect, 5, 1),
            (LeakKind::Lost, 5, 30),
            (LeakKind::Lost, 6, 7),
        ] {
            assert!(count(&mut table, kind, stack, size));
        }
        let find = |kind, stack| {
            let same = |group: &&Group| group.kind == kind && group.stack == stack;
            let mut found = table.iter().filter(|group| group.count != 0).filter(same);
            (found.next().copied(), found.next())
        };
        let lost = Group { kind: LeakKind::Lost, stack: 5, count: 2, bytes: 40, min: 10, max: 30 };
        assert_eq!(find(LeakKind::Lost, 5), (Some(lost), None));
        assert_eq!(find(LeakKind::Indirect, 5).0.map(|group| group.count), Some(1));
        assert_eq!(find(LeakKind::Lost, 6).0.map(|group| group.bytes), Some(7));
        for stack in 10..15 {
            assert!(count(&mut table, LeakKind::Lost, stack, 1));
        }
        assert!(!count(&mut table, LeakKind::Lost, 99, 1), "full");
        assert!(count(&mut table, LeakKind::Lost, 12, 1), "known places still count");
    }
}
