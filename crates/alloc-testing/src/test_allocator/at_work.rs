//! Which threads of the process may be about to give a handle back.
//!
//! A thread that is not joined ends when the system lets it run: on a machine that has no time for it, at
//! any time. So no verdict rests on a clock alone: a thread counts as at work until it was seen asleep several
//! times. Who sleeps waits for something that this test does not bring about any more, and who spins, or is
//! ready and gets no core, is waited for.
#![forbid(unsafe_code)]

use std::fs;

/// How often a thread must be seen asleep, not in a row: who polls, as others do that wait here, sleeps most of
/// the time; a lock or a page that is fetched makes nobody sleep so often.
const ASLEEP_COUNT: u32 = 5;

/// Threads of the process that were there at the first look and may still be at work; where the system does
/// not tell its threads, none.
#[derive(Debug)]
pub(super) struct AtWork {
    /// The system's number of each, and how often it was seen asleep.
    threads: Vec<(u32, u32)>,
}

impl AtWork {
    /// All threads but the calling one.
    pub(super) fn begin() -> Self {
        let own = fs::read_link("/proc/thread-self").ok();
        let own = own.as_ref().and_then(|path| path.file_name()).and_then(|name| name.to_str());
        let names = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let others = names.filter(|name| Some(name.as_str()) != own);
        Self { threads: others.filter_map(|name| Some((name.parse().ok()?, 0))).collect() }
    }

    /// Looks again; how many are left.
    pub(super) fn look(&mut self) -> usize {
        self.look_by(|number| {
            let text = fs::read_to_string(format!("/proc/self/task/{number}/stat")).ok()?;
            // The name before the state may hold parentheses itself.
            text.rsplit_once(") ")?.1.chars().next()
        })
    }

    /// `state` tells that of a thread, as `ps` does; none: it is gone.
    fn look_by(&mut self, state: impl Fn(u32) -> Option<char>) -> usize {
        self.threads.retain_mut(|(number, count)| match state(*number) {
            None | Some('Z' | 'X') => false,
            Some('S' | 'I') => {
                *count += 1;
                *count < ASLEEP_COUNT
            }
            // Running or ready, fetching a page, stopped by a debugger.
            Some(_) => true,
        });
        self.threads.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who sleeps, or ends, is not at work; who is ready, or wakes between two looks, is.
    #[test]
    fn a_thread_is_at_work_until_it_sleeps() {
        let mut at_work = AtWork { threads: vec![(1, 0), (2, 0), (3, 0), (4, 0)] };
        for look in 1..=2 * ASLEEP_COUNT {
            let left = at_work.look_by(|number| match number {
                1 => Some('R'),
                2 => Some('S'),
                3 => Some(if look % 2 == 0 { 'S' } else { 'D' }),
                _ => (look < 3).then_some('R'),
            });
            let (sleeps, polls, ends) = (look < 5, look < 10, look < 3);
            assert_eq!(left, 1 + usize::from(sleeps) + usize::from(polls) + usize::from(ends));
        }
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
        let is_own = |number: u32| own.ends_with(number.to_string());
        assert!(!at_work.threads.iter().any(|(number, _)| is_own(*number)));
        // Other tests may come and go; each of them ends, or sleeps at last.
        while at_work.look() != 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        drop(end);
        assert!(waits.join().expect("no panic"));
    }
}
