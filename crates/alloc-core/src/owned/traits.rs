//! The traits that users expect of a box.

use core::borrow::{Borrow, BorrowMut};
use core::cmp::Ordering;
use core::error::Error;
use core::fmt;
use core::future::Future;
use core::hash::{Hash, Hasher};
use core::iter::FusedIterator;
use core::ops::{Deref, DerefMut};
use core::pin::Pin;
use core::task::{Context, Poll};

use super::Owned;
use crate::Allocator;

impl<T: ?Sized, A: Allocator> Deref for Owned<T, A> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: invariant 1: a valid value; the borrow of the owner guards it.
        unsafe { self.ptr.as_ref() }
    }
}

impl<T: ?Sized, A: Allocator> DerefMut for Owned<T, A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: invariant 1: a valid value that only this owner reaches; the unique borrow of the
        // owner guards it.
        unsafe { self.ptr.as_mut() }
    }
}

impl<T: ?Sized, A: Allocator> AsRef<T> for Owned<T, A> {
    #[inline]
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: ?Sized, A: Allocator> AsMut<T> for Owned<T, A> {
    #[inline]
    fn as_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: ?Sized, A: Allocator> Borrow<T> for Owned<T, A> {
    #[inline]
    fn borrow(&self) -> &T {
        self
    }
}

impl<T: ?Sized, A: Allocator> BorrowMut<T> for Owned<T, A> {
    #[inline]
    fn borrow_mut(&mut self) -> &mut T {
        self
    }
}

/// Moving the owner does not move the value, so the owner may always move.
impl<T: ?Sized, A: Allocator> Unpin for Owned<T, A> {}

impl<T: ?Sized + fmt::Debug, A: Allocator> fmt::Debug for Owned<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display, A: Allocator> fmt::Display for Owned<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized, A: Allocator> fmt::Pointer for Owned<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ptr.fmt(f)
    }
}

/// Compares the values; where they live makes no difference.
impl<T, U, A, B> PartialEq<Owned<U, B>> for Owned<T, A>
where
    T: ?Sized + PartialEq<U>,
    U: ?Sized,
    A: Allocator,
    B: Allocator,
{
    #[inline]
    fn eq(&self, other: &Owned<U, B>) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Eq, A: Allocator> Eq for Owned<T, A> {}

/// Compares the values; where they live makes no difference.
impl<T: ?Sized + PartialOrd, A: Allocator, B: Allocator> PartialOrd<Owned<T, B>> for Owned<T, A> {
    #[inline]
    fn partial_cmp(&self, other: &Owned<T, B>) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: ?Sized + Ord, A: Allocator> Ord for Owned<T, A> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: ?Sized + Hash, A: Allocator> Hash for Owned<T, A> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: ?Sized + Error, A: Allocator> Error for Owned<T, A> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        (**self).source()
    }
}

impl<W: ?Sized + fmt::Write, A: Allocator> fmt::Write for Owned<W, A> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        (**self).write_str(text)
    }

    #[inline]
    fn write_char(&mut self, c: char) -> fmt::Result {
        (**self).write_char(c)
    }
}

impl<F: ?Sized + Future + Unpin, A: Allocator> Future for Owned<F, A> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut **self).poll(context)
    }
}

// For sized iterators and for erased ones, and not for every `?Sized` one: that would collide with
// the `IntoIterator` of owned slices.

impl<I: Iterator, A: Allocator> Iterator for Owned<I, A> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        (**self).next()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (**self).size_hint()
    }

    #[inline]
    fn nth(&mut self, n: usize) -> Option<I::Item> {
        (**self).nth(n)
    }
}

impl<I: DoubleEndedIterator, A: Allocator> DoubleEndedIterator for Owned<I, A> {
    #[inline]
    fn next_back(&mut self) -> Option<I::Item> {
        (**self).next_back()
    }

    #[inline]
    fn nth_back(&mut self, n: usize) -> Option<I::Item> {
        (**self).nth_back(n)
    }
}

impl<I: ExactSizeIterator, A: Allocator> ExactSizeIterator for Owned<I, A> {
    #[inline]
    fn len(&self) -> usize {
        (**self).len()
    }
}

impl<I: FusedIterator, A: Allocator> FusedIterator for Owned<I, A> {}

impl<Item, A: Allocator> Iterator for Owned<dyn Iterator<Item = Item> + '_, A> {
    type Item = Item;

    #[inline]
    fn next(&mut self) -> Option<Item> {
        (**self).next()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (**self).size_hint()
    }

    #[inline]
    fn nth(&mut self, n: usize) -> Option<Item> {
        (**self).nth(n)
    }
}
