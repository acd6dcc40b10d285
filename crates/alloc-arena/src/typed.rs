//! An arena of values of one type, which knows where they are.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, needs_drop};
use core::ptr::NonNull;
use core::{iter, slice};

use alloc_core::{AllocError, Allocator};

use crate::growing::Growing;
use crate::in_arena::DefaultBacking;
use crate::values::block_for;
use crate::{Arena, Reset};

mod drain;

pub use drain::Drain;

/// An arena for values of one type: they can be gone through and taken out again, in the order in which they
/// were put, and they are dropped with it, in that order, too.
///
/// Values lie in a row as long as their chunk has room, so the length of the chunks, [`Growth`](crate::Growth), is
/// that of the rows. One with a backing, a growth or a limit of its own is made [`over`](Self::over) an arena.
///
/// ```
/// use alloc_arena::TypedArena;
///
/// let mut arena = TypedArena::new();
/// for name in ["one", "two"] {
///     arena.put(String::from(name))?.push('!');
/// }
/// arena.put_iter(["three", "four"].map(String::from))?;
/// for name in arena.iter_mut() {
///     name.make_ascii_uppercase();
/// }
/// let names: Vec<String> = arena.drain().collect();
/// assert_eq!(names, ["ONE!", "TWO!", "THREE", "FOUR"]);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// Values can refer to each other, in circles as well:
///
/// ```
/// use std::cell::RefCell;
///
/// use alloc_arena::TypedArena;
///
/// struct Node<'a> {
///     name: String,
///     edges: RefCell<Vec<&'a Node<'a>>>,
/// }
/// let arena = TypedArena::new();
/// let node = |name| Node { name: String::from(name), edges: RefCell::default() };
/// let (one, two) = (&*arena.put(node("one"))?, &*arena.put(node("two"))?);
/// one.edges.borrow_mut().push(two);
/// two.edges.borrow_mut().push(one);
/// assert_eq!(one.edges.borrow()[0].edges.borrow()[0].name, "one");
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// but not if their own drop could look at one that is gone:
///
/// ```compile_fail,E0597
/// use std::cell::Cell;
///
/// use alloc_arena::TypedArena;
///
/// struct Node<'a>(Cell<Option<&'a Node<'a>>>);
/// impl Drop for Node<'_> {
///     fn drop(&mut self) { self.0.get(); }
/// }
/// let arena = TypedArena::new();
/// let node = arena.put(Node(Cell::new(None))).unwrap();
/// node.0.set(Some(arena.put(Node(Cell::new(None))).unwrap()));
/// ```
pub struct TypedArena<T, A: Allocator = DefaultBacking> {
    /// Invariant: they are `T`s. Its drop does not know their type, so it is this field's marker by which the
    /// compiler sees that they are dropped here, and lets them refer to each other.
    values: Values<A>,
    /// Invariant in `T`, for values are put through a shared reference.
    _values: PhantomData<Cell<T>>,
}

/// The values of one type, which this does not tell: its methods that have a parameter are called with that type.
///
/// Invariant: the rows of the list, and the newest one in the fields here, are blocks of the arena that fit as many
/// values as each says, or dangle, aligned, where those have no bytes; the values are valid, and owned by this.
struct Values<A: Allocator> {
    /// The newest row: where it is, how many values it has, and has room for.
    row: Cell<NonNull<u8>>,
    len: Cell<usize>,
    capacity: Cell<usize>,
    /// The rows before, the oldest first, and how many values they have.
    first: Cell<Option<NonNull<Row>>>,
    last: Cell<Option<NonNull<Row>>>,
    len_before: Cell<usize>,
    /// Drops values in a row; `None` if they have no drop.
    drop_row: Option<unsafe fn(NonNull<u8>, usize)>,
    arena: Arena<A>,
}

/// Values in a row, to which none is added any more.
struct Row {
    newer: Option<NonNull<Row>>,
    items: NonNull<u8>,
    len: usize,
}

/// Room for a [`Row`].
///
/// Invariant: a live block of the arena whose values' rows it is for, which fits a `Row` and is nobody else's.
struct RowPlace(NonNull<Row>);

