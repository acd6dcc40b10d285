//! Faults at addresses that were read from freed memory: a virtual call on a deleted object, a function
//! pointer or a link of a freed structure.
//!
//! Freed bytes are junk, and eight of them are no address that a program can have: following them
//! faults, not in memory of ours. A register that holds them tells what happened; another register most
//! often still points to where they were read.

use super::context::Context;
use crate::heap::Heap;
use crate::heap::map;
use crate::process::PROCESS;

/// How far from the pointer that was read an access may be: a field, an entry of a table of functions.
const REACH: u64 = 4096;

/// The registers that hold pointers, those first that hold the object of a call.
const REGISTERS: [libc::c_int; 16] = [
    libc::REG_RDI,
    libc::REG_RBX,
    libc::REG_RSI,
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBP,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
    libc::REG_RIP,
];

/// What a fault was found to be: the heap whose junk was followed, the pointer, and an address inside the
/// freed block, or 0.
pub(super) struct Followed<'h> {
    pub(super) heap: &'h Heap,
    pub(super) pointer: usize,
    pub(super) source: usize,
}

/// Returns what was followed, if a register holds a pointer that was read from freed memory; or, where
/// the processor refused an address that no memory can have, one that points into a freed block: the
/// instruction read the other itself, as a call through a field does.
pub(super) fn find(context: &Context, has_address: bool) -> Option<Followed<'static>> {
    let source = REGISTERS.into_iter().find_map(|index| {
        let addr = context.register(index);
        // SAFETY: chunks in the map are mapped, and stay so while somebody looks, as the handler does.
        let chunk = unsafe { map::lookup(addr).as_ref() }?;
        chunk.is_freed(addr).then_some((Heap::of(chunk), addr))
    });
    let (heap, source) = match source {
        Some(found) => found,
        None => (PROCESS.heap()?, 0),
    };
    let junk = u64::from_ne_bytes([heap.config.junk; 8]);
    if junk == 0 {
        return None;
    }
    let near = |value: u64| value.wrapping_sub(junk).wrapping_add(REACH) < 2 * REACH;
    let pointer = REGISTERS.into_iter().map(|index| context.register(index) as u64);
    let unread = (!has_address && source != 0).then_some(junk);
    let pointer = pointer.into_iter().find(|value| near(*value)).or(unread)?;
    Some(Followed { heap, pointer: pointer as usize, source })
}
