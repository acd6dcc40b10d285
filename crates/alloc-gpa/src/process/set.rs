//! A set of numbers in memory of its own: what was written already.

use core::ptr::NonNull;

use crate::sys::pages;

/// Numbers above 0. It grows by mapping twice the room; when the system refuses, it forgets, and what
/// was written is written again.
pub(super) struct IdSet {
    /// `capacity` numbers, 0 where there is none; none if nothing is mapped.
    ///
    /// Invariant: a mapping of that length that only this value uses.
    slots: Option<NonNull<u32>>,
    /// A power of two.
    capacity: usize,
    count: usize,
}

// SAFETY: the mapping belongs to the value alone and is bound to no thread.
unsafe impl Send for IdSet {}

const CAPACITY_FIRST: usize = 1024;

impl IdSet {
    pub(super) const fn new() -> Self {
        Self { slots: None, capacity: 0, count: 0 }
    }

    /// Enters a number; returns whether it is new.
    pub(super) fn insert(&mut self, id: u32) -> bool {
        if id == 0 {
            return false;
        }
        if self.capacity * 3 <= self.count * 4 {
            self.grow();
        }
        Self::insert_into(self.slots_mut(), id)
            .inspect(|new| self.count += usize::from(*new))
            .unwrap_or(true)
    }

    /// Removes everything.
    pub(super) fn clear(&mut self) {
        self.slots_mut().fill(0);
        self.count = 0;
    }

    /// Enters a number where there is room: whether it is new; `None` without room.
    fn insert_into(slots: &mut [u32], id: u32) -> Option<bool> {
        let mask = slots.len().checked_sub(1)?;
        let first = (id.wrapping_mul(0x9e37_79b9) >> 7) as usize;
        for step in 0..slots.len() {
            let slot = &mut slots[(first + step) & mask];
            if *slot == 0 {
                *slot = id;
                return Some(true);
            }
            if *slot == id {
                return Some(false);
            }
        }
        None
    }

    fn slots_mut(&mut self) -> &mut [u32] {
        match self.slots {
            // SAFETY: invariant on `slots`; zeroes are valid numbers, and `&mut self` is exclusive.
            Some(slots) => unsafe { NonNull::slice_from_raw_parts(slots, self.capacity).as_mut() },
            None => &mut [],
        }
    }

    fn grow(&mut self) {
        let capacity = (self.capacity * 2).max(CAPACITY_FIRST);
        let Some(slots) = pages::map(capacity * size_of::<u32>()) else {
            self.clear();
            return;
        };
        let (slots, len) = (slots.cast::<u32>(), self.capacity);
        // SAFETY: a fresh mapping of that length, aligned to a page, all zero.
        let new = unsafe { NonNull::slice_from_raw_parts(slots, capacity).as_mut() };
        for id in self.slots_mut().iter().filter(|id| **id != 0) {
            let _ = Self::insert_into(new, *id);
        }
        if let Some(old) = self.slots.replace(slots) {
            // SAFETY: invariant on `slots`; nobody uses the old one any more.
            unsafe { pages::unmap(old.cast(), len * size_of::<u32>()) };
        }
        self.capacity = capacity;
    }
}

#[cfg(test)]
mod tests {
    use super::IdSet;

    #[test]
    fn each_number_is_new_once() {
        let mut set = IdSet::new();
        for _ in 0..2 {
            assert!(!set.insert(0));
            for id in 1..5000 {
                assert!(set.insert(id * 8), "{id}");
            }
            for id in 1..5000 {
                assert!(!set.insert(id * 8), "{id}");
            }
            set.clear();
        }
    }
}