/// # Safety
///
/// `len` valid `T`s in a row, which are not used again.
unsafe fn drop_row<T>(items: NonNull<u8>, len: usize) {
    let items = NonNull::slice_from_raw_parts(items.cast::<T>(), len);
    // SAFETY: this function's contract.
    unsafe { items.drop_in_place() };
}

// SAFETY: it is its values and its arena, which nobody else reaches; both may be sent by the bounds.
unsafe impl<T: Send, A: Allocator + Send> Send for TypedArena<T, A> {}

#[cfg(feature = "alloc")]
impl<T> TypedArena<T> {
    /// Makes one over the program's own allocator. Takes no memory before the first value.
    #[must_use]
    pub const fn new() -> Self {
        Self::over(Arena::new())
    }
}

#[cfg(feature = "alloc")]
impl<T> Default for TypedArena<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, A: Allocator> TypedArena<T, A> {
    /// Makes one of an arena, which may be warm.
    pub const fn over(arena: Arena<A>) -> Self {
        let values = Values {
            row: Cell::new(NonNull::<T>::dangling().cast()),
            len: Cell::new(0),
            capacity: Cell::new(0),
            first: Cell::new(None),
            last: Cell::new(None),
            len_before: Cell::new(0),
            drop_row: if needs_drop::<T>() { Some(drop_row::<T>) } else { None },
            arena,
        };
        Self { values, _values: PhantomData }
    }

    /// Returns how many values are here.
    #[inline]
    pub const fn len(&self) -> usize {
        // No overflow: so many values have been put, one by one or with bytes.
        self.values.len_before.get() + self.values.len.get()
    }

    /// Returns whether no value is here.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes of the backing the chunks have.
    pub fn reserved(&self) -> usize {
        self.values.arena.reserved()
    }

    /// Makes room for `count` values more, in a row, so that putting them one by one cannot fail. An iterator's
    /// items take other room, and this one back.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows; nothing has changed then.
    pub fn reserve(&self, count: usize) -> Result<(), AllocError> {
        let values = &self.values;
        if values.capacity.get() - values.len.get() < count {
            values.make_room::<T>(count)?;
        }
        Ok(())
    }

    /// Puts a value here.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had; the value is dropped then. To lose none,
    /// [`reserve`](Self::reserve) first.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "each call returns memory of its own")]
    pub fn put(&self, value: T) -> Result<&mut T, AllocError> {
        let values = &self.values;
        let mut len = values.len.get();
        if len == values.capacity.get() {
            values.make_room::<T>(1)?;
            len = values.len.get();
        }
        // SAFETY: `len < capacity`, so the place lies in the row, or has no bytes.
        let place = unsafe { values.row.get().cast::<T>().add(len) };
        // SAFETY: as above: writable, aligned, and no value's yet.
        unsafe { place.write(value) };
        values.len.set(len + 1);
        // SAFETY: valid, and nobody else's as long as this is borrowed: values leave and move by unique
        // borrows.
        Ok(unsafe { &mut *place.as_ptr() })
    }

    /// Puts the items of an iterator here, in a row. If it puts values itself, they come before. A row of its own
    /// costs three words.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows; the items so far are dropped then.
    ///
    /// # Panics
    ///
    /// If the iterator does; the items so far are dropped.
    #[expect(clippy::mut_from_ref, reason = "each call returns memory of its own")]
    pub fn put_iter(&self, items: impl IntoIterator<Item = T>) -> Result<&mut [T], AllocError> {
        let values = &self.values;
        let (items, count) = if size_of::<T>() == 0 {
            let items = Growing::of(&values.arena, items.into_iter())?;
            let len = values.len.get().checked_add(items.items().len()).ok_or(AllocError)?;
            values.enter(values.row.get(), len, usize::MAX);
            items.finish_raw()
        } else {
            values.cut::<T>();
            // Before the items, which then are the last block, and can grow.
            let retired = values.row_place()?;
            let (items, count) = match Growing::of(&values.arena, items.into_iter()) {
                Ok(items) => items.finish_raw(),
                Err(error) => {
                    values.give_back(retired);
                    return Err(error);
                }
            };
            if count == 0 {
                values.give_back(retired);
            } else {
                values.retire(retired);
                values.enter(items.cast(), count, count);
            }
            (items, count)
        };
        let items = NonNull::slice_from_raw_parts(items, count);
        // SAFETY: valid (a postcondition of `finish_raw`), and nobody else's as long as this is borrowed, as in
        // `put`.
        Ok(unsafe { &mut *items.as_ptr() })
    }

