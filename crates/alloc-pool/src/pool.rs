//! The pool: slots for one type, in slabs of a backing allocator.

use core::alloc::Layout;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

#[cfg(feature = "alloc")]
use alloc_core::Global;
use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};

use crate::{growth, rare};

/// A slot: a value, or the next free slot.
#[repr(C)]
union Slot<T> {
    next: Option<NonNull<Slot<T>>>,
    _value: core::mem::ManuallyDrop<MaybeUninit<T>>,
}

/// What a slab begins with.
struct Header {
    /// The slab that came before.
    older: Option<NonNull<Header>>,
    /// Number of slots.
    count: usize,
}

macro_rules! pool {
    ($($default:tt)*) => {
        /// Hands out slots for values of one type, each as soon as it is asked for, and takes them back
        /// in any order.
        ///
        /// It is an [`Allocator`] for every layout that a `T` has room for, and refuses all others.
        /// `!Sync`; `Send` where the backing is.
        ///
        /// Costs: taking or giving back a slot is a load and two stores; when no slot is free, one call
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
        pub struct Pool<T, A: Allocator $($default)*> {
            /// Head of the list of slots that were given back; invariants 1 and 2 of the crate.
            free: Cell<Option<NonNull<Slot<T>>>>,
            /// The first slot of the current slab that was never handed out.
            fresh: Cell<NonNull<Slot<T>>>,
            /// How many such slots there are.
            fresh_count: Cell<usize>,
            /// The newest slab in use.
            newest: Cell<Option<NonNull<Header>>>,
            /// Slabs without a block, kept by a reset or made by [`preheat`](Self::preheat).
            spare: Cell<Option<NonNull<Header>>>,
            backing: A,
            _slots: PhantomData<*mut T>,
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
    /// Takes no memory before the first request.
    #[inline]
    pub const fn over(backing: A) -> Self {
        Self {
            free: Cell::new(None),
            fresh: Cell::new(NonNull::dangling()),
            fresh_count: Cell::new(0),
            newest: Cell::new(None),
            spare: Cell::new(None),
            backing,
            _slots: PhantomData,
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
        &self.backing
    }

    /// Returns how many slots all slabs have together, taken or not. Takes time in proportion to the
    /// number of slabs.
    pub fn capacity(&self) -> usize {
        let mut sum = 0;
        for list in [self.newest.get(), self.spare.get()] {
            let mut next = list;
            while let Some(slab) = next {
                // SAFETY: invariant 1: slabs of the lists are live and begin with their header.
                let header = unsafe { slab.as_ref() };
                sum += header.count;
                next = header.older;
            }
        }
        sum
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
        let slab = self.new_slab(count)?;
        // SAFETY: just made; only this pool has it.
        unsafe { link(slab, &self.spare) };
        Ok(())
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
        let mut next = self.newest.take();
        while let Some(slab) = next {
            // SAFETY: invariant 1.
            next = unsafe { slab.as_ref() }.older;
            // SAFETY: taken out of the list of slabs in use, and without a block.
            unsafe { link(slab, &self.spare) };
        }
    }

    /// Takes every slot back and gives all memory back to the backing. No value can be alive, as for
    /// [`reset`](Self::reset).
    pub fn free_all(&mut self) {
        self.forget_slots();
        for list in [&self.newest, &self.spare] {
            let mut next = list.take();
            while let Some(slab) = next {
                // SAFETY: invariant 1.
                let header = unsafe { slab.as_ref() };
                next = header.older;
                let layout = Self::slab_layout(header.count);
                // SAFETY: a live block of the backing (invariant 1) of this layout, by which it was
                // made; it is in no list any more, and no slot of it is in use (unique borrow).
                unsafe { self.backing.raw_free(slab.cast(), layout) };
            }
        }
    }

    fn forget_slots(&mut self) {
        self.free.set(None);
        self.fresh_count.set(0);
    }

    /// The layout of a slab that exists.
    fn slab_layout(count: usize) -> Layout {
        match growth::slab(Layout::new::<Header>(), Self::SLOT, count) {
            Some(slab) => slab.layout,
            // Its memory was allocated with this very layout. Were it not so, a size that the backing
            // did not hand out would be worse than the end of the process.
            None => alloc_core::check_failed(format_args!("a slab of {count} slots has no layout")),
        }
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
        let Some(left) = self.fresh_count.get().checked_sub(1) else { return self.take_slow() };
        let slot = self.fresh.get();
        self.fresh_count.set(left);
        // SAFETY: `fresh_count` slots from `fresh` lie in the current slab (invariant 3), and there was
        // one at least: the sum is inside the slab or at its end.
        self.fresh.set(unsafe { slot.add(1) });
        Ok(slot.cast())
    }

    /// Makes a slab the current one: a spare one, else a new one; as large as the pool likes, or where
    /// the backing refuses that, for one value.
    #[cold]
    #[inline(never)]
    fn take_slow(&self) -> Result<NonNull<u8>, AllocError> {
        let slab = match self.spare.get() {
            Some(slab) => {
                // SAFETY: invariant 1.
                self.spare.set(unsafe { slab.as_ref() }.older);
                slab
            }
            None => {
                // SAFETY: invariant 1.
                let newest = self.newest.get().map_or(0, |slab| unsafe { slab.as_ref() }.count);
                let count = growth::next_count(newest, Self::SLOT.size());
                self.new_slab(count).or_else(|_| self.new_slab(1))?
            }
        };
        // SAFETY: it was just made, or taken out of the list of spare ones.
        unsafe { link(slab, &self.newest) };
        // SAFETY: invariant 1.
        let count = unsafe { slab.as_ref() }.count;
        let Some(layout) = growth::slab(Layout::new::<Header>(), Self::SLOT, count) else {
            return Err(AllocError); // Not so: it was made with this layout.
        };
        // SAFETY: the slab has this layout: its slots begin there.
        let slots = unsafe { slab.cast::<u8>().add(layout.slots) };
        self.fresh.set(slots.cast());
        self.fresh_count.set(count);
        self.take_fresh()
    }

    /// Gets a slab from the backing; it is in no list yet.
    fn new_slab(&self, count: usize) -> Result<NonNull<Header>, AllocError> {
        let slab = growth::slab(Layout::new::<Header>(), Self::SLOT, count).ok_or(AllocError)?;
        let header = self.backing.raw_alloc(slab.layout)?.cast::<Header>();
        // SAFETY: a block of the slab's layout, which begins with a header and is aligned for it.
        unsafe { header.write(Header { older: None, count }) };
        Ok(header)
    }
}

/// Puts a slab at the head of a list.
///
/// # Safety
///
/// It is a live slab in no list, and the list is of the same pool.
unsafe fn link(slab: NonNull<Header>, list: &Cell<Option<NonNull<Header>>>) {
    // SAFETY: a slab begins with its header (contract).
    let older = unsafe { &raw mut (*slab.as_ptr()).older };
    // SAFETY: as above; nobody has a reference to it.
    unsafe { older.write(list.get()) };
    list.set(Some(slab));
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
        let slot = block.cast::<Slot<T>>();
        // SAFETY: a live block of this pool is a whole slot, aligned and valid for writes; it is dead
        // from now on.
        unsafe { slot.write(Slot { next: self.free.get() }) };
        self.free.set(Some(slot));
    }
}

alloc_core::impl_foreign_allocator!(impl[T, A: Allocator] for Pool<T, A>);

/// Gives all slabs back. Values that were leaked are not dropped.
impl<T, A: Allocator> Drop for Pool<T, A> {
    fn drop(&mut self) {
        self.free_all();
    }
}

impl<T, A: Allocator> fmt::Debug for Pool<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}
