//! A test runner of its own, for test targets with `harness = false`.
//!
//! ```toml
//! [[test]]
//! name = "suite"
//! harness = false
//! ```
//!
//! ```
//! // tests/suite.rs
//! #[alloc_testing::suite]
//! mod tests {
//!     use alloc_core::AllocatorExt;
//!     use alloc_testing::{TestAllocator, alloc_test};
//!
//!     #[alloc_test]
//!     fn copies(gpa: &TestAllocator) {
//!         assert_eq!(&*gpa.dupe_str("text").unwrap(), "text");
//!     }
//! }
//!
//! alloc_testing::main!(tests);
//! ```
//!
//! Between the first line of `main` and that of the first test nothing is taken from the global
//! allocator, on Linux: the command line lies in a buffer of 8 KiB on the stack, the runner's own lists
//! in a heap of its own. So a test target can check what a program allocates from its start. (std takes
//! two blocks before `main`. An `#[alloc_test]` takes one before its first line, for what its threads
//! share; a `#[test]` none. The first test runs alone: threads are started after it. The variable
//! `ALLOC_TESTING_SEED`, if it is set, is read through the heap.)
//!
//! It differs from the standard harness in this: the order is shuffled by a seed; an error that is
//! logged through the crate `log` fails its test, as a leak does; what tests print is not captured.
//!
//! | exit status | |
//! | --- | --- |
//! | 0 | every test that ran has passed; ignored ones do not count |
//! | 1 | a test failed, leaked, or logged an error; or a thread of none logged one |
//! | 2 | the command line is wrong or too long, or output could not be written; with the former no test ran |
//! | 3 | the runner itself leaked; the tests may have passed |
//!
//! # Drawbacks
//!
//! * A test that ends the process takes the others along, and the results with it: the status is 1, or the
//!   signal's if it aborts, and the test is told, on Unix; of one that calls `_exit` nobody learns anything.
//!   cargo-nextest runs each in a process of its own, which takes none along.
//! * A test that sets a panic hook of its own, for the whole process, hides the places of later panics; their
//!   words are told.
//! * JSON and JUnit on standard output have it alone, on Unix: what tests print goes to standard error. On
//!   Windows, take `--output`.
//! * A test that calls `log::set_logger`, or `init` of a logger, finds the runner's there.
//! * Threads of one test are not told from those of another: an error that one logs fails the run, not
//!   a test.

use core::fmt;
use core::num::NonZeroUsize;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;
use std::fs::File;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use alloc_core::{AllocError, AllocatorExt, Owned};
use alloc_fixed::{FixedBuffer, StackBuffer};
use alloc_gpa::{Check, Gpa};

use crate::outcome::Outcome;
use crate::rng::Rng;
use alloc_gpa::counted;

mod arguments;
mod output;
mod done;
mod watch;
mod exits;
mod pretty;
mod json;
mod junit;

use arguments::{BUFFER_LEN, Format, Ignored, Options, Task};
use done::{Done, Tally};
use output::{Out, Teller};

/// One test, as `#[suite]` enters it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Test {
    pub name: &'static str,
    pub file: &'static str,
    pub line: u32,
    pub ignored: Option<&'static str>,
    pub run: fn() -> Outcome,
}

impl Test {
    /// The name without that of the crate.
    fn name(&self) -> &'static str {
        self.name.split_once("::").map_or(self.name, |(_, name)| name)
    }
}

/// The tests of a module: the constant `SUITE` that [`#[suite]`](crate::suite) writes.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    #[doc(hidden)]
    pub tests: &'static [Test],
    #[doc(hidden)]
    pub suites: &'static [Suite],
}

impl Suite {
    fn for_each(&self, each: &mut dyn FnMut(&'static Test)) {
        self.tests.iter().for_each(&mut *each);
        self.suites.iter().for_each(|suite| suite.for_each(each));
    }
}

/// Runs the tests of some suites as the command line says; what [`main!`](crate::main) calls.
///
/// ```no_run
/// # use alloc_testing::runner::{Runner, Suite};
/// # const TESTS: &[Suite] = &[];
/// fn main() -> std::process::ExitCode {
///     Runner::new(TESTS).run()
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Runner {
    suites: &'static [Suite],
    leaks: bool,
}

/// Why a run ended before its tests did.
enum Stopped {
    /// The command line was wrong, or an output cannot be written; that has been told.
    Refused,
    /// There is no memory for the runner's own lists.
    NoMemory,
}

/// The tests that were chosen, in the runner's own memory.
type Chosen<'o> = Owned<[Option<&'static Test>], &'o Gpa>;

impl From<AllocError> for Stopped {
    fn from(_: AllocError) -> Self {
        Self::NoMemory
    }
}

