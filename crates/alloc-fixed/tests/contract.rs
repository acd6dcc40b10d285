//! The fixed buffer keeps the contract.
//!
//! Not under Miri, where the kit takes hours; `fixed_buffer.rs` runs there.
#![cfg(not(miri))]

use std::mem::MaybeUninit;

use alloc_fixed::{FixedBuffer, StackBuffer};
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
