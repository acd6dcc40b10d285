//! Bytes that somebody else is about to read or write for the program: libc, or the kernel.

use core::sync::atomic::Ordering::Acquire;

use super::chunk::Place;
use super::findings::{blank, describe};
use super::state::{State, StateWord};
use super::{Detail, FindingKind, Heap, StackId, map};
use crate::words::counted;

/// What is done with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// They are read.
    Read,
    /// They are written.
    Write,
}

/// What is wrong with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Freed,
    PastEnd,
    BeforeStart,
}

impl Fault {
    const fn kind(self, access: Access) -> FindingKind {
        match (self, access) {
            (Self::Freed, Access::Read) => FindingKind::ReadAfterFree,
            (Self::Freed, Access::Write) => FindingKind::UseAfterFree,
            (Self::PastEnd, Access::Read) => FindingKind::OverflowRead,
            (Self::PastEnd, Access::Write) => FindingKind::Overflow,
            (Self::BeforeStart, Access::Read) => FindingKind::UnderflowRead,
            (Self::BeforeStart, Access::Write) => FindingKind::Underflow,
        }
    }
}

/// Returns what is wrong with the `len` bytes from `offset` in a block of `size` bytes, and the
/// offset of the first byte that is wrong. Of no bytes only a freed block is wrong.
fn fault_of(offset: isize, len: usize, size: usize, is_freed: bool) -> Option<(Fault, isize)> {
    let size = size.cast_signed();
    if is_freed {
        return Some((Fault::Freed, offset));
    }
    if len == 0 {
        return None;
    }
    if offset < 0 {
        return Some((Fault::BeforeStart, offset));
    }
    let end = offset.saturating_add_unsigned(len);
    (size < end).then_some((Fault::PastEnd, offset.max(size)))
}

impl Heap {
    /// Tells if the `len` bytes from `addr` are in this heap and not all in one live block; with a
    /// length of 0, if a freed block is there. `user` names who accesses them.
    pub(crate) fn check_range(
        &self,
        addr: usize,
        len: usize,
        access: Access,
        user: &str,
        stack: impl FnOnce() -> StackId,
    ) {
        // SAFETY: chunks in the map are mapped.
        let Some(chunk) = (unsafe { map::lookup(addr).as_ref() }) else { return };
        if chunk.owner != self.id() {
            return;
        }
        let (block, offset) = match chunk.place(addr) {
            Place::Slot(block, offset) => (block, offset),
            Place::Unused => return,
            Place::Forgotten => {
                let mut finding = blank(Fault::Freed.kind(access), addr, None, stack());
                finding.detail =
                    Detail::from_args(format_args!("in {user}; freed long ago (see `history`)"));
                return self.tell(finding);
            }
        };
        // Acquire: pairs with the Release that published the state.
        let word = StateWord::load(&block.slot.state, Acquire);
        let is_freed = match word.state() {
            State::Live | State::Resizing => false,
            State::Freed => true,
            // Another thread is at it: what it will be is not known.
            State::Unused | State::Freeing => return,
        };
        let size = block.size();
        let Some((fault, at)) = fault_of(offset, len, size, is_freed) else { return };
        // What begins nearer to the next live block than to the end of this one is before that.
        let after = block.neighbour(Some(block.index + 1)).filter(|after| {
            // Acquire: pairs with the Release that made it live.
            StateWord::load(&after.slot.state, Acquire).is_live()
                && fault == Fault::PastEnd
                && after.start().addr().get() - addr <= at.abs_diff(size.cast_signed())
        });
        let (block, fault, at) = match after {
            None => (block, fault, at),
            Some(after) => {
                let before = after.start().addr().get() - addr;
                (after, Fault::BeforeStart, -before.cast_signed())
            }
        };
        let start = block.start().addr().get();
        let mut finding = blank(fault.kind(access), start.wrapping_add_signed(at), None, stack());
        describe(&mut finding, &block, at);
        finding.detail = match fault {
            Fault::PastEnd => {
                let len = counted(len, "byte");
                Detail::from_args(format_args!("in {user}: {len} from offset {offset}"))
            }
            Fault::Freed | Fault::BeforeStart => Detail::from_args(format_args!("in {user}")),
        };
        self.tell(finding);
    }
}

impl Heap {
    /// Returns how many bytes there are from `addr` to the end of its live block: none if the block
    /// is freed, or the address before or past it; `None` if the address is none of a block's.
    pub(crate) fn room_at(&self, addr: usize) -> Option<usize> {
        // SAFETY: chunks in the map are mapped.
        let chunk = unsafe { map::lookup(addr).as_ref() }?;
        let (block, offset) = match chunk.place(addr) {
            Place::Slot(block, offset) => (block, offset),
            Place::Unused => return None,
            Place::Forgotten => return Some(0),
        };
        if chunk.owner != self.id() {
            return None;
        }
        // Acquire: pairs with the Release that published the state.
        match StateWord::load(&block.slot.state, Acquire).state() {
            State::Unused | State::Freeing => None,
            State::Freed => Some(0),
            State::Live | State::Resizing => {
                let size = block.size();
                Some(usize::try_from(offset).map_or(0, |offset| size.saturating_sub(offset)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_judged() {
        assert_eq!(fault_of(0, 10, 10, false), None);
        assert_eq!(fault_of(9, 1, 10, false), None);
        assert_eq!(fault_of(0, 11, 10, false), Some((Fault::PastEnd, 10)));
        assert_eq!(fault_of(10, 1, 10, false), Some((Fault::PastEnd, 10)));
        assert_eq!(fault_of(12, 1, 10, false), Some((Fault::PastEnd, 12)));
        assert_eq!(fault_of(0, 1, 0, false), Some((Fault::PastEnd, 0)));
        assert_eq!(fault_of(-1, 1, 10, false), Some((Fault::BeforeStart, -1)));
        assert_eq!(fault_of(3, usize::MAX, 10, false), Some((Fault::PastEnd, 10)));
        assert_eq!(fault_of(3, 1, 10, true), Some((Fault::Freed, 3)));
        assert_eq!(fault_of(12, 0, 10, false), None);
        assert_eq!(fault_of(12, 0, 10, true), Some((Fault::Freed, 12)));
    }
}
