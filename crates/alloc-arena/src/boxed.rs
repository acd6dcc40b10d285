//! Values in an arena whose drop runs.

use core::any::Any;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

mod into_iter;
mod traits;

pub use into_iter::BoxIntoIter;

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
/// Trait objects are made by [`unsize_arena_box!`](crate::unsize_arena_box). It cannot be pinned: a forgotten one's
/// memory comes back at the reset without its drop, which a pin rules out.
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

impl<'a, T> ArenaBox<'a, [T]> {
    /// Splits the items before `mid` from those behind; each part has its own owner.
    ///
    /// # Errors
    ///
    /// The slice, if it has fewer than `mid` items.
    pub fn split_at(this: Self, mid: usize) -> Result<(Self, Self), Self> {
        let Some(rest) = this.len().checked_sub(mid) else { return Err(this) };
        let first = Self::into_raw(this).cast::<T>();
        // SAFETY: `mid` items lie before it (subtracted above).
        let second = unsafe { first.add(mid) };
        // SAFETY: so many of the items that this function had alone, from here on the owner's.
        let first = unsafe { Self::from_raw(NonNull::slice_from_raw_parts(first, mid)) };
        // SAFETY: as above, and no item is in both.
        let second = unsafe { Self::from_raw(NonNull::slice_from_raw_parts(second, rest)) };
        Ok((first, second))
    }
}

impl<'a, T, const N: usize> From<ArenaBox<'a, [T; N]>> for ArenaBox<'a, [T]> {
    #[inline]
    fn from(array: ArenaBox<'a, [T; N]>) -> Self {
        let items = ArenaBox::into_raw(array).cast::<T>();
        // SAFETY: the items of the array, which is given up.
        unsafe { Self::from_raw(NonNull::slice_from_raw_parts(items, N)) }
    }
}

impl<'a, T, const N: usize> TryFrom<ArenaBox<'a, [T]>> for ArenaBox<'a, [T; N]> {
    type Error = ArenaBox<'a, [T]>;

    /// Fails, and returns the slice, if it has not `N` items.
    #[inline]
    fn try_from(slice: ArenaBox<'a, [T]>) -> Result<Self, ArenaBox<'a, [T]>> {
        if slice.len() != N {
            return Err(slice);
        }
        // SAFETY: `N` items in a row are an array of as many; the slice is given up.
        Ok(unsafe { Self::from_raw(ArenaBox::into_raw(slice).cast::<[T; N]>()) })
    }
}

macro_rules! impl_downcast {
    ($($any:ty),*) => {$(
        impl<'a> ArenaBox<'a, $any> {
            /// Returns the value as what it is, if that is a `T`.
            ///
            /// # Errors
            ///
            /// The value as it was, if it is none.
            pub fn downcast<T: Any>(self) -> Result<ArenaBox<'a, T>, Self> {
                if !self.is::<T>() {
                    return Err(self);
                }
                // SAFETY: the value is a `T` (asked above); it is given up.
                Ok(unsafe { ArenaBox::from_raw(Self::into_raw(self).cast::<T>()) })
            }
        }
    )*};
}
impl_downcast!(dyn Any, dyn Any + Send, dyn Any + Send + Sync);

impl<'a, T: ?Sized> ArenaBox<'a, T> {
    /// For `unsize_arena_box!`: the value, and for how long it lives.
    #[doc(hidden)]
    #[inline]
    pub fn __into_parts(this: Self) -> (NonNull<T>, PhantomData<&'a ()>) {
        (Self::into_raw(this), PhantomData)
    }

    /// # Safety
    ///
    /// As `from_raw`; the pointer is not null.
    #[doc(hidden)]
    #[inline]
    pub const unsafe fn __from_parts(value: *mut T, _: PhantomData<&'a ()>) -> Self {
        // SAFETY: the contract.
        let value = unsafe { NonNull::new_unchecked(value) };
        // SAFETY: the contract is the same.
        unsafe { Self::from_raw(value) }
    }
}

/// Turns an [`ArenaBox`](crate::ArenaBox) into that of an unsized type: a trait object, or a slice of an array.
/// Stable Rust lets nobody but `std` do that by itself.
///
/// ```
/// use std::any::Any;
/// use std::fmt::Display;
///
/// use alloc_arena::{Arena, ArenaBox, unsize_arena_box};
///
/// let arena = Arena::new();
/// let shown: [ArenaBox<dyn Display>; 2] = [
///     unsize_arena_box!(arena.put_box(42)? => dyn Display),
///     unsize_arena_box!(arena.put_box(String::from("text"))? => dyn Display),
/// ];
/// assert_eq!(shown.map(|value| value.to_string()), ["42", "text"]);
/// let any = unsize_arena_box!(arena.put_box(5u8)? => dyn Any);
/// assert_eq!(*any.downcast::<u8>().unwrap(), 5);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// Nothing but that conversion compiles, and it does not outlive the arena either:
///
/// ```compile_fail,E0308
/// use alloc_arena::{Arena, unsize_arena_box};
/// let arena = Arena::new();
/// let other = unsize_arena_box!(arena.put_box(42u32).unwrap() => f32);
/// ```
///
/// ```compile_fail,E0505
/// use alloc_arena::{Arena, unsize_arena_box};
/// let arena = Arena::new();
/// let shown = unsize_arena_box!(arena.put_box(42u32).unwrap() => dyn core::fmt::Display);
/// drop(arena);
/// println!("{shown}");
/// ```
///
/// A trait object whose value borrows is `dyn Trait + '_`. A plain `&mut T` of the arena becomes a `&mut dyn Trait`
/// by itself.
#[macro_export]
macro_rules! unsize_arena_box {
    ($boxed:expr => $target:ty) => {{
        let (value, lifetime) = $crate::ArenaBox::__into_parts($boxed);
        // A coercion and no cast: the one conversion between pointers to different types that the
        // language makes without being asked is this one.
        let value: *mut $target = value.as_ptr();
        // SAFETY: the same value, which was given up, for the same lifetime; it came from a `NonNull`.
        unsafe { $crate::ArenaBox::__from_parts(value, lifetime) }
    }};
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