impl Runner {
    /// A runner of these tests.
    #[must_use]
    pub const fn new(suites: &'static [Suite]) -> Self {
        Self { suites, leaks: false }
    }

    /// Leaks a block of the runner's own, so that a test can see what happens then.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_leak_of_its_own(mut self) -> Self {
        self.leaks = true;
        self
    }

    /// Reads the command line, runs the tests, and tells their results. See the [module](self) for the
    /// exit status.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let mut stack = StackBuffer::<BUFFER_LEN>::new();
        let fixed = FixedBuffer::new(&mut stack);
        let refused = |wrong: &dyn fmt::Display| {
            // Standard error is not buffered: nothing is allocated.
            crate::report::print(format_args!("error: {wrong}\n"));
            ExitCode::from(2)
        };
        let text = match arguments::read(&fixed) {
            Ok(text) => text,
            Err(wrong) => return refused(&wrong),
        };
        let options = match arguments::parse(&text, &fixed) {
            Ok(options) => options,
            Err(wrong) => return refused(&wrong),
        };
        let own = Gpa::builder().quiet().build();
        let status = self.run_with(&options, &own);
        if self.leaks {
            Owned::leak(own.create(0u64).expect("memory"));
        }
        let report = (own.check() != Check::Ok).then(|| crate::report::of(&own));
        if let Some(report) = report {
            crate::report::print(format_args!("error: the runner itself leaked:\n{report}"));
            return ExitCode::from(3);
        }
        match status {
            Ok(code) => code,
            Err(Stopped::Refused) => ExitCode::from(2),
            Err(Stopped::NoMemory) => refused(&"no memory for the list of tests"),
        }
    }

    fn run_with(&self, options: &Options<'_>, own: &Gpa) -> Result<ExitCode, Stopped> {
        let mut out = Out::standard();
        match options.task {
            Task::Help => out.say(format_args!("{}", arguments::HELP)),
            Task::List => self.list(options, &mut out),
            Task::Run => return self.run_tests(options, own, out),
        }
        Ok(if out.failed() { ExitCode::from(2) } else { ExitCode::SUCCESS })
    }

    fn for_each(&self, each: &mut dyn FnMut(&'static Test)) {
        self.suites.iter().for_each(|suite| suite.for_each(each));
    }

    fn list(&self, options: &Options<'_>, out: &mut Out) {
        let mut count = 0_usize;
        self.for_each(&mut |test| {
            let is_asked = options.ignored != Ignored::Only || test.ignored.is_some();
            if is_asked && options.chooses(test.name()) {
                out.say(format_args!("{}: test\n", test.name()));
                count += 1;
            }
        });
        if options.format != Format::Terse {
            out.say(format_args!("\n{}, 0 benchmarks\n", counted(count, "test")));
        }
    }

    fn run_tests(&self, options: &Options<'_>, own: &Gpa, out: Out) -> Result<ExitCode, Stopped> {
        let refused = |wrong: fmt::Arguments<'_>| {
            crate::report::print(format_args!("error: {wrong}\n"));
            Stopped::Refused
        };
        let seed = crate::seed::for_runner(options.seed)
            .map_err(|text| refused(format_args!("ALLOC_TESTING_SEED={text}: not a number")))?;
        let file = match options.output {
            None => None,
            Some(path) => {
                let file = File::create(path);
                Some(file.map_err(|error| refused(format_args!("cannot write {path}: {error}")))?)
            }
        };
        let (tests, filtered_out) = self.chosen(options, own, seed)?;
        let results = own.alloc_with(tests.len(), |_| Mutex::new(None))?;
        let teller = Teller::new(options.format, out, file);
        let run = Run { tests: &tests, results: &results, next: AtomicUsize::new(0), teller };
        let start = Instant::now();
        watch::install();
        let running = exits::Running::begin();
        run.teller.begin(tests.len(), seed);
        run.work(options.ignored, options.jobs);
        let mut tally = Tally { filtered_out, seed, ..Tally::default() };
        run.for_each(&mut |done| tally.add(done));
        tally.stray_errors = watch::stray_errors();
        tally.time = start.elapsed();
        let is_written = run.teller.end(&tally, &run);
        drop(running);
        Ok(match (is_written, tally.is_good()) {
            (false, _) => ExitCode::from(2),
            (true, false) => ExitCode::from(1),
            (true, true) => ExitCode::SUCCESS,
        })
    }

    /// The tests that were chosen, in the order of the seed, and how many were not.
    fn chosen<'o>(
        &self,
        options: &Options<'_>,
        own: &'o Gpa,
        seed: u64,
    ) -> Result<(Chosen<'o>, usize), AllocError> {
        let is_chosen = |test: &Test| {
            let is_asked = options.ignored != Ignored::Only || test.ignored.is_some();
            is_asked && options.chooses(test.name())
        };
        let (mut count, mut all) = (0, 0);
        self.for_each(&mut |test| {
            all += 1;
            count += usize::from(is_chosen(test));
        });
        let mut tests = own.alloc_fill(count, None)?;
        let mut places = tests.iter_mut();
        self.for_each(&mut |test| {
            if is_chosen(test)
                && let Some(place) = places.next()
            {
                *place = Some(test);
            }
        });
        let mut rng = Rng::new(seed);
        for last in (1..tests.len()).rev() {
            tests.swap(last, rng.below(last + 1));
        }
        // What is not run comes last: the first one is run alone.
        if options.ignored == Ignored::Skip {
            tests.sort_unstable_by_key(|test| test.is_some_and(|test| test.ignored.is_some()));
        }
        Ok((tests, all - count))
    }
}

