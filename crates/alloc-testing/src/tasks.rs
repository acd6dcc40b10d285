//! What the other threads of this process do, by the system's word.
//!
//! A verdict that rests on a thread being asleep cannot rest on one look: it may wait for a lock, whose owner waits for
//! a processor, or for a page; or it keeps still for another thread's search. So a sleep counts once in a *round*: a
//! round is over when every thread that did not sleep at its start has slept, ended, or worked for a while since. Who
//! still sleeps after several rounds waits for nothing that the others were just about to do, however busy the machine
//! is.

use std::fs;
use std::time::Duration;

/// After how many rounds a sleep is believed: locks that wait for locks are no longer than that.
const ROUND_COUNT: u32 = 5;
/// How long a thread works in a round: longer than anybody holds a lock.
const STINT: Duration = Duration::from_millis(1);

/// In how many looks in a row a thread sleeps with libc's signal blocked before that is believed: libc and searches let
/// go of it much sooner, and who blocks all signals by a bare system call may never wake.
const HELD_COUNT: u32 = 200;

/// How often a list of threads is read until it is whole.
const LIST_COUNT: u32 = 100;

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// It waits for something that is not of libc's or a search's.
    Sleeps,
    /// It sleeps, and libc's signal is blocked: in the hands of libc or of a search, as a rule.
    Held,
    /// It runs, or is ready, or fetches a page, or will soon.
    Works,
    Ended,
}

/// What was seen of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    activity: Activity,
    /// How often it went away from a processor.
    switches: u64,
}

/// libc's signal 33, which no program can block by libc's functions: libc does while it begins and ends threads, and
/// `alloc-gpa` while it keeps one still.
const LIBCS_SIGNAL: u64 = 1 << 32;

impl Seen {
    /// Asks the system; none: the thread is gone.
    fn of(number: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/self/task/{number}/status")).ok()?)
    }

    /// Reads what proc(5) says of a thread.
    fn parse(text: &str) -> Option<Self> {
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let count = |name| field(name).and_then(|text| text.parse().ok()).unwrap_or(0_u64);
        let blocked = field("SigBlk:").and_then(|text| u64::from_str_radix(text, 16).ok());
        let is_held = blocked.unwrap_or(0) & LIBCS_SIGNAL != 0;
        let activity = match field("State:")?.chars().next()? {
            'S' | 'I' if is_held => Activity::Held,
            // Stopped by a debugger, too: that may last.
            'S' | 'I' | 'T' | 't' => Activity::Sleeps,
            'Z' | 'X' => Activity::Ended,
            _ => Activity::Works,
        };
        let switches = count("voluntary_ctxt_switches:") + count("nonvoluntary_ctxt_switches:");
        Some(Self { activity, switches })
    }
}

/// Whether a thread is the kernel's own, which works for `io_uring`: it runs no code of the process, and sleeps as long as
/// it likes with all signals blocked.
fn is_kernels(number: i32) -> bool {
    /// `PF_IO_WORKER` (`linux/sched.h`).
    const IO_WORKER: u64 = 0x10;
    let text = fs::read_to_string(format!("/proc/self/task/{number}/stat")).unwrap_or_default();
    // Field 9 of proc(5); the name before the third may hold parentheses itself.
    let flags = text.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(6)?.parse().ok());
    flags.unwrap_or(0_u64) & IO_WORKER != 0
}

/// Looks what a thread does. The system does not write all of it down at one moment: a sleep is one that went on from one
/// look to the next.
pub(crate) fn activity(number: i32) -> Activity {
    match Seen::of(number) {
        None => Activity::Ended,
        Some(seen) if seen.activity == Activity::Held && is_kernels(number) => Activity::Ended,
        Some(seen) if seen.activity != Activity::Sleeps => seen.activity,
        Some(seen) => match Seen::of(number) {
            None => Activity::Ended,
            Some(again) if again == seen => Activity::Sleeps,
            Some(_) => Activity::Works,
        },
    }
}

/// Returns the processor time that a thread has used; zero if it is gone.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn worked(number: i32) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // The clock of a thread by the kernel's number: `CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED`.
    let clock = !number << 3 | 6;
    // SAFETY: `time` is ours to write.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Elsewhere no thread is seen.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn worked(_: i32) -> Duration {
    Duration::ZERO
}

/// Returns the numbers of all threads of the process but the calling one; none where the system does not tell.
pub(crate) fn others() -> Vec<i32> {
    let own = fs::read_link("/proc/thread-self").ok();
    let own = own.as_ref().and_then(|path| path.file_name()?.to_str()?.parse::<i32>().ok());
    // The kernel ends the list early where a thread ends while it is written down.
    let whole = (0..LIST_COUNT).find_map(|_| {
        let (numbers, is_whole) = listed();
        is_whole.then_some(numbers)
    });
    let mut numbers = whole.unwrap_or_else(|| listed().0);
    numbers.retain(|number| Some(*number) != own);
    numbers
}

