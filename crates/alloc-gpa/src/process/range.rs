//! Whether bytes that libc or the kernel is about to use for the program are the program's to use.

use super::PROCESS;
use crate::heap::map;
use crate::heap::range::Access;
use crate::stack::thread;
use crate::sys::errno::KeepErrno;

/// Tells if the `len` bytes from `addr` are the process's heap's, and not all of them in one live
/// block. `user` names who accesses them, such as `read(2)`. `errno` stays.
///
/// What the allocator itself asks of libc is not looked at: freed bytes are its own.
#[doc(hidden)]
#[inline]
pub fn check_range(addr: usize, len: usize, access: Access, user: &str) {
    if len != 0 && !map::lookup(addr).is_null() {
        check(addr, len, access, user);
    }
}

/// Tells if `addr` is in a freed block of the process's heap; how many bytes will be used there is
/// not known yet. `errno` stays.
#[doc(hidden)]
#[inline]
pub fn check_start(addr: usize, access: Access, user: &str) {
    if !map::lookup(addr).is_null() {
        check(addr, 0, access, user);
    }
}

/// Returns how many bytes there are from `addr` to the end of its live block in the process's heap:
/// none if the block is freed, or the address before or past it; `usize::MAX` if the address is none
/// of a block's, or it is the allocator itself that asks.
#[doc(hidden)]
#[must_use]
pub fn room_at(addr: usize) -> usize {
    if map::lookup(addr).is_null() || thread::is_inside() {
        return usize::MAX;
    }
    PROCESS.heap().and_then(|heap| heap.room_at(addr)).unwrap_or(usize::MAX)
}

#[inline(never)]
fn check(addr: usize, len: usize, access: Access, user: &str) {
    let Some(inside) = thread::enter() else { return };
    let _errno = KeepErrno::new();
    if let Some(heap) = PROCESS.heap() {
        heap.check_range(addr, len, access, user, || heap.stack(&inside));
    }
}
