//! One search at a time, also in a process that was forked during another's.

use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sys::tasks;

/// How long who must wait looks away at first, and at most, in nanoseconds.
const PAUSE: u64 = 100_000;
const PAUSE_MAX: u64 = 3_200_000;

/// The right to search, until it is dropped.
#[derive(Debug)]
pub struct Turn<'h>(&'h AtomicI32);

impl<'h> Turn<'h> {
    /// Takes the right, if no thread of this process has it. `searcher` is the id of the process that
    /// searches, 0: none.
    /// A forked child finds its parent's, whose search goes on elsewhere.
    #[must_use]
    pub fn take(searcher: &'h AtomicI32) -> Option<Self> {
        // SAFETY: no preconditions.
        let pid = unsafe { libc::getpid() };
        // Relaxed: only compared.
        let found = searcher.load(Relaxed);
        // Acquire: sees the marks of the last search; pairs with the Release of the drop.
        // Relaxed: on failure nothing is read.
        let taken = found != pid && searcher.compare_exchange(found, pid, Acquire, Relaxed).is_ok();
        // Not `then_some`: a turn that was not taken must not be dropped.
        taken.then(|| Self(searcher))
    }

    /// Takes the right, and waits while another thread has it: not for signal handlers.
    #[must_use]
    pub fn wait(searcher: &'h AtomicI32) -> Self {
        loop {
            if let Some(turn) = Self::wait_at_most(searcher, u64::MAX) {
                return turn;
            }
        }
    }

    /// The same, but gives up after so many nanoseconds: the thread that has it may never go on.
    #[must_use]
    pub fn wait_at_most(searcher: &'h AtomicI32, nanoseconds: u64) -> Option<Self> {
        let begin = tasks::now();
        let mut pause = PAUSE;
        loop {
            if let Some(turn) = Self::take(searcher) {
                return Some(turn);
            }
            if nanoseconds <= tasks::now() - begin {
                return None;
            }
            tasks::pause(pause);
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire of `take`.
        self.0.store(0, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_turn_at_a_time() {
        let searcher = AtomicI32::new(0);
        let turn = Turn::take(&searcher).expect("the first");
        assert!(Turn::take(&searcher).is_none());
        assert!(Turn::take(&searcher).is_none(), "a turn that was refused gives nothing back");
        drop(turn);
        // As a forked child finds it.
        searcher.store(1, Release);
        drop(Turn::take(&searcher).expect("another process's turn is not ours"));
        drop(Turn::wait(&searcher));
    }

    /// Another thread's turn is waited for, and not for ever.
    #[test]
    fn a_turn_is_waited_for() {
        let searcher = AtomicI32::new(0);
        let turn = Turn::take(&searcher).expect("the first");
        assert!(Turn::wait_at_most(&searcher, 0).is_none());
        assert!(Turn::wait_at_most(&searcher, 10 * PAUSE).is_none());
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| Turn::wait_at_most(&searcher, u64::MAX).is_some());
            drop(turn);
            assert!(waiter.join().expect("no panic"));
        });
        assert!(Turn::take(&searcher).is_some());
    }
}
