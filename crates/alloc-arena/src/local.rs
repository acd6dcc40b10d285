//! A thread's own part of a shared arena.

use core::fmt;
use core::mem::ManuallyDrop;

use alloc_core::{AllocError, Allocator};

use crate::chunk::Chunk;
use crate::values::impl_values;
use crate::{Arena, Growth, SharedArena};

/// The length of the chunks that a local arena takes from the shared one, if nothing else is said.
pub(crate) const LOCAL_CHUNK_LEN: usize = if cfg!(miri) { 256 } else { 16 << 10 };

/// One thread's part of a [`SharedArena`]: takes chunks from it, and values from those, without an atomic
/// operation. `Send`, not `Sync`.
///
/// Its values live for `'s`, as long as the shared arena is borrowed, so also after the local one was
/// dropped; all memory comes back when the shared arena is reset.
///
/// ```compile_fail,E0505
/// # use alloc_arena::SharedArena;
/// let shared = SharedArena::new();
/// let number = shared.local().put(5).unwrap();
/// drop(shared);
/// *number = 6;
/// ```
pub struct LocalArena<'s, A: Allocator> {
    /// Never dropped: its chunks are the shared arena's for good.
    arena: ManuallyDrop<Arena<&'s SharedArena<A>>>,
}

impl<'s, A: Allocator> LocalArena<'s, A> {
    pub(crate) const fn new(shared: &'s SharedArena<A>, growth: Growth) -> Self {
        Self { arena: ManuallyDrop::new(Arena::over(shared).with_growth(growth)) }
    }

    /// Returns the arena that the chunks come from.
    pub fn shared(&self) -> &'s SharedArena<A> {
        self.arena.backing()
    }

    /// Returns how many bytes of the chunks are taken.
    pub fn used(&self) -> usize {
        self.arena.used()
    }

    /// Returns how many bytes of the shared arena the chunks have, headers included.
    pub fn reserved(&self) -> usize {
        self.arena.reserved()
    }

    /// Makes room for `bytes` more in one piece.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if the shared arena refuses it.
    pub fn reserve(&self, bytes: usize) -> Result<(), AllocError> {
        self.arena.reserve(bytes)
    }

    /// The arena, for as long as its blocks live.
    fn long(&self) -> &'s Arena<&'s SharedArena<A>> {
        let arena: *const Arena<_> = &raw const *self.arena;
        // SAFETY: the arena is here while `self` is borrowed, and who calls this uses it no longer than
        // that: the methods of this type, and the builders that they return, which borrow it. Other things
        // that they return lie in chunks, which are blocks of the shared arena that nobody gives back while
        // that is borrowed for `'s`: `arena` is never dropped nor reset, and `drop` below cuts off what no
        // block has.
        unsafe { &*arena }
    }
}

impl_values!(impl['s, A: Allocator] LocalArena<'s, A>, self => self.long(), Arena<&'s SharedArena<A>>, 's);

// SAFETY: as the arena, to which all is forwarded; blocks even outlive the local arena (3).
unsafe impl<A: Allocator> Allocator for LocalArena<'_, A> {
    alloc_core::forward!(*self.arena);
}

alloc_core::impl_foreign_allocator!(impl['s, A: Allocator] for LocalArena<'s, A>);

/// Gives back what is left of the newest chunk, if nobody took memory of the shared arena since.
impl<A: Allocator> Drop for LocalArena<'_, A> {
    fn drop(&mut self) {
        if let Some(newest) = self.arena.newest.get() {
            let used = self.arena.cursor_offset(newest);
            // SAFETY: it came from this backing. Blocks end at the cursor; nobody uses the arena again.
            let _: bool = unsafe { Chunk::resize(newest, &self.arena.backing, used) };
        }
    }
}

impl<A: Allocator> fmt::Debug for LocalArena<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalArena").field(&*self.arena).finish()
    }
}
