//! The checking heap as a Rust program's global allocator.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use alloc_core::Allocator;

use crate::process::sampled::{self, Sampled};
use crate::process::{ProcessHeap, Start};

/// Checks a whole Rust program: findings are told as they are made, leaks when it exits.
///
/// ```no_run
/// #[global_allocator]
/// static ALLOC: alloc_gpa::Global = alloc_gpa::Global::new();
/// ```
#[derive(Debug, Default)]
pub struct Global(());

impl Global {
    /// Returns the allocator; it starts at the first allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

// SAFETY: `ProcessHeap` keeps the promises of `Allocator`: blocks fit, nothing unwinds, a realloc
// keeps the bytes.
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if sampled::is_on(Start::Global) {
            // SAFETY: the same contract.
            return unsafe { Sampled.alloc(layout) };
        }
        ProcessHeap::alloc(layout, Start::Global).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if sampled::is_on(Start::Global) {
            // SAFETY: the same contract.
            return unsafe { Sampled.alloc_zeroed(layout) };
        }
        ProcessHeap::alloc_zeroed(layout, Start::Global).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if sampled::is_on(Start::Global) {
            // SAFETY: the same contract.
            return unsafe { Sampled.dealloc(block, layout) };
        }
        if let Some(block) = NonNull::new(block) {
            // SAFETY: a live block that fits `layout`, by the contract of `dealloc`.
            unsafe { ProcessHeap.raw_free(block, layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if sampled::is_on(Start::Global) {
            // SAFETY: the same contract.
            return unsafe { Sampled.realloc(block, layout, new_size) };
        }
        let (Some(block), Ok(new)) =
            (NonNull::new(block), Layout::from_size_align(new_size, layout.align()))
        else {
            return ptr::null_mut();
        };
        // SAFETY: a live block by the contract of `realloc`.
        let block = unsafe { ProcessHeap::realloc(block, Some(layout), new) };
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}
