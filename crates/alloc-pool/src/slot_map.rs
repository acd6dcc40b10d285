//! Values behind handles that know when they are stale.

use core::fmt;
use core::hint;
use core::mem::{self, ManuallyDrop, MaybeUninit};
use core::num::NonZero;
use core::panic::Location;

use alloc_core::{AllocError, Allocator, AllocatorExt, CHECKED, Owned};

use crate::rare;

mod bulk;
mod iter;
mod vacant;

pub use iter::{Drain, IntoIter, Iter, IterMut};
pub use vacant::VacantEntry;

/// Names a value of a [`SlotMap`]. Eight bytes, `Option` of it too; of no meaning to another map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle {
    index: u32,
    /// Invariant: odd: the generation of the entry while it holds the value.
    generation: NonZero<u32>,
}

impl Handle {
    /// Returns the handle as a number, for C or for a file.
    #[inline]
    pub const fn to_bits(self) -> u64 {
        (self.generation.get() as u64) << 32 | self.index as u64
    }

    /// Returns the handle that became this number; `None` if none can have. One of a number that was made up
    /// leads to nothing, or to a value that is there, as another map's handle does.
    #[inline]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        match NonZero::new((bits >> 32) as u32) {
            Some(generation) if generation.get() % 2 == 1 => {
                Some(Self { index: bits as u32, generation })
            }
            _ => None,
        }
    }
}

/// What an entry holds: a value, or the next free entry.
union Content<T> {
    value: ManuallyDrop<T>,
    next: u32,
}

struct Entry<T> {
    content: Content<T>,
    /// Odd while there is a value; one more with each insertion and removal. Invariant 6 of the crate.
    generation: u32,
    /// Who removed the last value; kept in builds of the mode `check`.
    removed: [Option<&'static Location<'static>>; CHECKED as usize],
}

/// No entry.
const NONE: u32 = u32::MAX;

/// Values behind handles: a handle whose value was removed, and whose place may hold another one since,
/// leads to nothing.
///
/// Costs: all constant, but `insert` when the map is full, which moves all values. An entry whose
/// generations are used up (2^31 values later) is never used again, and its memory is lost to the map.
///
/// ```
/// use alloc_core::Global;
/// use alloc_pool::SlotMap;
///
/// let mut sessions = SlotMap::over(Global);
/// let anna = sessions.insert("Anna").map_err(|(_, error)| error)?;
/// assert_eq!(sessions.remove(anna), Some("Anna"));
/// let bert = sessions.insert("Bert").map_err(|(_, error)| error)?; // where Anna was
/// assert_eq!(sessions.get(anna), None);
/// assert_eq!(sessions[bert], "Bert");
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
pub struct SlotMap<T, A: Allocator> {
    /// Invariant: there are `capacity` entries, and the first `used` are initialised. `None`: there is no
    /// memory yet, and the capacity is zero.
    entries: Option<Owned<[MaybeUninit<Entry<T>>], A>>,
    capacity: u32,
    used: u32,
    /// The first free entry, below `used`; or `NONE`. As wide as a pointer, so that widening it, for each
    /// value, costs nothing.
    free: usize,
    count: usize,
    /// Entries whose generations are used up.
    retired: u32,
    /// What an entry begins with. Invariant: even, and not below the generation of any entry that there was
    /// at its place before [`shrink_to_fit`](Self::shrink_to_fit): handles never repeat.
    first_generation: u32,
    backing: A,
}

impl<T, A: Allocator + Copy> SlotMap<T, A> {
    /// Makes a map over a backing allocator. Takes no memory before the first value.
    #[inline]
    pub const fn over(backing: A) -> Self {
        Self {
            entries: None,
            capacity: 0,
            used: 0,
            free: NONE as usize,
            count: 0,
            retired: 0,
            first_generation: 0,
            backing,
        }
    }

    /// Puts a value in; returns its handle.
    ///
    /// # Errors
    ///
    /// The value, and [`AllocError`] if there is no memory for it; the map is as it was.
    #[inline]
    pub fn insert(&mut self, value: T) -> Result<Handle, (T, AllocError)> {
        if self.free == NONE as usize {
            rare();
            if let Err(error) = self.add_entries() {
                return Err((value, error));
            }
        }
        // SAFETY: the list is not empty, or entries were added to it.
        Ok(unsafe { self.fill(value) })
    }

