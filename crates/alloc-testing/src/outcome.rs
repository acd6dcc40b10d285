//! How a test ended: what it says itself, and what its allocator says.

use core::any::Any;
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;

use crate::test_allocator::{Report, Settings, TestAllocator, TestGuard};

/// What a test may return.
pub trait TestResult {
    /// Why the test failed, if what it returned says so.
    fn failure(self) -> Option<String>;
}

impl TestResult for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl TestResult for ExitCode {
    fn failure(self) -> Option<String> {
        (self != Self::SUCCESS).then(|| format!("the test returned {self:?}"))
    }
}

impl<T: TestResult, E: fmt::Debug> TestResult for Result<T, E> {
    fn failure(self) -> Option<String> {
        match self {
            Ok(value) => value.failure(),
            Err(error) => Some(format!("the test returned an error: {error:?}")),
        }
    }
}

/// Whether a test is to panic.
#[derive(Clone, Copy, Debug)]
pub enum Awaited {
    /// It is not.
    NoPanic,
    /// It is, with this text somewhere in the message.
    Panic(&'static str),
}

/// How a test ended.
#[derive(Debug)]
pub struct Outcome {
    /// Why it failed by itself: by a panic that nobody awaited, or in words.
    pub(crate) failure: Option<Failure>,
    /// What its allocator says against it.
    pub(crate) report: Option<Report>,
}

/// A failure that is the test's own.
#[derive(Debug)]
pub(crate) enum Failure {
    Panic(Box<dyn Any + Send>),
    Words(String),
}

/// Runs a test with a fresh allocator. Before the test's first line it allocates one block, for what
/// threads may share.
pub fn outcome<R: TestResult>(
    settings: Settings,
    awaited: Awaited,
    test: impl FnOnce(&TestAllocator) -> R,
) -> Outcome {
    let guard = TestGuard::with(settings);
    let failure = failure(awaited, || test(&guard));
    Outcome { failure, report: guard.judge() }
}

/// Runs a test that is judged by what it leaves in the global allocator, which must be a
/// [`Sentinel`](crate::Sentinel).
pub fn global_outcome<R: TestResult>(awaited: Awaited, test: impl FnOnce() -> R) -> Outcome {
    let judged = crate::sentinel::with_leaks(|| failure(awaited, test));
    let Some((failure, mut report)) = judged else {
        let words = format!(
            "an `#[alloc_test]` without an allocator of its own checks the global one: {}\nor let the \
             test take one, `gpa: &TestAllocator`",
            crate::sentinel::NO_SENTINEL
        );
        return Outcome { failure: Some(Failure::Words(words)), report: None };
    };
    if let Some(report) = &mut report {
        report.text.insert_str(0, "of the global allocator: ");
    }
    Outcome { failure, report }
}

/// Runs a test that takes no allocator and is judged by nothing but itself. Before the test's first line
/// nothing is allocated.
pub fn plain_outcome<R: TestResult>(awaited: Awaited, test: impl FnOnce() -> R) -> Outcome {
    Outcome { failure: failure(awaited, test), report: None }
}

/// Runs a test; why it failed, if it did.
fn failure<R: TestResult>(awaited: Awaited, test: impl FnOnce() -> R) -> Option<Failure> {
    let caught = catch_unwind(AssertUnwindSafe(|| test().failure()));
    match (awaited, caught) {
        (Awaited::NoPanic, Ok(failure)) => failure.map(Failure::Words),
        (Awaited::NoPanic, Err(payload)) => Some(Failure::Panic(payload)),
        (Awaited::Panic(_), Ok(_)) => {
            Some(Failure::Words("the test did not panic as it should".to_owned()))
        }
        (Awaited::Panic(part), Err(payload)) => {
            let said = crate::panics::quoted(&*payload);
            let message = crate::panics::take(payload);
            (!message.contains(part)).then(|| {
                Failure::Words(format!("the test panicked with {said}, not with {part:?}"))
            })
        }
    }
}

/// Fails the test of a harness by a panic, if there is reason. The panic of the test itself stays the
/// failure; what the allocator says is printed beside it.
///
/// # Panics
///
/// If the test failed.
#[track_caller]
pub fn judge(Outcome { failure, report }: Outcome) {
    match (failure, report) {
        (None, None) => {}
        (None, Some(report)) => panic!("{report}"),
        (Some(Failure::Words(words)), None) => panic!("{words}"),
        (Some(Failure::Words(words)), Some(report)) => panic!("{words}; and {report}"),
        (Some(Failure::Panic(payload)), report) => {
            if let Some(report) = report {
                crate::report::print(format_args!("beside the panic above, {report}\n"));
            }
            resume_unwind(crate::panics::harmless(payload))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each way to end, with and without an awaited panic.
    #[test]
    fn a_test_ends_as_it_should_or_fails() {
        let fails = |outcome: Outcome| match outcome.failure {
            None => String::new(),
            Some(Failure::Words(words)) => words,
            Some(Failure::Panic(payload)) => crate::panics::message(&*payload),
        };
        let no = Awaited::NoPanic;
        let plain = |awaited, test: fn()| plain_outcome(awaited, test);
        assert_eq!(fails(plain(no, || ())), "");
        assert_eq!(fails(plain(no, || panic!("boom"))), "boom");
        assert_eq!(fails(plain_outcome(no, || Ok::<(), u8>(()))), "");
        assert_eq!(fails(plain_outcome(no, || Err::<(), u8>(7))), "the test returned an error: 7");
        assert_eq!(fails(plain_outcome(no, || ExitCode::SUCCESS)), "");
        assert!(fails(plain_outcome(no, || ExitCode::FAILURE)).starts_with("the test returned"));
        let panic = Awaited::Panic("boo");
        assert_eq!(fails(plain(panic, || panic!("boom"))), "");
        assert_eq!(fails(plain(panic, || ())), "the test did not panic as it should");
        let other = fails(plain(panic, || panic!("bang")));
        assert_eq!(other, "the test panicked with \"bang\", not with \"boo\"");
    }
}
