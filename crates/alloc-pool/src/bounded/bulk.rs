//! What concerns several items at once.

use core::mem::{self, MaybeUninit};
use core::ops::{Bound, RangeBounds};
use core::ptr;

use alloc_core::AllocError;

use super::BoundedArray;

impl<T, const N: usize> BoundedArray<T, N> {
    /// Makes an array of items. More than `N` do not compile.
    ///
    /// ```
    /// let array = alloc_pool::BoundedArray::<_, 8>::from_array([1, 2, 3]);
    /// assert_eq!((&*array, array.room()), (&[1, 2, 3][..], 5));
    /// ```
    ///
    /// ```compile_fail,E0080
    /// let array = alloc_pool::BoundedArray::<_, 2>::from_array([1, 2, 3]);
    /// ```
    #[inline]
    pub fn from_array<const M: usize>(items: [T; M]) -> Self {
        const { assert!(M <= N, "the items are more than the array has room for") };
        let mut array = Self::new();
        for (place, item) in array.items.iter_mut().zip(items) {
            place.write(item);
        }
        array.len = M;
        array
    }

    /// Returns the items of an array that is full.
    ///
    /// # Errors
    ///
    /// The array, if it is not full.
    #[inline]
    pub fn into_array(mut self) -> Result<[T; N], Self> {
        if self.len < N {
            return Err(self);
        }
        // The items are moved out: nobody drops them here.
        self.len = 0;
        let items: *const [T; N] = self.items.as_ptr().cast();
        // SAFETY: all `N` were initialised (invariant), one after the other, and are behind `len` now: each
        // is read once.
        Ok(unsafe { items.read() })
    }

    /// Adds items at the end, as many as fit.
    ///
    /// ```
    /// let mut array = alloc_pool::BoundedArray::<u8, 3>::new();
    /// let mut numbers = 1..;
    /// assert_eq!(array.extend(&mut numbers), Err(4));
    /// assert_eq!((&*array, numbers.next()), (&[1, 2, 3][..], Some(5)));
    /// ```
    ///
    /// # Errors
    ///
    /// The first item that does not fit; those before it are in the array, those behind it in the iterator.
    pub fn extend(&mut self, items: impl IntoIterator<Item = T>) -> Result<(), T> {
        items.into_iter().try_for_each(|item| self.push(item))
    }

    /// Adds clones of items at the end, all or none. Where a clone panics, those before it are in the array.
    ///
    /// ```
    /// # use alloc_core::AllocError;
    /// let mut array = alloc_pool::BoundedArray::<u8, 4>::new();
    /// array.extend_from_slice(&[1, 2, 3])?;
    /// assert_eq!(array.extend_from_slice(&[4, 5]), Err(AllocError));
    /// assert_eq!(*array, [1, 2, 3]);
    /// # Ok::<(), AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocError`] if they do not fit; the array is as it was.
    pub fn extend_from_slice(&mut self, items: &[T]) -> Result<(), AllocError>
    where
        T: Clone,
    {
        if self.room() < items.len() {
            return Err(AllocError);
        }
        self.extend(items.iter().cloned()).map_err(|_| AllocError)
    }

    /// Makes the array `len` items long: adds clones of `item`, or drops what lies behind.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if `len` is more than `N`; the array is as it was, and `item` is dropped.
    pub fn resize(&mut self, len: usize, item: T) -> Result<(), AllocError>
    where
        T: Clone,
    {
        if N < len {
            return Err(AllocError);
        }
        self.truncate(len);
        let missing = len - self.len;
        self.extend(core::iter::repeat_n(item, missing)).map_err(|_| AllocError)
    }

