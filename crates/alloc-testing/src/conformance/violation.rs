//! What the kit says when an allocator breaks the contract.

use core::fmt;

use crate::ledger::Misuse;

/// A rule of the contract: the seven numbered promises of
/// [`Allocator`](alloc_core::Allocator), and what its methods' documentation says besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// Promise 1: a block spans its layout and is aligned.
    Fit,
    /// Promise 2: a live block overlaps no other, nor the allocator's own memory.
    Exclusive,
    /// Promise 3: moving or sharing the allocator moves no block.
    Stable,
    /// Promise 4: no method unwinds, nor does the drop.
    NoUnwind,
    /// Promise 5: the allocator leaves the bytes of live blocks alone.
    HandsOff,
    /// Promise 6: a resize or remap keeps the bytes; a refused one changes nothing.
    Kept,
    /// Promise 7: a failed call changes no count and leaks nothing.
    CleanFailure,
    /// `raw_alloc_zeroed` returns zero bytes.
    Zeroed,
    /// An allocator serves what it declares to serve, also after a failure.
    Serves,
    /// A size that no address space holds is an error.
    TooLarge,
    /// An allocator returns to its backing what it took, at the latest when it is dropped.
    Returns,
    /// An allocator over a backing is a caller there, and keeps the rules for callers.
    Caller,
    /// No request for zero bytes reaches an allocator: the verbs and adapters answer it themselves,
    /// and an allocator over a backing makes none.
    ZeroBytes,
    /// The counts that an allocator tells are those of its live blocks.
    Counts,
    /// What [`UnsizedFree`](alloc_core::UnsizedFree) tells of a block's size is true.
    UsableSize,
}

impl Rule {
    /// Every rule, those with a number first.
    pub const ALL: &[Self] = &[
        Self::Fit,
        Self::Exclusive,
        Self::Stable,
        Self::NoUnwind,
        Self::HandsOff,
        Self::Kept,
        Self::CleanFailure,
        Self::Zeroed,
        Self::Serves,
        Self::TooLarge,
        Self::Returns,
        Self::Caller,
        Self::ZeroBytes,
        Self::Counts,
        Self::UsableSize,
    ];

    /// The rule for callers that a misuse of a backing breaks.
    pub(super) const fn of(misuse: Misuse) -> Self {
        match misuse {
            Misuse::ZeroSize { .. } => Self::ZeroBytes,
            _ => Self::Caller,
        }
    }

    /// Returns the number of the promise; `None` for what only the methods' documentation says.
    #[must_use]
    pub const fn number(self) -> Option<u8> {
        match self {
            Self::Fit => Some(1),
            Self::Exclusive => Some(2),
            Self::Stable => Some(3),
            Self::NoUnwind => Some(4),
            Self::HandsOff => Some(5),
            Self::Kept => Some(6),
            Self::CleanFailure => Some(7),
            _ => None,
        }
    }

    /// Returns the name, as the contract has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fit => "Fit",
            Self::Exclusive => "Exclusive",
            Self::Stable => "Stable",
            Self::NoUnwind => "No unwind",
            Self::HandsOff => "Hands off",
            Self::Kept => "Kept",
            Self::CleanFailure => "Clean failure",
            Self::Zeroed => "zeroed blocks are zero",
            Self::Serves => "serves what it declares",
            Self::TooLarge => "too large is an error",
            Self::Returns => "gives back what it took",
            Self::Caller => "keeps the rules for callers",
            Self::ZeroBytes => "zero bytes stay above",
            Self::Counts => "counts are true",
            Self::UsableSize => "usable sizes are true",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) => write!(f, "promise {number} ({})", self.name()),
            None => write!(f, "rule \"{}\"", self.name()),
        }
    }
}

/// A broken promise: which, by what operation, and how to see it again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Violation {
    /// The rule that does not hold.
    pub rule: Rule,
    /// What was seen.
    pub detail: String,
    /// The check that saw it.
    pub check: String,
    /// The call after which it was seen.
    pub operation: String,
    /// The calls up to it, oldest first; for a random program the shortest one that shows the
    /// violation, else the last few.
    pub steps: Vec<String>,
    /// The seed of the whole run.
    pub seed: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} is broken: {}", self.rule, self.detail)?;
        writeln!(f, "  at {}", self.operation)?;
        writeln!(f, "  in check \"{}\", after these calls:", self.check)?;
        for step in &self.steps {
            writeln!(f, "    {step}")?;
        }
        write!(f, "  seed {0:#x}: set {1}={0:#x} to see it again", self.seed, crate::SEED_VARIABLE)
    }
}

impl std::error::Error for Violation {}
