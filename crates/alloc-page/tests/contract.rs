//! Every allocator of the crate keeps the contract.

use alloc_core::Allocator;
use alloc_page::{GuardedPages, HugePages, PageAllocator, SecretPages};
use alloc_testing::conformance;
use alloc_testing::conformance::Options;

/// Blocks of large pages are cleared and filled at length, and those of secrets are locked: a few
/// programs say as much as many.
const fn few() -> Options {
    Options::new().cases(4)
}

conformance!(PageAllocator; sync);

conformance!(erased => with: |case| case.run(&PageAllocator as &dyn Allocator));

conformance!(guarded_right => GuardedPages::right_aligned(); sync, few());

conformance!(guarded_left => GuardedPages::left_aligned(); sync, few());

conformance!(huge => HugePages::transparent(); few());

conformance!(huge_reserved => HugePages::reserved(); few());

conformance!(secret => SecretPages; sync, few());
