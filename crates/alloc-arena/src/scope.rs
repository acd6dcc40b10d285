//! Taking back what was made since a point in time, while what was made before lives on.

use core::fmt;

use alloc_core::{AllocError, Allocator};

use crate::Arena;
use crate::reset::Mark;
use crate::values::impl_values;

/// A way into an arena whose values live for `'a`, however the handle is used in between: so they live on
/// while [`scope`](Self::scope) borrows it uniquely for what comes and goes.
///
/// Not `Copy`: whoever has it is the only one who takes memory from the arena. `&Scope` is a handle of
/// [`Allocator`], for containers; what they hold borrows the scope.
///
/// ```
/// use alloc_arena::Arena;
///
/// let mut arena = Arena::new();
/// let mut outer = arena.as_scope();
/// let kept = outer.put(1)?;
/// let sum = outer.scope(|inner| {
///     let numbers = inner.put_slice_fill(1000, 2)?;
///     Ok(numbers.iter().sum::<i32>())
/// })?;
/// *kept += sum; // the thousand numbers are gone, this one is not
/// assert_eq!((*kept, outer.used()), (2001, 4));
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
pub struct Scope<'a, A: Allocator> {
    /// Invariant: while this handle can be used, no other is used to take or give back memory of the
    /// arena, and it is not rewound to a mark from before any block that this handle made.
    arena: &'a Arena<A>,
}

/// Takes back, when it is dropped, what was made through it. Made by [`Scope::checkpoint`] and
/// [`Arena::checkpoint`].
///
/// ```
/// use alloc_arena::Arena;
///
/// let mut arena = Arena::new();
/// let mut point = arena.checkpoint();
/// for line in ["one", "two", "three"] {
///     let copy = point.scope().put_str(line)?;
///     assert_eq!(copy, line);
///     point.rewind(); // each line uses the same memory
/// }
/// drop(point);
/// assert_eq!((arena.used(), arena.high_water()), (0, 5));
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
///
/// No value leaves it:
///
/// ```compile_fail,E0505
/// # use alloc_arena::Arena;
/// let mut arena = Arena::new();
/// let mut point = arena.checkpoint();
/// let number = point.scope().put(5).unwrap();
/// drop(point);
/// *number = 6;
/// ```
#[must_use = "a `Rewind` takes back what was made since when it is dropped, which is at once if unused"]
pub struct Rewind<'s, A: Allocator> {
    /// Invariant: the arena of `mark`, used through this guard alone.
    arena: &'s Arena<A>,
    mark: Mark,
}

impl<A: Allocator> Arena<A> {
    /// Returns a handle whose values live as long as the arena is borrowed here.
    pub fn as_scope(&mut self) -> Scope<'_, A> {
        // The borrow is unique, so there is no other handle.
        Scope { arena: self }
    }

    /// Calls `body`, and takes back what it made here. Nothing of that can leave it.
    ///
    /// The memory stays the arena's: another scope of the same load asks the backing for nothing.
    ///
    /// ```compile_fail
    /// # use alloc_arena::Arena;
    /// let mut arena = Arena::new();
    /// let number = arena.scope(|inner| inner.put(5).unwrap());
    /// ```
    pub fn scope<R>(&mut self, body: impl for<'b> FnOnce(&mut Scope<'b, A>) -> R) -> R {
        self.as_scope().scope(body)
    }

    /// Returns a guard that takes back what is made through it; for where a closure does not fit.
    pub fn checkpoint(&mut self) -> Rewind<'_, A> {
        Rewind { mark: self.mark(), arena: self }
    }
}

impl<A: Allocator> Scope<'_, A> {
    /// Calls `body`, and takes back what it made here. What was made through this handle lives on.
    ///
    /// If `body` panics the memory comes back, too.
    pub fn scope<R>(&mut self, body: impl for<'b> FnOnce(&mut Scope<'b, A>) -> R) -> R {
        let mut guard = self.checkpoint();
        body(&mut guard.scope())
    }

    /// Returns a guard that takes back what is made through it; for where a closure does not fit.
    pub fn checkpoint(&mut self) -> Rewind<'_, A> {
        Rewind { mark: self.arena.mark(), arena: self.arena }
    }

    /// Returns how many bytes of the arena are taken. See [`Arena::used`].
    pub fn used(&self) -> usize {
        self.arena.used()
    }

    /// Returns how many bytes all chunks can hold. See [`Arena::capacity`].
    pub fn capacity(&self) -> usize {
        self.arena.capacity()
    }

    /// Makes room for `bytes` more in one piece.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if the backing or the limit refuses it.
    pub fn reserve(&self, bytes: usize) -> Result<(), AllocError> {
        self.arena.reserve(bytes)
    }
}

impl_values!(impl['a, A: Allocator] Scope<'a, A>, self => self.arena, Arena<A>, 'a);

// SAFETY: by number:
// 1, 2, 4, 5, 6, 7: as the arena, to which all is forwarded.
// 3 Stable: moving the handle moves nothing. What takes blocks back, `scope` and `checkpoint`, takes
//   `&mut self`, and only what was made since.
unsafe impl<A: Allocator> Allocator for Scope<'_, A> {
    alloc_core::forward!(*self.arena);
}

alloc_core::impl_foreign_allocator!(impl['a, A: Allocator] for Scope<'a, A>);

impl<A: Allocator> Rewind<'_, A> {
    /// Returns a handle whose values live as long as the guard is borrowed here.
    pub fn scope(&mut self) -> Scope<'_, A> {
        Scope { arena: self.arena }
    }

    /// Takes back at once what was made so far; the guard goes on.
    pub fn rewind(&mut self) {
        // SAFETY: the mark is of this arena, which is reached through the guard alone (invariant): it was
        // not reset. What was made since borrows the guard, which is borrowed uniquely here; blocks from
        // before could not change, for their handle was borrowed uniquely.
        unsafe { self.arena.rewind(self.mark) };
    }
}

impl<A: Allocator> Drop for Rewind<'_, A> {
    fn drop(&mut self) {
        self.rewind();
    }
}

impl<A: Allocator> fmt::Debug for Scope<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(self.arena).finish()
    }
}

impl<A: Allocator> fmt::Debug for Rewind<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rewind").field(self.arena).finish()
    }
}
