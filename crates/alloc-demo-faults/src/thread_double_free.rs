//! A buffer goes to a worker by its address, as to a library of C.

use core::ptr::NonNull;
use std::thread;

use alloc_core::{Allocator, AllocatorExt, Owned};

/// A block that two threads know.
struct Shared(NonNull<u64>);

// SAFETY: the thread that started the other waits for it before it uses the block again.
unsafe impl Send for Shared {}

impl Shared {
    /// Frees the block.
    ///
    /// # Safety
    ///
    /// It is live, of this allocator, and freed by nobody else.
    unsafe fn free(self, gpa: &dyn Allocator) {
        // SAFETY: made of an owner's parts by this allocator; live by this function's own contract.
        drop(unsafe { Owned::from_raw_parts(self.0, gpa) });
    }
}

/// The worker frees what it was given, and so does the one that gave it.
pub fn faulty(gpa: impl Allocator + Send + Sync, value: u64) -> u64 {
    let block = Owned::into_raw_parts((&gpa as &dyn Allocator).create(value).expect("memory")).0;
    let (shared, gpa) = (Shared(block), &gpa);
    let read = thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let shared = shared;
            // SAFETY: live until the next line.
            let value = unsafe { shared.0.read() };
            // SAFETY: none, as the owner frees it, too: this is the fault.
            unsafe { shared.free(gpa) };
            value
        });
        worker.join().expect("no panic")
    });
    // SAFETY: none: see above.
    unsafe { Shared(block).free(gpa) }; // planted
    read
}

/// The worker borrows what it is given.
pub fn corrected(gpa: impl Allocator + Send + Sync, value: u64) -> u64 {
    let block = Owned::into_raw_parts((&gpa as &dyn Allocator).create(value).expect("memory")).0;
    let (shared, gpa) = (Shared(block), &gpa);
    let read = thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let shared = shared;
            // SAFETY: live until the worker was joined.
            unsafe { shared.0.read() }
        });
        worker.join().expect("no panic")
    });
    // SAFETY: live, of this allocator, and freed here alone.
    unsafe { Shared(block).free(gpa) };
    read
}
