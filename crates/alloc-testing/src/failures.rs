//! Every allocation of a piece of code fails once.

use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use alloc_gpa::{Check, Gpa, LeakTotals};

use crate::failing::{Fail, FailingAllocator, InducedFailure};

/// The allocator that code under [`check_all_alloc_failures`] is given.
pub type FailureAllocator = FailingAllocator<Gpa>;

/// Verdicts that a report shows in full.
const SHOWN_MAX: usize = 5;

/// What is wrong with code at one point of failure.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It returned `Ok` although a request had failed.
    Swallowed,
    /// It allocated otherwise than at its first run: that one's count, and this one's. The same code
    /// must ask for the same blocks each time, or not every failure can be tried.
    Nondeterministic {
        /// Requests of the first run.
        expected: usize,
        /// Requests of this run.
        found: usize,
    },
    /// It left blocks behind.
    Leaked(LeakTotals),
    /// It misused the allocator: the number of findings.
    Misused(u64),
    /// It panicked.
    Panicked(String),
    /// It returned an error although nothing had been made to fail.
    Failed(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Swallowed => f.write_str("swallowed: the code returned Ok"),
            Self::Nondeterministic { expected, found } => write!(
                f,
                "nondeterministic: the code made {expected} requests at first, and {found} now"
            ),
            Self::Leaked(leaks) => {
                write!(f, "leaked {} blocks, {} bytes", leaks.count, leaks.bytes)
            }
            Self::Misused(findings) => write!(f, "misused the allocator: {findings} findings"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Failed(error) => write!(f, "failed without an induced failure: {error}"),
        }
    }
}

/// A verdict, and where it was passed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FailurePoint {
    /// Which requests were made to fail.
    pub fail: Fail,
    /// The first request that failed, with its line; none if none was reached.
    pub induced: Option<InducedFailure>,
    /// What is wrong.
    pub verdict: Verdict,
    /// What the allocator found, with stacks; empty if nothing.
    pub report: String,
}

impl fmt::Display for FailurePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.induced {
            Some(induced) => writeln!(f, "{}\n  when {induced}", self.verdict)?,
            None => writeln!(f, "{}\n  with requests failing {}", self.verdict, self.fail)?,
        }
        self.report.lines().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

/// What [`all_alloc_failures`] tried, all of it well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailureSummary {
    /// Requests that the code makes when none fails.
    pub requests: usize,
    /// Runs with a failure.
    pub points: usize,
}

/// Proves that code survives every failure of an allocation: as [`all_alloc_failures`], and fails the
/// test if something is wrong.
///
/// ```
/// use alloc_core::{AllocError, AllocatorExt};
/// use alloc_testing::check_all_alloc_failures;
///
/// check_all_alloc_failures(|gpa| -> Result<(), AllocError> {
///     let name = gpa.dupe_str("name")?;
///     let numbers = gpa.alloc_fill(name.len(), 0u32)?;
///     assert_eq!(numbers.len(), 4);
///     Ok(())
/// });
/// ```
///
/// # Panics
///
/// If there is a verdict; the message holds the first few, with the line of each failed request.
#[track_caller]
pub fn check_all_alloc_failures<E: fmt::Debug>(
    code: impl Fn(&FailureAllocator) -> Result<(), E>,
) -> FailureSummary {
    let points = match all_alloc_failures(code) {
        Ok(summary) => return summary,
        Err(points) => points,
    };
    let mut text = format!("{} points of failure are handled wrongly:\n", points.len());
    for point in points.iter().take(SHOWN_MAX) {
        text += &format!("* {point}");
    }
    if SHOWN_MAX < points.len() {
        text += &format!("and {} more\n", points.len() - SHOWN_MAX);
    }
    panic!("{text}")
}

/// Runs `code` once to count its requests, and then, for each request, once with that one failing
/// alone ([`Fail::Only`]) and once with all later ones failing too ([`Fail::From`]).
///
/// Either finds what the other does not: a leak that shows when the clean-up gets its memory, and one
/// that shows when it does not.
///
/// Each run has a fresh [`Gpa`]. Resizes and remaps are refused in all of them, so that each growth
/// is a request that can fail; growth in place would depend on the addresses of the blocks.
///
/// # Errors
///
/// All points at which the code does not return an error, leaks, panics, misuses the allocator, or
/// allocates otherwise than before. If already the run without failures is bad, that alone.
pub fn all_alloc_failures<E: fmt::Debug>(
    code: impl Fn(&FailureAllocator) -> Result<(), E>,
) -> Result<FailureSummary, Vec<FailurePoint>> {
    let (first, requests) = run_once(&code, Fail::Never, None);
    if let Some(point) = first {
        return Err(vec![point]);
    }
    let fails = (0..requests).flat_map(|index| [Fail::Only(index), Fail::From(index)]);
    let again = core::iter::once(Fail::Never);
    let points: Vec<_> =
        again.chain(fails).filter_map(|fail| run_once(&code, fail, Some(requests)).0).collect();
    match points.is_empty() {
        true => Ok(FailureSummary { requests, points: 2 * requests }),
        false => Err(points),
    }
}

/// Runs the code once; what is wrong, if anything, and the number of requests it made.
fn run_once<E: fmt::Debug>(
    code: impl Fn(&FailureAllocator) -> Result<(), E>,
    fail: Fail,
    expected: Option<usize>,
) -> (Option<FailurePoint>, usize) {
    let gpa = Gpa::builder().quiet().build();
    let alloc = FailingAllocator::new(gpa).requests(fail).changes(Fail::From(0));
    let outcome = catch_unwind(AssertUnwindSafe(|| code(&alloc)));
    let found = alloc.counts().requests;
    // A refused resize is no failure of memory: only requests count.
    let induced = alloc.induced_request();
    let by_result = match (outcome, induced) {
        (Err(payload), _) => Some(Verdict::Panicked(crate::panics::message(&*payload))),
        (Ok(Ok(())), Some(_)) => Some(Verdict::Swallowed),
        (Ok(Err(error)), None) => Some(Verdict::Failed(format!("{error:?}"))),
        (Ok(_), _) => None,
    };
    let by_count = expected.filter(|&expected| match induced {
        Some(_) => false,
        None => fail != Fail::Never || expected != found,
    });
    let by_count = by_count.map(|expected| Verdict::Nondeterministic { expected, found });
    let by_heap = match alloc.inner().check() {
        Check::Ok => None,
        Check::Leak(leaks) => Some(Verdict::Leaked(leaks)),
        Check::Misuse { findings, .. } => Some(Verdict::Misused(findings)),
    };
    let report = by_heap.as_ref().map(|_| crate::report::of(alloc.inner())).unwrap_or_default();
    // The heap's verdict first: it has the stacks.
    let verdict = by_heap.or(by_result).or(by_count);
    (verdict.map(|verdict| FailurePoint { fail, induced, verdict, report }), found)
}
