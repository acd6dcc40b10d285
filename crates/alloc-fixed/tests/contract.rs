//! The fixed buffer keeps the contract.
//!
//! Not under Miri, where the kit takes hours; `fixed_buffer.rs` runs there.
#![cfg(not(miri))]

use std::mem::MaybeUninit;

use alloc_core::{Locked, NeverAlloc};
use alloc_fixed::{BufferFirst, FixedBuffer, HeapFirst, SharedFixedBuffer, StackBuffer, TlsfHeap};
use alloc_testing::conformance;
use alloc_testing::conformance::Options;

const LEN: usize = 64 << 10;

conformance!(with: |case| {
    let mut buffer = vec![MaybeUninit::uninit(); LEN];
    case.run(FixedBuffer::new(&mut buffer));
}; Options::new().capacity(LEN));

conformance!(at_an_odd_address => with: |case| {
    let mut buffer = vec![MaybeUninit::uninit(); LEN + 2];
    let start = 1 - buffer.as_ptr().addr() % 2;
    case.run(FixedBuffer::new(&mut buffer[start..]));
}; Options::new().capacity(LEN));

conformance!(tiny => with: |case| {
    let mut buffer = StackBuffer::<100>::new();
    let fixed = FixedBuffer::new(&mut buffer);
    case.run(&fixed as &dyn alloc_core::Allocator);
}; Options::new().capacity(100));

conformance!(roomy => with: |case| {
    let mut buffer = vec![MaybeUninit::uninit(); 16 << 20];
    case.run(FixedBuffer::new(&mut buffer));
}; Options::new().capacity(16 << 20));

conformance!(buffer_first => over: |backing| BufferFirst::new(FixedBuffer::from_static(leak(4096)), backing));

conformance!(buffer_first_then_nothing => with: |case| {
    let mut buffer = vec![MaybeUninit::uninit(); LEN];
    case.run(BufferFirst::new(FixedBuffer::new(&mut buffer), NeverAlloc));
}; Options::new().capacity(LEN));

conformance!(tlsf => with: |case| {
    let mut buffer = vec![MaybeUninit::uninit(); LEN];
    let heap = TlsfHeap::new(&mut buffer);
    case.run_unsized(&heap);
    heap.check_invariants();
}; Options::new().capacity(LEN));

conformance!(tlsf_at_an_odd_address => with: |case| {
    let mut buffer = vec![MaybeUninit::uninit(); LEN + 2];
    let start = 1 - buffer.as_ptr().addr() % 2;
    case.run(TlsfHeap::new(&mut buffer[start..]));
}; Options::new().capacity(LEN));

conformance!(tlsf_tiny => with: |case| {
    let mut buffer = [MaybeUninit::uninit(); 200];
    case.run(TlsfHeap::new(&mut buffer));
}; Options::new().capacity(200));

conformance!(tlsf_roomy => with: |case| {
    let mut buffer = vec![MaybeUninit::uninit(); 32 << 20];
    case.run(TlsfHeap::new(&mut buffer));
}; Options::new().cases(16));

conformance!(tlsf_locked => with: |case| {
    let mut buffer = vec![MaybeUninit::uninit(); 32 << 20];
    case.run_sync(Locked::<parking_lot::RawMutex, _>::new(TlsfHeap::new(&mut buffer)));
}; sync, Options::new().cases(12));

conformance!(shared => with: |case| {
    let mut buffer = vec![MaybeUninit::uninit(); 16 << 20];
    case.run_sync(SharedFixedBuffer::new(&mut buffer));
}; sync, Options::new().capacity(16 << 20));

conformance!(shared_tiny => with: |case| {
    let mut buffer = StackBuffer::<100>::new();
    case.run_sync(SharedFixedBuffer::new(&mut buffer));
}; sync, Options::new().capacity(100));

/// Bytes for an allocator that the kit makes anew each time.
fn leak(len: usize) -> &'static mut [u8] {
    // Named by a static: what is kept for ever is not lost.
    static KEPT: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());
    let bytes = vec![0; len].leak();
    KEPT.lock().expect("no panic").push(bytes.as_ptr().addr());
    bytes
}

conformance!(heap_first => over: |backing| HeapFirst::new(tiny_heap(), backing));

conformance!(heap_after_heap => with: |case| {
    let mut buffer = vec![MaybeUninit::uninit(); LEN];
    let heaps = HeapFirst::new(tiny_heap(), TlsfHeap::new(&mut buffer));
    case.run_unsized(&heaps);
    heaps.heap().check_invariants();
    heaps.fallback().check_invariants();
}; Options::new().capacity(LEN));

/// A heap that is full soon.
fn tiny_heap() -> TlsfHeap<'static> {
    let bytes = leak(4096);
    // SAFETY: bytes that live for ever, and that nobody else has.
    unsafe { TlsfHeap::from_raw_parts(std::ptr::NonNull::from(&mut *bytes).cast(), bytes.len()) }
}
