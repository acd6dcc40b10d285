//! Which threads of the process may be about to give a handle back.
//!
//! A thread that is not joined ends when the system lets it run: on a machine that has no time for it, at
//! any time. So no verdict rests on a clock alone: a thread counts as at work until it was seen asleep several
//! times, each after the others had their turn ([`tasks`](crate::tasks)), or has worked for long, in processor time of
//! its own. Who sleeps waits for something that this test does not bring about any more, who spins goes on, and who is
//! ready and gets no core is waited for.

use std::time::Duration;

use crate::tasks::{self, Rounds, Watched};

/// How long a thread may work.
const WORK_MAX: Duration = Duration::from_secs(10);

/// How often it is looked who came since: one that was at work may have given its handle to a thread that it started.
/// Other tests may start threads as long as they like.
const GENERATION_COUNT: u32 = 3;

/// Threads of the process that may still be at work; where the system does not tell its threads, none.
#[derive(Debug)]
pub(super) struct AtWork {
    rounds: Rounds,
    threads: Vec<Watched>,
    /// All that were ever among them.
    known: Vec<i32>,
    generation_count: u32,
}

impl AtWork {
    /// All threads but the calling one.
    pub(super) fn begin() -> Self {
        let (threads, known) = (Vec::new(), Vec::new());
        let mut at_work = Self { rounds: Rounds::new(), threads, known, generation_count: 0 };
        at_work.add(tasks::others());
        at_work
    }

    /// Adds those that are not known.
    fn add(&mut self, numbers: Vec<i32>) {
        let is_new = |number: &i32| !self.known.contains(number);
        let new: Vec<i32> = numbers.into_iter().filter(is_new).collect();
        self.threads.extend(new.iter().copied().map(Watched::new));
        self.known.extend(new);
        self.generation_count += 1;
    }

    /// Looks again; how many are left.
    pub(super) fn look(&mut self) -> usize {
        let round_is_over = self.rounds.look();
        self.threads.retain_mut(|thread| !thread.has_settled(round_is_over, WORK_MAX));
        if self.threads.is_empty() && self.generation_count < GENERATION_COUNT {
            self.add(tasks::others());
        }
        self.threads.len()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::tasks::tests::with_one_that_waits;

    /// Who came after the first look is looked at as well, a few times.
    #[test]
    fn who_comes_later_is_looked_at() {
        with_one_that_waits(|number| {
            let (rounds, threads, known) = (Rounds::new(), Vec::new(), Vec::new());
            let mut at_work = AtWork { rounds, threads, known, generation_count: 1 };
            assert!(0 < at_work.look() && at_work.known.contains(&number));
        });
    }

    /// Others may come and go; each of them ends, or sleeps at last.
    #[test]
    fn nobody_is_at_work_for_ever() {
        with_one_that_waits(|_| {
            let mut at_work = AtWork::begin();
            assert!(!at_work.threads.is_empty());
            while at_work.look() != 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }
}
