//! How many bytes may be live at once.
#![forbid(unsafe_code)]

use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;

/// The bytes that are taken of a limit. All zero: none. Not touched where there is no limit.
pub(super) struct Budget {
    /// Invariant: at most the limit, at any moment, whatever threads do.
    taken: AtomicUsize,
}

impl Budget {
    /// Takes `size` bytes, or nothing if they are more than the limit leaves; returns whether it did.
    #[inline]
    pub(super) fn take(&self, limit: Option<usize>, size: usize) -> bool {
        limit.is_none_or(|limit| self.take_of(limit, size))
    }

    fn take_of(&self, limit: usize, size: usize) -> bool {
        let more = |taken: usize| taken.checked_add(size).filter(|sum| *sum <= limit);
        // Relaxed, both: a number that publishes nothing; the exchange alone keeps it exact.
        self.taken.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Gives `size` bytes back that were taken before.
    #[inline]
    pub(super) fn give(&self, limit: Option<usize>, size: usize) {
        if limit.is_some() {
            // Relaxed: as above.
            self.taken.fetch_sub(size, Relaxed);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget { taken: AtomicUsize::new(0) }
    }

    /// The last byte can be taken, the one after it cannot, and what is given back can be again.
    #[test]
    fn the_limit_is_exact() {
        let (budget, limit) = (budget(), Some(100));
        assert!(budget.take(limit, 60) && !budget.take(limit, 41) && budget.take(limit, 40));
        assert!(budget.take(limit, 0) && !budget.take(limit, 1) && !budget.take(limit, usize::MAX));
        budget.give(limit, 60);
        assert!(!budget.take(limit, 61) && budget.take(limit, 60));
        assert!(budget.take(None, usize::MAX), "no limit");
    }

    /// Threads that take and give at random never have more than the limit between them, and a
    /// failure leaves nothing taken.
    #[test]
    fn threads_share_one_limit() {
        const LIMIT: usize = 1000;
        let (budget, held) = (budget(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for seed in 1..5 {
                let (budget, held) = (&budget, &held);
                scope.spawn(move || {
                    let mut random = seed;
                    for _ in 0..20_000 {
                        random = random * 16_807 % 0x7fff_ffff;
                        let size = random % 400;
                        if budget.take(Some(LIMIT), size) {
                            assert!(held.fetch_add(size, Relaxed) + size <= LIMIT);
                            held.fetch_sub(size, Relaxed);
                            budget.give(Some(LIMIT), size);
                        }
                    }
                });
            }
        });
        assert_eq!(budget.taken.load(Relaxed), 0);
    }
}
