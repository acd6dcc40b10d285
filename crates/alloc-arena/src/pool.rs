//! Warm arenas for whoever needs one: a worker, a request.

use core::array;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
#[cfg(not(loom))]
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

use alloc_core::sync::UnsafeCell;
use alloc_core::sync::atomic::AtomicUsize;
use alloc_core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use alloc_core::{AllocError, Allocator};

use crate::{Arena, Reset};

/// `N` arenas that are lent out, reset when they come back, and stay warm. For many threads; neither
/// lending nor returning waits for anyone.
///
/// ```
/// use alloc_arena::{Arena, ArenaPool, Reset};
///
/// let pool: ArenaPool<_, 4> = ArenaPool::new(Arena::new, Reset::RetainWithLimit(1 << 20));
/// std::thread::scope(|threads| {
///     for request in ["GET /", "GET /about"] {
///         let pool = &pool;
///         threads.spawn(move || {
///             let arena = pool.take().expect("two workers, four arenas");
///             assert_eq!(arena.put_str(request).unwrap(), request);
///         });
///     }
/// });
/// assert_eq!(pool.free_count(), 4);
/// ```
pub struct ArenaPool<A: Allocator, const N: usize> {
    /// Bit `i`: arena `i` is here. Invariant: whoever cleared the bit has the arena alone.
    free: AtomicUsize,
    arenas: [UnsafeCell<Arena<A>>; N],
    mode: Reset,
}

// SAFETY: an arena is reached by the one alone who took it, who may be any thread, one after the other:
// the arena may be sent by the bound. `free` orders them.
unsafe impl<A: Allocator + Send, const N: usize> Sync for ArenaPool<A, N> {}

impl<A: Allocator, const N: usize> ArenaPool<A, N> {
    /// All `N` bits.
    const ALL: usize = {
        assert!(
            0 < N && N <= usize::BITS as usize,
            "a pool has one arena at least, and a bit for each"
        );
        usize::MAX >> (usize::BITS as usize - N)
    };

    /// Makes a pool of arenas that `arena` makes; when one comes back, it keeps what `mode` says.
    pub fn new(mut arena: impl FnMut() -> Arena<A>, mode: Reset) -> Self {
        Self::over(array::from_fn(|_| arena()), mode)
    }

    alloc_core::__const_unless_loom! {
        /// Makes a pool of these arenas, as [`new`](Self::new); can be a static.
        ///
        /// ```
        /// use alloc_arena::{Arena, ArenaPool, Reset};
        /// use alloc_core::Global;
        ///
        /// static POOL: ArenaPool<Global, 4> =
        ///     ArenaPool::over([const { Arena::new() }; 4], Reset::RetainCapacity);
        ///
        /// let arena = POOL.take().expect("there are four");
        /// assert_eq!(arena.put(5)?, &5);
        /// # Ok::<(), alloc_core::AllocError>(())
        /// ```
        pub fn over(arenas: [Arena<A>; N], mode: Reset) -> Self {
            Self { free: AtomicUsize::new(Self::ALL), arenas: cells(arenas), mode }
        }
    }

    /// Makes room for `bytes` in each of the arenas, so that no request up to there asks the backing.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if the backing refuses one of them; those before have the room.
    pub fn preheat(&mut self, bytes: usize) -> Result<(), AllocError> {
        for arena in &self.arenas {
            // SAFETY: the pool is borrowed uniquely, so no arena is lent out.
            arena.with_mut(|arena| unsafe { &mut *arena }.reserve(bytes))?;
        }
        Ok(())
    }

    /// Lends an arena out, if one is here.
    pub fn take(&self) -> Option<PooledArena<'_, A, N>> {
        let mut free = self.free.load(Relaxed);
        loop {
            // The lowest one: few arenas are used while few are needed, and those are the warmest.
            let index = free.trailing_zeros() as usize;
            if N <= index {
                return None;
            }
            // Acquire: pairs with the Release in `PooledArena::drop`, so that what its last borrower did
            // to the arena has happened. Relaxed: on failure only the new bits are used.
            match self.free.compare_exchange_weak(free, free & !(1 << index), Acquire, Relaxed) {
                Ok(_) => return Some(PooledArena { pool: self, index, _arena: PhantomData }),
                Err(now) => free = now,
            }
        }
    }

    /// Returns how many arenas are here; a moment later it may be another number.
    pub fn free_count(&self) -> usize {
        // Relaxed: the number alone counts.
        self.free.load(Relaxed).count_ones() as usize
    }
}

/// Each arena in a cell. A `map` is not `const`.
#[cfg(not(loom))]
const fn cells<A: Allocator, const N: usize>(arenas: [Arena<A>; N]) -> [UnsafeCell<Arena<A>>; N] {
    let arenas = ManuallyDrop::new(arenas);
    let cells: *const [UnsafeCell<Arena<A>>; N] = (&raw const arenas).cast();
    // SAFETY: a cell and a `ManuallyDrop` are laid out as what is in them (`repr(transparent)`); the arenas are not
    // used again, nor dropped.
    unsafe { cells.read() }
}

#[cfg(loom)]
fn cells<A: Allocator, const N: usize>(arenas: [Arena<A>; N]) -> [UnsafeCell<Arena<A>>; N] {
    arenas.map(UnsafeCell::new)
}

impl<A: Allocator, const N: usize> fmt::Debug for ArenaPool<A, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArenaPool")
            .field("arenas", &N)
            .field("free", &self.free_count())
            .finish_non_exhaustive()
    }
}

/// An arena of an [`ArenaPool`], reset and returned when it is dropped.
#[must_use = "the arena goes back to its pool when this is dropped, which is at once if it is not used"]
pub struct PooledArena<'p, A: Allocator, const N: usize> {
    pool: &'p ArenaPool<A, N>,
    /// Invariant: less than `N`, and this owner cleared the bit.
    index: usize,
    /// Not `Sync`, as the arena is not.
    _arena: PhantomData<Cell<()>>,
}

impl<A: Allocator, const N: usize> PooledArena<'_, A, N> {
    /// Where the arena is.
    fn place(&self) -> &UnsafeCell<Arena<A>> {
        // SAFETY: the index is less than the length (invariant).
        unsafe { self.pool.arenas.get_unchecked(self.index) }
    }
}

impl<A: Allocator, const N: usize> Deref for PooledArena<'_, A, N> {
    type Target = Arena<A>;

    fn deref(&self) -> &Arena<A> {
        // SAFETY: whoever cleared the bit has the arena alone, and that is this owner.
        self.place().with(|arena| unsafe { &*arena })
    }
}

impl<A: Allocator, const N: usize> DerefMut for PooledArena<'_, A, N> {
    fn deref_mut(&mut self) -> &mut Arena<A> {
        // SAFETY: as above, and this owner is borrowed uniquely.
        self.place().with_mut(|arena| unsafe { &mut *arena })
    }
}

impl<A: Allocator, const N: usize> Drop for PooledArena<'_, A, N> {
    fn drop(&mut self) {
        let mode = self.pool.mode;
        self.reset(mode);
        // Release: what was done to the arena happens before the next borrower has it. Pairs with the
        // Acquire in `ArenaPool::take`.
        self.pool.free.fetch_or(1 << self.index, Release);
    }
}
