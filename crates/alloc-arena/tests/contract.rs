//! The arena keeps the contract, over the hostile backings and over those that people use.
//!
//! Not under Miri, which stops where a heap refuses a size that no address space has.
#![cfg(all(feature = "alloc", not(miri)))]

use alloc_arena::Arena;
use alloc_core::Global;
use alloc_fixed::FixedBuffer;
use alloc_page::PageAllocator;
use alloc_testing::conformance;
use alloc_testing::conformance::Options;

conformance!(over: |backing| Arena::over(backing));

conformance!(owned => Arena::over(Global));

conformance!(erased => with: |case| {
    let arena = Arena::over(Global);
    case.run(&arena as &dyn alloc_core::Allocator);
});

conformance!(pages => Arena::over(PageAllocator); Options::new().cases(8));

conformance!(nested => with: |case| {
    let outer = Arena::over(Global);
    case.run(Arena::over(&outer));
});

conformance!(fixed => with: |case| {
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); 64 << 10];
    let fixed = FixedBuffer::new(&mut buffer);
    case.run(Arena::over(&fixed));
}; Options::new().capacity(64 << 10));
