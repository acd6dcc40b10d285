//! Threads of a region that are just ending: until their stacks are wiped, these lead to what they lost.
//!
//! Who was told that a thread has done its work (by a message, or at the end of a `thread::scope`) was told by
//! that thread, which still has to come back from there: it runs, and needs little processor time for it. One that
//! sleeps is no such thread, nor is one that has worked for long. So it is by what this and the other threads do, and
//! not by the clock, that it counts as one that goes on ([`tasks`](crate::tasks)): how busy the machine is does not
//! matter.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::sync::atomic::{AtomicI32, AtomicUsize};
use core::time::Duration;
use std::time::Instant;

use super::region::Region;
use crate::tasks::{Rounds, Watched};

/// How long nobody looks at first; twice as long each time, up to the longest.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(16);
/// How much processor time a thread has to end.
const WORK_MAX: Duration = Duration::from_millis(100);
/// Threads whose numbers are kept; further ones are not waited for.
const KNOWN_COUNT: usize = 256;
/// The end of all patience: a thread that can run has not for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The numbers of a region's threads, as the system gives them; 0: none.
///
/// Relaxed, all: only looked at again and again.
pub(super) struct Known {
    numbers: [AtomicI32; KNOWN_COUNT],
    /// How many have entered and not left, with room or without.
    count: AtomicUsize,
}

impl Known {
    pub(super) const fn new() -> Self {
        Self { numbers: [const { AtomicI32::new(0) }; KNOWN_COUNT], count: AtomicUsize::new(0) }
    }

    /// Enters the calling thread, if there is room.
    pub(super) fn enter(&self, number: i32) {
        self.replace(0, number);
        self.count.fetch_add(1, Relaxed);
    }

    /// Strikes the calling thread out.
    pub(super) fn leave(&self, number: i32) {
        self.replace(number, 0);
        self.count.fetch_sub(1, Relaxed);
    }

    fn replace(&self, old: i32, new: i32) {
        let replaces = |at: &&AtomicI32| at.compare_exchange(old, new, Relaxed, Relaxed).is_ok();
        let _ = self.numbers.iter().find(replaces);
    }

    fn numbers(&self) -> impl Iterator<Item = i32> {
        self.numbers.iter().map(|at| at.load(Relaxed)).filter(|number| *number != 0)
    }
}

/// Waits until the threads of the region have ended, or go on. The calling thread is aside.
pub(super) fn await_threads(region: &Region) {
    if region.is_parents() {
        return;
    }
    let start = Instant::now();
    let (mut rounds, mut records) = (Rounds::new(), Vec::<Watched>::new());
    let mut pause = PAUSE;
    // Acquire: pairs with the Release of `inherit::leave`: the stack was wiped before.
    while region.threads.load(Acquire) != 0 && start.elapsed() < PATIENCE {
        let known = &region.known;
        // One that was created has not said yet who it is, but will.
        let have_begun = region.threads.load(Relaxed) <= known.count.load(Relaxed);
        let round_is_over = rounds.look();
        let mut are_settled = true;
        for number in known.numbers() {
            let place = records.iter().position(|record| record.number == number);
            let place = place.unwrap_or_else(|| {
                records.push(Watched::new(number));
                records.len() - 1
            });
            // Each is looked at, also behind one that is just ending. Who is gone, and did not say so, ends no more.
            are_settled &= records[place].has_settled(round_is_over, WORK_MAX);
        }
        if have_begun && are_settled {
            return;
        }
        std::thread::sleep(pause);
        pause = PAUSE_MAX.min(2 * pause);
    }
}
