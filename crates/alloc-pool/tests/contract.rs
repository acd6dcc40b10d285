//! A pool keeps the contract for what its slots have room for, over the hostile backings too.
//!
//! Not under Miri, which stops where a heap refuses a size that no address space has.
#![cfg(all(feature = "alloc", not(miri)))]

use alloc_fixed::FixedBuffer;
use alloc_pool::Pool;
use alloc_testing::conformance;
use alloc_testing::conformance::Options;

/// Room for most of what the programs ask for, given the capacity below.
#[repr(align(1024))]
struct Slot(#[expect(dead_code, reason = "the size is what counts")] [u8; 4096]);

const OPTIONS: Options = Options::new().may_refuse().capacity(64 << 10).align_max(1024);

conformance!(over: |backing| Pool::<Slot, _>::over(backing); OPTIONS);

conformance!(owned => Pool::<Slot>::new(); OPTIONS);

conformance!(erased => with: |case| {
    let pool = Pool::<Slot>::new();
    case.run(&pool as &dyn alloc_core::Allocator);
}; OPTIONS);

conformance!(fixed => with: |case| {
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); 256 << 10];
    let fixed = FixedBuffer::new(&mut buffer);
    case.run(Pool::<Slot, _>::over(&fixed));
}; OPTIONS);