/// A run of the chosen tests.
struct Run<'a> {
    tests: &'a [Option<&'static Test>],
    results: &'a [Mutex<Option<Done>>],
    /// Index of the next test. Relaxed: each thread gets its own number; results are behind locks.
    next: AtomicUsize,
    teller: Teller,
}

impl Run<'_> {
    /// Runs the first test alone, then the others by several threads at once.
    fn work(&self, ignored: Ignored, jobs: Option<NonZeroUsize>) {
        self.step(ignored);
        // Only now: it reads files, for which it allocates.
        let jobs = jobs.or_else(jobs_of_environment);
        let jobs = jobs.or_else(|| thread::available_parallelism().ok());
        let jobs = jobs.map_or(1, NonZeroUsize::get).min(self.tests.len());
        thread::scope(|scope| {
            for _ in 1..jobs {
                let worker = || while self.step(ignored) {};
                if let Err(error) = thread::Builder::new().spawn_scoped(scope, worker) {
                    crate::report::print(format_args!("note: fewer jobs, no thread: {error}\n"));
                    break;
                }
            }
            while self.step(ignored) {}
        });
    }

    /// Runs the next test; whether there was one.
    fn step(&self, ignored: Ignored) -> bool {
        let index = self.next.fetch_add(1, Relaxed);
        let Some(test) = self.tests.get(index).copied().flatten() else { return false };
        let done = match test.ignored {
            Some(_) if ignored == Ignored::Skip => Done::ignored(test),
            _ => {
                self.teller.start(test);
                crate::current_test::within(test.name(), || Done::by_running(test))
            }
        };
        self.teller.tell(&done);
        *self.results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        true
    }

    /// Calls `each` for every test that is done, in the order of the run.
    fn for_each(&self, each: &mut dyn FnMut(&Done)) {
        for result in self.results {
            let result = result.lock().unwrap_or_else(PoisonError::into_inner);
            result.iter().for_each(&mut *each);
        }
    }
}

/// The environment variable that the standard harness takes its number of threads from.
const THREADS_VARIABLE: &str = "RUST_TEST_THREADS";

/// How many tests the environment lets run at once, if it says so.
fn jobs_of_environment() -> Option<NonZeroUsize> {
    let text = std::env::var(THREADS_VARIABLE).ok()?;
    let jobs = text.parse().ok();
    if jobs.is_none() {
        let note = format_args!("note: {THREADS_VARIABLE}={text:?} is no number from 1 on\n");
        crate::report::print(note);
    }
    jobs
}

/// Writes `main` for a test target with `harness = false`: it runs the [suites](macro@crate::suite)
/// of these modules.
///
/// ```
/// mod parsing {
///     #[alloc_testing::suite]
///     pub mod tests {
///         use alloc_core::AllocatorExt;
///         use alloc_testing::{TestAllocator, alloc_test};
///
///         #[alloc_test]
///         fn copies(gpa: &TestAllocator) {
///             assert_eq!(*gpa.dupe(&[1, 2]).unwrap(), [1, 2]);
///         }
///     }
/// }
/// alloc_testing::main!(parsing::tests);
/// ```
#[macro_export]
macro_rules! main {
    ($($suite:path),+ $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::runner::Runner::new($crate::suites![$($suite),+]).run()
        }
    };
}

/// The suites of some modules, for [`Runner::new`](crate::runner::Runner::new).
///
/// ```
/// #[alloc_testing::suite]
/// mod tests {
///     // Tests: functions with `#[alloc_test]` or `#[test]`.
/// }
/// fn main() -> std::process::ExitCode {
///     alloc_testing::runner::Runner::new(alloc_testing::suites![tests]).run()
/// }
/// ```
#[macro_export]
macro_rules! suites {
    ($($suite:path),+ $(,)?) => {{
        const SUITES: &[$crate::runner::Suite] = &[$({
            use $suite as __suite;
            __suite::SUITE
        }),+];
        SUITES
    }};
}
