//! The conformance kit: does an allocator keep the contract?
//!
//! For most allocators one line in a file of `tests/` is all:
//!
//! ```
//! # use alloc_testing::hostile::Backing;
//! alloc_testing::conformance!(Backing::new());
//! ```
//!
//! See [`conformance!`](crate::conformance!) for its forms, and [`run`] and its sisters for the
//! functions behind it, which return a [`Violation`] instead of failing a test.
//!
//! # What a pass means
//!
//! That the checks of version [`VERSION`] of the rules found nothing, for the seed of the run: the
//! [`Summary`] of a pass says both, and what was left out.
//!
//! # What is checked
//!
//! ```text
//! directed checks   sizes, alignments 1 to 2 MiB, zeroed, grow and shrink, neighbours, many and large blocks,
//!                   many frees, sizes that no address space holds, refused requests, zero bytes, usable sizes
//! random programs   alloc, zeroed, free, resize, remap, realloc; shrunk to the shortest that fails
//! threads           several at once; a block is freed by another thread than it came from
//! backings          all of it over each hostile::Backing; then its nth request fails, for every n
//! strands           one thread's part of a model, for checkers that schedule threads themselves
//! bytes             the programs again, spelt by a fuzzer
//! ```
//!
//! Every live block is known to a *shadow*: address, layout, and what each byte should be. After
//! every call the shadow is held against memory. Halfway, the allocator is moved.
//!
//! # Under Miri, the sanitizers, loom, and fuzzers
//!
//! * **Miri**: nothing here makes a pointer from an integer (nightly's lints for that pass), so
//!   `-Zmiri-strict-provenance` suits; the defaults of [`Options`] are smaller there. It sees what the
//!   shadow cannot: a block that is too short where nothing lies behind it, a write by way of a pointer
//!   that a later one has invalidated. It stops where the system's heap refuses a size, so put the
//!   allocator over a [`Backing`], which does not ask. Not run so far.
//! * **Address sanitizer**: needs nothing but its flags. Set `ASAN_OPTIONS=allocator_may_return_null=1`
//!   for allocators over the system's heap, of which sizes are asked that nobody has.
//! * **Thread sanitizer**: as well, with a `std` that is built for it. Without one it reports what `std`'s
//!   locks and channels order.
//! * **loom** and shuttle: [`Strand`].
//! * **A fuzzer**: [`run_bytes`] and [`run_bytes_over`].
//!
//! # Limits
//!
//! * A block that is shorter than it should be is seen when it overlaps another, the allocator, or
//!   the end of a backing's block; not if nothing lies there.
//! * That live blocks are not *read* (promise 5) cannot be seen from outside.
//! * The kit runs the allocator in its own process: a broken one may corrupt that.
//!
#![doc = include_str!("../RULES.md")]

use std::cell::RefCell;
use std::fmt;

use alloc_core::{Allocator, UnsizedFree};

use crate::hostile::Backing;
use alloc_gpa::counted;

mod options;
mod violation;
mod shadow;
mod probe;
mod contract;
mod unsized_free;
mod program;
mod threads;
mod strand;
mod case;

use case::Plan;
use probe::{Scene, State};

pub use case::Case;
pub use options::Options;
pub use strand::Strand;
pub use violation::{Rule, Violation};

/// The version of the rules and checks: grows whenever an allocator that passed may fail. What each
/// added stands in the module's documentation.
pub const VERSION: u32 = 4;

/// Returns the names of the checks. A [`Violation::check`] begins with one of them.
pub fn check_names() -> impl Iterator<Item = &'static str> {
    let others = ["random programs", "threads", "out of memory", "strands", "bytes"];
    contract::CHECKS.iter().map(|&(name, _)| name).chain(others)
}

/// Operations of the program that is run over a backing whose nth request fails.
const FAILING_LEN: usize = 60;

/// The largest n for which the backing's nth request fails.
const FAIL_INDEX_MAX: usize = 500;

