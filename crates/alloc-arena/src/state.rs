//! An arena without its backing: what a structure keeps that gets the backing at each call.

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr;

#[cfg(feature = "alloc")]
use alloc_core::Global;
use alloc_core::{Allocator, NeverAlloc};

use crate::Arena;

/// The chunks of an arena over an `A`, without the `A`. Give it back with `promote`; if it is dropped,
/// the memory is lost to the backing.
///
/// Over `&B`, [`Arena::into_ref_state`] makes one that knows which `B` it came from, and whose
/// [`promote`](RefState::promote) refuses another:
///
/// ```
/// use alloc_arena::Arena;
/// use alloc_fixed::StackBuffer;
///
/// let (mut one, mut two) = (StackBuffer::<1000>::new(), StackBuffer::<1000>::new());
/// let (one, two) = (one.fixed(), two.fixed());
/// let arena = Arena::over(&one);
/// arena.put(5)?;
/// let state = arena.into_ref_state();
/// let state = state.promote(&two).unwrap_err();
/// let arena = state.promote(&one).unwrap();
/// assert_eq!(arena.used(), 4);
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
#[must_use = "the chunks are lost to their backing if a state is dropped"]
pub struct ArenaState<A: Allocator> {
    /// Invariant: its chunks are blocks of the backing that the state was taken from.
    arena: ManuallyDrop<Arena<NeverAlloc>>,
    _backing: PhantomData<A>,
}

// SAFETY: the chunks are blocks of the backing, which whoever has the state reaches through an `A`: that
// may be sent by the bound.
unsafe impl<A: Allocator + Send> Send for ArenaState<A> {}

impl<A: Allocator> Arena<A> {
    /// Takes the arena apart: its chunks, and its backing.
    ///
    /// ```compile_fail,E0382
    /// # use alloc_arena::Arena;
    /// let (state, _) = Arena::new().into_state();
    /// let first = state.promote_global();
    /// let second = state.promote_global();
    /// ```
    pub fn into_state(self) -> (ArenaState<A>, A) {
        let (arena, backing) = self.with_backing(NeverAlloc);
        let arena = ManuallyDrop::new(arena);
        (ArenaState { arena, _backing: PhantomData }, backing)
    }

    /// The same chunks, of which the arena says that they are another backing's.
    fn with_backing<B: Allocator>(self, backing: B) -> (Arena<B>, A) {
        let this = ManuallyDrop::new(self);
        let moved = Arena {
            cursor: Cell::new(this.cursor.get()),
            limit: Cell::new(this.limit.get()),
            peak: Cell::new(this.peak.get()),
            newest: Cell::new(this.newest.get()),
            spare: Cell::new(this.spare.get()),
            used_before: Cell::new(this.used_before.get()),
            high_water: Cell::new(this.high_water.get()),
            reserved: Cell::new(this.reserved.get()),
            reserved_max: Cell::new(this.reserved_max.get()),
            growth: this.growth,
            backing,
        };
        // SAFETY: `this` is not used again, nor dropped: the backing is moved out once.
        (moved, unsafe { ptr::read(&raw const this.backing) })
    }
}

impl<A: Allocator> ArenaState<A> {
    /// Returns how many bytes of the backing the chunks have.
    pub fn reserved(&self) -> usize {
        self.arena.reserved()
    }

    /// Makes an arena of it again.
    ///
    /// # Safety
    ///
    /// `backing` takes back the blocks of the backing that [`Arena::into_state`] returned beside the state:
    /// it is that one, a copy of it, or one of several that are equivalent.
    pub unsafe fn promote_unchecked(self, backing: A) -> Arena<A> {
        ManuallyDrop::into_inner(self.arena).with_backing(backing).0
    }
}

/// An [`ArenaState`] over `&B` that knows the address of its `B`. Made by [`Arena::into_ref_state`].
#[must_use = "the chunks are lost to their backing if a state is dropped"]
pub struct RefState<'b, B: Allocator> {
    state: ArenaState<&'b B>,
    /// Invariant: the address of the backing that the state was taken from.
    backing_addr: usize,
}

impl<'b, B: Allocator> Arena<&'b B> {
    /// Takes the arena apart, and forgets its backing but for where that is.
    pub fn into_ref_state(self) -> RefState<'b, B> {
        let (state, backing) = self.into_state();
        RefState { state, backing_addr: ptr::from_ref(backing).addr() }
    }
}

impl<'b, B: Allocator> RefState<'b, B> {
    /// Makes an arena of it again, if `backing` is the one that the chunks came from.
    ///
    /// # Errors
    ///
    /// The state, if it is another one.
    pub fn promote(self, backing: &'b B) -> Result<Arena<&'b B>, Self> {
        if self.backing_addr != ptr::from_ref(backing).addr() {
            return Err(self);
        }
        // SAFETY: that backing is borrowed for `'b`, so it is still where it was, and it is this one: two
        // values of one type share an address only if they have no bytes, and then nothing tells one from
        // the other.
        Ok(unsafe { self.state.promote_unchecked(backing) })
    }
}

impl<B: Allocator> fmt::Debug for RefState<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

#[cfg(feature = "alloc")]
impl ArenaState<Global> {
    /// Makes an arena over the program's own allocator of it again.
    pub fn promote_global(self) -> Arena {
        // SAFETY: every `Global` is the program's own allocator.
        unsafe { self.promote_unchecked(Global) }
    }
}

impl<A: Allocator> fmt::Debug for ArenaState<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ArenaState").field(&*self.arena).finish()
    }
}