/// Reads the list of threads once; whether it has as many as there are.
fn listed() -> (Vec<i32>, bool) {
    const TASKS: &str = "/proc/self/task";
    let names = fs::read_dir(TASKS).into_iter().flatten().flatten();
    let numbers: Vec<i32> =
        names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let count = thread_count(TASKS);
    let is_whole = count <= numbers.len();
    (numbers, is_whole)
}

/// Returns how many threads there are, by the links of their folder; 0 where the system does not count them.
#[cfg(unix)]
fn thread_count(folder: &str) -> usize {
    use std::os::unix::fs::MetadataExt;
    let links = fs::metadata(folder).map_or(0, |folder| folder.nlink());
    usize::try_from(links).unwrap_or(0).saturating_sub(2)
}

#[cfg(not(unix))]
fn thread_count(_: &str) -> usize {
    0
}

/// Counts rounds.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// Those that have neither slept nor ended in this one, and what each had worked at its start; none: no round has
    /// begun.
    awaited: Option<Vec<(i32, Duration)>>,
    /// Those that were held when they were last looked at, and in how many looks in a row.
    held: Vec<(i32, u32)>,
}

impl Rounds {
    pub(crate) fn new() -> Self {
        Self { awaited: None, held: Vec::new() }
    }

    /// Looks at the threads; returns whether a round is over, and the next begins. The first look begins one.
    pub(crate) fn look(&mut self) -> bool {
        self.look_by(others, activity, worked)
    }

    fn look_by(
        &mut self,
        others: impl Fn() -> Vec<i32>,
        activity: impl Fn(i32) -> Activity,
        worked: impl Fn(i32) -> Duration,
    ) -> bool {
        let held = &mut self.held;
        let mut works = |number: i32| {
            let activity = activity(number);
            let count = held.iter().find(|(other, _)| *other == number).map_or(0, |known| known.1);
            held.retain(|(other, _)| *other != number);
            if activity != Activity::Held {
                return activity == Activity::Works;
            }
            held.push((number, HELD_COUNT.min(count + 1)));
            count + 1 < HELD_COUNT
        };
        let is_over = self.awaited.as_mut().is_some_and(|awaited| {
            awaited.retain(|(number, before)| worked(*number) < *before + STINT && works(*number));
            awaited.is_empty()
        });
        if is_over || self.awaited.is_none() {
            let with_time = |number| (number, worked(number));
            let all = others().into_iter().map(with_time).filter(|(number, _)| works(*number));
            self.awaited = Some(all.collect());
        }
        is_over
    }
}

/// One thread, of which it is to be known whether it is about to do something.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) number: i32,
    /// Rounds at whose ends it was asleep.
    asleep_count: u32,
    /// In how many looks in a row it was held.
    held_count: u32,
    /// What it had worked at the first look.
    first_worked: Option<Duration>,
}

impl Watched {
    pub(crate) fn new(number: i32) -> Self {
        Self { number, asleep_count: 0, held_count: 0, first_worked: None }
    }

    /// Looks once more; returns whether it ended, or was asleep in enough rounds, or has worked for so long.
    pub(crate) fn has_settled(&mut self, round_is_over: bool, work_max: Duration) -> bool {
        let (activity, worked) = (activity(self.number), worked(self.number));
        self.settles(activity, worked, round_is_over, work_max)
    }

    /// As [`has_settled`](Self::has_settled), by what was seen.
    pub(crate) fn settles(
        &mut self,
        activity: Activity,
        worked: Duration,
        round_is_over: bool,
        work_max: Duration,
    ) -> bool {
        let first_worked = *self.first_worked.get_or_insert(worked);
        self.asleep_count += u32::from(round_is_over && activity == Activity::Sleeps);
        self.held_count = if activity == Activity::Held { self.held_count + 1 } else { 0 };
        let is_asleep = ROUND_COUNT <= self.asleep_count || HELD_COUNT <= self.held_count;
        let has_worked = first_worked + work_max <= worked;
        activity == Activity::Ended || is_asleep || has_worked
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        let status = |state, blocked| {
            format!(
                "Name:\tState:\tR\nState:\t{state}\nSigBlk:\t{blocked}\nvoluntary_ctxt_switches:\t40\n\
                 nonvoluntary_ctxt_switches:\t2\n"
            )
        };
        for (state, blocked, activity) in [
            ("S (sleeping)", "0000000000000000", Activity::Sleeps),
            // What a program can block.
            ("S (sleeping)", "fffffffe7ffbfeff", Activity::Sleeps),
            ("S (sleeping)", "0000000100000000", Activity::Held),
            ("t (tracing stop)", "0000000000000000", Activity::Sleeps),
            ("D (disk sleep)", "0000000000000000", Activity::Works),
            ("R (running)", "0000000000000000", Activity::Works),
            ("Z (zombie)", "0000000000000000", Activity::Ended),
        ] {
            let seen = Seen::parse(&status(state, blocked));
            assert_eq!(seen, Some(Seen { activity, switches: 42 }), "{state} {blocked}");
        }
        assert_eq!(Seen::parse("Name:\tx\n"), None);
    }