/// What a run did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// The seed of the run.
    pub seed: u64,
    /// Fresh allocators that were tried.
    pub allocators: usize,
    /// Calls made.
    pub operations: usize,
    /// Blocks handed out, without those of the checks with threads.
    pub blocks: usize,
    /// Requests that were refused.
    pub refused: usize,
    /// Points at which the backing was made to fail.
    pub failure_points: usize,
    /// Whether the backing could have been made to fail at still more points than were tried.
    pub gave_up: bool,
    /// Alignments up to 2 MiB that were not asked for, because [`Options::align_max`] is smaller.
    pub alignments_skipped: Vec<usize>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rules {VERSION}: {}, {}, {}, {} refused, {}, seed {:#x}",
            counted(self.allocators, "allocator"),
            counted(self.operations, "operation"),
            counted(self.blocks, "block"),
            self.refused,
            counted(self.failure_points, "failure point"),
            self.seed
        )?;
        if self.gave_up {
            write!(f, "; gave up at {FAIL_INDEX_MAX} failure points")?;
        }
        match self.alignments_skipped.as_slice() {
            [] => Ok(()),
            skipped => write!(f, "; skipped alignments {skipped:?}"),
        }
    }
}

/// Checks allocators made by `make`, but for threads.
///
/// # Errors
///
/// The first [`Violation`], of a random program the shortest one that shows it.
///
/// ```
/// use alloc_testing::{conformance::{self, Options}, hostile::Backing};
///
/// let summary = conformance::run(Backing::new, &Options::new().cases(4)).unwrap();
/// assert!(1000 < summary.operations);
/// ```
pub fn run<A: Allocator>(make: impl Fn() -> A, options: &Options) -> Result<Summary, Violation> {
    run_with(|case| case.run(make()), options)
}

/// As [`run`], and checks threads.
///
/// # Errors
///
/// As [`run`].
pub fn run_sync<A: Allocator + Sync>(
    make: impl Fn() -> A,
    options: &Options,
) -> Result<Summary, Violation> {
    let mut summary = run_with(|case| case.run_sync(make()), options)?;
    summary.add(run_threads(|case| case.run_sync(make()), options)?);
    Ok(summary)
}

/// As [`run`], and after each call the allocator must tell how many bytes are live.
///
/// # Errors
///
/// As [`run`].
pub fn run_counting<A: Allocator>(
    make: impl Fn() -> A,
    live_bytes: impl Fn(&A) -> usize,
    options: &Options,
) -> Result<Summary, Violation> {
    run_with(|case| case.run_counting(make(), &live_bytes), options)
}

/// As [`run`], and checks what [`UnsizedFree`] tells of the blocks.
///
/// # Errors
///
/// As [`run`].
pub fn run_unsized<A: UnsizedFree>(
    make: impl Fn() -> A,
    options: &Options,
) -> Result<Summary, Violation> {
    run_with(|case| case.run_unsized(make()), options)
}

