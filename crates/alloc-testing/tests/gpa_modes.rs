//! The conformance kit over each mode of the checking heap: none of them bends the contract, and none
//! finds anything in the kit's own work.

use std::num::NonZeroU32;

use alloc_gpa::{Builder, Gpa, Guard, GuardAlign, GuardImpl};
use alloc_testing::conformance;

fn every() -> Builder {
    Gpa::builder().quiet().stacks(4).guard(Guard::Every)
}

/// A short cycle, so that both kinds of blocks meet in every case.
fn sampled() -> Builder {
    let rate = NonZeroU32::new(3).expect("not zero");
    Gpa::builder().quiet().guard(Guard::Sampled(rate)).guard_seed(1)
}

conformance!(right => with: |case| check(every(), |gpa| case.run_unsized(gpa)));

conformance!(left => with: |case| {
    check(every().guard_align(GuardAlign::Left), |gpa| case.run_unsized(gpa))
});

conformance!(by_protection => with: |case| {
    check(every().guard_impl(GuardImpl::Mprotect), |gpa| case.run_unsized(gpa))
});

conformance!(one_in_three => with: |case| check(sampled(), |gpa| case.run_unsized(gpa)));

conformance!(limited => with: |case| {
    check(Gpa::builder().quiet().memory_limit(1 << 40), |gpa| case.run_unsized(gpa))
});

// Each address is used again as soon as may be.
conformance!(quarantine => with: |case| {
    check(Gpa::builder().quiet().quarantine(0), |gpa| case.run_unsized(gpa))
});

conformance!(longer_quarantine => with: |case| {
    check(Gpa::builder().quiet().stacks(4).quarantine(10_000), |gpa| case.run_unsized(gpa))
});

/// Runs a case, and looks at what was found.
fn check<R>(builder: Builder, case: impl FnOnce(&Gpa) -> R) -> R {
    let gpa = builder.build();
    let result = case(&gpa);
    let findings = gpa.findings().collect::<Vec<_>>();
    assert!(findings.is_empty(), "{findings:#?}");
    result
}
