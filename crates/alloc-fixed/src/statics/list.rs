//! A list whose items do not move.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use alloc_core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use alloc_core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize};
use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};

/// A list of up to `N` items that do not move, for a `static`; threads may push and read at once.
///
/// What does not fit can go to an allocator, [`push_in`](Self::push_in). Items are not dropped, since
/// a `static` is not.
///
/// ```
/// use alloc_fixed::StaticList;
///
/// static NAMES: StaticList<&str, 100> = StaticList::new();
///
/// let first: &'static &str = NAMES.push("first").unwrap();
/// NAMES.push("second").unwrap();
/// assert_eq!(NAMES.get(1), Some(&"second"));
/// assert!(NAMES.iter().eq(&["first", "second"]));
/// assert_eq!(*first, "first");
/// ```
pub struct StaticList<T, const N: usize> {
    slots: UnsafeCell<[MaybeUninit<T>; N]>,
    /// Whether the slot holds an item, which is never changed again.
    is_ready: [AtomicBool; N],
    /// How many slots were asked for, at most `N` of which there are.
    claimed: AtomicUsize,
    /// Items in memory of allocators, newest first.
    overflow: AtomicPtr<Node<T>>,
}

/// An item in memory of an allocator.
struct Node<T> {
    item: T,
    next: *const Node<T>,
}

// SAFETY: a slot is written by the one thread that claimed it, before `is_ready`, and is read after
// that; readers get `&T`, and an item pushed by one thread may be reached by another.
unsafe impl<T: Send + Sync, const N: usize> Sync for StaticList<T, N> {}
// SAFETY: it holds its items, and reaches nodes that live for ever.
unsafe impl<T: Send + Sync, const N: usize> Send for StaticList<T, N> {}

impl<T, const N: usize> StaticList<T, N> {
    /// Makes an empty list.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            slots: UnsafeCell::new([const { MaybeUninit::uninit() }; N]),
            is_ready: [const { AtomicBool::new(false) }; N],
            claimed: AtomicUsize::new(0),
            overflow: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Makes an empty list.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            slots: UnsafeCell::new([const { MaybeUninit::uninit() }; N]),
            is_ready: core::array::from_fn(|_| AtomicBool::new(false)),
            claimed: AtomicUsize::new(0),
            overflow: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The place of an item.
    #[inline]
    fn slot(&self, index: usize) -> *mut T {
        self.slots.get().cast::<T>().wrapping_add(index)
    }

    /// Puts an item in and returns its place.
    ///
    /// # Errors
    ///
    /// The item, if there are `N` already.
    pub fn push(&self, item: T) -> Result<&T, T> {
        // Relaxed: it only tells slots apart; what they hold is published by `is_ready`.
        let mut index = self.claimed.load(Relaxed);
        loop {
            let Some(is_ready) = self.is_ready.get(index) else { return Err(item) };
            match self.claimed.compare_exchange_weak(index, index + 1, Relaxed, Relaxed) {
                Err(other) => index = other,
                Ok(_) => {
                    let slot = self.slot(index);
                    // SAFETY: `index < N` (`get`), and this thread alone claimed it.
                    unsafe { slot.write(item) };
                    // Release: publishes the item. Pairs with the Acquire in `get`.
                    is_ready.store(true, Release);
                    // SAFETY: written above; it is never changed again, nor moved while `self` lives.
                    return Ok(unsafe { &*slot });
                }
            }
        }
    }

    /// As [`push`](Self::push), and when the list is full the item goes to memory of `alloc`, which it
    /// keeps for ever.
    ///
    /// # Errors
    ///
    /// The item and [`AllocError`], if that has none either.
    pub fn push_in<A: Allocator>(
        &'static self,
        item: T,
        alloc: &'static A,
    ) -> Result<&'static T, (T, AllocError)> {
        let item = match self.push(item) {
            Ok(place) => return Ok(place),
            Err(item) => item,
        };
        let node = alloc.create_or_return(Node { item, next: ptr::null() });
        let node = node.map_err(|(node, error)| (node.item, error))?;
        let node = NonNull::from(Owned::leak(node));
        // Relaxed: the older node was published by whoever pushed it; only its address is used here.
        let mut next = self.overflow.load(Relaxed);
        loop {
            // SAFETY: nobody else knows the node before the swap succeeds.
            unsafe { (*node.as_ptr()).next = next };
            // Release: publishes the node. Pairs with the Acquire in `iter`, also through later swaps,
            // which read this one. Relaxed: on failure only the address is used.
            match self.overflow.compare_exchange_weak(next, node.as_ptr(), Release, Relaxed) {
                Err(other) => next = other,
                // SAFETY: a leaked block of a static allocator: it lives for ever, and nobody changes
                // it any more.
                Ok(_) => return Ok(unsafe { &(*node.as_ptr()).item }),
            }
        }
    }

    /// Returns the item at an index; `None` if there is none, or if the thread that pushes it has not
    /// finished. Items of [`push_in`](Self::push_in) beyond the `N`th have no index.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        // Acquire: pairs with the Release in `push`: the item is written.
        if !self.is_ready.get(index)?.load(Acquire) {
            return None;
        }
        // SAFETY: `index < N` and the item is written (`is_ready`), and never changed again.
        Some(unsafe { &*self.slot(index) })
    }

    /// Returns the items that are ready: those with an index in its order, then the others.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        // Acquire: pairs with the Release in `push_in`: the nodes are written.
        let mut node = self.overflow.load(Acquire).cast_const();
        let overflow = core::iter::from_fn(move || {
            // SAFETY: null, or a node that was published, lives for ever and is never changed again.
            let Node { item, next } = unsafe { node.as_ref() }?;
            node = *next;
            Some(item)
        });
        (0..N)
            .map_while(|index| (index < self.len()).then(|| self.get(index)))
            .flatten()
            .chain(overflow)
    }

    /// Returns how many items have an index, or will have when their push has finished.
    #[inline]
    pub fn len(&self) -> usize {
        // Relaxed: a number, old when it is returned.
        self.claimed.load(Relaxed)
    }

    /// Whether nothing was pushed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T, const N: usize> Default for StaticList<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for StaticList<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
