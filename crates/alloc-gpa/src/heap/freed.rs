//! How many slots of a slab were freed, so that one thread learns that all were.
//!
//! The thread whose shard the slab's blocks come from counts its own frees by a load and a store, the
//! others count theirs by an exchange. Whoever finds that both counts make up all slots ends the slab.
//!
//! The owner's store may still be on its way while another thread counts: then neither of the two
//! sees the other's, and nobody ends the slab. It can only be one of the owner's frees, since each
//! begins with an exchange, which waits for the stores before it. So whoever counts the last slot but
//! one is told ([`Count::Almost`]), and has the slab looked at once more, later.
#![forbid(unsafe_code)]

#[cfg(not(loom))]
use core::sync::atomic::AtomicU16;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
#[cfg(loom)]
use loom::sync::atomic::AtomicU16;

/// The bit of `others` that says that somebody ends the slab. More than slots of any slab.
const ENDED: u16 = 1 << 15;

/// What a free was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// One of several.
    One,
    /// The last, as far as this thread sees, but for one that the owner may be counting.
    Almost,
    /// The last: the slab is the caller's to end.
    Last,
}

/// Slots freed so far. All zero: none.
pub(crate) struct Freed {
    /// By the owner of the slab; it alone writes.
    own: AtomicU16,
    /// By other threads, and by those of the owner's frees that interrupted it.
    others: AtomicU16,
}

impl Freed {
    #[cfg(loom)]
    #[allow(dead_code, reason = "for the model")]
    pub(crate) fn new() -> Self {
        Self { own: AtomicU16::new(0), others: AtomicU16::new(0) }
    }

    /// Counts a free by the owner, which no signal handler of its own does in between; returns whether
    /// it is the last of `count`, and the slab the caller's to end.
    #[inline]
    pub(crate) fn add_own(&self, count: u32) -> bool {
        // Relaxed: only this thread writes it.
        let own = self.own.load(Relaxed).wrapping_add(1);
        // Release: publishes the junk; pairs with the Acquire of `own` in `add_other` and `end_if_all`.
        self.own.store(own, Release);
        // Acquire: pairs with the AcqRel in `add_other`: sees the junk that the others wrote.
        let others = self.others.load(Acquire);
        u32::from(own) + u32::from(others) == count && self.end()
    }

    /// Counts a free by any thread.
    #[inline]
    pub(crate) fn add_other(&self, count: u32) -> Count {
        // AcqRel: publishes the junk, and sees that of the others; pairs with itself and the Acquires.
        let others = self.others.fetch_add(1, AcqRel).wrapping_add(1);
        // Acquire: pairs with the Release in `add_own`: sees the junk that the owner wrote.
        let sum = u32::from(self.own.load(Acquire)) + u32::from(others);
        if sum == count && self.end() {
            Count::Last
        } else if sum + 1 == count {
            Count::Almost
        } else {
            Count::One
        }
    }

    /// Whether all slots are freed, and nobody ended the slab so far: then it is the caller's to end.
    #[cold]
    pub(crate) fn end_if_all(&self, count: u32) -> bool {
        // Acquire, both: as above.
        let sum = u32::from(self.own.load(Acquire)) + u32::from(self.others.load(Acquire));
        count != 0 && sum == count && self.end()
    }

    /// Of two that see that all slots are freed one ends the slab.
    #[cold]
    fn end(&self) -> bool {
        // AcqRel: as in `add_other`.
        self.others.fetch_or(ENDED, AcqRel) & ENDED == 0
    }

    /// Returns how many slots are freed. With as many as the slab has all their junk is seen.
    pub(crate) fn get(&self) -> u32 {
        // Acquire, both: as above.
        u32::from(self.own.load(Acquire)) + u32::from(self.others.load(Acquire) & !ENDED)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn freed() -> Freed {
        Freed { own: AtomicU16::new(0), others: AtomicU16::new(0) }
    }

    /// Whoever counts the last slot is told, and nobody else is, in every order of six frees.
    #[test]
    fn the_last_one_is_told_once() {
        for owners in 0..1u32 << 6 {
            let freed = freed();
            for index in 0..6 {
                let is_last = if owners >> index & 1 != 0 {
                    freed.add_own(6)
                } else {
                    let told = freed.add_other(6);
                    assert_eq!(told == Count::Almost, index == 4);
                    told == Count::Last
                };
                assert_eq!(is_last, index == 5);
                assert_eq!(freed.get(), index + 1);
            }
            assert!(!freed.end_if_all(6), "it ended");
        }
        assert!(!freed().end_if_all(0), "no slab");
    }

    /// A slab that nobody ended is ended by who looks again, once.
    #[test]
    fn who_looks_again_ends_it_once() {
        let freed = freed();
        freed.own.store(2, Relaxed);
        assert_eq!(freed.add_other(4), Count::Almost);
        assert!(!freed.end_if_all(4));
        // As if it had not been seen.
        freed.own.store(3, Relaxed);
        assert!(freed.end_if_all(4));
        assert!(!freed.end_if_all(4));
        assert_eq!(freed.get(), 4);
    }
}
