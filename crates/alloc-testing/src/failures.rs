//! Every allocation of a piece of code fails once.

use core::fmt;
use core::panic::Location;

use alloc_gpa::LeakTotals;

use crate::fail_point::TrippedPoint;
use crate::failing::{Fail, InducedFailure};
use alloc_gpa::counted;

mod heap;
mod plan;
mod point;
mod run;
mod workers;

pub use heap::{FailureAllocator, Growth, Unrestored};

pub use point::POINT_VARIABLE;
pub(crate) use point::tell_unmet;

use point::Point;
use run::Setting;

/// Verdicts that a report shows in full.
const SHOWN_MAX: usize = 5;

/// Pairs that are tried if the code says nothing else.
const PAIRS_MAX: usize = 500;

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
    /// The fail point that was to fail was not passed: the number of hits that takes, and this run's.
    Unreached {
        /// Hits of the first run, at least.
        expected: usize,
        /// Hits of this run.
        found: usize,
    },
    /// It left blocks behind.
    Leaked(LeakTotals),
    /// It misused the allocator: the number of findings.
    Misused(u64),
    /// An operation under [`FailureAllocator::restores`] returned an error and left its state changed.
    Unrestored(Unrestored),
    /// It asked again and again for memory that there was not, so often; then it was given some, to end it.
    Endless(usize),
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
                "nondeterministic: the code made {} at first, and {found} now",
                counted(*expected, "request")
            ),
            Self::Unreached { expected, found } => write!(
                f,
                "nondeterministic: the code passed {} at first, and {found} now",
                counted(*expected, "fail point")
            ),
            Self::Leaked(leaks) => {
                write!(
                    f,
                    "leaked {}, {}",
                    counted(leaks.count, "block"),
                    counted(leaks.bytes, "byte")
                )
            }
            Self::Misused(findings) => {
                write!(f, "misused the allocator: {}", counted(*findings, "finding"))
            }
            Self::Unrestored(Unrestored { before, after, site }) => write!(
                f,
                "state not restored by the operation at {site}\n  before: {before}\n  after:  {after}"
            ),
            Self::Endless(refusals) => {
                write!(
                    f,
                    "endless: the code asked {} for memory that there was not",
                    counted(*refusals, "time")
                )
            }
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
    /// Whether blocks grew in place.
    pub growth: Growth,
    /// The first request that failed, with its line and stack; none if none was reached.
    pub induced: Option<InducedFailure>,
    /// The fail point that failed; no request did then.
    pub tripped: Option<TrippedPoint>,
    /// What is wrong.
    pub verdict: Verdict,
    /// What the allocator found, with stacks, and what else is wrong; empty if nothing, or if dozens of
    /// points before this one have one.
    /// It is that of a second run of the point: the first keeps no stacks.
    pub report: String,
    /// The command that runs this point alone.
    pub again: String,
}

impl fmt::Display for FailurePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        match (&self.induced, &self.tripped) {
            (Some(induced), _) => write!(f, "  when {induced}\n{}", induced.stack_text())?,
            (None, Some(tripped)) => write!(f, "  when {tripped}\n{}", tripped.stack_text())?,
            (None, None) => writeln!(f, "  with requests failing {}", self.fail)?,
        }
        if self.growth == Growth::Granted {
            writeln!(f, "  while blocks grew in place")?;
        }
        self.report.lines().try_for_each(|line| writeln!(f, "    {line}"))?;
        writeln!(f, "  again: {}", self.again)
    }
}

/// What a check tried, all of it well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailureSummary {
    /// Requests that the code makes when none fails and no block grows in place.
    pub requests: usize,
    /// As `requests`, where blocks grow in place; none if the code asks for no growth.
    pub requests_growing: Option<usize>,
    /// Points of failure that were tried: each request alone, each with all later ones, and pairs.
    pub points: usize,
    /// Pairs among the points, and pairs that there are: of a request and one that the code makes after
    /// that failed.
    pub pairs: usize,
    /// See `pairs`.
    pub pairs_possible: usize,
    /// Hits of fail points among the points, if these were to fail.
    pub hits: usize,
    /// Runs of the code. A point needs none of its own where nothing is asked for after the failure:
    /// then [`Fail::From`] is [`Fail::Only`].
    pub runs: usize,
}

impl fmt::Display for FailureSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, points, pairs, pairs_possible, hits, runs, .. } = self;
        write!(f, "{}", counted(*requests, "request"))?;
        if let Some(growing) = self.requests_growing {
            write!(f, " ({growing} with growth in place)")?;
        }
        write!(
            f,
            ", {} of failure ({pairs} of {}",
            counted(*points, "point"),
            counted(*pairs_possible, "pair")
        )?;
        if *hits != 0 {
            write!(f, ", {} of fail points", counted(*hits, "hit"))?;
        }
        write!(f, "), {}", counted(*runs, "run"))
    }
}

