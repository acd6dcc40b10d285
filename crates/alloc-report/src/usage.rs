//! Where the memory of a process went, as it says itself when it ends.

use serde::{Deserialize, Serialize};

/// Bytes of memory that a heap holds at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// In slabs with a live block.
    pub in_use: u64,
    /// In slabs whose blocks are all freed.
    pub retired: u64,
    /// To be used again.
    pub stock: u64,
    /// Of records about blocks.
    pub records: u64,
}

/// How the stacks of a process were captured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Captures {
    /// Stacks that were remembered from an earlier call.
    pub stacks_recalled: u64,
    /// Stacks that were walked.
    pub stacks_walked: u64,
    /// How often a walk looked for the rule of a return address.
    pub rule_lookups: u64,
    /// Rules that were read from the unwind tables.
    pub rule_misses: u64,
    /// Rules that made room for others.
    pub rule_evictions: u64,
}

impl Captures {
    /// Per mille of the stacks that were remembered; `None` without stacks.
    #[must_use]
    pub fn recalled_per_mille(&self) -> Option<u64> {
        per_mille(self.stacks_recalled, self.stacks_recalled.saturating_add(self.stacks_walked))
    }

    /// Per mille of the rules that were looked for and at hand; `None` if none was looked for.
    #[must_use]
    pub fn rule_hits_per_mille(&self) -> Option<u64> {
        per_mille(self.rule_lookups.saturating_sub(self.rule_misses), self.rule_lookups)
    }
}

/// `part` of `whole`, rounded down.
fn per_mille(part: u64, whole: u64) -> Option<u64> {
    let ratio = (u128::from(part) * 1_000).checked_div(u128::from(whole))?;
    u64::try_from(ratio).ok()
}

/// Blocks whose slots are of one size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassUse {
    /// Bytes of a slot; 0: blocks with pages of their own.
    pub slot_size: u64,
    /// Blocks alive at the end.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// Blocks since the start; of a forked process its parent's, too.
    pub total_blocks: u64,
}

/// Blocks to which the program gave one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TagUse {
    /// The name.
    pub name: String,
    /// Blocks alive at the end.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// The most bytes that were alive at once.
    pub peak_bytes: u64,
    /// Blocks since the start; of a forked process its parent's, too.
    pub total_blocks: u64,
    /// Their bytes.
    pub total_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates are exact at both ends, absent where there is nothing, and no figure is too large.
    #[test]
    fn rates() {
        let captures = |recalled, walked, lookups, misses| Captures {
            stacks_recalled: recalled,
            stacks_walked: walked,
            rule_lookups: lookups,
            rule_misses: misses,
            rule_evictions: 0,
        };
        let rates =
            |captures: Captures| (captures.recalled_per_mille(), captures.rule_hits_per_mille());
        assert_eq!(rates(captures(0, 0, 0, 5)), (None, None));
        assert_eq!(rates(captures(999, 1, 10, 10)), (Some(999), Some(0)));
        assert_eq!(rates(captures(7, 0, 10, 0)), (Some(1_000), Some(1_000)));
        // Rules are looked up by others than walks, too.
        assert_eq!(rates(captures(u64::MAX, u64::MAX, 1, 9)), (Some(1_000), Some(0)));
    }
}