    /// Drops the items for which `keep` returns `false`; the others keep their order. The items are dropped
    /// when all were asked for, as [`truncate`](Self::truncate) does it. Where `keep` panics nothing is dropped,
    /// and the order is unspecified.
    ///
    /// ```
    /// let mut array = alloc_pool::BoundedArray::<_, 8>::from_array([1, 2, 3, 4, 5]);
    /// array.retain(|number| *number % 2 == 1);
    /// assert_eq!(*array, [1, 3, 5]);
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        let mut kept = 0;
        for index in 0..self.len {
            if self.get_mut(index).is_some_and(&mut keep) {
                self.exchange(kept, index);
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// Drops each item that is the `same` as the one before it that stays: called with the item, and with
    /// that one. As for [`retain`](Self::retain), drops come last.
    pub fn dedup_by(&mut self, mut same: impl FnMut(&mut T, &mut T) -> bool) {
        let mut kept = 1;
        for index in 1..self.len {
            let Ok([last, item]) = self.get_disjoint_mut([kept - 1, index]) else { continue };
            if !same(item, last) {
                self.exchange(kept, index);
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// Drops each item that is equal to the one before it.
    ///
    /// ```
    /// let mut array = alloc_pool::BoundedArray::<_, 8>::from_array([1, 1, 2, 1, 1, 1]);
    /// array.dedup();
    /// assert_eq!(*array, [1, 2, 1]);
    /// ```
    pub fn dedup(&mut self)
    where
        T: PartialEq,
    {
        self.dedup_by(|item, last| item == last);
    }

    /// Takes the items of a range out, and moves what lies behind closer. `None` if the range ends behind the
    /// last item, or before it starts; nothing has changed then.
    ///
    /// ```
    /// let mut array = alloc_pool::BoundedArray::<_, 8>::from_array([1, 2, 3, 4, 5]);
    /// let taken = array.drain(1..3).expect("there are five");
    /// assert_eq!((&*taken, &*array), (&[2, 3][..], &[1, 4, 5][..]));
    /// assert_eq!(array.drain(2..=3), None);
    /// ```
    pub fn drain(&mut self, range: impl RangeBounds<usize>) -> Option<Self> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.checked_add(1)?,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.checked_add(1)?,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => self.len,
        };
        let behind = self.len.checked_sub(end)?;
        let count = end.checked_sub(start)?;
        let mut taken = Self::new();
        let items = self.items.as_mut_ptr();
        // SAFETY: `start <= end <= len <= N`: inside the array or at its end.
        let first = unsafe { items.add(start) };
        // SAFETY: as above.
        let tail = unsafe { items.add(end) };
        // SAFETY: `count` items lie from `first` on, and `count <= N` places in the other array. They are no
        // items of this one any more: overwritten, or behind `len`, below.
        unsafe { first.copy_to_nonoverlapping(taken.items.as_mut_ptr(), count) };
        // SAFETY: `behind` items lie from `tail` on, and as many places from `first` on, which is before it.
        unsafe { ptr::copy(tail, first, behind) };
        self.len -= count;
        taken.len = count;
        Some(taken)
    }

    /// Returns the places behind the last item, which hold no values: for what writes to memory itself, before
    /// [`set_len`](Self::set_len).
    ///
    /// ```
    /// let mut array = alloc_pool::BoundedArray::<u8, 8>::from_array([1]);
    /// array.spare_capacity_mut()[..2].write_copy_of_slice(&[2, 3]);
    /// // SAFETY: three of the eight have values.
    /// unsafe { array.set_len(3) };
    /// assert_eq!(*array, [1, 2, 3]);
    /// ```
    #[inline]
    pub fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<T>] {
        self.items.get_mut(self.len..).unwrap_or_default()
    }

    /// Changes how many items there are, and nothing else: those behind `len` are forgotten.
    ///
    /// # Safety
    ///
    /// * `len <= N`.
    /// * The first `len` items have values.
    #[inline]
    pub unsafe fn set_len(&mut self, len: usize) {
        alloc_core::check!(len <= N, "{len} items in an array of {N}");
        self.len = len;
    }

    /// Lets two items change places; nothing happens if they are one, or one is not there.
    fn exchange(&mut self, one: usize, other: usize) {
        if let Ok([one, other]) = self.get_disjoint_mut([one, other]) {
            mem::swap(one, other);
        }
    }
}