    /// Puts a value into the first free entry.
    ///
    /// # Safety
    ///
    /// There is one: `free` is not `NONE`.
    #[inline]
    unsafe fn fill(&mut self, value: T) -> Handle {
        let index = self.free;
        // SAFETY: not `NONE` (contract), so below `used`, which is a `u32`.
        unsafe { hint::assert_unchecked(index <= u32::MAX as usize) };
        let index = index as u32;
        // SAFETY: below `used`, as above.
        let entry = unsafe { self.used_entry_mut(index) };
        // SAFETY: invariant 6: an entry of the free list holds no value, but `next`.
        let next = unsafe { entry.content.next };
        entry.content.value = ManuallyDrop::new(value);
        // The generation of a free entry is even (invariant 6): this is one more.
        let generation = entry.generation | 1;
        entry.generation = generation;
        self.free = next as usize;
        self.count += 1;
        // SAFETY: it is odd.
        Handle { index, generation: unsafe { NonZero::new_unchecked(generation) } }
    }

    /// Gets memory for `count` more values.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if there is none; the map is as it was.
    pub fn reserve(&mut self, count: usize) -> Result<(), AllocError> {
        let needed = self.count.checked_add(self.retired as usize).ok_or(AllocError)?;
        let needed = needed.checked_add(count).ok_or(AllocError)?;
        if needed <= self.capacity as usize {
            return Ok(());
        }
        self.grow(needed)
    }

    /// Puts entries that were never used into the free list, which is empty: several, so that it is
    /// called rarely, but not all, so that memory is touched as it is needed.
    #[cold]
    #[inline(never)]
    fn add_entries(&mut self) -> Result<(), AllocError> {
        /// Under Miri few, so that short tests come here several times.
        const COUNT_MAX: u32 = if cfg!(miri) { 3 } else { 64 };
        if self.used == self.capacity {
            self.grow_slow()?;
        }
        let Some(entries) = self.entries.as_mut() else { return Err(AllocError) };
        let (first, generation) = (self.used, self.first_generation);
        let end = self.capacity.min(first.saturating_add(COUNT_MAX));
        let Some(fresh) = entries.get_mut(first as usize..end as usize) else {
            return Err(AllocError);
        };
        for (entry, next) in fresh.iter_mut().zip(first + 1..) {
            let content = Content { next };
            entry.write(Entry { content, generation, removed: [None; _] });
        }
        if let Some(last) = fresh.last_mut() {
            let content = Content { next: NONE };
            last.write(Entry { content, generation, removed: [None; _] });
        }
        self.free = first as usize;
        self.used = end;
        Ok(())
    }

    /// Makes room for more entries than are used, which is all that there is room for.
    #[cold]
    #[inline(never)]
    fn grow_slow(&mut self) -> Result<(), AllocError> {
        /// `NONE` is no index. With so many entries `grow` refuses.
        const CAPACITY_MAX: usize = NONE as usize - 1;
        let capacity = self.capacity as usize;
        let doubled = capacity.saturating_mul(2).max(8);
        // A backing that cannot double the entries may have room for one more.
        self.grow(doubled.min(CAPACITY_MAX.max(capacity + 1))).or_else(|_| self.grow(capacity + 1))
    }

    /// Makes room for `capacity` entries in all, which is not fewer than were ever used.
    fn grow(&mut self, capacity: usize) -> Result<(), AllocError> {
        // `NONE` is no index.
        let count =
            u32::try_from(capacity).ok().filter(|&count| count != NONE).ok_or(AllocError)?;
        let entries = match self.entries.take() {
            None => self.backing.alloc(capacity)?,
            Some(entries) => match self.backing.realloc(entries, capacity) {
                Ok(entries) => entries,
                Err((entries, error)) => {
                    self.entries = Some(entries);
                    return Err(error);
                }
            },
        };
        self.entries = Some(entries);
        self.capacity = count;
        Ok(())
    }
}

impl<T, A: Allocator> SlotMap<T, A> {
    /// Returns how many values there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no value.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns for how many values there is memory, those that there are included.
    #[inline]
    pub const fn capacity(&self) -> usize {
        (self.capacity - self.retired) as usize
    }

    /// Whether the handle leads to a value.
    #[inline]
    pub fn contains(&self, handle: Handle) -> bool {
        self.get(handle).is_some()
    }

    /// Returns the value; `None` if it was removed.
    #[inline]
    pub fn get(&self, handle: Handle) -> Option<&T> {
        let entry = self.entry(handle.index)?;
        if entry.generation != handle.generation.get() {
            return None;
        }
        // SAFETY: invariant 6: the generation is odd, as every handle's.
        Some(unsafe { &entry.content.value })
    }

