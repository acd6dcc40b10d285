//! Threads of a region that are just ending: until their stacks are wiped, these lead to what they lost.
//!
//! Who was told that a thread has done its work (by a message, or at the end of a `thread::scope`) was told by
//! that thread, which still has to come back from there. One that sleeps is no such thread.
#![forbid(unsafe_code)]

use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::time::Duration;
use std::time::Instant;

use super::region::Region;

/// How long they have for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long nobody looks.
pub(super) const PAUSE: Duration = Duration::from_millis(2);
/// How often all are seen asleep before that is believed.
const LOOK_COUNT: u32 = 3;
/// Threads whose numbers are kept; further ones count as awake.
const KNOWN_COUNT: usize = 32;

/// The numbers of a region's threads, as the system gives them; 0: none.
///
/// Relaxed, all: only looked at again and again.
pub(super) struct Known([AtomicI32; KNOWN_COUNT]);

impl Known {
    pub(super) const fn new() -> Self {
        Self([const { AtomicI32::new(0) }; KNOWN_COUNT])
    }

    /// Enters the calling thread, if there is room.
    pub(super) fn enter(&self, number: i32) {
        self.replace(0, number);
    }

    /// Strikes the calling thread out.
    pub(super) fn leave(&self, number: i32) {
        self.replace(number, 0);
    }

    fn replace(&self, old: i32, new: i32) {
        let _ = self.0.iter().find(|at| at.compare_exchange(old, new, Relaxed, Relaxed).is_ok());
    }

    fn asleep_count(&self) -> usize {
        let numbers = self.0.iter().map(|at| at.load(Relaxed));
        numbers.filter(|number| *number != 0 && is_asleep(*number)).count()
    }
}

/// Whether a thread waits for something; `false` if it is gone, or nobody can tell.
fn is_asleep(number: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/self/task/{number}/stat"));
    // The name before the state may hold parentheses itself.
    text.is_ok_and(|text| text.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('S')))
}

/// Waits until the threads of the region have ended, or sleep. The calling thread is aside.
pub(super) fn await_threads(region: &Region) {
    let start = Instant::now();
    let mut look_count = 0;
    loop {
        // Acquire: pairs with the Release of `inherit::leave`: the stack was wiped before.
        let count = region.threads.load(Acquire);
        if count == 0 || PATIENCE <= start.elapsed() {
            return;
        }
        look_count = if region.known.asleep_count() == count { look_count + 1 } else { 0 };
        if LOOK_COUNT <= look_count {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}
