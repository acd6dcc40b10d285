//! A counter behind a pointer, as in a structure of C's.

use alloc_core::{Allocator, AllocatorExt, Owned};

/// Counts once more after the counter was freed.
pub fn faulty(gpa: &dyn Allocator) -> u64 {
    let counter = Owned::into_raw_parts(gpa.create(1u64).expect("memory")).0;
    // SAFETY: live.
    let count = unsafe { counter.read() };
    // SAFETY: its owner was taken apart; nobody else frees it.
    drop(unsafe { Owned::from_raw_parts(counter, gpa) });
    // SAFETY: none: it was freed: this is the fault.
    unsafe { counter.write_volatile(count + 1) }; // planted
    count
}

/// Counts first.
pub fn corrected(gpa: &dyn Allocator) -> u64 {
    let counter = Owned::into_raw_parts(gpa.create(1u64).expect("memory")).0;
    // SAFETY: live.
    let count = unsafe { counter.read() };
    // SAFETY: live.
    unsafe { counter.write_volatile(count + 1) };
    // SAFETY: its owner was taken apart; nobody else frees it.
    drop(unsafe { Owned::from_raw_parts(counter, gpa) });
    count
}
