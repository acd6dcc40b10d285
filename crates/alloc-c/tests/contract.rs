//! C's heap keeps the contract, directly and through a table of functions.

mod glibc;

use alloc_c::{CAllocator, CHandle, RawCAllocator};
use alloc_testing::conformance;
use alloc_testing::conformance::Options;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use glibc::GLIBC;

conformance!(with: |case| case.run_unsized(CAllocator));

conformance!(shared => CAllocator; sync);

conformance!(raw => RawCAllocator; sync, Options::new().align_max(16));

conformance!(erased => with: |case| case.run(&CAllocator as &dyn alloc_core::Allocator));

#[cfg(all(target_os = "linux", target_env = "gnu"))]
conformance!(table => with: |case| case.run_unsized(GLIBC));

conformance!(handle => with: |case| case.run(CHandle::new(&CAllocator)));

conformance!(handle_of_erased => with: |case| {
    let erased: &dyn alloc_core::Allocator = &CAllocator;
    case.run(CHandle::new(&erased));
});
