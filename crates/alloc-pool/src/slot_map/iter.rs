//! The values of a slot map, one after the other.

use core::fmt;
use core::iter::{Enumerate, FusedIterator};
use core::panic::Location;
use core::slice;

use alloc_core::Allocator;

use super::{Entry, Handle, SlotMap};

/// Every value of a [`SlotMap`] with its handle: [`SlotMap::iter`].
pub struct Iter<'m, T> {
    entries: Enumerate<slice::Iter<'m, Entry<T>>>,
    /// How many of them hold a value.
    left: usize,
}

/// Every value of a [`SlotMap`] to change, with its handle: [`SlotMap::iter_mut`].
pub struct IterMut<'m, T> {
    entries: Enumerate<slice::IterMut<'m, Entry<T>>>,
    /// How many of them hold a value.
    left: usize,
}

/// Takes every value out of a [`SlotMap`]: [`SlotMap::drain`]. Those that are left are dropped with it.
#[must_use = "the values are dropped"]
pub struct Drain<'m, T, A: Allocator> {
    map: &'m mut SlotMap<T, A>,
    /// Places that were not looked at.
    front: u32,
    back: u32,
    /// Who removes the values.
    site: &'static Location<'static>,
}

/// Every value of a [`SlotMap`] that is used up: by [`into_iter`](SlotMap::into_iter). Those that are left are
/// dropped with it.
#[must_use = "the values are dropped"]
pub struct IntoIter<T, A: Allocator> {
    map: SlotMap<T, A>,
    /// Places that were not looked at.
    front: u32,
    back: u32,
    site: &'static Location<'static>,
}

impl<T, A: Allocator> SlotMap<T, A> {
    /// Every value with its handle, in the order of their places. Takes time for each place that was ever
    /// used.
    ///
    /// ```
    /// # use alloc_core::Global;
    /// let mut map = alloc_pool::SlotMap::over(Global);
    /// for number in [1, 2, 3] {
    ///     map.insert(number).map_err(|(_, error)| error)?;
    /// }
    /// assert!(map.iter().all(|(handle, number)| map[handle] == *number));
    /// assert_eq!(map.iter().rev().map(|(_, number)| number).collect::<Vec<_>>(), [&3, &2, &1]);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { entries: self.entries().iter().enumerate(), left: self.count }
    }

    /// Every value to change, with its handle, in the order of their places.
    pub fn iter_mut(&mut self) -> IterMut<'_, T> {
        let left = self.count;
        IterMut { entries: self.entries_mut().iter_mut().enumerate(), left }
    }

    /// Every handle, in the order of the places.
    pub fn handles(&self) -> impl DoubleEndedIterator<Item = Handle> + ExactSizeIterator {
        self.iter().map(|(handle, _)| handle)
    }

    /// Every value, in the order of their places.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.iter().map(|(_, value)| value)
    }

    /// Every value to change, in the order of their places.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> + ExactSizeIterator {
        self.iter_mut().map(|(_, value)| value)
    }

    /// Takes every value out, in the order of their places; the memory stays for the next ones. What is not
    /// taken is dropped with the iterator; where that is leaked, it stays in the map.
    ///
    /// ```
    /// # use alloc_core::Global;
    /// let mut map = alloc_pool::SlotMap::over(Global);
    /// let handle = map.insert("a").map_err(|(_, error)| error)?;
    /// map.insert("b").map_err(|(_, error)| error)?;
    /// let values: Vec<_> = map.drain().map(|(_, value)| value).collect();
    /// assert_eq!(values, ["a", "b"]);
    /// assert!(map.is_empty() && !map.contains(handle));
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    #[track_caller]
    pub fn drain(&mut self) -> Drain<'_, T, A> {
        Drain { front: 0, back: self.used, map: self, site: Location::caller() }
    }

    /// Drops every value. Their handles are stale; the memory stays for the next ones. A value whose drop
    /// panics keeps no other from being dropped.
    #[track_caller]
    pub fn clear(&mut self) {
        drop(self.drain());
    }

    /// The handle of the first value from `front` to before `back`.
    fn first_handle(&self, front: u32, back: u32) -> Option<Handle> {
        (front..back).find_map(|index| self.entry(index)?.handle(index))
    }

    /// The handle of the last value there.
    fn last_handle(&self, front: u32, back: u32) -> Option<Handle> {
        (front..back).rev().find_map(|index| self.entry(index)?.handle(index))
    }
}

