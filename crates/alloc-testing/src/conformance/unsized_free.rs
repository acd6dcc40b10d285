//! The probe's calls of [`UnsizedFree`].

use core::alloc::Layout;

use alloc_core::UnsizedFree;

use super::probe::{Call, Probe};
use super::shadow::Id;
use super::violation::{Rule, Violation};
use alloc_gpa::counted;

impl Probe<'_> {
    /// The usable size is at least the size, all of it can be written, and the block is owned.
    pub(super) fn check_usable_size(
        &mut self,
        subject: &dyn UnsizedFree,
        id: Id,
    ) -> Result<(), Violation> {
        let Some((ptr, size)) = self.state.shadow.get(id).map(|b| (b.ptr, b.layout.size())) else {
            return Ok(());
        };
        // SAFETY: the block is live by the shadow.
        let usable = self.guarded(|| unsafe { subject.usable_size(ptr) })?;
        if usable < size {
            let detail =
                format!("block {id} has {}, of which {usable} are usable", counted(size, "byte"));
            return Err(self.violation(Rule::UsableSize, detail));
        }
        let start = ptr.addr().get();
        let other = self.state.shadow.blocks().find(|block| {
            block.id != id && block.range().start < start + usable && start < block.range().end
        });
        if let Some(other) = other {
            let detail = format!(
                "block {id} has {}, up into the live block {}",
                counted(usable, "usable byte"),
                other.id
            );
            return Err(self.violation(Rule::UsableSize, detail));
        }
        // SAFETY: the tail between size and usable size is inside the block.
        let tail = unsafe { ptr.add(size) };
        // SAFETY: `UnsizedFree` promises that the usable bytes may be written.
        unsafe { tail.write_bytes(0x5A, usable - size) };
        self.check_others(None, Rule::UsableSize)?;
        if !self.guarded(|| subject.owns(ptr.as_ptr()))? {
            let detail = format!("it says that it does not own its live block {id}");
            return Err(self.violation(Rule::UsableSize, detail));
        }
        Ok(())
    }

    /// Changes a block by `realloc_unsized`.
    pub(super) fn realloc_unsized(
        &mut self,
        subject: &dyn UnsizedFree,
        id: Id,
        new_layout: Layout,
    ) -> Result<bool, Violation> {
        let new_size = new_layout.size();
        self.change(id, Call::ReallocUnsized(new_size), |ptr, _| {
            // SAFETY: the block is live by the shadow, and the new size is not zero.
            unsafe { subject.realloc_unsized(ptr, new_layout) }.ok()
        })
    }

    /// Gives a block back without its layout.
    pub(super) fn free_unsized(
        &mut self,
        subject: &dyn UnsizedFree,
        id: Id,
    ) -> Result<(), Violation> {
        self.free_by(id, Call::FreeUnsized, |block| {
            // SAFETY: the block was live by the shadow, and has left it.
            unsafe { subject.free_unsized(block.ptr) }
        })
    }
}