    /// Goes through the values, in the order in which they were put.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let row = |(items, len): (NonNull<u8>, usize)| {
            // SAFETY: valid (invariant), and nobody else's: the borrow is unique.
            unsafe { slice::from_raw_parts_mut(items.cast::<T>().as_ptr(), len) }
        };
        self.values.rows().flat_map(row)
    }

    /// Takes the values out, in the order in which they were put. When the iterator is dropped so are the values
    /// that are left, and all memory is free for others, in one chunk.
    ///
    /// ```
    /// use alloc_arena::TypedArena;
    ///
    /// let mut arena = TypedArena::new();
    /// arena.put_iter(0..1000)?;
    /// assert_eq!(arena.drain().sum::<i32>(), 499_500);
    /// assert!(arena.is_empty());
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    pub fn drain(&mut self) -> Drain<'_, T, A> {
        Drain::new(self)
    }

    /// Drops every value, in the order in which they were put, and takes all memory back, as [`Arena::reset`].
    ///
    /// # Panics
    ///
    /// If the drop of a value does; the others are dropped nevertheless. The memory is not taken back then.
    pub fn reset(&mut self, mode: Reset) -> bool {
        self.values.drop_all();
        self.values.reset(mode)
    }
}

impl<A: Allocator> Values<A> {
    /// Where the values of each row are, and how many; the oldest first.
    fn rows(&self) -> impl Iterator<Item = (NonNull<u8>, usize)> {
        // SAFETY: the list's rows are initialised, and stay until the reset (invariant).
        let read = |row: NonNull<Row>| unsafe { row.read() };
        let before = iter::successors(self.first.get().map(read), move |row| row.newer.map(read));
        let newest = (self.row.get(), self.len.get());
        before.map(|row| (row.items, row.len)).chain(iter::once(newest))
    }

    /// Makes room for `count` values more, which there is not: in the newest row, or in another one.
    #[cold]
    #[inline(never)]
    fn make_room<T>(&self, count: usize) -> Result<(), AllocError> {
        let needed = self.len.get().checked_add(count).ok_or(AllocError)?;
        if size_of::<T>() == 0 {
            self.capacity.set(usize::MAX);
            return Ok(());
        }
        if self.grow_row::<T>(needed) {
            return Ok(());
        }
        let layout = Layout::array::<T>(count).map_err(|_| AllocError)?;
        let retired = if self.len.get() == 0 { None } else { Some(self.row_place()?) };
        let row = match self.arena.raw_alloc(layout) {
            Ok(row) => row,
            Err(error) => {
                if let Some(retired) = retired {
                    self.give_back(retired);
                }
                return Err(error);
            }
        };
        if let Some(retired) = retired {
            self.retire(retired);
        }
        self.enter(row, 0, count);
        // The rest of the chunk.
        self.grow_row::<T>(count);
        Ok(())
    }

    /// Makes the newest row have room for `needed` values, where it is, and for what else its chunk can hold;
    /// returns whether it has.
    fn grow_row<T>(&self, needed: usize) -> bool {
        let old = self.layout::<T>();
        if old.size() == 0 {
            return false;
        }
        // No overflow: the arena has as many bytes.
        let rest = self.capacity.get() + self.arena.room() / size_of::<T>();
        [rest, needed].into_iter().any(|capacity| {
            let Ok(new) = Layout::array::<T>(capacity) else { return false };
            // SAFETY: a live block that fits the old layout (invariant); the new size is no less, and one of a
            // layout with this alignment.
            let is_grown = needed <= capacity
                && unsafe { self.arena.raw_resize(self.row.get(), old, new.size()) };
            if is_grown {
                self.capacity.set(capacity);
            }
            is_grown
        })
    }

