//! The arenas keep the contract, over the hostile backings and over those that people use.
//!
//! Not under Miri, which stops where a heap refuses a size that no address space has.
#![cfg(all(feature = "alloc", not(miri), not(loom)))]

use alloc_arena::{Arena, ArenaPool, Growth, HeapArena, Reset, SharedArena};
use alloc_core::Global;
use alloc_fixed::{FixedBuffer, SharedFixedBuffer};
use alloc_page::PageAllocator;
use alloc_testing::conformance;
use alloc_testing::conformance::Options;

conformance!(over: |backing| Arena::over(backing));

conformance!(owned => Arena::over(Global));

conformance!(fixed_growth => Arena::over(Global).with_growth(Growth::fixed(100)); Options::new().cases(8));

conformance!(exact_growth => Arena::over(Global).with_growth(Growth::exact()); Options::new().cases(8));

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

conformance!(scope => with: |case| {
    let mut arena = Arena::over(Global);
    case.run(arena.as_scope());
});

// In a scope of a warm arena, whose spare chunks are used first.
conformance!(inner_scope => with: |case| {
    let mut arena = Arena::over(Global);
    arena.scope(|scope| scope.put_slice_fill(5000, 1u8).map(drop)).unwrap();
    arena.scope(|scope| case.run(&*scope));
});

conformance!(pooled => with: |case| {
    let pool: ArenaPool<_, 1> = ArenaPool::new(Arena::new, Reset::RetainCapacity);
    let arena = pool.take().unwrap();
    case.run(&*arena);
});

conformance!(shared => SharedArena::over(Global); sync);

conformance!(shared_over => over: |backing| SharedArena::over(backing); sync);

conformance!(shared_pages => SharedArena::over(PageAllocator); Options::new().cases(8));

// Chunks that grow where they are.
conformance!(shared_exact => with: |case| {
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); 64 << 10];
    let fixed = SharedFixedBuffer::new(&mut buffer);
    case.run(SharedArena::over(&fixed).with_growth(Growth::exact()));
}; Options::new().capacity(64 << 10).cases(8));

conformance!(local => with: |case| {
    let shared = SharedArena::over(Global);
    case.run(shared.local());
});

conformance!(heap => HeapArena::over(Arena::new()));

conformance!(heap_over => over: |backing| HeapArena::over(Arena::over(backing)));
