//! Asks all other threads to keep still, and waits for their answers.

use core::sync::atomic::Ordering::Relaxed;

use super::carrier::Carriers;
use super::{Phase, SLOTS, Slot, State, USED, begin, end, used};
use crate::sys::tasks::{self, Activity, Listed, Look, Task};

/// How often all are asked.
const TURN_COUNT: u32 = 5;
/// How long a thread that waits for something, and lets no signal through, holds the others up in the first turn, in
/// nanoseconds; in each further one, twice that.
const WAITING_MAX: u64 = 50_000_000;
/// How long one does that sleeps in the kernel: what it waits for is not ours, and mostly soon there.
const SLEEPING_MAX: u64 = 5_000_000_000;
/// How much processor time one gets that lets no signal through: to create a thread, or to fork, takes less.
const BUSY_MAX: u64 = 50_000_000;
/// The end of all patience: a thread that can run has not for so long.
const PATIENCE: u64 = 30_000_000_000;
/// How long is waited before the threads are looked at again.
const PAUSE: u64 = 200_000;
/// How long all go on before they are asked again.
const REST: u64 = 2_000_000;

/// Stops all other threads; returns whether that worked. In any case a turn has begun, of those that have answered.
pub(super) fn stop_all() -> bool {
    let carriers = Carriers::begin();
    let mut outcome = ask_all(begin(), &carriers, WAITING_MAX);
    for turn in 1..TURN_COUNT {
        if outcome != Outcome::Waiting {
            break;
        }
        // What it waits for may be a lock of one that keeps still.
        end();
        tasks::pause(REST << turn);
        outcome = ask_all(begin(), &carriers, WAITING_MAX << turn);
    }
    carriers.end();
    outcome == Outcome::Still
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// All keep still.
    Still,
    /// One does not, and waits for something.
    Waiting,
    /// One does not.
    Running,
}

/// Asks until all have answered, or there is no hope for one.
fn ask_all(word: u32, carriers: &Carriers, waiting_max: u64) -> Outcome {
    let mut hope = Hope::new(waiting_max);
    // Twice: what a thread creates while the list is read is in the next one, if not in this.
    let mut complete_count = 0;
    loop {
        let mut late = None;
        let listed = tasks::for_each_other(|tid| {
            if has_answered(tid, word) {
                return;
            }
            let (Look::Seen(task) | Look::Unknown(task)) = Task::look(tid) else { return };
            if !task.runs_code() {
                return;
            }
            let is_asked = ask(&task, word, carriers);
            late = late.or(Some((task, is_asked)));
        });
        if listed == Listed::Nothing {
            return Outcome::Running;
        }
        match late {
            // Until one list is whole: those that end, and cut it, are soon gone.
            None if listed == Listed::Some && !hope.is_over() => {
                complete_count = 0;
                tasks::pause(PAUSE);
            }
            None if listed == Listed::Some => return Outcome::Running,
            None if complete_count == 1 => return Outcome::Still,
            None => complete_count += 1,
            Some((task, is_asked)) => {
                complete_count = 0;
                if let Some(outcome) = hope.lost(&task, is_asked) {
                    return outcome;
                }
                tasks::pause(PAUSE);
            }
        }
    }
}

/// Whether a thread keeps still.
fn has_answered(tid: u32, word: u32) -> bool {
    find(|state| state.tid() == tid && state.is_of(word) && state.is(Phase::Answered)).is_some()
}

fn find(is_it: impl Fn(State) -> bool) -> Option<&'static Slot> {
    used().iter().find(|slot| is_it(slot.state()))
}

/// Asks a thread, unless it was asked already; returns whether it will answer as soon as it runs.
fn ask(task: &Task, word: u32, carriers: &Carriers) -> bool {
    let Some(signal) = carriers.signal_for(task.blocked) else { return false };
    let is_asked = |state: State| state.tid() == task.tid && state.is_of(word);
    if find(is_asked).is_some() {
        return true;
    }
    let asked = State::new(task.tid, Phase::Asked, word);
    let is_taken = |slot: &Slot| {
        let state = slot.state();
        // One that was asked in another turn, and did not answer, answers no more.
        let is_free = state == State::FREE || state.is(Phase::Asked) && !state.is_of(word);
        is_free && slot.step(state, asked)
    };
    let Some(index) = SLOTS.iter().position(is_taken) else { return false };
    // Relaxed: the signal comes after it.
    USED.fetch_max(index + 1, Relaxed);
    if carriers.send(task.tid, signal) {
        return true;
    }
    // It has ended, or the system has no room for the signal now.
    SLOTS[index].step(asked, State::FREE);
    false
}

/// How long one still waits for the first thread that has not answered.
struct Hope {
    start: u64,
    tid: u32,
    /// When it was first seen, and its processor time then.
    since: u64,
    time: u64,
    waiting_max: u64,
}

impl Hope {
    fn new(waiting_max: u64) -> Self {
        Self { start: tasks::now(), tid: 0, since: 0, time: 0, waiting_max }
    }

    /// Whether all patience is at its end.
    fn is_over(&self) -> bool {
        PATIENCE < tasks::now() - self.start
    }

    /// Returns what comes of it, if waiting longer is no use.
    fn lost(&mut self, task: &Task, is_asked: bool) -> Option<Outcome> {
        let now = tasks::now();
        let time = task.processor_time();
        if self.tid != task.tid {
            (self.tid, self.since, self.time) = (task.tid, now, time);
        }
        if self.is_over() {
            return Some(Outcome::Running);
        }
        let waited = now - self.since;
        match task.activity {
            // It comes to its handler when it runs next.
            Activity::Runs | Activity::Waits if is_asked => None,
            Activity::Runs => {
                (BUSY_MAX < time.saturating_sub(self.time)).then_some(Outcome::Running)
            }
            Activity::Waits => (self.waiting_max < waited).then_some(Outcome::Waiting),
            Activity::Sleeps | Activity::Ended => {
                (SLEEPING_MAX < waited).then_some(Outcome::Running)
            }
        }
    }
}
