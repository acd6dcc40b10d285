//! Who runs which workload. The first contender of a case is ours, the second its plainest peer.

use std::time::Duration;

/// A case: its name, then each contender with a function of the count.
macro_rules! case {
    ($name:literal: $($contender:literal => $run:expr),+ $(,)?) => {
        Case {
            name: $name,
            contenders: &[$(Contender { name: $contender, run: $run }),+],
        }
    };
}

mod arenas;
mod bumps;
pub(crate) mod fixed;
mod heaps;
mod pools;
mod system;

/// One workload and everyone who runs it.
pub(crate) struct Case {
    /// The allocator's kind and the workload.
    pub(crate) name: &'static str,
    /// Ours, then the peers.
    pub(crate) contenders: &'static [Contender],
}

/// One allocator in one workload.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// Makes this many operations and tells how long they took, without what comes before.
    pub(crate) run: fn(u64) -> Duration,
}

use alloc_bench::{lifo, pair, random};
use heaps::{Std, gpa, gpa_without_stacks};

/// All of them.
pub(crate) fn cases() -> impl Iterator<Item = &'static Case> {
    arenas::CASES.iter().chain(CASES).chain(fixed::CASES).chain(system::CASES).chain(pools::CASES)
}

const CASES: &[Case] = &[
    case!("gpa/pair":
        "alloc-gpa" => |count| pair(&gpa(), count),
        "system" => |count| pair(&Std, count),
        "alloc-gpa without stacks" => |count| pair(&gpa_without_stacks(), count),
    ),
    case!("gpa/lifo":
        "alloc-gpa" => |count| lifo(&gpa(), count),
        "system" => |count| lifo(&Std, count),
        "alloc-gpa without stacks" => |count| lifo(&gpa_without_stacks(), count),
    ),
    case!("gpa/random":
        "alloc-gpa" => |count| random(&gpa(), count),
        "system" => |count| random(&Std, count),
        "alloc-gpa without stacks" => |count| random(&gpa_without_stacks(), count),
    ),
];
