//! A place for a value that is not built yet.

use core::fmt;
use core::mem::ManuallyDrop;
use core::num::NonZero;

use alloc_core::{AllocError, Allocator};

use super::{Handle, NONE, SlotMap};
use crate::rare;

/// A place in a [`SlotMap`] for a value that is not built yet, and its handle: for values that hold their
/// own handle, or whose building may fail.
///
/// Dropped, it leaves the map as it was, and the next value has the handle.
#[must_use = "without an insertion the map is as it was"]
pub struct VacantEntry<'m, T, A: Allocator> {
    /// Invariant: its free list is not empty.
    map: &'m mut SlotMap<T, A>,
    /// What the value at the head of the free list will have.
    handle: Handle,
}

impl<T, A: Allocator + Copy> SlotMap<T, A> {
    /// Returns the place of the next value, whose handle is known before the value is built. Constant but
    /// when the map is full, as [`insert`](Self::insert).
    ///
    /// ```
    /// use alloc_core::Global;
    /// use alloc_pool::{Handle, SlotMap};
    ///
    /// struct Node { me: Handle, name: &'static str }
    ///
    /// let mut nodes = SlotMap::over(Global);
    /// let place = nodes.vacant_entry()?;
    /// let me = place.handle();
    /// place.insert(Node { me, name: "root" });
    /// assert!(nodes[me].me == me && nodes[me].name == "root");
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocError`] if there is no memory for a value; the map is as it was.
    pub fn vacant_entry(&mut self) -> Result<VacantEntry<'_, T, A>, AllocError> {
        if self.free == NONE as usize {
            rare();
            self.add_entries()?;
        }
        let index = self.free as u32;
        // SAFETY: an entry of the free list, so below `used`.
        let generation = unsafe { self.used_entry_mut(index) }.generation | 1;
        // SAFETY: it is odd.
        let handle = Handle { index, generation: unsafe { NonZero::new_unchecked(generation) } };
        Ok(VacantEntry { map: self, handle })
    }
}

impl<'m, T, A: Allocator + Copy> VacantEntry<'m, T, A> {
    /// Returns the handle that the value will have.
    #[inline]
    pub const fn handle(&self) -> Handle {
        self.handle
    }

    /// Puts the value in; returns it to change.
    #[inline]
    pub fn insert(self, value: T) -> &'m mut T {
        // SAFETY: the free list is not empty (invariant).
        let handle = unsafe { self.map.fill(value) };
        // SAFETY: it was just filled, so it is below `used`.
        let entry = unsafe { self.map.used_entry_mut(handle.index) };
        // SAFETY: as above: it holds a value (invariant 6).
        let value: &mut ManuallyDrop<T> = unsafe { &mut entry.content.value };
        value
    }
}

impl<T, A: Allocator> fmt::Debug for VacantEntry<'_, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VacantEntry").field("handle", &self.handle).finish_non_exhaustive()
    }
}
