//! A lock that allocates nothing: one word, and the kernel's futex when it must wait.
//!
//! It is for the heap's rare and short sections. It is not recursive. What must not wait (a signal
//! handler that interrupted the holder) never comes here: see the crate's docs, "Re-entrance".

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const FREE: u32 = 0;
const HELD: u32 = 1;
const WAITED_FOR: u32 = 2;
/// Tries before it waits: a section is some hundred instructions long.
const SPIN_COUNT: u32 = 100;

/// A value that one thread at a time may use.
pub(crate) struct Lock<T> {
    /// `FREE`, `HELD`, or `WAITED_FOR`: held, and some thread sleeps.
    word: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through the guard only, of which there is one at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

/// Gives access to the value, and releases the lock when it is dropped.
pub(crate) struct Guard<'l, T>(&'l Lock<T>);

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { word: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Takes the lock if nobody holds it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        // Acquire: sees what the last holder wrote; pairs with the Release in `Guard::drop`.
        // Relaxed: on failure nothing is read.
        self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok().then(|| Guard(self))
    }

    /// Takes the lock, and sleeps while another thread holds it.
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.try_lock().unwrap_or_else(|| self.lock_slow())
    }

    /// Takes the lock, and gives up after some thousand tries: for code that may run in a signal
    /// handler which interrupted the holder.
    #[cold]
    pub(crate) fn lock_or_give_up(&self) -> Option<Guard<'_, T>> {
        (0..10 * SPIN_COUNT).find_map(|_| {
            let guard = self.try_lock();
            if guard.is_none() {
                // SAFETY: no preconditions.
                unsafe { libc::sched_yield() };
            }
            guard
        })
    }

    /// As [`lock_or_give_up`](Self::lock_or_give_up), but gives up after a second: for what is rare and
    /// should not fail only because the system lets the holder wait.
    #[cold]
    pub(crate) fn lock_within_a_second(&self) -> Option<Guard<'_, T>> {
        const PAUSE: u64 = 1_000_000;
        self.lock_or_give_up().or_else(|| {
            (0..1000).find_map(|_| {
                crate::sys::tasks::pause(PAUSE);
                self.try_lock()
            })
        })
    }

    #[cold]
    #[inline(never)]
    fn lock_slow(&self) -> Guard<'_, T> {
        for _ in 0..SPIN_COUNT {
            core::hint::spin_loop();
            if let Some(guard) = self.try_lock() {
                return guard;
            }
        }
        // Acquire: as in `try_lock`. Whoever comes here marks the lock as waited for, also when it
        // was free: at worst one wake-up too many.
        while self.word.swap(WAITED_FOR, Acquire) != FREE {
            // SAFETY: the word lives as long as `self`; FUTEX_WAIT only reads it, and returns at
            // once if it is no longer `WAITED_FOR` (futex(2)).
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.word.as_ptr(),
                    libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                    WAITED_FOR,
                    core::ptr::null::<libc::timespec>(),
                );
            }
        }
        Guard(self)
    }

    /// Takes the lock and keeps it until [`release`](Self::release): for `fork`, whose two ends are
    /// two calls. Returns whether it has it: who must not wait for long gives up.
    pub(crate) fn acquire(&self, may_wait: bool) -> bool {
        let guard = if may_wait { Some(self.lock()) } else { self.lock_or_give_up() };
        guard.map(core::mem::ManuallyDrop::new).is_some()
    }

    /// Returns the value.
    ///
    /// # Safety
    ///
    /// The calling thread holds the lock by [`acquire`](Self::acquire), and changes nothing while it
    /// uses the result.
    pub(crate) unsafe fn peek(&self) -> &T {
        // SAFETY: the contract: nobody writes it.
        unsafe { &*self.value.get() }
    }

    /// Releases what [`acquire`](Self::acquire) took, in the parent or in the child.
    ///
    /// # Safety
    ///
    /// The calling thread, or the thread of the parent that it continues, holds the lock by
    /// `acquire`.
    pub(crate) unsafe fn release(&self) {
        drop(Guard(self));
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard is the only access while it lives.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard is the only access while it lives, and is borrowed uniquely.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Release: publishes what the holder wrote; pairs with the Acquires above.
        if self.0.word.swap(FREE, Release) == WAITED_FOR {
            // SAFETY: the word lives as long as the lock; FUTEX_WAKE does not even read it.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.0.word.as_ptr(),
                    libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                    1,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four threads add to a plain number; none is lost, whether they spin or sleep.
    #[test]
    fn counts_are_exact_under_contention() {
        let lock = Lock::new(0u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20_000).for_each(|_| *lock.lock() += 1));
            }
        });
        assert_eq!(*lock.lock(), 80_000);
        assert!(lock.try_lock().is_some());
    }

    /// A holder that does not run for a while is waited for; one that never lets go is not.
    #[test]
    fn a_slow_holder_is_waited_for() {
        let lock = Lock::new(0);
        std::thread::scope(|scope| {
            let mut held = lock.lock();
            let waiter = scope.spawn(|| lock.lock_within_a_second().map(|value| *value));
            std::thread::sleep(std::time::Duration::from_millis(100));
            *held = 5;
            drop(held);
            assert_eq!(waiter.join().expect("no panic"), Some(5));
        });
        let _held = lock.lock();
        assert!(lock.lock_or_give_up().is_none());
        assert!(lock.lock_within_a_second().is_none());
    }

    #[test]
    fn a_held_lock_is_not_taken_again() {
        let lock = Lock::new(());
        assert!(lock.acquire(true) && !lock.acquire(false));
        assert!(lock.try_lock().is_none());
        // SAFETY: acquired above.
        unsafe { lock.release() };
        assert!(lock.try_lock().is_some());
    }
}