    /// Returns the value to change; `None` if it was removed.
    #[inline]
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let entry = self.entry_mut(handle.index)?;
        if entry.generation != handle.generation.get() {
            return None;
        }
        // SAFETY: invariant 6: the generation is odd, as every handle's.
        Some(unsafe { &mut entry.content.value })
    }

    /// Takes the value out; `None` if it was removed before. From now on its handle is stale.
    #[inline]
    #[track_caller]
    pub fn remove(&mut self, handle: Handle) -> Option<T> {
        self.take(handle, Location::caller())
    }

    /// As [`remove`](Self::remove), by whom `site` says.
    #[inline]
    fn take(&mut self, handle: Handle, site: &'static Location<'static>) -> Option<T> {
        let free = self.free as u32;
        let entry = self.entry_mut(handle.index)?;
        if entry.generation != handle.generation.get() {
            return None;
        }
        // The last odd number has no even one behind it: the entry stays out of use, and its
        // generation zero is no handle's.
        let generation = entry.generation.wrapping_add(1);
        entry.generation = generation;
        entry.removed = [Some(site); _];
        let content = mem::replace(&mut entry.content, Content { next: free });
        if generation == 0 {
            self.retire();
        } else {
            self.free = handle.index as usize;
        }
        self.count -= 1;
        // SAFETY: invariant 6: it held a value until now, which nobody else takes: the content was
        // replaced.
        Some(ManuallyDrop::into_inner(unsafe { content.value }))
    }

    /// Counts an entry that is never used again. Out of line: for the others one jump that is not taken.
    #[cold]
    #[inline(never)]
    const fn retire(&mut self) {
        self.retired += 1;
    }

    /// Who removed the value that the handle led to, if that is known: in builds of the mode `check`,
    /// until the next value of its place is removed too.
    pub fn removed_by(&self, handle: Handle) -> Option<&'static Location<'static>> {
        let entry = self.entry(handle.index)?;
        // By one: the place is free. By two: another value is there.
        let is_latest = matches!(entry.generation.wrapping_sub(handle.generation.get()), 1 | 2);
        entry.removed.first().copied().flatten().filter(|_| is_latest)
    }

    #[inline]
    fn entry(&self, index: u32) -> Option<&Entry<T>> {
        if self.used <= index {
            return None;
        }
        // SAFETY: something lies below `used`, so there is memory (invariant).
        let entries = unsafe { self.entries.as_ref().unwrap_unchecked() };
        // SAFETY: `used` is at most the number of entries (invariant).
        let entry = unsafe { entries.get_unchecked(index as usize) };
        // SAFETY: the first `used` entries are initialised (invariant).
        Some(unsafe { entry.assume_init_ref() })
    }

    #[inline]
    fn entry_mut(&mut self, index: u32) -> Option<&mut Entry<T>> {
        if self.used <= index {
            return None;
        }
        // SAFETY: compared above.
        Some(unsafe { self.used_entry_mut(index) })
    }

    /// # Safety
    ///
    /// The index is below `used`.
    #[inline]
    unsafe fn used_entry_mut(&mut self, index: u32) -> &mut Entry<T> {
        alloc_core::check!(index < self.used, "entry {index} of {}", self.used);
        // SAFETY: something lies below `used`, so there is memory (invariant).
        let entries = unsafe { self.entries.as_mut().unwrap_unchecked() };
        // SAFETY: `used` is at most the number of entries (invariant).
        let entry = unsafe { entries.get_unchecked_mut(index as usize) };
        // SAFETY: the first `used` entries are initialised (invariant).
        unsafe { entry.assume_init_mut() }
    }
}

impl<T> Entry<T> {
    #[inline]
    const fn is_taken(&self) -> bool {
        self.generation % 2 == 1
    }

    /// The handle of the value; `None` if there is none.
    #[inline]
    fn handle(&self, index: u32) -> Option<Handle> {
        let generation = NonZero::new(self.generation).filter(|_| self.is_taken())?;
        Some(Handle { index, generation })
    }
}

impl<T, A: Allocator> core::ops::Index<Handle> for SlotMap<T, A> {
    type Output = T;

    /// Returns the value.
    ///
    /// # Panics
    ///
    /// If the handle is stale; says who removed the value, if that is known.
    #[inline]
    #[track_caller]
    fn index(&self, handle: Handle) -> &T {
        match self.get(handle) {
            Some(value) => value,
            None => panic_on_stale(handle, self.removed_by(handle)),
        }
    }
}

