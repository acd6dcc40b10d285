//! The conformance kit over mimalloc, jemalloc and snmalloc, and over dlmalloc's port, a list of holes
//! and a buddy heap, all of them as global allocators. What it found is in
//! `docs/design/conformance-of-peers.md`.

use alloc_core::{FromGlobal, FromGlobalRef};
use alloc_testing::conformance;
use alloc_testing::conformance::Options;

conformance!(mimalloc => FromGlobal::new(::mimalloc::MiMalloc); sync);
conformance!(jemalloc => FromGlobal::new(tikv_jemallocator::Jemalloc); sync);
conformance!(snmalloc => FromGlobal::new(snmalloc_rs::SnMalloc); sync);
conformance!(dlmalloc => FromGlobal::new(::dlmalloc::GlobalDlmalloc); sync);

/// Bytes of a heap in a given buffer.
const HEAP_LEN: usize = 48 << 20;

conformance!(linked_list => with: |case| {
    let mut memory = Vec::<u8>::with_capacity(HEAP_LEN);
    // SAFETY: the memory is used by nobody else, and outlives the heap.
    let heap = unsafe { linked_list_allocator::LockedHeap::new(memory.as_mut_ptr(), HEAP_LEN) };
    case.run_sync(FromGlobalRef::new(&heap));
}; sync, Options::new().cases(24));

conformance!(buddy => with: |case| {
    let mut memory = Vec::<u8>::with_capacity(HEAP_LEN);
    let heap = buddy_system_allocator::LockedHeap::<32>::new();
    // SAFETY: the memory is used by nobody else, and outlives the heap.
    unsafe { heap.lock().init(memory.as_mut_ptr() as usize, HEAP_LEN) };
    case.run_sync(FromGlobalRef::new(&heap));
}; sync, Options::new().cases(24));
