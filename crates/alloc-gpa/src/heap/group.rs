//! How much of a group is done with: one word that decides who ends it.
//!
//! A slab counts its units in when it retires, and the units that will never be in a slab are counted in too.
//! Whoever counts the last one in ends the group. A sweep counts units out while it is at their memory: until
//! it has counted them in again nobody ends the group, and it may be the sweep itself that does.
#![forbid(unsafe_code)]

#[cfg(not(loom))]
use core::sync::atomic::AtomicU8;
use core::sync::atomic::Ordering::{AcqRel, Relaxed};
#[cfg(loom)]
use loom::sync::atomic::AtomicU8;

/// Units of a group: what is trapped, and moved, by one system call.
pub(super) const GROUP_UNITS: usize = 16;

/// How many units of a group are done with.
pub(super) struct Done(AtomicU8);

impl Done {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Counts units in; returns whether they were the last.
    pub(super) fn add(&self, units: usize) -> bool {
        // AcqRel: whoever counts the last one in sees what was done to all; pairs with itself.
        usize::from(self.0.fetch_add(units as u8, AcqRel)) + units == GROUP_UNITS
    }

    /// Counts units out that were counted in; returns whether it could: not of a group that is complete, nor
    /// if fewer are counted in as yet.
    pub(super) fn take(&self, units: usize) -> bool {
        // AcqRel: sees what was done to what is counted in; pairs with `add`. Relaxed: nothing is read then.
        let taken = self.0.fetch_update(AcqRel, Relaxed, |done| {
            let rest = done.checked_sub(units as u8)?;
            (usize::from(done) < GROUP_UNITS).then_some(rest)
        });
        taken.is_ok()
    }
}
