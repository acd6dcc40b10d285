//! A heap in two processes: nobody holds a lock while the kernel copies it.

use core::sync::atomic::Ordering::Relaxed;

use super::Heap;

impl Heap {
    /// Takes all locks, so that a fork copies a heap that nobody is changing.
    pub(crate) fn before_fork(&self) {
        self.shards.iter().for_each(|shard| shard.currents.acquire());
        self.growth.acquire();
        self.findings.lock.acquire();
    }

    /// Releases what [`before_fork`](Self::before_fork) took, in the parent or in the child.
    ///
    /// # Safety
    ///
    /// The calling thread is the one that called `before_fork`, or its copy in the child.
    pub(crate) unsafe fn after_fork(&self) {
        // SAFETY: taken by `before_fork`.
        unsafe { self.findings.lock.release() };
        // SAFETY: as above.
        unsafe { self.growth.release() };
        for shard in &self.shards {
            // SAFETY: as above.
            unsafe { shard.currents.release() };
        }
    }

    /// Marks what is allocated from now on as a forked child's own.
    pub(crate) fn next_epoch(&self) {
        // Relaxed: a forked child has one thread.
        self.epoch.fetch_add(1, Relaxed);
    }
}