/// Proves that code survives every failure of an allocation; see [`AllocFailures`], whose usual
/// settings it has.
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
/// If there is a verdict; the message holds the first few, with line and stack of each failed request.
#[track_caller]
pub fn check_all_alloc_failures<E: fmt::Debug>(
    code: impl Fn(&FailureAllocator) -> Result<(), E> + Sync,
) -> FailureSummary {
    AllocFailures::new().check(code)
}

/// As [`check_all_alloc_failures`], and returns the verdicts instead of a panic.
///
/// # Errors
///
/// See [`AllocFailures::run`].
#[track_caller]
pub fn all_alloc_failures<E: fmt::Debug>(
    code: impl Fn(&FailureAllocator) -> Result<(), E> + Sync,
) -> Result<FailureSummary, Vec<FailurePoint>> {
    AllocFailures::new().run(code)
}

/// The check that code survives every failure of an allocation, with its settings.
///
/// The code runs once to count its requests, once more to see that they stay the same, and then for
/// each request
///
/// * once with that one failing alone ([`Fail::Only`]): the clean-up gets its memory;
/// * once with all later ones failing, too ([`Fail::From`]): it does not;
/// * once for each later request that the code makes after the failure, with these two failing
///   ([`Fail::Pair`]), up to [`pairs_max`](Self::pairs_max) in all, near ones first.
///
/// Each finds what the others do not. All of it is done with no growth in place granted, so that each
/// growth is a request that can fail; and, if the code asks for growth, once more with growth in place
/// granted by a rule ([`Growth::Granted`]), which other paths of the code need. Runs are spread over all
/// cores; each has a fresh checking heap. The order of the verdicts does not depend on who ran what.
///
/// The code must ask for the same blocks in each run: no random hashing, no threads that race for the
/// allocator.
///
/// A verdict comes with a command that runs its point alone: `ALLOC_TESTING_POINT='CHECK:only 17'` before
/// `cargo test TEST -- --exact`. The check is told by its name, else as `TEST@FILE:LINE`, else, where the
/// test is not known, as `FILE:LINE`. By hand, the test alone asks for the point in each of its checks. A
/// name that no check of the program has is told when the program ends, on Linux.
///
/// ```
/// use alloc_core::{AllocError, AllocatorExt};
/// use alloc_testing::AllocFailures;
///
/// let summary = AllocFailures::new().name("two blocks").check(|gpa| {
///     let _first = gpa.create(1)?;
///     gpa.create(2).map(drop)
/// });
/// assert_eq!((summary.requests, summary.points), (2, 4));
/// ```
#[derive(Clone, Debug)]
#[must_use = "it checks nothing before `check` or `run`"]
pub struct AllocFailures {
    name: Option<String>,
    pairs_max: usize,
    may_recover: bool,
    has_fail_points: bool,
    site: &'static Location<'static>,
}

impl AllocFailures {
    /// The check with its usual settings.
    #[track_caller]
    pub fn new() -> Self {
        let site = Location::caller();
        Self { name: None, pairs_max: PAIRS_MAX, may_recover: false, has_fail_points: false, site }
    }

    /// Gives the check a name by which its points are asked for. Checks on one line, as in a loop or a
    /// function that a test calls twice, are told apart by it alone.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Tries so many pairs at most in each pass; 500 if not said. [`FailureSummary::pairs`] says how
    /// many were tried of how many there are.
    pub const fn pairs_max(mut self, count: usize) -> Self {
        self.pairs_max = count;
        self
    }

    /// Lets the code return `Ok` after a failure: it has a way without that memory.
    pub const fn may_recover(mut self) -> Self {
        self.may_recover = true;
        self
    }

    /// Makes the [fail points](alloc_core::fail_point) that the code passes fail, too: each hit of one
    /// alone. The verdicts are the same. Hits on threads that the code starts count if their code is
    /// [`carried`](crate::carried). Those that a [`FailPoints`](crate::FailPoints) armed fail in
    /// any case; with a rule about single hits, take [`check_in_order`](Self::check_in_order), as hits are
    /// counted for all runs together.
    ///
    /// ```
    /// use alloc_core::{AllocError, AllocatorExt, fail_point};
    /// use alloc_testing::AllocFailures;
    ///
    /// let summary = AllocFailures::new().fail_points().check(|gpa| {
    ///     let _buffer = gpa.alloc_fill(4, 0u8)?;
    ///     fail_point!(read_header);
    ///     Ok::<(), AllocError>(())
    /// });
    /// assert_eq!((summary.points, summary.hits), (3, 1));
    /// ```
    pub const fn fail_points(mut self) -> Self {
        self.has_fail_points = true;
        self
    }

