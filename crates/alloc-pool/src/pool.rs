//! The pool: slots for one type, in slabs of a backing allocator.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

#[cfg(feature = "alloc")]
use alloc_core::Global;
use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};

use crate::rare;
use crate::slabs::Slabs;

/// A slot: a value, or the next free slot.
#[repr(C)]
union Slot<T> {
    next: Option<NonNull<Slot<T>>>,
    _value: core::mem::ManuallyDrop<MaybeUninit<T>>,
}

macro_rules! pool {
    ($($default:tt)*) => {
        /// Hands out slots for values of one type, each as soon as it is asked for, and takes them back
        /// in any order.
        ///
        /// It is an [`Allocator`] for every layout that a `T` has room for, and refuses all others.
        /// `!Sync`; `Send` where the backing is.
        ///
        /// Costs: taking a slot that was given back is two loads and a store, a fresh one three and one,
        /// giving back a load
        /// and two stores; when no slot is free, one call
        /// of the backing.
        ///
        /// ```
        /// use alloc_pool::Pool;
        ///
        /// struct Node { key: u32 }
        ///
        /// let pool = Pool::<Node>::new();
        /// let one = pool.create(Node { key: 1 })?; // Owned<Node, &Pool<Node>>: drop gives it back
        /// let two = pool.create(Node { key: 2 })?;
        /// drop(one);
        /// let three = pool.create(Node { key: 3 })?; // where `one` was
        /// assert_eq!(two.key + three.key, 5);
        /// # Ok::<(), alloc_core::AllocError>(())
        /// ```
        ///
        /// Values may own others of the same pool: dropping the first gives all of them back.
        ///
        /// ```
        /// use alloc_core::Owned;
        /// use alloc_pool::Pool;
        ///
        /// struct Tree<'p> {
        ///     key: u32,
        ///     left: Option<Owned<Tree<'p>, &'p Pool<Tree<'p>>>>,
        /// }
        ///
        /// let pool = Pool::new();
        /// let leaf = pool.create(Tree { key: 1, left: None })?;
        /// let root = pool.create(Tree { key: 2, left: Some(leaf) })?;
        /// assert_eq!(root.left.as_ref().map(|left| left.key + root.key), Some(3));
        /// # Ok::<(), alloc_core::AllocError>(())
        /// ```
        ///
        /// A pool is used by one thread at a time, and so are its values:
        ///
        /// ```compile_fail,E0277
        /// let pool = alloc_pool::Pool::<u8>::new();
        /// let value = pool.create(5).unwrap();
        /// std::thread::scope(|scope| drop(scope.spawn(|| drop(value))));
        /// ```
        pub struct Pool<T, A: Allocator $($default)*> {
            /// Head of the list of slots that were given back; invariants 1 and 2 of the crate.
            free: Cell<Option<NonNull<Slot<T>>>>,
            /// The first slot of the newest slab that was never handed out; invariant 3 of the crate.
            fresh: Cell<NonNull<Slot<T>>>,
            /// Where such slots end.
            fresh_end: Cell<NonNull<Slot<T>>>,
            /// What gives the slabs back at the end; it knows nothing of `T`, so that a `T` may hold
            /// owners of this very pool.
            slabs: Slabs<A>,
        }
    };
}

#[cfg(feature = "alloc")]
pool!(= Global);
#[cfg(not(feature = "alloc"))]
pool!();

#[cfg(feature = "alloc")]
impl<T> Pool<T> {
    /// Makes a pool over the program's own allocator. Takes no memory before the first request.
    #[inline]
    pub const fn new() -> Self {
        Self::over(Global)
    }
}

#[cfg(feature = "alloc")]
impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the slabs are blocks of the backing, reached through this pool alone, and go where it goes;
// the backing may be sent by the bound. The pool holds no value of `T`: those who own them borrow it.
unsafe impl<T, A: Allocator + Send> Send for Pool<T, A> {}

impl<T, A: Allocator> Pool<T, A> {
    /// What a slot is.
    const SLOT: Layout = Layout::new::<Slot<T>>();

    /// Makes a pool over a backing allocator: a value, or a reference to one that others use too.
    /// Takes no memory before the first request; then a slab of 16 slots, or of fewer if they are large,
    /// or of one where the backing has no more.
    #[inline]
    pub const fn over(backing: A) -> Self {
        Self {
            free: Cell::new(None),
            fresh: Cell::new(NonNull::dangling()),
            fresh_end: Cell::new(NonNull::dangling()),
            slabs: Slabs::new(Self::SLOT, backing),
        }
    }

