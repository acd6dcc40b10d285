//! Threads of a region that are just ending: until their stacks are wiped, these lead to what they lost.
//!
//! Who was told that a thread has done its work (by a message, or at the end of a `thread::scope`) was told by
//! that thread, which still has to come back from there: it runs, and needs little processor time for it. One that
//! sleeps is no such thread, nor is one that has worked for long. So it is by the thread's own time, and not by the
//! clock, that it counts as one that goes on: how busy the machine is does not matter.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::{Acquire, Relaxed};
use core::sync::atomic::{AtomicI32, AtomicUsize};
use core::time::Duration;
use std::time::Instant;

use super::region::Region;

/// How long nobody looks at first; twice as long each time, up to the longest.
const PAUSE: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(16);
/// How often a thread is seen asleep before that is believed: one that ends may wait for a lock, whose owner may
/// wait for a processor.
const SLEEP_COUNT: u32 = 5;
/// How much processor time a thread has to end, in ticks of the system, a hundredth of a second each.
const TICK_COUNT: u64 = 3;
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

/// What a thread does, by the system's word.
struct Look {
    waits: bool,
    /// The processor time that it has used.
    ticks: u64,
}

impl Look {
    /// Looks at a thread; `None`: it is gone, or nobody can tell.
    fn at(number: i32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/self/task/{number}/stat")).ok()?;
        Self::parse(&text)
    }

    /// Reads what proc(5) says of a thread.
    fn parse(text: &str) -> Option<Self> {
        // The name before the state may hold parentheses itself.
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        // Fields 3, 14 and 15: asleep, or stopped; the time in the program and in the system.
        let waits = matches!(*fields.first()?, "S" | "T" | "t");
        Some(Self { waits, ticks: ticks(11)? + ticks(12)? })
    }
}

/// What is known of a thread.
struct Record {
    number: i32,
    /// The time that it had used when it was first looked at.
    ticks: u64,
    /// How often it was asleep.
    sleep_count: u32,
}

/// Looks at a thread once more: whether it goes on, and is not just ending.
fn goes_on(number: i32, records: &mut Vec<Record>) -> bool {
    // One that is gone, and did not say so, ends no more.
    let Some(look) = Look::at(number) else { return true };
    let place = records.iter().position(|record| record.number == number);
    let place = place.unwrap_or_else(|| {
        records.push(Record { number, ticks: look.ticks, sleep_count: 0 });
        records.len() - 1
    });
    let record = &mut records[place];
    record.sleep_count += u32::from(look.waits);
    SLEEP_COUNT <= record.sleep_count || record.ticks + TICK_COUNT <= look.ticks
}

/// Waits until the threads of the region have ended, or go on. The calling thread is aside.
pub(super) fn await_threads(region: &Region) {
    if region.is_parents() {
        return;
    }
    let start = Instant::now();
    let mut records = Vec::new();
    let mut pause = PAUSE;
    // Acquire: pairs with the Release of `inherit::leave`: the stack was wiped before.
    while region.threads.load(Acquire) != 0 && start.elapsed() < PATIENCE {
        let known = &region.known;
        // One that was created has not said yet who it is, but will.
        let have_begun = region.threads.load(Relaxed) <= known.count.load(Relaxed);
        // Not `all`, which would not look at those behind one that does not.
        let ending_count = known.numbers().filter(|number| !goes_on(*number, &mut records)).count();
        if have_begun && ending_count == 0 {
            return;
        }
        std::thread::sleep(pause);
        pause = PAUSE_MAX.min(2 * pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        let text = "7 (a ) b) S 1 7 7 0 -1 4194368 9 8 7 6 31 12 0 0 20 0 1 0 5";
        let look = Look::parse(text).expect("a thread");
        assert!(look.waits && look.ticks == 43);
        assert!(!Look::parse(&text.replace(" S ", " R ")).expect("a thread").waits);
        assert!(Look::parse("7 (a) S 1 7").is_none());
    }

    /// Who runs goes on when it has worked for long.
    #[test]
    fn threads_that_work_go_on() {
        let own = std::fs::read_link("/proc/thread-self").expect("the system tells it");
        let own = own.file_name().expect("a number").to_str().expect("digits");
        let own: i32 = own.parse().expect("a number");
        let mut records = Vec::new();
        assert!(!goes_on(own, &mut records));
        while !goes_on(own, &mut records) {}
        let worked = Look::at(own).expect("this thread").ticks - records[0].ticks;
        assert!(TICK_COUNT <= worked);
    }
}
