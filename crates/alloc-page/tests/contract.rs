//! The page allocator keeps the contract.

use alloc_page::PageAllocator;
use alloc_testing::conformance;

conformance!(PageAllocator; sync);

conformance!(erased => with: |case| case.run(&PageAllocator as &dyn alloc_core::Allocator));