/// Writes what an iterator has that lends the values of a map: to look at, or with `mut` to change.
macro_rules! lending {
    ($name:ident $($mut:tt)?) => {
        impl<'m, T> $name<'m, T> {
            #[inline]
            fn item(
                &mut self,
                place: (usize, &'m $($mut)? Entry<T>),
            ) -> Option<(Handle, &'m $($mut)? T)> {
                let (index, entry) = place;
                let handle = entry.handle(index as u32)?;
                self.left -= 1;
                // SAFETY: it has a handle, so it holds a value (invariant 6).
                Some((handle, unsafe { &$($mut)? entry.content.value }))
            }
        }

        impl<'m, T> Iterator for $name<'m, T> {
            type Item = (Handle, &'m $($mut)? T);

            #[inline]
            fn next(&mut self) -> Option<Self::Item> {
                loop {
                    let place = self.entries.next()?;
                    if let item @ Some(_) = self.item(place) {
                        return item;
                    }
                }
            }

            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                (self.left, Some(self.left))
            }
        }

        impl<T> DoubleEndedIterator for $name<'_, T> {
            #[inline]
            fn next_back(&mut self) -> Option<Self::Item> {
                loop {
                    let place = self.entries.next_back()?;
                    if let item @ Some(_) = self.item(place) {
                        return item;
                    }
                }
            }
        }

        impl<T> ExactSizeIterator for $name<'_, T> {}
        impl<T> FusedIterator for $name<'_, T> {}
    };
}

lending!(Iter);
lending!(IterMut mut);

/// Writes what an iterator has that takes the values out of its map.
macro_rules! taking {
    ([$($generics:tt)*] $name:ty) => {
        impl<$($generics)* T, A: Allocator> Iterator for $name {
            type Item = (Handle, T);

            fn next(&mut self) -> Option<Self::Item> {
                let handle = self.map.first_handle(self.front, self.back)?;
                self.front = handle.index + 1;
                Some((handle, self.map.take(handle, self.site)?))
            }

            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                (self.map.len(), Some(self.map.len()))
            }
        }

        impl<$($generics)* T, A: Allocator> DoubleEndedIterator for $name {
            fn next_back(&mut self) -> Option<Self::Item> {
                let handle = self.map.last_handle(self.front, self.back)?;
                self.back = handle.index;
                Some((handle, self.map.take(handle, self.site)?))
            }
        }

        impl<$($generics)* T, A: Allocator> ExactSizeIterator for $name {}
        impl<$($generics)* T, A: Allocator> FusedIterator for $name {}

        impl<$($generics)* T, A: Allocator> fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("left", &self.map.len()).finish()
            }
        }
    };
}

taking!(['m,] Drain<'m, T, A>);
taking!([] IntoIter<T, A>);

impl<T> Clone for Iter<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), left: self.left }
    }
}

impl<T: fmt::Debug> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

impl<T> fmt::Debug for IterMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IterMut").field("left", &self.left).finish()
    }
}

/// Drops the values that are left, also those behind one whose drop panics.
impl<T, A: Allocator> Drop for Drain<'_, T, A> {
    fn drop(&mut self) {
        /// Goes on where a drop panicked.
        struct Rest<'d, 'm, T, A: Allocator>(&'d mut Drain<'m, T, A>);

        impl<T, A: Allocator> Drop for Rest<'_, '_, T, A> {
            fn drop(&mut self) {
                self.0.by_ref().for_each(drop);
            }
        }

        let rest = Rest(self);
        rest.0.by_ref().for_each(drop);
    }
}

impl<'m, T, A: Allocator> IntoIterator for &'m SlotMap<T, A> {
    type Item = (Handle, &'m T);
    type IntoIter = Iter<'m, T>;

    fn into_iter(self) -> Iter<'m, T> {
        self.iter()
    }
}

impl<'m, T, A: Allocator> IntoIterator for &'m mut SlotMap<T, A> {
    type Item = (Handle, &'m mut T);
    type IntoIter = IterMut<'m, T>;

    fn into_iter(self) -> IterMut<'m, T> {
        self.iter_mut()
    }
}

impl<T, A: Allocator> IntoIterator for SlotMap<T, A> {
    type Item = (Handle, T);
    type IntoIter = IntoIter<T, A>;

    #[track_caller]
    fn into_iter(self) -> IntoIter<T, A> {
        IntoIter { front: 0, back: self.used, map: self, site: Location::caller() }
    }
}