/// As [`run`], for an allocator that cannot be returned from a closure, because it borrows what the
/// closure owns: `body` makes one and hands it to the [`Case`].
///
/// # Errors
///
/// As [`run`].
///
/// ```
/// use alloc_testing::{conformance::{self, Options}, hostile::Backing};
///
/// conformance::run_with(
///     |case| {
///         let backing = Backing::new();
///         case.run(&backing);
///     },
///     &Options::new().cases(4),
/// )
/// .unwrap();
/// ```
pub fn run_with(body: impl Fn(&mut Case<'_>), options: &Options) -> Result<Summary, Violation> {
    let mut summary = run_directed(&body, options)?;
    summary.add(run_random(&body, options)?);
    Ok(summary)
}

/// Runs the directed checks only; one half of [`run_with`].
///
/// # Errors
///
/// As [`run`].
pub fn run_directed(body: impl Fn(&mut Case<'_>), options: &Options) -> Result<Summary, Violation> {
    let run = Run::new(options);
    for &check in contract::CHECKS {
        run.case(check.0, Plan::Directed(check), &body)?;
    }
    Ok(run.summary.into_inner())
}

/// Runs the random programs only; the other half of [`run_with`].
///
/// # Errors
///
/// As [`run`].
pub fn run_random(body: impl Fn(&mut Case<'_>), options: &Options) -> Result<Summary, Violation> {
    let run = Run::new(options);
    program::run_all(options, run.seed, |ops| {
        run.case("random programs", Plan::Program(ops), &body)
    })?;
    Ok(run.summary.into_inner())
}

/// Runs the program that `bytes` spell, for a fuzzer: any bytes make one, four an operation, at most
/// 512 of them. It is not shrunk: fuzzers shrink bytes.
///
/// # Errors
///
/// The [`Violation`] that the program shows.
///
/// ```
/// use alloc_testing::{conformance::{self, Options}, hostile::Backing};
///
/// // Allocates a block of 17 bytes, another of 4 zeros, and frees the first.
/// let bytes = [0, 0, 16, 0, 2, 0, 3, 0, 3, 1, 0, 0];
/// let summary =
///     conformance::run_bytes(&bytes, |case| case.run(Backing::new()), &Options::new()).unwrap();
/// assert_eq!(summary.blocks, 2);
/// ```
pub fn run_bytes(
    bytes: &[u8],
    body: impl FnOnce(&mut Case<'_>),
    options: &Options,
) -> Result<Summary, Violation> {
    let run = Run::new(options);
    let ops = program::decode(bytes, options);
    run.scene("bytes", Plan::Program(&ops), None, body)?;
    Ok(run.summary.into_inner())
}

/// As [`run_bytes`], for an allocator over `backing`, which must have everything back at the end.
///
/// # Errors
///
/// As [`run_bytes`].
pub fn run_bytes_over(
    bytes: &[u8],
    backing: &Backing,
    body: impl FnOnce(&mut Case<'_>),
    options: &Options,
) -> Result<Summary, Violation> {
    let run = Run::new(options);
    let ops = program::decode(bytes, options);
    run.scene("bytes", Plan::Program(&ops), Some(backing), body)?;
    Ok(run.summary.into_inner())
}

/// Runs the checks with threads only; `body` calls [`Case::run_sync`].
///
/// # Errors
///
/// As [`run`].
pub fn run_threads(body: impl Fn(&mut Case<'_>), options: &Options) -> Result<Summary, Violation> {
    let run = Run::new(options);
    run.case("threads", Plan::Threads, &body)?;
    Ok(run.summary.into_inner())
}

/// Checks an allocator over every kind of hostile [`Backing`], and then with a backing whose nth
/// request fails, for every n: nothing leaks, the allocator stays usable, and what it took is back
/// when it is dropped.
///
/// # Errors
///
/// As [`run`].
///
/// ```
/// use alloc_testing::{Validated, conformance::{self, Options}};
///
/// let options = Options::new().cases(4);
/// conformance::run_over(|backing, case| case.run(Validated::new(backing)), &options).unwrap();
/// ```
pub fn run_over(
    body: impl Fn(&Backing, &mut Case<'_>),
    options: &Options,
) -> Result<Summary, Violation> {
    let mut summary = run_over_kinds(&body, options)?;
    summary.add(run_over_failing(&body, options)?);
    Ok(summary)
}

/// Runs the checks over every kind of hostile backing; one half of [`run_over`].
///
/// # Errors
///
/// As [`run`].
pub fn run_over_kinds(
    body: impl Fn(&Backing, &mut Case<'_>),
    options: &Options,
) -> Result<Summary, Violation> {
    let run = Run::new(options);
    for (kind, backing) in Backing::kinds() {
        for &check in contract::CHECKS {
            let name = format!("{}, over a hostile backing: {kind}", check.0);
            run.case_over(&name, Plan::Directed(check), backing(), &body)?;
        }
        let name = format!("random programs, over a hostile backing: {kind}");
        program::run_all(options, run.seed, |ops| {
            run.case_over(&name, Plan::Program(ops), backing(), &body).map(drop)
        })?;
    }
    Ok(run.summary.into_inner())
}

/// Runs a program for every n with a backing whose nth request fails, once alone and once with all
/// later ones; the other half of [`run_over`].
///
/// # Errors
///
/// As [`run`].
pub fn run_over_failing(
    body: impl Fn(&Backing, &mut Case<'_>),
    options: &Options,
) -> Result<Summary, Violation> {
    let run = Run::new(options);
    let ops = program::one(options, run.seed, FAILING_LEN);
    for index in 0..FAIL_INDEX_MAX {
        let backings = [
            ("request n of the backing fails", Backing::new().fail_only(index)),
            ("requests from n on of the backing fail", Backing::new().fail_from(index)),
        ];
        let mut reached = false;
        for (kind, backing) in backings {
            let check = format!("out of memory: {kind}, n = {index}");
            let induced = run.case_over(&check, Plan::Failing(&ops), backing, &body)?;
            reached |= induced != 0;
        }
        if !reached {
            return Ok(run.summary.into_inner());
        }
        run.summary.borrow_mut().failure_points += 1;
    }
    let mut summary = run.summary.into_inner();
    summary.gave_up = true;
    Ok(summary)
}

/// Runs the checks with threads over every kind of hostile backing; `body` calls
/// [`Case::run_sync`].
///
/// # Errors
///
/// As [`run`].
pub fn run_over_threads(
    body: impl Fn(&Backing, &mut Case<'_>),
    options: &Options,
) -> Result<Summary, Violation> {
    let run = Run::new(options);
    for (kind, backing) in Backing::kinds() {
        let name = format!("threads, over a hostile backing: {kind}");
        run.case_over(&name, Plan::Threads, backing(), &body)?;
    }
    Ok(run.summary.into_inner())
}

/// What all checks of a run share.
struct Run<'r> {
    options: &'r Options,
    seed: u64,
    summary: RefCell<Summary>,
}

impl<'r> Run<'r> {
    fn new(options: &'r Options) -> Self {
        let seed = options.resolve_seed();
        let alignments_skipped =
            contract::all_alignments().filter(|&align| options.align_max < align).collect();
        let summary = Summary { seed, alignments_skipped, ..Summary::default() };
        Self { options, seed, summary: RefCell::new(summary) }
    }

    /// Runs one check on the allocator that `body` makes.
    fn case(
        &self,
        check: &str,
        plan: Plan<'_>,
        body: impl Fn(&mut Case<'_>),
    ) -> Result<(), Violation> {
        self.scene(check, plan, None, body)
    }

    /// As [`case`](Self::case), over a backing; returns how many of its requests were failed.
    fn case_over(
        &self,
        check: &str,
        plan: Plan<'_>,
        backing: Backing,
        body: impl Fn(&Backing, &mut Case<'_>),
    ) -> Result<usize, Violation> {
        self.scene(check, plan, Some(&backing), |case| body(&backing, case))?;
        Ok(backing.induced_count())
    }

    fn scene(
        &self,
        check: &str,
        plan: Plan<'_>,
        backing: Option<&Backing>,
        body: impl FnOnce(&mut Case<'_>),
    ) -> Result<(), Violation> {
        let steps_shown = plan.steps_shown();
        let scene = Scene { check, seed: self.seed, options: self.options, backing, steps_shown };
        let mut case = Case { plan, scene, outcome: None };
        body(&mut case);
        let Some(outcome) = case.outcome else {
            panic!("the body did not hand an allocator to the case")
        };
        self.summary.borrow_mut().count(&outcome?);
        Ok(())
    }
}

impl Summary {
    fn count(&mut self, state: &State) {
        self.allocators += 1;
        self.operations += state.operation_count;
        self.blocks += state.block_count;
        self.refused += state.refused_count;
    }

    fn add(&mut self, other: Self) {
        self.allocators += other.allocators;
        self.operations += other.operations;
        self.blocks += other.blocks;
        self.refused += other.refused;
        self.failure_points += other.failure_points;
        self.gave_up |= other.gave_up;
    }
}
