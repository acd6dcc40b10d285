//! How much of the backing an arena may have.

use core::cell::Cell;

use alloc_core::{AllocError, Allocator};

use crate::Arena;

impl<A: Allocator> Arena<A> {
    /// The same arena, which refuses a request if its chunks would have more than `bytes` together. See
    /// [`set_limit`](Self::set_limit).
    #[inline]
    #[must_use]
    pub const fn with_limit(mut self, bytes: usize) -> Self {
        self.reserved_max = Cell::new(bytes);
        self
    }

    /// Changes how many bytes of the backing the chunks may have together, headers included; those of the
    /// large blocks of a [`HeapArena`](crate::HeapArena) count, too. `usize::MAX` is no limit. What is there
    /// already stays, also if it is more.
    ///
    /// ```
    /// use alloc_arena::Arena;
    ///
    /// let arena = Arena::new().with_limit(4096);
    /// assert!(arena.put([0u8; 5000]).is_err());
    /// arena.set_limit(1 << 20);
    /// assert!(arena.put([0u8; 5000]).is_ok());
    /// ```
    pub fn set_limit(&self, bytes: usize) {
        self.reserved_max.set(bytes);
    }

    /// Returns how many bytes the chunks may have together; `usize::MAX` if there is no limit.
    pub fn limit(&self) -> usize {
        self.reserved_max.get()
    }

    /// `like`, or as much of it as the limit allows, if that is at least `needed`; more than the limit
    /// allows otherwise.
    pub(crate) fn within_limit(&self, like: usize, needed: usize) -> usize {
        let left = self.reserved_max.get().saturating_sub(self.reserved.get());
        like.min(left).max(needed)
    }

    /// Counts `bytes` that will be requested of the backing, if the limit allows them.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), AllocError> {
        let reserved = self.reserved.get().checked_add(bytes).ok_or(AllocError)?;
        // No more than before may be more than a limit that came later.
        if bytes != 0 && self.reserved_max.get() < reserved {
            return Err(AllocError);
        }
        self.reserved.set(reserved);
        Ok(())
    }

    /// Forgets `bytes` that were counted by [`charge`](Self::charge): the backing refused them, or has them
    /// again.
    pub(crate) fn discharge(&self, bytes: usize) {
        self.reserved.set(self.reserved.get() - bytes);
    }
}
