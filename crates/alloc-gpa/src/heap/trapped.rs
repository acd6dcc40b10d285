//! What an access was that the processor refused, by the records of the heap.

use core::ptr;
use core::sync::atomic::Ordering::Acquire;

use super::chunk::{Chunk, Place};
use super::findings::{blank, describe};
use super::state::{State, StateWord};
use super::{Detail, Finding, FindingKind, Heap, StackId, map};
use crate::fault::Access;

impl Chunk {
    /// Whether a fault at an address of this chunk can come from a trap. What lies inside a live block
    /// is the program's: it may protect its own memory.
    pub(crate) fn may_trap(&self, addr: usize) -> bool {
        match self.place(addr) {
            Place::Slot(block, offset) => {
                // Acquire: pairs with the Release that published the record.
                let word = StateWord::load(&block.slot.state, Acquire);
                let size = block.size();
                let inside = usize::try_from(offset).is_ok_and(|offset| offset < size);
                !(inside && word.is_allocated())
            }
            Place::Unused | Place::Forgotten => true,
        }
    }

    /// Whether an address of this chunk lies inside a freed block.
    pub(crate) fn is_freed(&self, addr: usize) -> bool {
        let Place::Slot(block, offset) = self.place(addr) else { return false };
        // Acquire: pairs with the Release that published the record.
        let word = StateWord::load(&block.slot.state, Acquire);
        let inside = usize::try_from(offset).is_ok_and(|offset| offset < block.size());
        inside && matches!(word.state(), State::Freeing | State::Freed)
    }
}

impl Heap {
    /// Returns the heap that a chunk belongs to.
    pub(crate) fn of(chunk: &Chunk) -> &Heap {
        let heap = ptr::with_exposed_provenance::<Heap>(chunk.owner);
        // SAFETY: the owner is a heap's `id`, whose address `Heap::map` exposed, and the heap stays
        // mapped while a chunk of it does.
        unsafe { &*heap }
    }

    /// Returns the finding that a fault is at a pointer which was read from freed memory: of the block
    /// that holds `source`, if that is not 0.
    pub(crate) fn followed(&self, pointer: usize, source: usize) -> Finding {
        let mut finding = blank(FindingKind::ReadAfterFree, pointer, None, StackId::NONE);
        finding.detail = Detail::from_args(format_args!(
            "a pointer that was read from freed memory was followed"
        ));
        // SAFETY: chunks in the map are mapped.
        let chunk = unsafe { map::lookup(source).as_ref() };
        if let Some(Place::Slot(block, offset)) = chunk.map(|chunk| chunk.place(source)) {
            finding.addr = source;
            describe(&mut finding, &block, offset);
        }
        finding
    }

    /// Returns the finding that an access at `addr`, an address of `chunk`, is; `None` if it is none,
    /// as [`Chunk::may_trap`] says.
    pub(crate) fn trapped(&self, chunk: &Chunk, addr: usize, access: Access) -> Option<Finding> {
        let is_write = access == Access::Write;
        let pick = |write, read| if is_write { write } else { read };
        let after_free = pick(FindingKind::UseAfterFree, FindingKind::ReadAfterFree);
        let behind = pick(FindingKind::Overflow, FindingKind::OverflowRead);
        let before = pick(FindingKind::Underflow, FindingKind::UnderflowRead);
        let mut finding = blank(behind, addr, None, StackId::NONE);
        finding.detail = Detail::from_args(format_args!(
            "trapped{}",
            if access == Access::Code { ": a jump to it" } else { "" }
        ));
        let place = chunk.place(addr);
        let Place::Slot(block, offset) = place else {
            let is_forgotten = matches!(place, Place::Forgotten);
            finding.kind = if is_forgotten { after_free } else { behind };
            finding.detail = Detail::from_args(format_args!(
                "{}: {}",
                finding.detail.as_str(),
                if is_forgotten {
                    "the block's record was given up (see `history`)"
                } else {
                    "no block was ever here"
                }
            ));
            return Some(finding);
        };
        // Acquire: pairs with the Release that published the record.
        let word = StateWord::load(&block.slot.state, Acquire);
        describe(&mut finding, &block, offset);
        let size = block.size();
        finding.kind = match word.state() {
            State::Freeing | State::Freed => after_free,
            _ if offset < 0 => before,
            _ if size <= offset.cast_unsigned() => behind,
            _ => return None,
        };
        Some(finding)
    }
}
