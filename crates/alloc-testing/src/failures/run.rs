//! One run of the code under a check, and what is to be said of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use alloc_gpa::{Check, Gpa};

use super::heap::{FailureAllocator, Growth};
use super::point::Point;
use super::{FailurePoint, Verdict};
use crate::fail_point::Observed;
use crate::failing::{Fail, FailingCounts};

/// Refusals of a run, beside ten for each request that the code makes without a failure.
const REFUSALS: usize = 10_000;

/// The code under a check, its error made a text.
pub(super) type Code<'a> = dyn Fn(&FailureAllocator) -> Result<(), String> + 'a;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) point: Point,
    /// The number of requests if none fails; none: this run is to find it.
    pub(super) expected: Option<usize>,
    pub(super) stacks: Stacks,
}

/// Whether a run's heap keeps stacks, and the run has a report. Most runs find nothing, so they keep none;
/// where the heap finds something, a second run makes the report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stacks {
    None,
    Kept,
}

/// A run that went wrong.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) job: Job,
    pub(super) told: FailurePoint,
}

impl Wrong {
    /// Whether the heap found what is wrong.
    pub(super) const fn is_by_heap(&self) -> bool {
        matches!(self.told.verdict, Verdict::Leaked(_) | Verdict::Misused(_))
    }
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) wrong: Option<Wrong>,
    /// Requests that the code made, with those that failed.
    pub(super) requests: usize,
    /// Resizes and remaps that it asked for.
    pub(super) changes: usize,
    /// Fail points that it passed.
    pub(super) hits: usize,
}

/// What is the same for all runs of a check.
pub(super) struct Setting<'a> {
    /// Whether the code may return `Ok` after a failure.
    pub(super) may_recover: bool,
    /// Makes the command that runs a point again.
    pub(super) command: &'a (dyn Fn(Point) -> String + Sync),
}

impl Setting<'_> {
    /// Runs the code, with a fresh allocator.
    pub(super) fn run(&self, code: &Code<'_>, job: &Job) -> Outcome {
        let Job { point: Point { growth, fail, hit }, stacks, .. } = *job;
        let observed = Observed::new(hit.map_or(Fail::Never, Fail::Only));
        let heap = match stacks {
            Stacks::None => Gpa::builder().stacks(0),
            Stacks::Kept => Gpa::builder(),
        };
        let mut alloc = FailureAllocator::new(heap, growth, fail, refusals_max(job));
        let outcome = catch_unwind(AssertUnwindSafe(|| code(&alloc)));
        let outcome = outcome.map_err(crate::panics::take);
        let (counts, tripped) = (alloc.counts(), observed.tripped());
        let has_failed = alloc.induced_request().is_some() || tripped.is_some();
        let mut report = match stacks {
            Stacks::None => String::new(),
            Stacks::Kept => {
                // What is damaged is known once it was looked for; the verdict asks again.
                let _ = alloc.gpa().check();
                crate::report::of(alloc.gpa())
            }
        };
        let by_heap = by_heap(alloc.end());
        let by_result = self.by_result(outcome, has_failed, &alloc);
        if let (Some(_), Some(second)) = (&by_heap, &by_result) {
            report += &format!("beside that: {second}\n");
        }
        let verdict = by_heap // First: it has stacks.
            .or_else(|| alloc.take_unrestored().map(Verdict::Unrestored))
            .or_else(|| alloc.has_given_in().then(|| Verdict::Endless(refusals_max(job))))
            .or(by_result)
            .or_else(|| by_count(job, has_failed, counts.requests, observed.hits()));
        let told = verdict.map(|verdict| FailurePoint {
            fail,
            growth,
            // A refused resize is no failure of memory: only requests count.
            induced: alloc.induced_request(),
            tripped,
            verdict,
            report,
            again: (self.command)(job.point),
        });
        let wrong = told.map(|told| Wrong { job: *job, told });
        let FailingCounts { requests, changes, .. } = counts;
        Outcome { wrong, requests, changes, hits: observed.hits() }
    }

    /// What is wrong with how the code ended.
    fn by_result(
        &self,
        outcome: Result<Result<(), String>, String>,
        has_failed: bool,
        alloc: &FailureAllocator,
    ) -> Option<Verdict> {
        match outcome {
            Err(message) => Some(Verdict::Panicked(message)),
            Ok(Ok(())) if has_failed && !self.may_recover => Some(Verdict::Swallowed),
            // Code may need growth in place; where it is granted each time, it must succeed.
            Ok(Err(error)) if !has_failed && !alloc.has_refused_change() => {
                Some(Verdict::Failed(error))
            }
            Ok(_) => None,
        }
    }
}

/// How often a run's requests are refused at most: more than any clean-up asks for.
fn refusals_max(job: &Job) -> usize {
    job.expected.unwrap_or(0).saturating_mul(10).saturating_add(REFUSALS)
}

/// What is wrong with the blocks that the code left.
fn by_heap(check: Check) -> Option<Verdict> {
    match check {
        Check::Ok => None,
        Check::Leak(leaks) => Some(Verdict::Leaked(leaks)),
        Check::Misuse { findings, .. } => Some(Verdict::Misused(findings)),
    }
}

/// What is wrong with how much the code asked for: a point that it did not come to, or another count
/// where nothing failed.
fn by_count(job: &Job, has_failed: bool, requests: usize, hits: usize) -> Option<Verdict> {
    let Job { point, expected, .. } = *job;
    let verdict = |expected, found| Verdict::Nondeterministic { expected, found };
    match (point.hit, point.fail) {
        _ if has_failed => None,
        (Some(hit), _) => Some(Verdict::Unreached { expected: hit + 1, found: hits }),
        (None, Fail::Never) => {
            expected.filter(|expected| *expected != requests).map(|count| verdict(count, requests))
        }
        _ => Some(verdict(expected.unwrap_or(point.requests_min()), requests)),
    }
}

/// The run in which nothing fails.
pub(super) const fn base(growth: Growth) -> Job {
    Job { point: Point::requests(growth, Fail::Never), expected: None, stacks: Stacks::None }
}