    /// A round waits for each that did not sleep at its start until it sleeps, ends, or has worked; and for no other.
    #[test]
    fn a_round_waits_for_who_is_ready() {
        let threads = RefCell::new(BTreeMap::from([
            (1, (Activity::Sleeps, 0)),
            (2, (Activity::Works, 7)),
            (3, (Activity::Works, 7)),
            (4, (Activity::Works, 7)),
        ]));
        let mut rounds = Rounds::new();
        let mut look = || {
            rounds.look_by(
                || threads.borrow().keys().copied().collect(),
                |number| threads.borrow().get(&number).map_or(Activity::Ended, |seen| seen.0),
                |number| {
                    let seen = threads.borrow().get(&number).copied();
                    seen.map_or(Duration::ZERO, |seen| seen.1 * STINT)
                },
            )
        };
        assert!(!look(), "the first look begins a round");
        assert!(!look(), "nothing has happened");
        threads.borrow_mut().insert(2, (Activity::Sleeps, 7));
        threads.borrow_mut().insert(3, (Activity::Works, 8));
        threads.borrow_mut().insert(5, (Activity::Works, 0));
        assert!(!look(), "one is still ready, and has not run");
        threads.borrow_mut().remove(&4);
        threads.borrow_mut().insert(2, (Activity::Works, 7));
        assert!(look(), "who slept once is not waited for, nor who came later");
        assert!(!look(), "now they are");
        threads.borrow_mut().clear();
        assert!(look() && look(), "nobody is there");
    }

    /// Who is held for long is not waited for any more; a single other look begins that anew.
    #[test]
    fn a_round_waits_long_for_who_is_held() {
        let looks = |rounds: &mut Rounds, activity, count: u32| {
            (0..count)
                .map(|_| rounds.look_by(|| vec![1], |_| activity, |_| Duration::ZERO))
                .filter(|is_over| *is_over)
                .count()
        };
        let mut rounds = Rounds::new();
        assert_eq!(looks(&mut rounds, Activity::Held, HELD_COUNT - 1), 0);
        assert_eq!(looks(&mut rounds, Activity::Works, 1), 0);
        assert_eq!(looks(&mut rounds, Activity::Held, HELD_COUNT - 1), 0);
        assert_eq!(looks(&mut rounds, Activity::Held, 3), 3, "it is one that sleeps");
    }

    /// Who sleeps in some rounds, ends, or works for long has settled; who is ready has not, nor who sleeps while a
    /// round goes on.
    #[test]
    fn a_thread_settles() {
        let most = Duration::from_secs(1);
        let mut watched = Watched::new(1);
        let mut look = |activity, time: u64, is_over| {
            watched.settles(activity, Duration::from_millis(time), is_over, most)
        };
        for _ in 0..100 {
            assert!(!look(Activity::Sleeps, 500, false));
            assert!(!look(Activity::Works, 1499, true));
        }
        assert!(look(Activity::Works, 1500, false) && look(Activity::Ended, 0, false));
        for count in 1..=HELD_COUNT {
            assert_eq!(look(Activity::Held, 500, true), count == HELD_COUNT);
        }
        for count in 1..=ROUND_COUNT {
            assert!(!look(Activity::Works, 500, true));
            assert_eq!(look(Activity::Sleeps, 500, true), count == ROUND_COUNT);
        }
    }

    /// Calls `test` with the number of a thread that waits meanwhile.
    #[cfg(target_os = "linux")]
    pub(crate) fn with_one_that_waits(test: impl FnOnce(i32)) {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let waits = std::thread::spawn(move || {
            // SAFETY: no preconditions.
            tell.send(unsafe { libc::gettid() }).expect("somebody asks");
            wait.recv().is_err()
        });
        test(told.recv().expect("it says so"));
        drop(end);
        assert!(waits.join().expect("no panic"));
    }

    /// The calling thread is not among the others, and one that waits settles.
    #[cfg(target_os = "linux")]
    #[test]
    fn threads_of_the_process_are_seen() {
        with_one_that_waits(|number| {
            // SAFETY: no preconditions.
            let own = unsafe { libc::gettid() };
            let all = others();
            assert!(all.contains(&number) && !all.contains(&own));
            let (mut rounds, mut watched) = (Rounds::new(), Watched::new(number));
            // Other tests come and go; each of them sleeps, ends, or works.
            while !watched.has_settled(rounds.look(), Duration::MAX / 2) {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(watched.asleep_count, ROUND_COUNT);
        });
    }

    /// Who runs has worked.
    #[cfg(target_os = "linux")]
    #[test]
    fn threads_that_work_settle() {
        // SAFETY: no preconditions.
        let own = unsafe { libc::gettid() };
        let mut watched = Watched::new(own);
        let before = worked(own);
        assert!(!watched.has_settled(true, Duration::from_secs(3600)));
        while !watched.has_settled(true, Duration::from_millis(20)) {}
        assert!(before + Duration::from_millis(20) <= worked(own));
    }
}
