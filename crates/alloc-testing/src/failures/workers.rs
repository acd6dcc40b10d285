//! Many runs, on one thread or on all cores.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::num::NonZero;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use alloc_gpa::counted;

/// Runs that a thread must have to be worth starting.
const RUNS_PER_THREAD_MIN: usize = 4;

/// Calls `run` for each job on this thread.
pub(super) fn in_order<J, R>(name: &str, jobs: &[J], run: impl Fn(&J) -> R) -> Vec<R> {
    let progress = Progress::new(name, jobs.len());
    let each = jobs.iter().map(|job| {
        let result = run(job);
        progress.step();
        result
    });
    each.collect()
}

/// Calls `run` for each job on all cores; the results are in the order of the jobs.
pub(super) fn on_all_cores<J: Sync, R: Send>(
    name: &str,
    jobs: &[J],
    run: impl Fn(&J) -> R + Sync,
) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let count = cores.min(jobs.len() / RUNS_PER_THREAD_MIN);
    if count <= 1 {
        return in_order(name, jobs, run);
    }
    let progress = Progress::new(name, jobs.len());
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(jobs.len()));
    let work = || {
        // Relaxed: only a number; the jobs were there before the threads.
        while let Some((index, job)) =
            Some(next.fetch_add(1, Relaxed)).and_then(|index| Some((index, jobs.get(index)?)))
        {
            let result = run(job);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
            progress.step();
        }
    };
    thread::scope(|scope| {
        // The test's name, so that what panics in it is told to be of this test.
        let test = crate::current_test::name().unwrap_or_else(|| "main".to_owned());
        for _ in 1..count {
            // Who gets no thread works with fewer.
            let _ = thread::Builder::new()
                .name(test.clone())
                .spawn_scoped(scope, crate::carried(&work));
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Says how far a long check is, past the harness's capture of output.
struct Progress<'a> {
    name: &'a str,
    total: usize,
    done: AtomicUsize,
    next: Mutex<Instant>,
    interval: Duration,
}

impl<'a> Progress<'a> {
    fn new(name: &'a str, total: usize) -> Self {
        // Where nobody watches, a line now and then shows that it is alive.
        let seconds = if std::io::stderr().is_terminal() { 2 } else { 30 };
        let interval = Duration::from_secs(seconds);
        let next = Mutex::new(Instant::now() + interval);
        Self { name, total, done: AtomicUsize::new(0), next, interval }
    }

    /// Counts a run that ended.
    fn step(&self) {
        // Relaxed: only a number.
        let done = self.done.fetch_add(1, Relaxed) + 1;
        if let Some(line) = self.line(done, Instant::now()) {
            // Standard error may be closed; there is nowhere else to say so.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }

    /// The line that is due at this time, if one is.
    fn line(&self, done: usize, now: Instant) -> Option<String> {
        // Whoever finds it locked need not say what another says.
        let mut next = self.next.try_lock().ok()?;
        if now < *next || done == self.total {
            return None;
        }
        *next = now + self.interval;
        Some(format!(
            "{}: {done} of {} of failure tried\n",
            self.name,
            counted(self.total, "point")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On all cores each job is run once, and the results are as on one thread.
    #[test]
    fn results_are_in_the_order_of_the_jobs() {
        for count in [0, 1, 7, 8, 500] {
            let jobs: Vec<usize> = (0..count).collect();
            let runs = AtomicUsize::new(0);
            let square = |job: &usize| {
                runs.fetch_add(1, Relaxed);
                job * job
            };
            assert_eq!(on_all_cores("squares", &jobs, square), in_order("squares", &jobs, square));
            assert_eq!(runs.into_inner(), 2 * count);
        }
    }

    /// A line is due once an interval, and not at the end.
    #[test]
    fn progress_is_told_at_intervals() {
        let progress = Progress::new("parses", 900);
        let start = *progress.next.lock().unwrap();
        let at = |done, intervals| progress.line(done, start + progress.interval * intervals);
        assert_eq!(progress.line(1, start - Duration::from_nanos(1)), None);
        assert_eq!(at(300, 0).as_deref(), Some("parses: 300 of 900 points of failure tried\n"));
        assert_eq!(at(301, 0), None);
        assert!(at(302, 1).is_some() && at(900, 5).is_none());
    }
}
