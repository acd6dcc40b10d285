//! Values in an arena whose drop runs.

use core::borrow::{Borrow, BorrowMut};
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// Owns a value in an arena, and drops it; the memory stays the arena's. One word, or two for a slice.
///
/// ```
/// use alloc_arena::Arena;
///
/// let arena = Arena::new();
/// let name = arena.put_box(String::from("on the heap"))?;
/// drop(name); // the string's own memory is freed
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// It does not outlive the arena, nor its scope:
///
/// ```compile_fail,E0505
/// # use alloc_arena::Arena;
/// let arena = Arena::new();
/// let name = arena.put_box(String::new()).unwrap();
/// drop(arena);
/// drop(name);
/// ```
pub struct ArenaBox<'a, T: ?Sized> {
    /// Invariant: what a `&'a mut T` points to that nobody else has; the value is valid until the drop.
    ptr: NonNull<T>,
    _owns: PhantomData<(&'a T, T)>,
}

// SAFETY: it is its value; the memory around that is used by nobody else.
unsafe impl<T: ?Sized + Send> Send for ArenaBox<'_, T> {}
// SAFETY: a shared one gives out `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for ArenaBox<'_, T> {}

impl<'a, T: ?Sized> ArenaBox<'a, T> {
    /// Owns the value behind a reference of an arena, which nobody drops.
    pub(crate) fn from_mut(value: &'a mut T) -> Self {
        Self { ptr: NonNull::from(value), _owns: PhantomData }
    }

    /// Takes ownership of a value.
    ///
    /// # Safety
    ///
    /// `ptr` points to a valid `T`, which nobody else uses or owns for `'a`.
    pub const unsafe fn from_raw(ptr: NonNull<T>) -> Self {
        Self { ptr, _owns: PhantomData }
    }

    /// Gives up ownership: nobody drops the value, unless the caller does.
    #[inline]
    pub fn into_raw(this: Self) -> NonNull<T> {
        ManuallyDrop::new(this).ptr
    }

    /// Gives up ownership for good: the value lives as long as the arena is borrowed, and its drop does
    /// not run.
    #[inline]
    pub fn leak(this: Self) -> &'a mut T {
        // SAFETY: the invariant; `this` is gone, so nobody else reaches it.
        unsafe { &mut *Self::into_raw(this).as_ptr() }
    }
}

impl<T> ArenaBox<'_, T> {
    /// Returns the value.
    #[inline]
    pub fn into_inner(this: Self) -> T {
        // SAFETY: valid (invariant); `into_raw` gave up the ownership, so it is moved out once.
        unsafe { Self::into_raw(this).read() }
    }
}

impl<T: ?Sized> Drop for ArenaBox<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: valid and owned by nobody else (invariant).
        unsafe { self.ptr.drop_in_place() };
    }
}

impl<T: ?Sized> Deref for ArenaBox<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: valid, and written through `&mut self` only (invariant).
        unsafe { self.ptr.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for ArenaBox<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: valid, and nobody else reaches it (invariant).
        unsafe { self.ptr.as_mut() }
    }
}

impl<T: ?Sized> AsRef<T> for ArenaBox<'_, T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: ?Sized> AsMut<T> for ArenaBox<'_, T> {
    fn as_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: ?Sized> Borrow<T> for ArenaBox<'_, T> {
    fn borrow(&self) -> &T {
        self
    }
}

impl<T: ?Sized> BorrowMut<T> for ArenaBox<'_, T> {
    fn borrow_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ArenaBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for ArenaBox<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + PartialEq> PartialEq for ArenaBox<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Eq> Eq for ArenaBox<'_, T> {}

impl<T: ?Sized + PartialOrd> PartialOrd for ArenaBox<'_, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: ?Sized + Ord> Ord for ArenaBox<'_, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: ?Sized + Hash> Hash for ArenaBox<'_, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: ?Sized + Iterator> Iterator for ArenaBox<'_, T> {
    type Item = T::Item;

    fn next(&mut self) -> Option<T::Item> {
        (**self).next()
    }
}

/// Writes the methods that put values into something whose drop runs, as `impl_values` does.
macro_rules! impl_boxes {
    (impl[$($generics:tt)*] $type:ty, $self:ident => $source:expr, $lifetime:lifetime) => {
        /// # Values with a drop
        ///
        /// Each has an owner, which runs it.
        impl<$($generics)*> $type {
            /// As [`put`](Self::put), for a value that may have a drop: its owner runs it. See
            /// [`ArenaBox`](crate::ArenaBox).
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had; the value is dropped then.
            #[inline]
            pub fn put_box<T>(
                &$self,
                value: T,
            ) -> Result<$crate::ArenaBox<$lifetime, T>, AllocError> {
                match $crate::values::room($source) {
                    Ok(place) => Ok($crate::ArenaBox::from_mut(place.write(value))),
                    Err(error) => Err(error),
                }
            }

            /// As [`put_iter`](Self::put_iter), for items that may have a drop: their owner runs it.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had or the size overflows; the items so far are dropped
            /// then.
            ///
            /// # Panics
            ///
            /// If the iterator does; the items so far are dropped.
            pub fn put_box_iter<T>(
                &$self,
                items: impl IntoIterator<Item = T>,
            ) -> Result<$crate::ArenaBox<$lifetime, [T]>, AllocError> {
                $crate::values::collect($source, items.into_iter()).map($crate::ArenaBox::from_mut)
            }


            /// As [`put_with`](Self::put_with), for a value that may have a drop: its owner runs it.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had; `value` is not called then.
            #[inline]
            pub fn put_box_with<T>(
                &$self,
                value: impl FnOnce() -> T,
            ) -> Result<$crate::ArenaBox<$lifetime, T>, AllocError> {
                match $crate::values::room($source) {
                    Ok(place) => Ok($crate::ArenaBox::from_mut(place.write(value()))),
                    Err(error) => Err(error),
                }
            }

            /// As [`put_try_iter`](Self::put_try_iter), for items that may have a drop: their owner runs it.
            ///
            /// ```
            /// use alloc_arena::Arena;
            /// use alloc_core::AllocError;
            ///
            /// let arena = Arena::new();
            /// let names = ["a", "b"].map(|name| Ok::<_, AllocError>(String::from(name)));
            /// assert_eq!(arena.put_box_try_iter(names)?.concat(), "ab");
            /// # Ok::<(), AllocError>(())
            /// ```
            ///
            /// # Errors
            ///
            /// That of an item, or [`AllocError`] if no memory can be had or the size overflows; the items so
            /// far are dropped, and their memory goes back where it is the last.
            ///
            /// # Panics
            ///
            /// If the iterator does; the items so far are dropped.
            pub fn put_box_try_iter<T, E: From<AllocError>>(
                &$self,
                items: impl IntoIterator<Item = Result<T, E>>,
            ) -> Result<$crate::ArenaBox<$lifetime, [T]>, E> {
                $crate::values::collect_results($source, items.into_iter())
                    .map($crate::ArenaBox::from_mut)
            }
        }
    };
}
pub(crate) use impl_boxes;
