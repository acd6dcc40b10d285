//! One search of the process at a time, also in a process that was forked during another's.
#![forbid(unsafe_code)]

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::ending::PAUSE;

/// The right to search, until it is dropped.
pub(super) struct Turn<'s>(&'s AtomicU32);

impl<'s> Turn<'s> {
    /// Takes the right, if no thread of this process has it. `searcher` is the number of the process whose
    /// thread has it; 0: none. A forked child finds its parent's, whose threads are not in it.
    fn take(searcher: &'s AtomicU32) -> Option<Self> {
        let own = std::process::id();
        // Relaxed: only compared.
        let found = searcher.load(Relaxed);
        // Acquire: the last one's stack is wiped; pairs with the Release of the drop.
        // Relaxed: on failure nothing is read.
        let is_taken =
            found != own && searcher.compare_exchange(found, own, Acquire, Relaxed).is_ok();
        // Not `then_some`: a turn that was not taken must not be dropped.
        is_taken.then(|| Self(searcher))
    }

    /// Takes the right, and waits while another thread has it.
    pub(super) fn wait(searcher: &'s AtomicU32) -> Self {
        loop {
            if let Some(turn) = Self::take(searcher) {
                return turn;
            }
            std::thread::sleep(PAUSE);
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
        let searcher = AtomicU32::new(0);
        let turn = Turn::take(&searcher).expect("the first");
        assert!(Turn::take(&searcher).is_none());
        assert!(Turn::take(&searcher).is_none(), "a turn that was refused gives nothing back");
        drop(turn);
        drop(Turn::wait(&searcher));
    }

    /// As a child finds it that was forked while another thread of its parent searched.
    #[test]
    fn a_parents_turn_stays_with_the_parent() {
        let parents = std::process::id() + 1;
        let searcher = AtomicU32::new(parents);
        let turn = Turn::take(&searcher).expect("no thread of this process has it");
        assert!(Turn::take(&searcher).is_none(), "now one has");
        drop(turn);
        assert_eq!(searcher.load(Relaxed), 0);
    }
}
