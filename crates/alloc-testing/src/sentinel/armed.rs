//! A call of the global allocator while something is watched.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use std::alloc::System;

use super::operation::Operation;
use super::{count, region, scope, thread, watch};

/// What a fresh block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    Any,
    Zero,
}

/// Allocates from the region of the thread, or from the system.
///
/// # Safety
///
/// As [`GlobalAlloc::alloc`].
#[cold]
#[inline(never)]
pub(super) unsafe fn alloc(layout: Layout, fill: Fill) -> *mut u8 {
    thread::answer_probe();
    let Some(_inside) = thread::enter() else {
        // SAFETY: the caller's contract.
        return unsafe { system_alloc(layout, fill) };
    };
    let operation = Operation::Alloc(layout);
    judge(operation);
    let region = thread::with(|thread| thread.region.get()).filter(|region| !region.has_ended());
    let block = match region {
        Some(region) => keeping_errno(|| region.alloc(layout, fill)),
        // SAFETY: the caller's contract.
        None => unsafe { system_alloc(layout, fill) },
    };
    if !block.is_null() {
        tell(operation);
    }
    block
}

/// # Safety
///
/// As [`GlobalAlloc::alloc`].
unsafe fn system_alloc(layout: Layout, fill: Fill) -> *mut u8 {
    match fill {
        // SAFETY: the caller's contract.
        Fill::Any => unsafe { System.alloc(layout) },
        // SAFETY: the caller's contract.
        Fill::Zero => unsafe { System.alloc_zeroed(layout) },
    }
}

/// Frees a block to where it came from.
///
/// # Safety
///
/// As [`GlobalAlloc::dealloc`].
#[cold]
#[inline(never)]
pub(super) unsafe fn dealloc(block: *mut u8, layout: Layout) {
    let inside = thread::enter();
    if inside.is_some() {
        let operation = Operation::Free(layout);
        judge(operation);
        tell(operation);
    }
    let Some(at) = NonNull::new(block) else { return };
    match region::of(at) {
        // SAFETY: live, by the caller's contract, and of that region.
        Some(region) => keeping_errno(|| unsafe { region.free(at, layout) }),
        // SAFETY: the caller's contract; of no region, so the system's.
        None => unsafe { System.dealloc(block, layout) },
    }
}

/// Gives a block another size, where it came from.
///
/// # Safety
///
/// As [`GlobalAlloc::realloc`].
#[cold]
#[inline(never)]
pub(super) unsafe fn realloc(block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
    let inside = thread::enter();
    let operation = Operation::Realloc(layout, new_size);
    if inside.is_some() {
        judge(operation);
    }
    let Some(at) = NonNull::new(block) else { return ptr::null_mut() };
    let new = match region::of(at) {
        // SAFETY: live, by the caller's contract, and of that region.
        Some(region) => keeping_errno(|| unsafe { region.realloc(at, layout, new_size) }),
        // SAFETY: the caller's contract; of no region, so the system's.
        None => unsafe { System.realloc(block, layout, new_size) },
    };
    if inside.is_some() && !new.is_null() {
        tell(operation);
    }
    new
}

/// Looks whether an operation is allowed. What a panic does is not held against anybody: the test
/// fails by it already.
fn judge(operation: Operation) {
    if scope::judge(operation) == scope::Verdict::Ask {
        watch::judge(operation);
    }
}

/// Counts an operation that was made.
fn tell(operation: Operation) {
    count::tell(operation);
    watch::tell(operation);
}

/// Calls `work` and leaves `errno` as it was: a value may be dropped between a system call and the look
/// at what it said.
fn keeping_errno<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: no preconditions.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: this thread's own, for as long as it lives.
        let before = unsafe { errno.read() };
        let result = work();
        // SAFETY: as above.
        unsafe { errno.write(before) };
        result
    }
    #[cfg(not(target_os = "linux"))]
    work()
}
