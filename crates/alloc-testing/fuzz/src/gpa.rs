//! The checking heap in its modes: it keeps the contract, and finds nothing in a proper program.

use std::num::NonZeroU32;

use alloc_gpa::{Check, Gpa, Guard, GuardAlign};
use alloc_testing::conformance::{self, Options};

use super::{choose, passed};

/// Kinds of allocators.
pub const KINDS: u8 = 6;

/// Runs a program on the heap in one of its modes.
pub fn run(data: &[u8]) {
    let Some((kind, how, program)) = choose(data, KINDS) else { return };
    let quiet = Gpa::builder().quiet().stacks(4);
    let rate = NonZeroU32::new(how as u32 % 5 + 2).expect("two at least");
    let builder = match kind {
        0 => quiet,
        1 => quiet.quarantine(how * 64),
        2 => quiet.guard(Guard::Every),
        3 => quiet.guard(Guard::Every).guard_align(GuardAlign::Left),
        4 => quiet.guard(Guard::Sampled(rate)).guard_seed(how as u64),
        _ => quiet.memory_limit(how * 4096),
    };
    let mut options = Options::new();
    if 4 < kind {
        options = options.may_refuse();
    }
    let gpa = builder.build();
    passed(conformance::run_bytes(program, |case| case.run_unsized(&gpa), &options));
    let findings: Vec<_> = gpa.findings().collect();
    assert!(findings.is_empty(), "{findings:#?}");
    assert_eq!(gpa.deinit(), Check::Ok);
}
