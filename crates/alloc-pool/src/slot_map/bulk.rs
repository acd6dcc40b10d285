//! What concerns several values, or the memory of all.

use core::mem::ManuallyDrop;
use core::panic::Location;
use core::ptr;

use alloc_core::{AllocError, Allocator};

use super::{Content, Entry, Handle, NONE, SlotMap};

impl<T, A: Allocator> SlotMap<T, A> {
    /// Returns several values to change at once; `None` if one of the handles is stale, or two are the same.
    /// Takes time for each pair of handles.
    ///
    /// ```
    /// # use alloc_core::Global;
    /// let mut map = alloc_pool::SlotMap::over(Global);
    /// let one = map.insert(1).map_err(|(_, error)| error)?;
    /// let two = map.insert(2).map_err(|(_, error)| error)?;
    /// if let Some([one, two]) = map.get_disjoint_mut([one, two]) {
    ///     std::mem::swap(one, two);
    /// }
    /// assert_eq!((map[one], map[two]), (2, 1));
    /// assert_eq!(map.get_disjoint_mut([one, one]), None);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    pub fn get_disjoint_mut<const N: usize>(
        &mut self,
        handles: [Handle; N],
    ) -> Option<[&mut T; N]> {
        for (count, handle) in handles.iter().enumerate() {
            if handles.iter().take(count).any(|other| other.index == handle.index) {
                return None;
            }
            self.get(*handle)?;
        }
        let entries = ptr::from_mut(self.entries_mut()).cast::<Entry<T>>();
        Some(handles.map(|handle| {
            // SAFETY: the handle leads to a value (above), so its entry is one of `entries`.
            let entry = unsafe { entries.add(handle.index as usize) };
            // SAFETY: as above: in bounds and initialised.
            let value = unsafe { &raw mut (*entry).content.value };
            // SAFETY: invariant 6: it holds a value. The map is borrowed uniquely for as long, and no other
            // of the handles has the same index (above), so the references are to different values.
            let value: &mut ManuallyDrop<T> = unsafe { &mut *value };
            &mut **value
        }))
    }

    /// Drops the values for which `keep` returns `false`, in the order of their places. Takes time for each
    /// place that was ever used.
    ///
    /// Where `keep` or a drop panics, the values that were not asked for stay.
    ///
    /// ```
    /// # use alloc_core::Global;
    /// let mut map = alloc_pool::SlotMap::over(Global);
    /// for number in 0..10 {
    ///     map.insert(number).map_err(|(_, error)| error)?;
    /// }
    /// map.retain(|_, number| *number % 3 == 0);
    /// assert!(map.values().eq(&[0, 3, 6, 9]));
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    #[track_caller]
    pub fn retain(&mut self, mut keep: impl FnMut(Handle, &mut T) -> bool) {
        let site = Location::caller();
        for index in 0..self.used {
            let Some(handle) = self.entry(index).and_then(|entry| entry.handle(index)) else {
                continue;
            };
            if self.get_mut(handle).is_some_and(|value| !keep(handle, value)) {
                drop(self.take(handle, site));
            }
        }
    }

    /// The entries that were ever used.
    #[inline]
    pub(super) fn entries(&self) -> &[Entry<T>] {
        match self.entries.as_ref().and_then(|all| all.get(..self.used as usize)) {
            // SAFETY: the first `used` entries are initialised (invariant).
            Some(used) => unsafe { used.assume_init_ref() },
            None => &[],
        }
    }

    /// The entries that were ever used, to change.
    #[inline]
    pub(super) fn entries_mut(&mut self) -> &mut [Entry<T>] {
        match self.entries.as_mut().and_then(|all| all.get_mut(..self.used as usize)) {
            // SAFETY: the first `used` entries are initialised (invariant).
            Some(used) => unsafe { used.assume_init_mut() },
            None => &mut [],
        }
    }
}