    /// Returns an owned `value`, as the verb of the contract; but only a `T`: through the verb a value of
    /// another type, for which a slot may have no room, is refused when the program runs.
    ///
    /// ```compile_fail,E0308
    /// let pool = alloc_pool::Pool::<[u8; 4]>::new();
    /// let value = pool.create([1i64; 4]);
    /// ```
    ///
    /// An owner is two words and gives its slot back by itself. Taken apart it is one, for lists whose
    /// nodes many pointers lead to, and whoever takes it apart answers for it:
    ///
    /// ```
    /// # use alloc_core::Owned;
    /// let pool = alloc_pool::Pool::<u32>::new();
    /// let (node, _) = Owned::into_raw_parts(pool.create(5)?);
    /// // SAFETY: of this pool, valid, and used for the last time.
    /// drop(unsafe { Owned::from_raw_parts(node, &pool) });
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AllocError`] if the backing has no memory; the value is dropped then.
    #[inline]
    #[track_caller]
    pub fn create(&self, value: T) -> Result<Owned<T, &Self>, AllocError> {
        AllocatorExt::create(self, value)
    }

    /// As [`create`](Self::create), and loses nothing.
    ///
    /// # Errors
    ///
    /// The value and [`AllocError`], if the backing has no memory.
    #[inline]
    #[track_caller]
    pub fn create_or_return(&self, value: T) -> Result<Owned<T, &Self>, (T, AllocError)> {
        AllocatorExt::create_or_return(self, value)
    }

    /// Returns the allocator that the slabs come from.
    #[inline]
    pub const fn backing(&self) -> &A {
        &self.slabs.backing
    }

    /// Returns how many slots all slabs have together, taken or not. Takes time in proportion to the
    /// number of slabs.
    pub fn capacity(&self) -> usize {
        self.slabs.capacity()
    }

    /// Returns how many slots are taken: by values that are alive, or that were leaked. For tests and
    /// reports: it counts the slots that were given back, one by one, so that taking one counts nothing.
    ///
    /// ```
    /// let pool = alloc_pool::Pool::<u32>::new();
    /// let (one, two) = (pool.create(1)?, pool.create(2)?);
    /// drop(one);
    /// assert_eq!(pool.live(), 1);
    /// # drop(two);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    pub fn live(&self) -> usize {
        let fresh = self.fresh_end.get().addr().get() - self.fresh.get().addr().get();
        let mut live = self.slabs.in_use() - fresh / Self::SLOT.size();
        let mut next = self.free.get();
        while let Some(slot) = next {
            live -= 1;
            // SAFETY: invariant 2: a slot of the free list is memory of a slab that holds `next`.
            next = unsafe { slot.as_ref().next };
        }
        live
    }

    /// Gets memory for at least `count` more slots, in one slab: that many values can be made without
    /// asking the backing.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if the backing has no memory; the pool is as it was.
    pub fn preheat(&self, count: usize) -> Result<(), AllocError> {
        if count == 0 {
            return Ok(());
        }
        self.slabs.add_spare(count)
    }

    /// Takes every slot back and keeps the slabs: the next values ask the backing for nothing. No value
    /// can be alive: the borrow is unique. A value that was leaked is not dropped.
    ///
    /// ```compile_fail,E0502
    /// # use alloc_core::AllocatorExt;
    /// let mut pool = alloc_pool::Pool::<u8>::new();
    /// let value = pool.create(5).unwrap();
    /// pool.reset();
    /// drop(value);
    /// ```
    pub fn reset(&mut self) {
        self.forget_slots();
        self.slabs.spare_all();
    }

    /// Gives slabs that hold no value back to the backing, so that the [`capacity`](Self::capacity) is at most
    /// `count` slots; what was handed out since the last reset keeps its slab. After a [`reset`](Self::reset)
    /// this is a reset with a limit. Takes time in proportion to the number of slabs.
    ///
    /// ```
    /// let mut pool = alloc_pool::Pool::<[u64; 4]>::new();
    /// for round in [10, 10_000, 10] {
    ///     let values: Result<Vec<_>, _> = (0..round).map(|i| pool.create([i; 4])).collect();
    ///     drop(values?);
    ///     pool.reset();
    ///     pool.shrink_to(1000);
    ///     assert!((10..=1000).contains(&pool.capacity()));
    /// }
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    pub fn shrink_to(&self, count: usize) {
        self.slabs.shrink_to(count);
    }

    /// Takes every slot back and gives all memory back to the backing. No value can be alive, as for
    /// [`reset`](Self::reset).
    pub fn free_all(&mut self) {
        self.forget_slots();
        self.slabs.free_all();
    }

    fn forget_slots(&mut self) {
        self.free.set(None);
        self.fresh_end.set(self.fresh.get());
    }

    /// Takes the slot that was given back last, or the next that was never handed out.
    #[inline]
    fn take(&self) -> Result<NonNull<u8>, AllocError> {
        let Some(slot) = self.free.get() else {
            rare();
            return self.take_fresh();
        };
        // SAFETY: invariant 2: a slot of the free list is memory of a slab that holds `next`.
        self.free.set(unsafe { slot.as_ref().next });
        Ok(slot.cast())
    }

    #[inline]
    fn take_fresh(&self) -> Result<NonNull<u8>, AllocError> {
        let slot = self.fresh.get();
        if slot == self.fresh_end.get() {
            return self.take_slow().ok_or(AllocError);
        }
        // SAFETY: invariant 3: a slot of the newest slab begins at `fresh` and ends no later than
        // `fresh_end`, which is inside the slab or at its end.
        self.fresh.set(unsafe { slot.add(1) });
        Ok(slot.cast())
    }

    /// Makes the slots of one slab more the fresh ones, and takes the first. C's way to call, because nothing
    /// unwinds that way: whoever holds owners while it makes one more needs no code that drops them then.
    #[cold]
    #[inline(never)]
    extern "C" fn take_slow(&self) -> Option<NonNull<u8>> {
        let fresh = self.slabs.next().ok()?;
        self.give_fresh_back();
        let first = fresh.first.cast::<Slot<T>>();
        // SAFETY: so many slots lie there, one after the other (postcondition of `next`).
        let end = unsafe { first.add(fresh.count) };
        self.fresh.set(first);
        self.fresh_end.set(end);
        self.take_fresh().ok()
    }

    /// Puts the slots that are fresh into the free list. There are some where there were none if the backing,
    /// asked for a slab, has made values in this very pool.
    fn give_fresh_back(&self) {
        while self.fresh.get() != self.fresh_end.get() {
            let slot = self.fresh.get();
            // SAFETY: invariant 3: it ends no later than `fresh_end`.
            self.fresh.set(unsafe { slot.add(1) });
            // SAFETY: a slot that was never handed out is as good as one that came back.
            unsafe { self.give_back(slot) };
        }
    }

    /// Makes a slot the head of the free list.
    ///
    /// # Safety
    ///
    /// It is a slot of a slab in use, in no list, not among the fresh ones, and nobody uses it.
    #[inline]
    unsafe fn give_back(&self, slot: NonNull<Slot<T>>) {
        // SAFETY: a whole slot, aligned and valid for writes (contract).
        unsafe { slot.write(Slot { next: self.free.get() }) };
        self.free.set(Some(slot));
    }
}

