//! A worker sums numbers in memory of its own.

use core::mem::ManuallyDrop;
use std::thread::{self, JoinHandle};

use alloc_core::{Allocator, AllocatorExt};

/// Sums numbers in a thread; the worker forgets its block if the sum is odd.
pub fn faulty(gpa: impl Allocator + Send + 'static, numbers: [u64; 3]) -> JoinHandle<u64> {
    thread::spawn(move || {
        let gpa = &gpa;
        let copy = ManuallyDrop::new(gpa.dupe(&numbers).expect("memory")); // planted
        let sum = copy.iter().sum();
        if sum % 2 == 0 {
            drop(ManuallyDrop::into_inner(copy));
        }
        sum
    })
}

/// Frees its block whatever the sum is.
pub fn corrected(gpa: impl Allocator + Send + 'static, numbers: [u64; 3]) -> JoinHandle<u64> {
    thread::spawn(move || {
        let gpa = &gpa;
        let copy = ManuallyDrop::new(gpa.dupe(&numbers).expect("memory"));
        let sum = copy.iter().sum();
        drop(ManuallyDrop::into_inner(copy));
        sum
    })
}
