//! Slices and strings that are built piece by piece, and end as plain references of an arena.

use core::ffi::CStr;
use core::fmt;
use core::ops::{Deref, DerefMut};

use alloc_core::{AllocError, Allocator};

use crate::ArenaBox;
use crate::growing::Growing;
use crate::texts::{self, CStrError};
use crate::values::must_not_drop;

/// Items that are put into an arena one after the other, and end as a slice of it. Made by
/// [`Arena::build_slice`](crate::Arena::build_slice) and its namesakes.
///
/// The block grows in place while it is the last one of the arena, and moves otherwise; each time to twice
/// its size, so adding an item takes constant time on average. What is too much goes back at the end. If it is
/// dropped before, so are the items, and the block is freed.
///
/// It dereferences to the items so far. A vector with everything else is `Vec::new_in(&arena)` of
/// allocator-api2.
///
/// ```
/// use alloc_arena::Arena;
///
/// let arena = Arena::new();
/// let mut primes = arena.build_slice();
/// for number in 2..30u32 {
///     if primes.iter().all(|prime| number % prime != 0) {
///         primes.push(number)?;
///     }
/// }
/// let primes: &mut [u32] = primes.finish();
/// assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// Nothing takes the memory back meanwhile:
///
/// ```compile_fail,E0502
/// # use alloc_arena::Arena;
/// let mut arena = Arena::new();
/// let mut outer = arena.as_scope();
/// let mut items = outer.build_slice();
/// outer.scope(|inner| items.push(1));
/// ```
///
/// and what it takes memory by is still there, also for its drop:
///
/// ```compile_fail,E0597
/// # use alloc_arena::SharedArena;
/// let shared = SharedArena::new();
/// let items = {
///     let local = shared.local();
///     local.build_slice::<u8>()
/// };
/// ```
#[must_use = "what is built is dropped unless it is finished"]
pub struct SliceBuilder<'h, 'a, T, S: Allocator> {
    growing: Growing<'h, 'a, S, T>,
}

impl<'a, T, S: Allocator> SliceBuilder<'_, 'a, T, S> {
    #[inline]
    pub(crate) fn new(source: &'a S) -> Self {
        Self { growing: Growing::empty(source) }
    }

    /// Makes room for `count` items more, so that adding them cannot fail.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows; nothing has changed then.
    pub fn reserve(&mut self, count: usize) -> Result<(), AllocError> {
        self.growing.reserve(count)
    }

    /// Returns how many items there is room for, those that are there included; `usize::MAX` if they have no
    /// bytes.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.growing.capacity()
    }

    /// Adds an item.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows; the item is dropped, those before it stay.
    /// To lose none, [`reserve`](Self::reserve) first.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), AllocError> {
        self.growing.push(item)
    }

    /// Adds copies of items.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows; none is added then.
    pub fn push_slice_copy(&mut self, items: &[T]) -> Result<(), AllocError>
    where
        T: Copy,
    {
        self.growing.push_slice(items)
    }

    /// Adds the items of an iterator.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows; those that were added by then stay.
    ///
    /// # Panics
    ///
    /// If the iterator does; those that were added by then stay.
    pub fn push_iter(&mut self, items: impl IntoIterator<Item = T>) -> Result<(), AllocError> {
        self.growing.push_all(items.into_iter())
    }

    /// Takes the last item out, if there is one.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.growing.pop()
    }

    /// Drops the items from `len` on, if there are more; their room stays.
    ///
    /// # Panics
    ///
    /// If the drop of an item does; all of them are gone from here nevertheless.
    pub fn truncate(&mut self, len: usize) {
        self.growing.truncate(len);
    }

    /// Returns the items as a plain slice, which nobody drops. Items that have a drop do not compile here: see
    /// [`finish_box`](Self::finish_box).
    #[must_use]
    pub fn finish(self) -> &'a mut [T] {
        must_not_drop::<T>();
        self.growing.finish()
    }

    /// Returns the items with an owner, which drops them.
    #[must_use]
    pub fn finish_box(self) -> ArenaBox<'a, [T]> {
        ArenaBox::from_mut(self.growing.finish())
    }
}

impl<T, S: Allocator> Deref for SliceBuilder<'_, '_, T, S> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.growing.items()
    }
}

impl<T, S: Allocator> DerefMut for SliceBuilder<'_, '_, T, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.growing.items_mut()
    }
}

