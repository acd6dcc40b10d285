//! What profiles are made of: the blocks that were alive at the end, one entry for each stack.

use std::collections::HashMap;

use crate::model::{LeakKind, StackId};
use crate::{Amount, Report};

/// The blocks of one stack that were never freed.
pub(crate) struct Held {
    pub(crate) stack: StackId,
    /// As in [`LeakKind::ALL`].
    pub(crate) amounts: [Amount; 4],
}

impl Held {
    /// Blocks of every kind.
    pub(crate) fn total(&self) -> Amount {
        self.amounts.iter().fold(Amount::default(), |sum, amount| Amount {
            blocks: sum.blocks.saturating_add(amount.blocks),
            bytes: sum.bytes.saturating_add(amount.bytes),
        })
    }

    /// The kinds of which there are blocks.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (LeakKind, Amount)> {
        LeakKind::ALL
            .into_iter()
            .zip(self.amounts)
            .filter(|(_, amount)| *amount != Amount::default())
    }
}

impl Report {
    /// Each stack with blocks that were never freed and are not suppressed, in the order of the
    /// leaks; the stack that was not recorded is one of them.
    pub(crate) fn held(&self) -> Vec<Held> {
        let mut known = HashMap::new();
        let mut held: Vec<Held> = Vec::new();
        for leak in self.leaks.iter().filter(|leak| !leak.suppressed) {
            let index = *known.entry(leak.stack).or_insert(held.len());
            if index == held.len() {
                held.push(Held { stack: leak.stack, amounts: Default::default() });
            }
            held[index].amounts[leak.kind as usize].add(leak);
        }
        held
    }
}
