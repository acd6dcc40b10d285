//! What a program can ask while it runs: `include/alloc_preload.h` finds these by name.

use core::ffi::{c_int, c_long};

use alloc_gpa::{LeakKind, process};

use crate::decided::strategy;
use crate::strategy::Strategy;

fn is_active() -> bool {
    matches!(strategy(), Strategy::Gpa)
}

/// Whether a checking heap serves this process.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn alloc_gpa_is_active() -> c_int {
    is_active().into()
}

/// Looks for leaks and tells of them; returns how many blocks are lost, or -1.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn alloc_gpa_detect_leaks() -> c_long {
    if !is_active() {
        return -1;
    }
    match process::detect_leaks() {
        Ok(leaks) => {
            process::print_leaks(&leaks);
            c_long::try_from(leaks.total(LeakKind::Lost).count).unwrap_or(c_long::MAX)
        }
        Err(error) => {
            process::print_error(error);
            -1
        }
    }
}

/// Remembers what is live; returns its number, or 0.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn alloc_gpa_snapshot() -> c_long {
    let number = if is_active() { process::keep_snapshot() } else { 0 };
    c_long::try_from(number).unwrap_or(0)
}

/// Prints what grew since a snapshot; returns 0, or -1.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn alloc_gpa_print_growth(snapshot: c_long) -> c_int {
    let number = usize::try_from(snapshot).unwrap_or(0);
    if is_active() && process::print_growth(number) { 0 } else { -1 }
}

/// Tells of damage that would only be found at the exit.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn alloc_gpa_flush() {
    if is_active() {
        process::flush();
    }
}

/// Fills in the heap's numbers, as far as the caller knows them; returns 0, or -1.
///
/// # Safety
///
/// `numbers` is writable for `len` bytes and aligned for a number.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn alloc_gpa_get_stats(numbers: *mut u64, len: usize) -> c_int {
    if !is_active() {
        return -1;
    }
    let stats = process::stats();
    // In the header's order.
    let live = [stats.live_bytes as u64, stats.peak_bytes as u64];
    let all = [stats.allocations, stats.frees, live[0], live[1], stats.total_bytes];
    let count = all.len().min(len / size_of::<u64>());
    // SAFETY: writable for that many numbers by the contract; both are aligned and apart.
    unsafe { numbers.copy_from_nonoverlapping(all.as_ptr(), count) };
    0
}
