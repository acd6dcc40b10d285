//! What the second library, `alloc-intercept`, asks of this one: it takes over libc's functions on
//! strings and memory, and looks their ranges up here.

use core::slice;
use core::str;

use alloc_gpa::{Access, check_range, room_at};

use crate::decided::strategy;
use crate::strategy::Strategy;

/// The functions, in the order of version 1. The other library declares the same.
#[repr(C)]
pub(crate) struct Checker {
    room: extern "C" fn(usize) -> usize,
    check: unsafe extern "C" fn(usize, usize, bool, *const u8, usize),
}

static CHECKER: Checker = Checker { room, check };

/// Returns the functions, or null if this process is not checked. The name carries the version:
/// libraries of different ones do not find each other.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn alloc_preload_checker_1() -> *const Checker {
    match strategy() {
        Strategy::Gpa | Strategy::Sampled => &raw const CHECKER,
        Strategy::Glibc | Strategy::Own => core::ptr::null(),
    }
}

/// Bytes from an address to the end of its live block; `usize::MAX` outside the heap.
extern "C" fn room(addr: usize) -> usize {
    room_at(addr)
}

/// Tells if a range is not all in one live block.
///
/// # Safety
///
/// `name` are `name_len` bytes of text.
unsafe extern "C" fn check(
    addr: usize,
    len: usize,
    is_write: bool,
    name: *const u8,
    name_len: usize,
) {
    // SAFETY: the caller's contract.
    let name = unsafe { slice::from_raw_parts(name, name_len) };
    let access = if is_write { Access::Write } else { Access::Read };
    check_range(addr, len, access, str::from_utf8(name).unwrap_or_default());
}
