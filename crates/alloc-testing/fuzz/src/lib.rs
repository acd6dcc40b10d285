//! What the fuzz targets do with their bytes.
//!
//! ```text
//!  byte 0: which allocator    byte 1: how it is made    the rest: a program
//!                                                       alloc_testing::conformance::run_bytes,
//!                                                       or the target's own where there is no raw_alloc
//! ```
//!
//! A target panics when something is wrong; the message is that of the conformance kit. The same
//! functions replay `seeds/` on every compiler: `tests/corpus.rs` of alloc-testing. Its README says how
//! to run the targets, and how the seeds are made.

use alloc_testing::conformance::{Summary, Violation};
use alloc_testing::hostile::Backing;

pub mod arena;
pub mod fixed;
pub mod gpa;
pub mod page;
pub mod pool;
pub mod seeds;

/// A target: its name, how many kinds of allocators it has, and its function.
pub type Target = (&'static str, u8, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 5] = [
    ("arena", arena::KINDS, arena::run),
    ("fixed", fixed::KINDS, fixed::run),
    ("gpa", gpa::KINDS, gpa::run),
    ("page", page::KINDS, page::run),
    ("pool", pool::KINDS, pool::run),
];

/// Splits off the two bytes that choose: the kind, below `kinds`, and how it is made.
fn choose(data: &[u8], kinds: u8) -> Option<(u8, usize, &[u8])> {
    let (&[kind, how], program) = data.split_first_chunk()?;
    Some((kind % kinds, usize::from(how), program))
}

/// Fails with the kit's message.
fn passed(outcome: Result<Summary, Violation>) {
    if let Err(violation) = outcome {
        panic!("{violation}");
    }
}

/// A backing that watches; for every other `how` one of its requests fails.
fn backing(how: usize) -> Backing {
    let backing = match how % 4 {
        0 => Backing::new(),
        1 => Backing::new().exact_alignment().never_reuse(),
        2 => Backing::new().move_on_remap(),
        _ => Backing::new().refuse_changes(),
    };
    match how / 4 % 4 {
        2 => backing.fail_only(how / 16),
        3 => backing.fail_from(how / 16),
        _ => backing,
    }
}

/// Nothing is left at a backing, and nobody misused it.
fn settled(backing: &Backing) {
    assert_eq!(backing.misuses(), [], "at the backing");
    assert_eq!(backing.live_count(), 0, "blocks stay at the backing");
}
