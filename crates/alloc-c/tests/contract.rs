//! C's heap keeps the contract, directly and through a table of functions.

mod glibc;

use alloc_c::{CAllocator, RawCAllocator};
use alloc_testing::conformance;
use alloc_testing::conformance::Options;

/// What every C library aligns to that we know: Windows' has no more that `free` takes.
const ALIGN_MAX: usize = 2 * size_of::<usize>();

conformance!(raw => RawCAllocator; sync, Options::new().align_max(ALIGN_MAX));

#[cfg(windows)]
conformance!(shared => CAllocator; sync, Options::new().align_max(ALIGN_MAX));

#[cfg(not(windows))]
mod any_alignment {
    use alloc_c::CHandle;

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    use super::glibc::GLIBC;
    use super::*;

    conformance!(with: |case| case.run_unsized(CAllocator));

    conformance!(shared => CAllocator; sync);

    conformance!(erased => with: |case| case.run(&CAllocator as &dyn alloc_core::Allocator));

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    conformance!(table => with: |case| case.run_unsized(GLIBC));

    conformance!(handle => with: |case| case.run(CHandle::new(&CAllocator)));

    conformance!(handle_of_erased => with: |case| {
        let erased: &dyn alloc_core::Allocator = &CAllocator;
        case.run(CHandle::new(&erased));
    });
}
