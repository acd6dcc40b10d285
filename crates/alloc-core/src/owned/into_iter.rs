//! Iteration over an owned slice by value.

use core::mem::MaybeUninit;
use core::slice;

use super::Owned;
use crate::Allocator;

/// Writes an iterator over a block whose items it owns: the two kinds of slices differ in nothing
/// but the block's type.
macro_rules! into_iter {
    ($(#[$meta:meta])* $name:ident, [$($generics:tt)*], [$($args:tt)*], $block:ty) => {
        $(#[$meta])*
        #[must_use = "an iterator that is not used drops its items"]
        pub struct $name<$($generics)*> {
            block: $block,
            /// Invariant: the items of `alive` are initialised and not yet moved out; it lies in
            /// the block, which drops no item.
            alive: core::ops::Range<usize>,
        }

        impl<$($generics)*> $name<$($args)*> {
            /// # Safety
            ///
            /// All items are initialised, and nobody else drops them.
            #[inline]
            pub(crate) unsafe fn new(block: $block) -> Self {
                let alive = 0..block.len();
                Self { block, alive }
            }

            /// Returns the items that are left.
            #[inline]
            #[must_use]
            pub fn as_slice(&self) -> &[T] {
                // SAFETY: the items of `alive` are initialised (invariant).
                unsafe { self.block[self.alive.clone()].assume_init_ref() }
            }

            /// Returns the items that are left.
            #[inline]
            pub fn as_mut_slice(&mut self) -> &mut [T] {
                // SAFETY: the items of `alive` are initialised (invariant).
                unsafe { self.block[self.alive.clone()].assume_init_mut() }
            }

            /// Moves an item out that has just left `alive`.
            #[inline]
            fn take(&mut self, index: usize) -> T {
                // SAFETY: the item was alive until now (invariant), and is not any more: it is read
                // once.
                unsafe { self.block[index].assume_init_read() }
            }
        }

        impl<$($generics)*> Iterator for $name<$($args)*> {
            type Item = T;

            #[inline]
            fn next(&mut self) -> Option<T> {
                let index = self.alive.next()?;
                Some(self.take(index))
            }

            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                self.alive.size_hint()
            }

            #[inline]
            fn count(self) -> usize {
                self.alive.len()
            }
        }

        impl<$($generics)*> DoubleEndedIterator for $name<$($args)*> {
            #[inline]
            fn next_back(&mut self) -> Option<T> {
                let index = self.alive.next_back()?;
                Some(self.take(index))
            }
        }

        impl<$($generics)*> ExactSizeIterator for $name<$($args)*> {}
        impl<$($generics)*> core::iter::FusedIterator for $name<$($args)*> {}

        impl<$($generics)*> Drop for $name<$($args)*> {
            fn drop(&mut self) {
                let alive = self.alive.clone();
                // SAFETY: the items of `alive` are initialised (invariant), and dropped once. The
                // block is freed right after, by its own drop, also if one of them unwinds.
                unsafe { self.block[alive].assume_init_drop() };
            }
        }

        impl<$($generics)*> core::fmt::Debug for $name<$($args)*>
        where
            T: core::fmt::Debug,
        {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_tuple("IntoIter").field(&self.as_slice()).finish()
            }
        }
    };
}
pub(crate) use into_iter;

into_iter! {
    /// Moves the items out of an owned slice, front to back or back to front; drops the rest, and
    /// frees the memory, on drop.
    IntoIter, [T, A: Allocator], [T, A], Owned<[MaybeUninit<T>], A>
}

impl<T, A: Allocator> IntoIterator for Owned<[T], A> {
    type Item = T;
    type IntoIter = IntoIter<T, A>;

    #[inline]
    fn into_iter(self) -> IntoIter<T, A> {
        // SAFETY: the slice's items are initialised, and the block of memory drops none.
        unsafe { IntoIter::new(self.into_uninit_slice()) }
    }
}

impl<'a, T, A: Allocator> IntoIterator for &'a Owned<[T], A> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    #[inline]
    fn into_iter(self) -> slice::Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T, A: Allocator> IntoIterator for &'a mut Owned<[T], A> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;

    #[inline]
    fn into_iter(self) -> slice::IterMut<'a, T> {
        self.iter_mut()
    }
}
