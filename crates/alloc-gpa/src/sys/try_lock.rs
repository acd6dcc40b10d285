//! A lock that nobody waits for.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

#[cfg(not(loom))]
use core::sync::atomic::AtomicBool;
#[cfg(loom)]
use loom::sync::atomic::AtomicBool;

/// Gives one thread at a time access to a `T`; all others are turned away, never kept waiting. So
/// neither a signal handler nor a forked child can hang on it.
pub(crate) struct TryLock<T> {
    held: AtomicBool,
    /// Invariant: accessed only by whoever holds the one live [`TryGuard`].
    value: UnsafeCell<T>,
}

// SAFETY: `value` is reached only through a `TryGuard`, of which there is at most one at a time, and
// the orderings on `held` hand its memory from one holder to the next; so sharing the lock only
// ever moves the `T` between threads, which `T: Send` allows.
unsafe impl<T: Send> Sync for TryLock<T> {}

/// Access to the value of a [`TryLock`]; gives it up when dropped.
pub(crate) struct TryGuard<'a, T> {
    lock: &'a TryLock<T>,
}

impl<T> TryLock<T> {
    /// Creates the lock, free.
    #[cfg(not(loom))]
    pub(crate) const fn new(value: T) -> Self {
        Self { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Creates the lock, free.
    #[cfg(loom)]
    pub(crate) fn new(value: T) -> Self {
        Self { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Takes the lock, or returns `None` at once if it is held.
    pub(crate) fn try_lock(&self) -> Option<TryGuard<'_, T>> {
        // Acquire: sees what the last holder wrote. Pairs with the Release in `drop`.
        // Relaxed: on failure nothing is read.
        let taken = self.held.compare_exchange(false, true, Acquire, Relaxed);
        taken.ok().map(|_| TryGuard { lock: self })
    }

    /// Frees a lock whose holder does not exist in this process: a forked child calls it first.
    ///
    /// # Safety
    ///
    /// No thread of this process holds a guard.
    pub(crate) unsafe fn reset_after_fork(&self) {
        // Relaxed: the child has one thread, and it stays in order with itself.
        self.held.store(false, Relaxed);
    }
}

impl<T> Deref for TryGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this is the one live guard, so nobody writes the value (invariant on `value`).
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for TryGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this is the one live guard, borrowed exclusively (invariant on `value`).
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for TryGuard<'_, T> {
    fn drop(&mut self) {
        // Release: hands what was written to the next holder. Pairs with the Acquire in `try_lock`.
        self.lock.held.store(false, Release);
    }
}
