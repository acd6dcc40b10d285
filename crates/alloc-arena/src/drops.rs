//! An arena that drops what is in it.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

use crate::growing::Growing;
use crate::in_arena::DefaultBacking;
use crate::values::block_for;
use crate::{Arena, Reset};

/// An arena whose values are dropped when it is reset or dropped, the newest first.
///
/// `'v` is how long the values live at least, whatever they borrow: it ends after the arena. Values that
/// borrow nothing have it as they like. No [`Allocator`] by itself, for a drop may panic; plain values
/// go into [`arena`](Self::arena).
///
/// ```
/// use alloc_arena::{DropArena, Reset};
///
/// let mut arena = DropArena::new();
/// for round in 0..10 {
///     let name = arena.put(format!("round {round}"))?; // a `String`: its text is on the heap
///     name.push('!');
///     arena.reset(Reset::RetainCapacity); // frees the text
/// }
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// What a value borrows outlives the arena:
///
/// ```compile_fail,E0597
/// # use alloc_arena::DropArena;
/// struct Prints<'a>(&'a str);
/// impl Drop for Prints<'_> {
///     fn drop(&mut self) { println!("{}", self.0) }
/// }
/// let arena = DropArena::new();
/// let name = String::from("gone first");
/// arena.put(Prints(&name)).unwrap();
/// ```
pub struct DropArena<'v, A: Allocator = DefaultBacking> {
    /// The newest value; invariant: each entry of the list is in the arena, and its value is valid.
    newest: Cell<Option<NonNull<Entry>>>,
    arena: Arena<A>,
    /// Invariant in `'v`, and neither `Send` nor `Sync`, for nobody knows what the values are.
    _values: PhantomData<(Cell<&'v ()>, *mut ())>,
}

/// What stands before each value.
struct Entry {
    older: Option<NonNull<Entry>>,
    /// Drops the value behind the entry.
    drop: unsafe fn(NonNull<Entry>),
}

/// An entry and its value.
#[repr(C)]
struct Node<T> {
    entry: Entry,
    value: T,
}

/// # Safety
///
/// The entry is that of a `Node<T>` whose value is valid and not used again.
unsafe fn drop_node<T>(entry: NonNull<Entry>) {
    let node = entry.cast::<Node<T>>();
    // SAFETY: within the node, of which the entry is the first field.
    let value = unsafe { &raw mut (*node.as_ptr()).value };
    // SAFETY: this function's contract.
    unsafe { value.drop_in_place() };
}

/// An entry for items in a row.
#[repr(C)]
struct Run<T> {
    entry: Entry,
    items: NonNull<T>,
    count: usize,
}

/// # Safety
///
/// The entry is that of a `Run<T>` whose items are valid and not used again.
unsafe fn drop_run<T>(entry: NonNull<Entry>) {
    // SAFETY: this function's contract.
    let Run { items, count, .. } = unsafe { entry.cast::<Run<T>>().read() };
    let items = NonNull::slice_from_raw_parts(items, count);
    // SAFETY: this function's contract.
    unsafe { items.drop_in_place() };
}

#[cfg(feature = "alloc")]
impl DropArena<'_> {
    /// Makes one over the program's own allocator.
    pub const fn new() -> Self {
        Self::over(Arena::new())
    }
}

#[cfg(feature = "alloc")]
impl Default for DropArena<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'v, A: Allocator> DropArena<'v, A> {
    /// Makes one of an arena.
    pub const fn over(arena: Arena<A>) -> Self {
        Self { newest: Cell::new(None), arena, _values: PhantomData }
    }

    /// Returns the arena, for values without a drop.
    pub const fn arena(&self) -> &Arena<A> {
        &self.arena
    }

    /// Puts a value here, which is dropped at the next reset.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had; the value is dropped then.
    #[expect(clippy::mut_from_ref, reason = "each call returns memory of its own")]
    pub fn put<T: 'v>(&self, value: T) -> Result<&mut T, AllocError> {
        let place = self.arena.put_uninit::<Node<T>>()?;
        let entry = Entry { older: self.newest.get(), drop: drop_node::<T> };
        let node = NonNull::from(place.write(Node { entry, value }));
        self.newest.set(Some(node.cast()));
        // SAFETY: within the node, written above.
        let value = unsafe { &raw mut (*node.as_ptr()).value };
        // SAFETY: valid, and nobody else's until the reset, which borrows this arena uniquely.
        Ok(unsafe { &mut *value })
    }

    /// Puts the items of an iterator here, which are dropped at the next reset, the first one first. They are
    /// written where they stay as long as the iterator itself takes nothing from here; else they are moved as
    /// they grow.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if no memory can be had or the size overflows; the items so far are dropped then.
    ///
    /// # Panics
    ///
    /// If the iterator does; the items so far are dropped.
    #[expect(clippy::mut_from_ref, reason = "each call returns memory of its own")]
    pub fn put_iter<T: 'v>(
        &self,
        items: impl IntoIterator<Item = T>,
    ) -> Result<&mut [T], AllocError> {
        let run = block_for::<_, Run<T>>(&self.arena)?.cast::<Run<T>>();
        let (items, count) = match Growing::of(&self.arena, items.into_iter()) {
            Ok(items) => items.finish_raw(),
            Err(error) => {
                // SAFETY: a live block of this layout, taken for a `Run`; forgotten here.
                unsafe { self.arena.raw_free(run.cast(), Layout::new::<Run<T>>()) };
                return Err(error);
            }
        };
        // The iterator may have put values here, too.
        let entry = Entry { older: self.newest.get(), drop: drop_run::<T> };
        // SAFETY: a postcondition of `block_for`: a block that fits a `Run`, and is nobody else's.
        unsafe { run.write(Run { entry, items, count }) };
        self.newest.set(Some(run.cast()));
        let items = NonNull::slice_from_raw_parts(items, count);
        // SAFETY: a postcondition of `finish_raw`: initialised, and nobody else's until the reset, which borrows
        // this arena uniquely.
        Ok(unsafe { &mut *items.as_ptr() })
    }

    /// Drops every value, the newest first, and takes all memory back, as [`Arena::reset`].
    ///
    /// # Panics
    ///
    /// If the drop of a value does; the others are dropped nevertheless. The memory is not taken back then.
    pub fn reset(&mut self, mode: Reset) -> bool {
        self.drop_values();
        self.arena.reset(mode)
    }

    fn drop_values(&self) {
        /// Goes on where a value's drop panicked.
        struct Rest<'a>(&'a Cell<Option<NonNull<Entry>>>);

        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                while let Some(entry) = self.0.get() {
                    let again = Rest(self.0);
                    // SAFETY: the list's entries are valid (invariant).
                    let Entry { older, drop } = unsafe { entry.read() };
                    self.0.set(older);
                    // SAFETY: the entry is in the list no more, so its value is dropped once; nobody uses
                    // it: the arena is borrowed uniquely.
                    unsafe { drop(entry) };
                    let _ = core::mem::ManuallyDrop::new(again);
                }
            }
        }

        drop(Rest(&self.newest));
    }
}

impl<A: Allocator> Drop for DropArena<'_, A> {
    fn drop(&mut self) {
        self.drop_values();
    }
}

impl<A: Allocator> fmt::Debug for DropArena<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DropArena").field(&self.arena).finish()
    }
}
