//! A heap in two processes: nobody holds a lock while the kernel copies it.

use core::sync::atomic::Ordering::Relaxed;

use super::Heap;
use crate::lock::Lock;

impl Heap {
    /// All locks: their bits in what `before_fork` returns are in this order, which is also that in
    /// which whoever needs two of them takes them.
    fn locks(&self) -> impl Iterator<Item = (u32, &dyn ForkLock)> {
        let before = [&self.shards.common as &dyn ForkLock, &self.guards.currents];
        let growths = self.sites.locks().into_iter().map(|lock| lock as &dyn ForkLock);
        let after = [&self.quarantine as &dyn ForkLock, &self.findings.lock];
        (0..).zip(before.into_iter().chain(growths).chain(after))
    }

    /// Takes all locks, so that a fork copies a heap that nobody is changing; returns a bit for each
    /// that it has. Without `may_wait` this thread may hold some already.
    pub(crate) fn before_fork(&self, may_wait: bool) -> u32 {
        let held = self.locks().filter(|(_, lock)| lock.take(may_wait));
        held.fold(0, |bits, (index, _)| bits | 1 << index)
    }

    /// Releases what [`before_fork`](Self::before_fork) took, in the parent or in the child.
    ///
    /// # Safety
    ///
    /// `held` is what it returned to this thread, or to the one that this is the copy of.
    pub(crate) unsafe fn after_fork(&self, held: u32) {
        for (_, lock) in self.locks().filter(|(index, _)| held & 1 << index != 0) {
            // SAFETY: taken by `before_fork`.
            unsafe { lock.give_back() };
        }
    }

    /// Marks what is allocated from now on as a forked child's own, and its notes. Unless the thread
    /// that forked `is_inside` the heap, nobody asks any more that memory is held.
    pub(crate) fn next_epoch(&self, is_inside: bool) {
        self.notes.clear();
        self.shards.after_fork_child();
        // The thread that swept was not copied, or the child is inside its report.
        for site in self.sites.iter() {
            site.waiting.end_sweep();
        }
        if !is_inside {
            self.sites.growths().for_each(|mut growth| growth.holders = 0);
            self.forget_holds();
        }
        // Relaxed: a forked child has one thread.
        self.epoch.fetch_add(1, Relaxed);
    }
}

/// A lock over whatever value.
trait ForkLock {
    fn take(&self, may_wait: bool) -> bool;

    /// # Safety
    ///
    /// As [`Lock::release`].
    unsafe fn give_back(&self);
}

impl<T> ForkLock for Lock<T> {
    fn take(&self, may_wait: bool) -> bool {
        self.acquire(may_wait)
    }

    unsafe fn give_back(&self) {
        // SAFETY: the caller's contract.
        unsafe { self.release() };
    }
}