    /// Runs the check on all cores.
    ///
    /// # Panics
    ///
    /// If there is a verdict; the message holds the first few.
    #[track_caller]
    pub fn check<E: fmt::Debug>(
        &self,
        code: impl Fn(&FailureAllocator) -> Result<(), E> + Sync,
    ) -> FailureSummary {
        // No closure: the panic shall have the caller's line.
        match self.run(code) {
            Ok(summary) => summary,
            Err(points) => fail(&points),
        }
    }

    /// As [`check`](Self::check), on this thread, for code that is not `Sync` or that looks at the
    /// thread it is on.
    ///
    /// ```
    /// use alloc_core::AllocatorExt;
    /// use alloc_testing::AllocFailures;
    /// use std::cell::Cell;
    ///
    /// let runs = Cell::new(0);
    /// let summary = AllocFailures::new().check_in_order(|gpa| {
    ///     runs.set(runs.get() + 1);
    ///     gpa.create(1).map(drop)
    /// });
    /// assert_eq!(summary.runs, runs.get());
    /// ```
    ///
    /// On all cores such code does not compile:
    ///
    /// ```compile_fail,E0277
    /// # use alloc_core::AllocatorExt;
    /// # use alloc_testing::AllocFailures;
    /// # use std::cell::Cell;
    /// let runs = Cell::new(0);
    /// AllocFailures::new().check(|gpa| {
    ///     runs.set(runs.get() + 1);
    ///     gpa.create(1).map(drop)
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// If there is a verdict; the message holds the first few.
    #[track_caller]
    pub fn check_in_order<E: fmt::Debug>(
        &self,
        code: impl Fn(&FailureAllocator) -> Result<(), E>,
    ) -> FailureSummary {
        match self.run_in_order(code) {
            Ok(summary) => summary,
            Err(points) => fail(&points),
        }
    }

    /// Runs the check on all cores and returns the verdicts instead of a panic.
    ///
    /// # Errors
    ///
    /// All points at which something is wrong, in the order of the requests. If already the run without
    /// failures is bad, that alone.
    ///
    /// # Panics
    ///
    /// If the environment asks for a point that means nothing.
    pub fn run<E: fmt::Debug>(
        &self,
        code: impl Fn(&FailureAllocator) -> Result<(), E> + Sync,
    ) -> Result<FailureSummary, Vec<FailurePoint>> {
        let code = |alloc: &FailureAllocator| code(alloc).map_err(|error| format!("{error:?}"));
        self.explore(|setting, name, jobs| {
            workers::on_all_cores(name, jobs, |job| setting.run(&code, job))
        })
    }

    /// As [`run`](Self::run), on this thread.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn run_in_order<E: fmt::Debug>(
        &self,
        code: impl Fn(&FailureAllocator) -> Result<(), E>,
    ) -> Result<FailureSummary, Vec<FailurePoint>> {
        let code = |alloc: &FailureAllocator| code(alloc).map_err(|error| format!("{error:?}"));
        self.explore(|setting, name, jobs| {
            workers::in_order(name, jobs, |job| setting.run(&code, job))
        })
    }

    /// Goes through the plan, or through the one point that the environment asks for.
    fn explore(
        &self,
        run: impl Fn(&Setting<'_>, &str, &[run::Job]) -> Vec<run::Outcome>,
    ) -> Result<FailureSummary, Vec<FailurePoint>> {
        let test = crate::current_test::name();
        let test = test.as_deref();
        let line = format!("{}:{}", self.site.file(), self.site.line());
        let in_test = test.map(|test| format!("{test}@{line}"));
        let names = [self.name.as_deref(), in_test.as_deref(), Some(&line), test];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        // Where the test is not known, the line decides.
        let in_unknown = test.is_none().then(|| format!("@{line}"));
        let is_this = |asked: &str| {
            names.contains(&asked) || in_unknown.as_ref().is_some_and(|end| asked.ends_with(end))
        };
        let command = |point: Point| point::command(names[0], test, point);
        let setting = Setting { may_recover: self.may_recover, command: &command };
        let run = |jobs: &[run::Job]| run(&setting, names[0], jobs);
        match point::wanted(is_this) {
            Some(point) => plan::one_point(&run, point),
            None => {
                let Self { pairs_max, has_fail_points, .. } = *self;
                plan::all_points(&run, plan::Extent { pairs_max, has_fail_points })
            }
        }
    }
}

impl Default for AllocFailures {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

#[track_caller]
fn fail(points: &[FailurePoint]) -> ! {
    let mut text = format!("{} of failure handled wrongly:\n", counted(points.len(), "point"));
    for point in points.iter().take(SHOWN_MAX) {
        text += &format!("* {point}");
    }
    if SHOWN_MAX < points.len() {
        text += &format!("and {} more\n", points.len() - SHOWN_MAX);
    }
    panic!("{text}")
}
