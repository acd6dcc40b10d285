//! Items written one after the other into a block that grows with them.

use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::{self, NonNull};
use core::slice;

use alloc_core::{AllocError, Allocator};

use crate::values::copy;

/// The least bytes that a block grows to.
const BYTES_MIN: usize = 64;

/// A block and the items in it. If it is dropped before [`finish`](Self::finish), it drops the items
/// and frees the block.
pub(crate) struct Growing<'h, 's, S: Allocator, T> {
    source: &'s S,
    /// Invariant: a live block of `source` that fits `[T; capacity]`, if that has bytes; else dangling
    /// and aligned. Its first `len` items are initialised and nobody else's.
    block: NonNull<T>,
    capacity: usize,
    len: usize,
    /// What is borrowed as long as the source is used: a handle by which others could take blocks back.
    _handle: PhantomData<&'h ()>,
}

impl<'s, S: Allocator, T> Growing<'_, 's, S, T> {
    /// Makes room for `count` items.
    pub(crate) fn new(source: &'s S, count: usize) -> Result<Self, AllocError> {
        let mut this = Self::empty(source);
        this.grow_to(count)?;
        Ok(this)
    }

    /// Holds the items of an iterator.
    pub(crate) fn of(source: &'s S, items: impl Iterator<Item = T>) -> Result<Self, AllocError> {
        let mut this = Self::new(source, items.size_hint().0)?;
        this.push_all(items)?;
        Ok(this)
    }

    /// Takes no memory yet.
    #[inline]
    pub(crate) const fn empty(source: &'s S) -> Self {
        let block = NonNull::dangling();
        let capacity = if size_of::<T>() == 0 { usize::MAX } else { 0 };
        Self { source, block, capacity, len: 0, _handle: PhantomData }
    }

    /// Adds an item.
    #[inline]
    pub(crate) fn push(&mut self, item: T) -> Result<(), AllocError> {
        if self.len == self.capacity {
            self.reserve(1)?;
        }
        // SAFETY: `len < capacity`, so it lies in the block, or the item has no bytes.
        let place = unsafe { self.block.add(self.len) };
        // SAFETY: as above: writable and aligned.
        unsafe { place.write(item) };
        self.len += 1;
        Ok(())
    }

    /// Adds the items of an iterator.
    #[inline]
    pub(crate) fn push_all(&mut self, items: impl Iterator<Item = T>) -> Result<(), AllocError> {
        for item in items {
            self.push(item)?;
        }
        Ok(())
    }

    /// Adds copies of items.
    #[inline]
    pub(crate) fn push_slice(&mut self, items: &[T]) -> Result<(), AllocError>
    where
        T: Copy,
    {
        if self.capacity - self.len < items.len() {
            self.reserve(items.len())?;
        }
        // SAFETY: `len <= capacity`, so within the block or at its end.
        let places = unsafe { self.block.add(self.len) };
        let places = NonNull::slice_from_raw_parts(places.cast::<MaybeUninit<T>>(), items.len());
        // SAFETY: there is room for the items behind `len`, which no other reference points to; any bytes are
        // a `MaybeUninit`.
        copy(unsafe { &mut *places.as_ptr() }, items);
        self.len += items.len();
        Ok(())
    }

    /// The items so far.
    #[inline]
    pub(crate) fn items(&self) -> &[T] {
        // SAFETY: `len` initialised items of the block (invariant), or that have no bytes.
        unsafe { slice::from_raw_parts(self.block.as_ptr(), self.len) }
    }

    /// The items so far.
    #[inline]
    pub(crate) fn items_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and nobody else's.
        unsafe { slice::from_raw_parts_mut(self.block.as_ptr(), self.len) }
    }

    /// Drops the items from `len` on, if there are more; the room stays.
    pub(crate) fn truncate(&mut self, len: usize) {
        let Some(more) = self.len.checked_sub(len) else { return };
        // Before a drop may panic.
        self.len = len;
        // SAFETY: as many items lie before it, or they have no bytes.
        let rest = unsafe { self.block.add(len) };
        let rest = ptr::slice_from_raw_parts_mut(rest.as_ptr(), more);
        // SAFETY: initialised, and nobody else's, nor counted any more.
        unsafe { rest.drop_in_place() };
    }

    /// Takes the last item out.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: one more item than `len` lay in the block, or they have no bytes.
        let last = unsafe { self.block.add(self.len) };
        // SAFETY: initialised, and not counted any more, so it is moved out once.
        Some(unsafe { last.read() })
    }

    /// How many items there is room for.
    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes room for `count` items more, and for as many again as there are.
    #[cold]
    pub(crate) fn reserve(&mut self, count: usize) -> Result<(), AllocError> {
        let needed = self.len.checked_add(count).ok_or(AllocError)?;
        if needed <= self.capacity {
            return Ok(());
        }
        let like =
            needed.max(self.capacity.saturating_mul(2)).max(BYTES_MIN / size_of::<T>().max(1));
        self.grow_to(like).or_else(|_| self.grow_to(needed))
    }

    /// Makes room for `count` items in all, if that is more than there is room for.
    fn grow_to(&mut self, count: usize) -> Result<(), AllocError> {
        if count <= self.capacity {
            return Ok(());
        }
        let layout = Layout::array::<T>(count).map_err(|_| AllocError)?;
        let old = self.layout();
        if !self.resize(old, layout.size()) {
            let block = self.source.raw_alloc(layout)?.cast();
            // SAFETY: the first `len` items are initialised, the new block has room for them, and two
            // live blocks do not overlap.
            unsafe { block.copy_from_nonoverlapping(self.block, self.len) };
            self.free();
            self.block = block;
        }
        self.capacity = count;
        Ok(())
    }

    /// Returns the items, for as long as the source is borrowed. What is too much of the block goes back.
    pub(crate) fn finish(self) -> &'s mut [T] {
        let (items, count) = self.finish_raw();
        // SAFETY: a postcondition of `finish_raw`; the block is live as long as the source is borrowed: nobody
        // frees it, and promise 3 (Stable).
        unsafe { slice::from_raw_parts_mut(items.as_ptr(), count) }
    }

    /// As [`finish`](Self::finish): returns where the items are, and how many: initialised, nobody else's, and a
    /// block of the source that fits `[T; count]`, if that has bytes; else dangling and aligned.
    pub(crate) fn finish_raw(self) -> (NonNull<T>, usize) {
        let this = ManuallyDrop::new(self);
        let (old, size) = (this.layout(), size_of::<T>() * this.len);
        if size == 0 {
            this.free();
        } else if size < old.size() {
            // An arena's block always shrinks, at least by name.
            this.resize(old, size);
        }
        let items = if size == 0 { NonNull::dangling() } else { this.block };
        (items, this.len)
    }

    /// Changes the block's size in place, from that of `old`, which it has; returns whether it did.
    fn resize(&self, old: Layout, new_size: usize) -> bool {
        // SAFETY: a live block that fits `old` if that has bytes (invariant); the new size is not zero, and
        // that of a layout with this alignment.
        old.size() != 0 && unsafe { self.source.raw_resize(self.block.cast(), old, new_size) }
    }

    /// The layout of the block; no bytes if there is none.
    fn layout(&self) -> Layout {
        if size_of::<T>() == 0 {
            return Layout::new::<T>();
        }
        // SAFETY: this layout was made when the block was requested.
        let size = unsafe { size_of::<T>().unchecked_mul(self.capacity) };
        // SAFETY: as above.
        unsafe { Layout::from_size_align_unchecked(size, align_of::<T>()) }
    }

    /// Gives the block back; the caller forgets it.
    fn free(&self) {
        let layout = self.layout();
        if layout.size() != 0 {
            // SAFETY: a live block that fits (invariant), of which the caller makes no use any more.
            unsafe { self.source.raw_free(self.block.cast(), layout) };
        }
    }
}

impl<S: Allocator, T> Drop for Growing<'_, '_, S, T> {
    fn drop(&mut self) {
        let items = ptr::slice_from_raw_parts_mut(self.block.as_ptr(), self.len);
        // SAFETY: initialised, and nobody else's (invariant).
        unsafe { items.drop_in_place() };
        self.free();
    }
}

impl<S: Allocator> fmt::Write for Growing<'_, '_, S, u8> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_slice(text.as_bytes()).map_err(|AllocError| fmt::Error)
    }
}
