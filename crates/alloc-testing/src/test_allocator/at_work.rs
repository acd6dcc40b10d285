//! Which threads of the process may be about to give a handle back.
//!
//! A thread that is not joined ends when the system lets it run: on a machine that has no time for it, at
//! any time. So no verdict rests on a clock alone: a thread counts as at work until it was seen asleep several
//! times, or has worked for long, in processor time of its own. Who sleeps waits for something that this test
//! does not bring about any more, who spins goes on, and who is ready and gets no core is waited for.
#![forbid(unsafe_code)]

use std::fs;

/// How often a thread must be seen asleep, not in a row: who polls, as others do that wait here, sleeps most of
/// the time; a lock or a page that is fetched makes nobody sleep so often.
const ASLEEP_COUNT: u32 = 5;
/// How long a thread may work: ten seconds, in ticks of proc(5), of which Linux has a hundred in a second.
const WORK_TICKS: u64 = 1000;

/// Threads of the process that were there at the first look and may still be at work; where the system does
/// not tell its threads, none.
#[derive(Debug)]
pub(super) struct AtWork {
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    /// The system's number.
    number: u32,
    asleep_count: u32,
    /// What it had worked at the first look.
    first_ticks: Option<u64>,
}

/// What a thread does, by the system's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// As `ps` has it.
    letter: char,
    /// The processor time that it has used.
    ticks: u64,
}

impl State {
    /// Asks the system; none: the thread is gone.
    fn of(number: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/self/task/{number}/stat")).ok()?)
    }

    /// Reads what proc(5) says of a thread: its field 3, and the sum of 14 and 15.
    fn parse(text: &str) -> Option<Self> {
        // The name before the state may hold parentheses itself.
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self { letter: fields.first()?.chars().next()?, ticks: ticks(11)? + ticks(12)? })
    }
}

impl Thread {
    /// Looks at the thread once more; whether it is at work.
    fn is_at_work(&mut self, state: Option<State>) -> bool {
        let Some(State { letter, ticks }) = state else { return false };
        let first_ticks = *self.first_ticks.get_or_insert(ticks);
        // Others run, are ready, fetch a page, or are stopped by a debugger.
        let (is_asleep, has_ended) = (matches!(letter, 'S' | 'I'), matches!(letter, 'Z' | 'X'));
        self.asleep_count += u32::from(is_asleep);
        !has_ended && self.asleep_count < ASLEEP_COUNT && ticks < first_ticks + WORK_TICKS
    }
}

impl AtWork {
    /// All threads but the calling one.
    pub(super) fn begin() -> Self {
        let own = fs::read_link("/proc/thread-self").ok();
        let own = own.as_ref().and_then(|path| path.file_name()).and_then(|name| name.to_str());
        let names = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let others = names.filter(|name| Some(name.as_str()) != own);
        Self::of(others.filter_map(|name| name.parse().ok()))
    }

    fn of(numbers: impl Iterator<Item = u32>) -> Self {
        let thread = |number| Thread { number, asleep_count: 0, first_ticks: None };
        Self { threads: numbers.map(thread).collect() }
    }

    /// Looks again; how many are left.
    pub(super) fn look(&mut self) -> usize {
        self.look_by(State::of)
    }

    fn look_by(&mut self, state: impl Fn(u32) -> Option<State>) -> usize {
        self.threads.retain_mut(|thread| thread.is_at_work(state(thread.number)));
        self.threads.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who sleeps, ends, or goes on for long is not at work; who is ready, or wakes between two looks, is.
    #[test]
    fn a_thread_is_at_work_until_it_sleeps() {
        let mut at_work = AtWork::of(1..=5);
        for look in 1..=2 * ASLEEP_COUNT {
            let is = |letter| Some(State { letter, ticks: 7 });
            let left = at_work.look_by(|number| match number {
                1 => is('R'),
                2 => is('S'),
                3 => is(if look % 2 == 0 { 'S' } else { 'D' }),
                4 => Some(State { letter: 'R', ticks: WORK_TICKS / 2 * u64::from(look) }),
                _ => is(if look < 3 { 'R' } else { 'X' }),
            });
            let (sleeps, polls, works, ends) = (look < 5, look < 10, look < 3, look < 3);
            let expected = [true, sleeps, polls, works, ends].map(usize::from);
            assert_eq!(left, expected.iter().sum::<usize>(), "look {look}");
        }
    }

    #[test]
    fn what_the_system_says_is_read() {
        let text = "7 (a ) b) S 1 7 7 0 -1 4194368 9 8 7 6 31 12 0 0 20 0 1 0 5";
        assert_eq!(State::parse(text), Some(State { letter: 'S', ticks: 43 }));
        assert_eq!(State::parse("7 (a) S 1 7"), None);
    }

    /// The calling thread is not among them, and one that waits is seen to sleep.
    #[cfg(target_os = "linux")]
    #[test]
    fn threads_of_the_process_are_seen() {
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let waits = std::thread::spawn(move || wait.recv().is_err());
        let mut at_work = AtWork::begin();
        assert!(!at_work.threads.is_empty());
        let own = fs::read_link("/proc/thread-self").expect("this thread");
        let is_own = |thread: &Thread| own.ends_with(thread.number.to_string());
        assert!(!at_work.threads.iter().any(is_own));
        // Other tests may come and go; each of them ends, or sleeps at last.
        while at_work.look() != 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        drop(end);
        assert!(waits.join().expect("no panic"));
    }
}