impl<T, A: Allocator + Copy> SlotMap<T, A> {
    /// Gives the memory behind the last value back. No value moves to another place, and stale handles stay
    /// stale: a place that comes again goes on from the highest generation of those that went. Places behind the
    /// last one that is used up stay. Takes time for each place that was ever used.
    ///
    /// ```
    /// # use alloc_core::Global;
    /// let mut map = alloc_pool::SlotMap::over(Global);
    /// map.reserve(1000)?;
    /// let handle = map.insert("kept").map_err(|(_, error)| error)?;
    /// map.shrink_to_fit()?;
    /// assert_eq!((map.capacity(), map[handle]), (1, "kept"));
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocError`] if the block cannot shrink where it is and there is no memory for a smaller one; every
    /// value is where it was, and the capacity what it was.
    pub fn shrink_to_fit(&mut self) -> Result<(), AllocError> {
        self.forget_behind_last();
        let used = self.used as usize;
        if used == self.capacity as usize {
            return Ok(());
        }
        if used == 0 {
            self.entries = None;
            self.capacity = 0;
            return Ok(());
        }
        self.grow(used)
    }

    /// Makes the entries behind the last value, and behind those that are used up, entries that were never
    /// used.
    fn forget_behind_last(&mut self) {
        let mut used = self.used;
        let mut generation = self.first_generation;
        while let Some(entry) = used.checked_sub(1).and_then(|last| self.entry(last)) {
            // One that is used up has generation zero, as one has that was never filled: if there is any of
            // the first kind, both stay.
            if entry.is_taken() || (entry.generation == 0 && self.retired != 0) {
                break;
            }
            generation = generation.max(entry.generation);
            used -= 1;
        }
        // Those that stay, in their order.
        let (mut next, mut last) = (self.free, None);
        self.free = NONE as usize;
        while let Some(entry) = u32::try_from(next).ok().and_then(|next| self.entry(next)) {
            // SAFETY: invariant 6: an entry of the free list holds no value, but `next`.
            let after = unsafe { entry.content.next };
            if next < used as usize {
                match last.and_then(|last| self.entry_mut(last)) {
                    Some(last) => last.content = Content { next: next as u32 },
                    None => self.free = next,
                }
                last = Some(next as u32);
            }
            next = after as usize;
        }
        if let Some(last) = last.and_then(|last| self.entry_mut(last)) {
            last.content = Content { next: NONE };
        }
        (self.used, self.first_generation) = (used, generation);
    }

    /// Returns a copy of the map over the same backing. Every handle leads to the same in both, as long as
    /// neither is changed.
    ///
    /// ```
    /// # use alloc_core::Global;
    /// let mut map = alloc_pool::SlotMap::over(Global);
    /// let handle = map.insert(String::from("both")).map_err(|(_, error)| error)?;
    /// let mut copy = map.try_clone()?;
    /// copy[handle].push('!');
    /// assert_eq!((&*map[handle], &*copy[handle]), ("both", "both!"));
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocError`] if there is no memory for it; no value has been cloned then.
    pub fn try_clone(&self) -> Result<Self, AllocError>
    where
        T: Clone,
    {
        let mut copy = Self::over(self.backing);
        if self.used != 0 {
            copy.grow(self.used as usize)?;
        }
        for entry in self.entries() {
            let content = if entry.is_taken() {
                // SAFETY: invariant 6: the generation is odd, so it holds a value.
                let value = unsafe { &entry.content.value };
                // A panic of the clone drops those that are in the copy.
                Content { value: value.clone() }
            } else {
                // SAFETY: it holds no value (invariant 6): `next` was written when it was made, or when its
                // last value was taken.
                Content { next: unsafe { entry.content.next } }
            };
            let (generation, removed) = (entry.generation, entry.removed);
            let place = copy.entries.as_mut().and_then(|all| all.get_mut(copy.used as usize));
            if let Some(place) = place {
                place.write(Entry { content, generation, removed });
                copy.used += 1;
            }
        }
        (copy.free, copy.count) = (self.free, self.count);
        (copy.retired, copy.first_generation) = (self.retired, self.first_generation);
        Ok(copy)
    }
}
