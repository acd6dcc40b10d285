//! What grew, and what shrank, between the first and the last snapshot of a process.

use std::collections::HashMap;

use crate::model::{Snapshot, StackId};
use crate::{Amount, Report};

/// The places of one process that hold more, or less, than they did.
pub(crate) struct Grown {
    pub(crate) process: usize,
    /// The numbers of the two snapshots, and their times.
    pub(crate) ids: [u64; 2],
    pub(crate) ms: [u64; 2],
    /// The one that grew by the most bytes first, the one that shrank by the most last.
    pub(crate) places: Vec<GrownPlace>,
}

impl Grown {
    /// By how many blocks and bytes all places together grew.
    pub(crate) fn growth(&self) -> (i64, i64) {
        let growths = self.places.iter().map(GrownPlace::growth);
        growths.fold((0, 0), |sum, one| (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1)))
    }

    /// The places that hold more bytes than before.
    pub(crate) fn larger(&self) -> &[GrownPlace] {
        let count = self.places.partition_point(|place| place.growth().1 > 0);
        &self.places[..count]
    }
}

/// A stack, and what it held at both times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GrownPlace {
    pub(crate) stack: StackId,
    pub(crate) before: Amount,
    pub(crate) after: Amount,
}

impl GrownPlace {
    /// By how many blocks and bytes it grew.
    pub(crate) fn growth(&self) -> (i64, i64) {
        let change = |before: u64, after: u64| {
            let difference = i64::try_from(after.abs_diff(before)).unwrap_or(i64::MAX);
            if after < before { -difference } else { difference }
        };
        (change(self.before.blocks, self.after.blocks), change(self.before.bytes, self.after.bytes))
    }
}

impl Report {
    /// For each process with several snapshots what grew from the first to the last of them.
    pub(crate) fn grown(&self) -> Vec<Grown> {
        let mut ends: HashMap<usize, [&Snapshot; 2]> = HashMap::new();
        for snapshot in &self.snapshots {
            ends.entry(snapshot.process).or_insert([snapshot; 2])[1] = snapshot;
        }
        let mut ends: Vec<_> =
            ends.into_iter().filter(|(_, [first, last])| first.id != last.id).collect();
        ends.sort_unstable_by_key(|(process, _)| *process);
        let grown = ends.into_iter().map(|(process, [first, last])| Grown {
            process,
            ids: [first.id, last.id],
            ms: [first.ms, last.ms],
            places: changed_places(first, last),
        });
        grown.filter(|grown| !grown.places.is_empty()).collect()
    }
}

fn by_stack(snapshot: &Snapshot) -> HashMap<StackId, Amount> {
    let mut amounts: HashMap<StackId, Amount> = HashMap::new();
    for live in &snapshot.live {
        let amount = amounts.entry(live.stack).or_default();
        amount.blocks = amount.blocks.saturating_add(live.blocks);
        amount.bytes = amount.bytes.saturating_add(live.bytes);
    }
    amounts
}

fn changed_places(first: &Snapshot, last: &Snapshot) -> Vec<GrownPlace> {
    let (before, after) = (by_stack(first), by_stack(last));
    let gone = before.keys().filter(|stack| !after.contains_key(stack));
    let mut places: Vec<GrownPlace> = after
        .keys()
        .chain(gone)
        .map(|stack| GrownPlace {
            stack: *stack,
            before: before.get(stack).copied().unwrap_or_default(),
            after: after.get(stack).copied().unwrap_or_default(),
        })
        .filter(|place| place.before != place.after)
        .collect();
    places.sort_by_key(|place| {
        let (blocks, bytes) = place.growth();
        (std::cmp::Reverse((bytes, blocks)), place.stack)
    });
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Live;

    fn snapshot(ms: u64, live: &[(u32, u64, u64)]) -> Snapshot {
        let live = live.iter().map(|(stack, blocks, bytes)| Live {
            stack: StackId(*stack),
            blocks: *blocks,
            bytes: *bytes,
            total_blocks: 0,
            total_bytes: 0,
        });
        let live = live.collect();
        let (process, id, why) = (0, 1, String::new());
        let (live_blocks, live_bytes, allocations, complete) = (0, 0, 0, false);
        Snapshot { process, id, ms, why, live_blocks, live_bytes, allocations, complete, live }
    }

    /// What is new or larger comes first, what shrank or went last; lines of one stack, which differ in
    /// their tag, are one; what stayed is left out.
    #[test]
    fn what_changed_is_told() {
        let first = snapshot(5, &[(1, 1, 10), (2, 5, 50), (3, 1, 1), (5, 2, 70)]);
        let last = snapshot(9, &[(1, 2, 15), (1, 1, 5), (2, 5, 50), (4, 3, 300), (5, 1, 30)]);
        let places = changed_places(&first, &last);
        let found: Vec<_> = places.iter().map(|place| (place.stack.0, place.growth())).collect();
        assert_eq!(found, [(4, (3, 300)), (1, (2, 10)), (3, (-1, -1)), (5, (-1, -40))]);
        let grown = Grown { process: 0, ids: [1, 2], ms: [5, 9], places };
        assert_eq!(grown.growth(), (3, 269));
        assert_eq!(grown.larger().len(), 2);
        assert!(changed_places(&last, &last).is_empty());
        let huge = changed_places(&snapshot(0, &[(1, 0, u64::MAX)]), &snapshot(1, &[]));
        assert_eq!(huge[0].growth().1, -i64::MAX);
    }
}
