//! One run of the code under a check, and what is to be said of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use alloc_gpa::Check;

use super::heap::{FailureAllocator, Growth};
use super::point::Point;
use super::{FailurePoint, Verdict};
use crate::failing::Fail;

/// Reports that are written: resolving symbols takes long, and nobody reads hundreds.
const REPORTS_MAX: usize = 32;

/// The code under a check, its error made a text.
pub(super) type Code<'a> = dyn Fn(&FailureAllocator) -> Result<(), String> + 'a;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) point: Point,
    /// The number of requests if none fails; none: this run is to find it.
    pub(super) expected: Option<usize>,
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) wrong: Option<FailurePoint>,
    /// Requests that the code made, with those that failed.
    pub(super) requests: usize,
    /// Resizes and remaps that it asked for.
    pub(super) changes: usize,
}

/// What is the same for all runs of a check.
pub(super) struct Setting<'a> {
    /// Whether the code may return `Ok` after a failure.
    pub(super) may_recover: bool,
    /// Makes the command that runs a point again.
    pub(super) command: &'a (dyn Fn(Point) -> String + Sync),
    /// Reports written so far.
    pub(super) reports: AtomicUsize,
}

impl Setting<'_> {
    /// Runs the code once, with a fresh allocator.
    pub(super) fn run_once(&self, code: &Code<'_>, job: &Job) -> Outcome {
        let Point { growth, fail } = job.point;
        let alloc = FailureAllocator::new(growth, fail);
        let outcome = catch_unwind(AssertUnwindSafe(|| code(&alloc)));
        let outcome = outcome.map_err(|payload| crate::panics::message(&*payload));
        let counts = alloc.counts();
        let by_heap = by_heap(&alloc);
        let report = by_heap.as_ref().map(|_| self.report(&alloc)).unwrap_or_default();
        let verdict = by_heap // First: it has stacks.
            .or_else(|| alloc.take_unrestored().map(Verdict::Unrestored))
            .or_else(|| self.by_result(outcome, &alloc))
            .or_else(|| by_count(job, &alloc));
        let wrong = verdict.map(|verdict| FailurePoint {
            fail,
            growth,
            // A refused resize is no failure of memory: only requests count.
            induced: alloc.induced_request(),
            verdict,
            report,
            again: (self.command)(job.point),
        });
        Outcome { wrong, requests: counts.requests, changes: counts.changes }
    }

    /// What is wrong with how the code ended.
    fn by_result(
        &self,
        outcome: Result<Result<(), String>, String>,
        alloc: &FailureAllocator,
    ) -> Option<Verdict> {
        let has_failed = alloc.induced_request().is_some();
        match outcome {
            Err(message) => Some(Verdict::Panicked(message)),
            Ok(Ok(())) if has_failed && !self.may_recover => Some(Verdict::Swallowed),
            // Code may need growth in place; where it is granted, it must succeed.
            Ok(Err(error)) if !has_failed && !alloc.has_refused_change() => {
                Some(Verdict::Failed(error))
            }
            Ok(_) => None,
        }
    }

    fn report(&self, alloc: &FailureAllocator) -> String {
        // Relaxed: only a number.
        match self.reports.fetch_add(1, Relaxed) < REPORTS_MAX {
            true => crate::report::of(alloc.gpa()),
            false => String::new(),
        }
    }
}

/// What is wrong with the blocks that the code left.
fn by_heap(alloc: &FailureAllocator) -> Option<Verdict> {
    match alloc.gpa().check() {
        Check::Ok => None,
        Check::Leak(leaks) => Some(Verdict::Leaked(leaks)),
        Check::Misuse { findings, .. } => Some(Verdict::Misused(findings)),
    }
}

/// What is wrong with how much the code asked for: a point that it did not come to, or another count
/// where nothing failed.
fn by_count(job: &Job, alloc: &FailureAllocator) -> Option<Verdict> {
    let (found, is_reached) = (alloc.counts().requests, alloc.induced_request().is_some());
    let expected = match job.point.fail {
        Fail::Never => job.expected.filter(|expected| *expected != found),
        _ if is_reached => None,
        _ => job.expected.or(Some(job.point.requests_min())),
    };
    expected.map(|expected| Verdict::Nondeterministic { expected, found })
}

/// The run in which nothing fails.
pub(super) const fn base(growth: Growth, expected: Option<usize>) -> Job {
    Job { point: Point { growth, fail: Fail::Never }, expected }
}
