//! What grew between the first and the last snapshot of a process.

use std::collections::HashMap;

use crate::model::{Snapshot, StackId};
use crate::{Amount, Report};

/// The places of one process that hold more than they did.
pub(crate) struct Grown {
    pub(crate) process: usize,
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
    /// The most bytes first.
    pub(crate) places: Vec<GrownPlace>,
}

/// A stack, and what it held at both times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GrownPlace {
    pub(crate) stack: StackId,
    pub(crate) before: Amount,
    pub(crate) after: Amount,
}

impl GrownPlace {
    /// By how much it grew.
    pub(crate) fn growth(&self) -> Amount {
        Amount {
            blocks: self.after.blocks.saturating_sub(self.before.blocks),
            bytes: self.after.bytes.saturating_sub(self.before.bytes),
        }
    }
}

impl Report {
    /// For each process with several snapshots what grew from the first to the last of them.
    pub(crate) fn grown(&self) -> Vec<Grown> {
        let processes = 0..self.processes.len();
        let grown = processes.filter_map(|process| {
            let mut own = self.snapshots.iter().filter(|snapshot| snapshot.process == process);
            let (first, last) = (own.next()?, own.next_back()?);
            let places = grown_places(first, last);
            let (from_ms, to_ms) = (first.ms, last.ms);
            (!places.is_empty()).then_some(Grown { process, from_ms, to_ms, places })
        });
        grown.collect()
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

fn grown_places(first: &Snapshot, last: &Snapshot) -> Vec<GrownPlace> {
    let before = by_stack(first);
    let mut places: Vec<GrownPlace> = by_stack(last)
        .into_iter()
        .map(|(stack, after)| {
            let before = before.get(&stack).copied().unwrap_or_default();
            GrownPlace { stack, before, after }
        })
        .filter(|place| place.growth().bytes > 0)
        .collect();
    places.sort_by_key(|place| {
        (std::cmp::Reverse((place.growth().bytes, place.growth().blocks)), place.stack)
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

    /// What is new or larger, most first; lines of one stack, which differ in their tag, are one.
    #[test]
    fn what_is_larger_grew() {
        let first = snapshot(5, &[(1, 1, 10), (2, 5, 50), (3, 1, 1)]);
        let last = snapshot(9, &[(1, 2, 15), (1, 1, 5), (2, 5, 50), (4, 3, 300)]);
        let found: Vec<_> = grown_places(&first, &last)
            .iter()
            .map(|place| (place.stack.0, place.growth().blocks, place.growth().bytes))
            .collect();
        assert_eq!(found, [(4, 3, 300), (1, 2, 10)]);
        assert!(grown_places(&last, &last).is_empty());
    }
}
