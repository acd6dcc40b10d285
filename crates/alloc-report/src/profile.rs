//! What profiles are made of: what each stack had allocated at the end.

use std::collections::HashMap;

use crate::model::{LeakKind, Outcome, Snapshot, StackId};
use crate::{Amount, Report};

/// What one stack has allocated.
pub(crate) struct Held {
    pub(crate) stack: StackId,
    /// Blocks that were never freed.
    pub(crate) live: Amount,
    /// How those are held, if it is known.
    pub(crate) kind: Option<LeakKind>,
    /// All blocks since the start, if they were counted.
    pub(crate) total: Amount,
}

/// All stacks with blocks.
pub(crate) struct Profile {
    pub(crate) held: Vec<Held>,
    /// Whether the totals are known: then there are stacks without live blocks, too.
    pub(crate) has_totals: bool,
}

impl Report {
    /// Each stack with blocks, and where only leaks are known each way in which they are held. The stack
    /// that was not recorded is one of them. Suppressed leaks are not among them.
    pub(crate) fn profile(&self) -> Profile {
        self.profile_of_snapshots().unwrap_or_else(|| self.profile_of_leaks())
    }

    /// From snapshots at the exit, if every process that ended has made one.
    fn profile_of_snapshots(&self) -> Option<Profile> {
        let at_exit = |process: usize| {
            self.snapshots.iter().find(|one| one.process == process && one.why == "exit")
        };
        let ended = self.processes.iter().enumerate();
        let ended = ended.filter(|(_, process)| matches!(process.outcome, Outcome::Ended(_)));
        let snapshots: Vec<&Snapshot> =
            ended.map(|(index, _)| at_exit(index)).collect::<Option<_>>()?;
        if snapshots.is_empty() {
            return None;
        }
        let mut known = HashMap::new();
        let mut held: Vec<Held> = Vec::new();
        for live in snapshots.iter().flat_map(|snapshot| &snapshot.live) {
            let index = *known.entry(live.stack).or_insert(held.len());
            if index == held.len() {
                let (none, stack) = (Amount::default(), live.stack);
                held.push(Held { stack, live: none, kind: None, total: none });
            }
            let one = &mut held[index];
            add(&mut one.live, live.blocks, live.bytes);
            add(&mut one.total, live.total_blocks, live.total_bytes);
        }
        let has_totals = snapshots.iter().all(|snapshot| snapshot.complete);
        if !has_totals {
            held.retain(|one| one.live != Amount::default());
        }
        Some(Profile { held, has_totals })
    }

    fn profile_of_leaks(&self) -> Profile {
        let mut known = HashMap::new();
        let mut held: Vec<Held> = Vec::new();
        for leak in self.leaks.iter().filter(|leak| !leak.suppressed) {
            let index = *known.entry((leak.kind, leak.stack)).or_insert(held.len());
            if index == held.len() {
                let (live, total) = (Amount::default(), Amount::default());
                held.push(Held { stack: leak.stack, live, kind: Some(leak.kind), total });
            }
            held[index].live.add(leak);
        }
        Profile { held, has_totals: false }
    }
}

fn add(amount: &mut Amount, blocks: u64, bytes: u64) {
    amount.blocks = amount.blocks.saturating_add(blocks);
    amount.bytes = amount.bytes.saturating_add(bytes);
}
