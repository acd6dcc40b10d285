//! The wrapper that lets threads share an allocator that is none of theirs.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::Deref;

use lock_api::{Mutex, MutexGuard, RawMutex};

use crate::bomb::Bomb;
use crate::{Allocator, UnsizedFree};

/// Makes an allocator that one thread at a time may use into one that all may use, by any lock that
/// has a raw mutex: parking_lot's, spin's, a critical section.
///
/// There is no poisoning: no call of an allocator unwinds (promise 4), so none leaves it halfway.
/// A lock that unwinds while it serves a request aborts.
///
/// ```
/// use alloc_core::{AllocatorExt, FromGlobal, Locked};
/// use std::alloc::System;
///
/// let shared: Locked<parking_lot::RawMutex, _> = Locked::new(FromGlobal::new(System));
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| assert_eq!(shared.dupe(&[1, 2]).unwrap()[1], 2));
///     }
/// });
/// ```
///
/// # Drawbacks
///
/// Every call takes the lock, and an allocator that waits for itself inside waits for ever. A lock
/// that allocates while it waits, as parking_lot's does, must not guard what serves the process's
/// own `malloc`.
pub struct Locked<R, A> {
    inner: Mutex<R, A>,
}

impl<R: RawMutex, A> Locked<R, A> {
    /// Wraps an allocator; the lock is free.
    pub const fn new(inner: A) -> Self {
        Self { inner: Mutex::new(inner) }
    }

    /// Calls `f` with the allocator while no other thread is inside it. `f` allocates through what
    /// it is given: through the wrapper it would wait for itself.
    pub fn with<T>(&self, f: impl FnOnce(&A) -> T) -> T {
        f(&self.inner.lock())
    }

    /// Takes the lock for one request.
    #[inline]
    fn hold(&self) -> Held<'_, R, A> {
        let bomb = BOMB;
        let guard = self.inner.lock();
        bomb.defuse();
        Held(ManuallyDrop::new(guard))
    }

    /// Returns the allocator without taking the lock: nobody else can hold it.
    pub fn get_mut(&mut self) -> &mut A {
        self.inner.get_mut()
    }

    /// Returns the allocator.
    pub fn into_inner(self) -> A {
        self.inner.into_inner()
    }
}

/// What [`Bomb`] says of a lock.
const BOMB: Bomb = Bomb("the lock of an allocator unwound");

/// The lock, held for one request.
struct Held<'a, R: RawMutex, A>(ManuallyDrop<MutexGuard<'a, R, A>>);

impl<R: RawMutex, A> Deref for Held<'_, R, A> {
    type Target = A;

    #[inline]
    fn deref(&self) -> &A {
        &self.0
    }
}

impl<R: RawMutex, A> Drop for Held<'_, R, A> {
    #[inline]
    fn drop(&mut self) {
        let bomb = BOMB;
        // SAFETY: once, since this is the only place that drops it, and it is not used again.
        unsafe { ManuallyDrop::drop(&mut self.0) };
        bomb.defuse();
    }
}

impl<R: RawMutex, A: fmt::Debug> fmt::Debug for Locked<R, A> {
    /// Does not wait: a wrapper that is in use says so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

// SAFETY: 1 to 7 are kept by forwarding to `A`, which keeps them, one call at a time. 3: moving the
// wrapper moves the allocator, which moves no block; `with` gives `&A`, through which no safe call
// invalidates one. 4: what unwinds in the lock aborts.
unsafe impl<R: RawMutex, A: Allocator> Allocator for Locked<R, A> {
    crate::forward!(*self.hold());
}

// SAFETY: the sizes are those that `A` tells.
unsafe impl<R: RawMutex, A: UnsizedFree> UnsizedFree for Locked<R, A> {
    crate::forward_unsized!(*self.hold());
}

crate::impl_foreign_allocator!(impl[R: RawMutex, A: Allocator] for Locked<R, A>);