// SAFETY: by number, on the invariants of the crate:
// 1 Fit: only layouts are served that a slot has room for, of no larger alignment; slots are aligned
//   memory of a slab, which the backing promised to be valid.
// 2 Exclusive: a slot leaves the free list, or the fresh ones, when it is handed out, and comes back
//   with `raw_free` alone; headers lie before the slots.
// 3 Stable: slots are in the slabs, not in `self`; only methods that have the pool uniquely, and drop,
//   give slabs back. There is no clone.
// 4 No unwind: no indexing, no unwrap, no overflow; a broken invariant ends the process. The backing
//   does not unwind either; drop gives slabs back, then drops the backing.
// 5 Hands off: `next` is written into slots that were given back only.
// 6 Kept: a resize inside the slot does nothing at all; on `false` and `None` as well.
// 7 Clean failure: a refused slab changes nothing.
unsafe impl<T, A: Allocator> Allocator for Pool<T, A> {
    #[inline]
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if Self::SLOT.size() < layout.size() || Self::SLOT.align() < layout.align() {
            return Err(AllocError);
        }
        self.take()
    }

    #[inline]
    unsafe fn raw_resize(&self, _: NonNull<u8>, _: Layout, new_size: usize) -> bool {
        new_size <= Self::SLOT.size()
    }

    #[inline]
    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        _: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        (new_size <= Self::SLOT.size()).then_some(block)
    }

    #[inline]
    unsafe fn raw_free(&self, block: NonNull<u8>, _: Layout) {
        // SAFETY: a live block of this pool is a whole slot, in no list; it is dead from now on.
        unsafe { self.give_back(block.cast()) };
    }
}

alloc_core::impl_foreign_allocator!(impl[T, A: Allocator] for Pool<T, A>);

impl<T, A: Allocator> fmt::Debug for Pool<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}