impl<T: fmt::Debug, S: Allocator> fmt::Debug for SliceBuilder<'_, '_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A text that is put into an arena piece by piece, and ends as a string of it. Made by
/// [`Arena::build_str`](crate::Arena::build_str) and its namesakes; as a [`SliceBuilder`] in everything else.
///
/// `write!` works on it, and returns [`fmt::Error`] if no memory can be had; what was written by then stays.
///
/// ```
/// use std::fmt::Write;
///
/// use alloc_arena::{Arena, CStrError};
///
/// let arena = Arena::new();
/// let mut path = arena.build_str();
/// for part in ["usr", "lib"] {
///     path.push('/')?;
///     path.push_str(part)?;
/// }
/// write!(path, "/lib{}.so", 5).unwrap();
/// assert_eq!(path.finish_cstr()?, c"/usr/lib/lib5.so");
/// # Ok::<(), CStrError>(())
/// ```
#[must_use = "what is built is dropped unless it is finished"]
pub struct StrBuilder<'h, 'a, S: Allocator> {
    /// Invariant: UTF-8.
    growing: Growing<'h, 'a, S, u8>,
}

impl<'a, S: Allocator> StrBuilder<'_, 'a, S> {
    #[inline]
    pub(crate) fn new(source: &'a S) -> Self {
        Self { growing: Growing::empty(source) }
    }

    /// Makes room for `len` bytes more, so that adding them cannot fail.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows; nothing has changed then.
    pub fn reserve(&mut self, len: usize) -> Result<(), AllocError> {
        self.growing.reserve(len)
    }

    /// Returns how many bytes there is room for, those that are there included.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.growing.capacity()
    }

    /// Adds a character.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had; nothing is added then.
    pub fn push(&mut self, c: char) -> Result<(), AllocError> {
        self.push_str(c.encode_utf8(&mut [0; 4]))
    }

    /// Adds a string.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had; nothing is added then.
    #[inline]
    pub fn push_str(&mut self, text: &str) -> Result<(), AllocError> {
        self.growing.push_slice(text.as_bytes())
    }

    /// Takes the last character out, if there is one.
    pub fn pop(&mut self) -> Option<char> {
        let last = self.chars().next_back()?;
        self.growing.truncate(self.len().saturating_sub(last.len_utf8()));
        Some(last)
    }

    /// Takes all characters out; their room stays.
    pub fn clear(&mut self) {
        self.growing.truncate(0);
    }

    /// Returns the text as a plain string.
    #[must_use]
    pub fn finish(self) -> &'a mut str {
        // SAFETY: UTF-8 (invariant).
        unsafe { str::from_utf8_unchecked_mut(self.growing.finish()) }
    }

    /// Returns the text as a C string, with a NUL behind it.
    ///
    /// # Errors
    ///
    /// [`CStrError`] if the text has a NUL, or no memory can be had for the last one; the text is gone then.
    pub fn finish_cstr(self) -> Result<&'a CStr, CStrError> {
        texts::finish_cstr(self.growing)
    }
}

impl<S: Allocator> Deref for StrBuilder<'_, '_, S> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        // SAFETY: UTF-8 (invariant).
        unsafe { str::from_utf8_unchecked(self.growing.items()) }
    }
}

impl<S: Allocator> DerefMut for StrBuilder<'_, '_, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut str {
        // SAFETY: UTF-8 (invariant), and a `&mut str` keeps it so.
        unsafe { str::from_utf8_unchecked_mut(self.growing.items_mut()) }
    }
}

impl<S: Allocator> fmt::Write for StrBuilder<'_, '_, S> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.growing.write_str(text)
    }
}

impl<S: Allocator> fmt::Debug for StrBuilder<'_, '_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Writes the methods that begin a slice or a string, as `impl_values` does.
macro_rules! impl_builders {
    (
        impl[$($generics:tt)*] $type:ty, $self:ident => $source:expr, $source_type:ty,
        $lifetime:lifetime
    ) => {
        /// # Piece by piece
        ///
        /// What grows until it is finished. No memory is taken before the first piece.
        impl<$($generics)*> $type {
            /// Begins a slice that ends here. See [`SliceBuilder`](crate::SliceBuilder).
            #[inline]
            pub fn build_slice<T>(
                &$self,
            ) -> $crate::SliceBuilder<'_, $lifetime, T, $source_type> {
                $crate::SliceBuilder::new($source)
            }

            /// Begins a string that ends here. See [`StrBuilder`](crate::StrBuilder).
            #[inline]
            pub fn build_str(&$self) -> $crate::StrBuilder<'_, $lifetime, $source_type> {
                $crate::StrBuilder::new($source)
            }
        }
    };
}
pub(crate) use impl_builders;