    /// Gives back what the newest row has room for and no value.
    fn cut<T>(&self) {
        let (old, len) = (self.layout::<T>(), self.len.get());
        if old.size() == 0 {
            return;
        }
        if len == 0 {
            // SAFETY: a live block that fits (invariant), in which no value is; forgotten below.
            unsafe { self.arena.raw_free(self.row.get(), old) };
            self.enter(NonNull::<T>::dangling().cast(), 0, 0);
            return;
        }
        // No overflow: no more than the capacity.
        let size = len * size_of::<T>();
        // SAFETY: a live block that fits (invariant); the new size is not zero, and no more.
        let is_cut = unsafe { self.arena.raw_resize(self.row.get(), old, size) };
        alloc_core::check!(is_cut, "a row of {len} values");
        self.capacity.set(len);
    }

    /// The layout of the newest row's block; no bytes if there is none.
    fn layout<T>(&self) -> Layout {
        if size_of::<T>() == 0 {
            return Layout::new::<T>();
        }
        // SAFETY: this layout was made when the block was requested.
        let size = unsafe { size_of::<T>().unchecked_mul(self.capacity.get()) };
        // SAFETY: as above.
        unsafe { Layout::from_size_align_unchecked(size, align_of::<T>()) }
    }

    /// Room for a row of the list.
    fn row_place(&self) -> Result<RowPlace, AllocError> {
        Ok(RowPlace(block_for::<_, Row>(&self.arena)?.cast()))
    }

    /// Adds the newest row to the list, if it has values; the caller enters another one.
    fn retire(&self, place: RowPlace) {
        let len = self.len.get();
        if len == 0 {
            return;
        }
        let row = place.0;
        // SAFETY: it fits a `Row` (invariant), and is the list's from here on.
        unsafe { row.write(Row { newer: None, items: self.row.get(), len }) };
        match self.last.replace(Some(row)) {
            // SAFETY: the list's rows are initialised (invariant); no reference to one exists.
            Some(mut last) => unsafe { last.as_mut() }.newer = Some(row),
            None => self.first.set(Some(row)),
        }
        self.len_before.set(self.len_before.get() + len);
        self.len.set(0);
    }

    /// Gives room back, which is not used.
    fn give_back(&self, place: RowPlace) {
        // SAFETY: a live block of this layout (invariant), which is forgotten here.
        unsafe { self.arena.raw_free(place.0.cast(), Layout::new::<Row>()) };
    }

    /// Makes another row the newest.
    fn enter(&self, row: NonNull<u8>, len: usize, capacity: usize) {
        self.row.set(row);
        self.len.set(len);
        self.capacity.set(capacity);
    }

    /// Takes the values of the oldest row out; the caller has them.
    fn take_row(&mut self) -> Option<(NonNull<u8>, usize)> {
        let Some(row) = self.first.get() else {
            let len = self.len.take();
            return (0 < len).then(|| (self.row.get(), len));
        };
        // SAFETY: the list's rows are initialised (invariant).
        let row = unsafe { row.read() };
        self.first.set(row.newer);
        if row.newer.is_none() {
            self.last.set(None);
        }
        self.len_before.set(self.len_before.get() - row.len);
        Some((row.items, row.len))
    }

    /// Drops all values.
    fn drop_all(&mut self) {
        /// Goes on where a value's drop panicked.
        struct Rest<'v, A: Allocator>(&'v mut Values<A>, unsafe fn(NonNull<u8>, usize));

        impl<A: Allocator> Drop for Rest<'_, A> {
            fn drop(&mut self) {
                while let Some((items, len)) = self.0.take_row() {
                    let again = Rest(self.0, self.1);
                    // SAFETY: valid until now, of the type that the function is for, and taken out (invariant).
                    unsafe { (again.1)(items, len) };
                    let _ = ManuallyDrop::new(again);
                }
            }
        }

        if let Some(drop_row) = self.drop_row {
            drop(Rest(self, drop_row));
        }
    }

    /// Takes all memory back. No value that is here is dropped.
    fn reset(&mut self, mode: Reset) -> bool {
        self.first.set(None);
        self.last.set(None);
        self.len_before.set(0);
        // Nobody reads where an empty row is.
        self.enter(self.row.get(), 0, 0);
        self.arena.reset(mode)
    }
}

/// Drops the values; the arena takes their memory back.
impl<A: Allocator> Drop for Values<A> {
    fn drop(&mut self) {
        self.drop_all();
    }
}

impl<T, A: Allocator> fmt::Debug for TypedArena<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedArena")
            .field("len", &self.len())
            .field("reserved", &self.reserved())
            .finish_non_exhaustive()
    }
}