impl<T, A: Allocator> core::ops::IndexMut<Handle> for SlotMap<T, A> {
    /// Returns the value to change.
    ///
    /// # Panics
    ///
    /// If the handle is stale, as for `index`.
    #[inline]
    #[track_caller]
    fn index_mut(&mut self, handle: Handle) -> &mut T {
        let site = self.removed_by(handle);
        match self.get_mut(handle) {
            Some(value) => value,
            None => panic_on_stale(handle, site),
        }
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn panic_on_stale(handle: Handle, site: Option<&'static Location<'static>>) -> ! {
    match site {
        Some(site) => panic!("{handle:?} is stale: its value was removed at {site}"),
        None => panic!("{handle:?} leads to no value"),
    }
}

/// Drops every value, also those behind one whose drop panics.
impl<T, A: Allocator> Drop for SlotMap<T, A> {
    fn drop(&mut self) {
        if mem::needs_drop::<T>() {
            Rest { map: self, index: 0 }.drop_values();
        }
    }
}

/// The values of a map from one place on, which are being dropped. It drops those that are left itself, if
/// the drop of one panics.
struct Rest<'m, T, A: Allocator> {
    map: &'m mut SlotMap<T, A>,
    index: u32,
}

impl<T, A: Allocator> Rest<'_, T, A> {
    fn drop_values(&mut self) {
        while let Some(entry) = self.map.entry_mut(self.index) {
            // Before the drop, which may panic: nothing is dropped twice.
            self.index += 1;
            if !entry.is_taken() {
                continue;
            }
            // SAFETY: invariant 6: it holds a value.
            let value = unsafe { &mut entry.content.value };
            // SAFETY: nobody reaches it any more: the map is being dropped, and this place is behind.
            unsafe { ManuallyDrop::drop(value) };
        }
    }
}

impl<T, A: Allocator> Drop for Rest<'_, T, A> {
    fn drop(&mut self) {
        self.drop_values();
    }
}

impl<T: fmt::Debug, A: Allocator> fmt::Debug for SlotMap<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use alloc_core::FromGlobal;
    use std::alloc::System;

    use super::*;

    /// The last generation of an entry: its value is dropped with the map, and once removed the entry is
    /// never used again.
    #[test]
    fn an_entry_that_is_used_up_stays_out_of_use() {
        let value = Rc::new(());
        for is_removed in [false, true] {
            let mut map = SlotMap::over(FromGlobal::new(System));
            let first = map.insert(value.clone()).expect("there is memory");
            map.remove(first);
            map.entry_mut(first.index).expect("it was used").generation = u32::MAX - 1;
            let last = map.insert(value.clone()).expect("there is memory");
            assert_eq!((last.index, last.generation.get()), (first.index, u32::MAX));
            if is_removed {
                assert!(map.remove(last).is_some());
                let other = map.insert(value.clone()).expect("there is memory");
                assert_ne!(other.index, last.index);
                assert!(map.get(last).is_none() && map.get(first).is_none());
                assert_eq!(map.removed_by(last).is_some(), CHECKED);
                // What is used up is not counted, and room is still room.
                map.reserve(100).expect("there is memory");
                let capacity = map.capacity();
                for _ in 0..100 {
                    map.insert(value.clone()).expect("there is memory");
                }
                assert_eq!((map.capacity(), map.len()), (capacity, 101));
                // Nor does it come back with the memory of those behind it.
                map.clear();
                map.shrink_to_fit().expect("there is memory");
                assert_eq!((map.capacity(), map.used), (0, last.index + 1));
                let other = map.insert(value.clone()).expect("there is memory");
                assert!(last.index < other.index && !map.contains(last));
            }
            drop(map);
            assert_eq!(Rc::strong_count(&value), 1);
        }
    }

    /// Places that come again after a shrink go on near the last generation, and then go out of use: no handle
    /// comes true again on the way.
    #[test]
    fn the_last_generations_survive_a_shrink() {
        let mut map = SlotMap::over(FromGlobal::new(System));
        let first = map.insert(0).expect("there is memory");
        map.remove(first);
        map.entry_mut(first.index).expect("it was used").generation = u32::MAX - 3;
        let mut seen = std::vec::Vec::new();
        for round in 0..5 {
            map.clear();
            map.shrink_to_fit().expect("there is memory");
            let copy = map.try_clone().expect("there is memory");
            assert_eq!((copy.retired, copy.capacity()), (map.retired, map.capacity()));
            for number in 0..4 {
                let handle = map.insert(number).expect("there is memory");
                assert!(!seen.contains(&handle), "{handle:?} in round {round}");
                assert!(u32::MAX - 2 <= handle.generation.get() && handle != first);
                seen.push(handle);
            }
            assert_eq!((map.len(), map.iter().len(), map.iter().count()), (4, 4, 4));
            assert_eq!(seen.iter().filter(|handle| map.contains(**handle)).count(), 4);
        }
        assert!(4 <= map.retired, "those of the second round are used up");
    }
}
