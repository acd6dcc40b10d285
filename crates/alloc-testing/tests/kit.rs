//! The kit's own allocators keep the contract, by every form of the macro.

use alloc_core::NeverAlloc;
use alloc_testing::conformance;
use alloc_testing::conformance::Options;
use alloc_testing::{Validated, hostile::Backing};

conformance!(Backing::new().exact_alignment(); sync);

/// The name `test` is another's here.
mod where_a_test_is_something_else {
    use alloc_core::NeverAlloc;
    #[allow(unused_imports, reason = "the name is what matters")]
    use alloc_testing::alloc_test as test;

    alloc_testing::conformance!(NeverAlloc; alloc_testing::conformance::Options::new().may_refuse());
}

conformance!(never_reuse => Backing::new().never_reuse());

conformance!(moving => Backing::new().move_on_remap(); Options::new().seed(7).cases(16));

conformance!(never => NeverAlloc; sync, Options::new().may_refuse());

conformance!(validated => over: |backing| Validated::new(backing); sync, Options::new().cases(16));

conformance!(borrowed => with: |case| {
    let backing = Backing::new();
    let validated = Validated::new(&backing);
    case.run_sync(&validated);
    validated.assert_clean();
}; sync);

conformance!(counting => with: |case| {
    case.run_counting(Validated::new(Backing::new()), Validated::live_bytes);
}; Options::new().cases(16));

/// A body that does not do its part is told so: its test would test nothing.
mod careless_bodies {
    use super::*;

    #[test]
    #[should_panic(expected = "the body did not hand an allocator to the case")]
    fn without_an_allocator() {
        let _ = conformance::run_with(|_| {}, &Options::new());
    }

    #[test]
    #[should_panic(expected = "the body handed two allocators to one case")]
    fn with_two_allocators() {
        let body = |case: &mut conformance::Case<'_>| {
            case.run(Backing::new());
            case.run(Backing::new());
        };
        let _ = conformance::run_with(body, &Options::new());
    }

    #[test]
    #[should_panic(expected = "a check with threads was not given to `run_sync`")]
    fn without_threads() {
        let _ = conformance::run_threads(|case| case.run(Backing::new()), &Options::new());
    }
}
