//! Every allocator of the crate keeps the contract.

use std::alloc::Layout;

use alloc_core::{AllocError, Allocator};
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

/// What no address space holds, and nothing at all, is refused by all of them, at every alignment: no panic,
/// no wrap; and an alignment as large as the address space as well.
#[test]
fn what_cannot_be_is_refused() {
    let allocators: [&dyn Allocator; 6] = [
        &PageAllocator,
        &HugePages::transparent(),
        &HugePages::reserved(),
        &GuardedPages::right_aligned(),
        &GuardedPages::left_aligned(),
        &SecretPages,
    ];
    for alloc in allocators {
        for shift in 0..=24 {
            let align = 1 << shift;
            let size_max = isize::MAX as usize & !(align - 1);
            for size in [0, size_max, size_max / 2 + 1] {
                let layout = Layout::from_size_align(size, align).unwrap();
                assert_eq!(alloc.raw_alloc(layout), Err(AllocError), "{layout:?}");
                assert_eq!(alloc.raw_alloc_zeroed(layout), Err(AllocError), "{layout:?}");
            }
        }
        let no_such_address = Layout::from_size_align(1, 1 << (usize::BITS - 2)).unwrap();
        assert_eq!(alloc.raw_alloc(no_such_address), Err(AllocError));
    }
}
