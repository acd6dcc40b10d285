//! A fresh checked allocator for each test.

use core::ops::Deref;
use core::ptr::NonNull;
use std::sync::{Arc, Weak};

use alloc_core::{AllocError, Allocator, Layout, UnsizedFree};
use alloc_gpa::{Check, Gpa, LeakTotals};

mod settings;
mod account;
mod at_work;
mod book;
mod metered;
mod budget;
mod shared;

use account::Account;
use book::{Book, Charge, ChargeKind};
pub use budget::Budget;
use metered::metered;

use alloc_gpa::counted;
pub use settings::Settings;
pub use shared::SharedTestAllocator;

/// The allocator of one test: what is still allocated when the test ends, any misuse before, a budget
/// that was not kept and a thread that was not joined fail that test, and only that one.
///
/// A test gets it from [`#[alloc_test]`](crate::alloc_test), from [`run`] and its sisters, or from a
/// [`TestGuard`]. It is a [`Gpa`] of its own, so tests that run side by side do not mix: a block that
/// goes from one test to another and is freed there is a finding in that one, and a leak in the first.
/// Threads of a test share it, by reference or, if they outlive that, by a
/// [handle](Self::shared). What it finds comes with the stacks of allocation and free; of what leaked
/// it says which leaked block holds which, and shows cycles.
///
/// An access that traps, to a block that was freed or beyond a guarded one, is a finding like others:
/// the test goes on, reads zeros there, and fails at its end. Other faults end the process, as
/// everywhere.
///
/// It cannot be had by value: the drop of an allocator may not unwind (promise 4), and so could not
/// fail a test. Its owner is a [`TestGuard`], which is no allocator.
///
/// ```compile_fail,E0507
/// alloc_testing::run(|gpa: &alloc_testing::TestAllocator| {
///     let _owned: alloc_testing::TestAllocator = *gpa;
/// });
/// ```
#[derive(Debug)]
pub struct TestAllocator {
    gpa: Gpa,
    /// What the test asked for, if it has limits.
    account: Option<Account>,
    book: Book,
    /// Itself, for handles.
    this: Weak<TestAllocator>,
}

impl TestAllocator {
    fn new(settings: Settings) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            gpa: settings.heap.quiet().build(),
            account: Account::of(settings.limits),
            book: Book::new(&settings),
            this: this.clone(),
        })
    }

    /// Returns the checking allocator behind it, with its statistics and findings.
    #[must_use]
    pub const fn gpa(&self) -> &Gpa {
        &self.gpa
    }

    fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.account.iter()
    }
}

// SAFETY: what is granted is granted by `Gpa`, which keeps 1 to 3, 5 and 6. 4: nothing here panics. 7: what
// was refused is not entered as live.
unsafe impl Allocator for TestAllocator {
    metered!(self.gpa);
}

// SAFETY: the sizes are those that `Gpa` tells.
unsafe impl UnsizedFree for TestAllocator {
    metered!(@unsized self.gpa);
}

alloc_core::impl_foreign_allocator!(impl[] for TestAllocator);

/// Owns the [`TestAllocator`] of a test and fails the test at the end, if there is reason.
///
/// The verbs are called on it as on the allocator; a function gets `&*guard`.
///
/// ```
/// use alloc_core::AllocatorExt;
/// use alloc_testing::TestGuard;
///
/// let gpa = TestGuard::new();
/// let numbers = gpa.alloc_fill(5, 0u32).unwrap();
/// assert_eq!(gpa.gpa().stats().live_bytes, 20);
/// # drop(numbers);
/// // At the end of the scope, or by `gpa.finish()`: whatever is still allocated fails the test.
/// ```
#[derive(Debug)]
#[must_use = "a `TestGuard` that is dropped at once checks nothing"]
pub struct TestGuard {
    alloc: Arc<TestAllocator>,
    done: bool,
}

impl TestGuard {
    /// Makes a fresh allocator.
    pub fn new() -> Self {
        Self::with(Settings::new())
    }

    /// Makes a fresh allocator with other settings: [`Settings`], or those of the heap alone, so that
    /// reads after the free and past the end are found too, or the first bytes of what leaked are shown.
    ///
    /// ```
    /// use alloc_core::AllocatorExt;
    /// use alloc_gpa::{Gpa, Guard};
    /// use alloc_testing::TestGuard;
    ///
    /// let gpa = TestGuard::with(Gpa::builder().guard(Guard::Every).dump(32));
    /// let parser = gpa.gpa().tagged("parser"); // leaks and findings say the name
    /// assert_eq!(parser.dupe_str("text").unwrap().len(), 4);
    /// ```
    pub fn with(settings: impl Into<Settings>) -> Self {
        Self { alloc: TestAllocator::new(settings.into()), done: false }
    }

    /// Ends the test's allocator now; the same as its drop.
    ///
    /// # Panics
    ///
    /// If something is still allocated, misuse was found, a budget was not kept, or a thread still has
    /// a handle; the message is the report.
    #[track_caller]
    pub fn finish(self) {
        if let Some(report) = self.judge() {
            panic!("{report}");
        }
    }

    /// Ends the test's allocator; what there is to say against the test.
    pub(crate) fn judge(mut self) -> Option<Report> {
        self.done = true;
        self.alloc.report()
    }
}

/// What there is to say against a test, beside what it says itself.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) leaks: LeakTotals,
    /// Number of findings.
    pub(crate) findings: u64,
    /// Names of all kinds of faults, each once.
    pub(crate) kinds: Vec<&'static str>,
    /// All of it, with stacks.
    pub(crate) text: String,
}

impl core::fmt::Display for Report {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.text)
    }
}

impl TestAllocator {
    /// What there is to say against the test, if anything.
    fn report(&self) -> Option<Report> {
        let charges = self.book_closed();
        let (findings, leaks) = match self.gpa.check() {
            Check::Ok if charges.is_empty() => return None,
            Check::Ok => (0, LeakTotals::default()),
            Check::Leak(leaks) => (0, leaks),
            Check::Misuse { findings, leaks } => (findings, leaks),
        };
        let mut kinds: Vec<_> = self.gpa.findings().map(|finding| finding.kind.name()).collect();
        let mut verdict = Vec::new();
        if findings != 0 {
            verdict.push(counted(findings, "finding").to_string());
        }
        if leaks.count != 0 {
            kinds.push("leak");
            verdict.push(format!(
                "{} leaked, {}",
                counted(leaks.count, "block"),
                counted(leaks.bytes, "byte")
            ));
        } else if findings != 0 {
            verdict.push("0 blocks leaked".to_owned());
        }
        for kind in ChargeKind::ALL {
            let count = charges.iter().filter(|charge| charge.kind == kind).count();
            if count != 0 {
                kinds.push(kind.name());
                verdict.push(kind.told(count));
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        let mut text = format!("the test's allocator was left with {}:\n", verdict.join(", "));
        for charge in &charges {
            text += &crate::report::trimmed(&charge.text);
        }
        text += &crate::report::of(&self.gpa);
        Some(Report { leaks, findings, kinds, text })
    }

    /// The charges, once the threads had their time.
    fn book_closed(&self) -> Vec<Charge> {
        let mut charges = self.book.close();
        if let Some(excess) = self.account.as_ref().and_then(Account::excess) {
            let text = format!("budget of the test {excess}");
            charges.insert(0, Charge { kind: ChargeKind::Budget, text });
        }
        charges
    }
}

impl Default for TestGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for TestGuard {
    type Target = TestAllocator;

    fn deref(&self) -> &TestAllocator {
        &self.alloc
    }
}

impl Drop for TestGuard {
    /// Fails the test as [`finish`](Self::finish) does. If it is panicking already, the report is
    /// printed and that panic stays the test's failure.
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let Some(report) = self.alloc.report() else { return };
        if std::thread::panicking() {
            crate::report::print(format_args!("beside the panic above, {report}\n"));
        } else {
            panic!("{report}");
        }
    }
}

/// Runs a test with a fresh [`TestAllocator`] and returns what it returns.
///
/// # Panics
///
/// If the test panics; or, at its end, as [`TestGuard::finish`] does.
///
/// ```
/// use alloc_core::AllocatorExt;
///
/// let sum = alloc_testing::run(|gpa| {
///     let numbers = gpa.alloc_with(4, |index| index).unwrap();
///     numbers.iter().sum::<usize>()
/// });
/// assert_eq!(sum, 6);
/// ```
#[track_caller]
pub fn run<R>(test: impl FnOnce(&TestAllocator) -> R) -> R {
    run_with(Settings::new(), test)
}

/// As [`run`], with other [`Settings`].
///
/// # Panics
///
/// As [`run`].
#[track_caller]
pub fn run_with<R>(settings: impl Into<Settings>, test: impl FnOnce(&TestAllocator) -> R) -> R {
    let guard = TestGuard::with(settings);
    let result = test(&guard);
    guard.finish();
    result
}

/// As [`run`], for a test that is a future: whatever drives it, in whichever thread.
///
/// Tasks that the test spawns own a [`SharedTestAllocator`]; await them, or they are told to be still
/// running. One that panics fails the test as a thread does. If the future is dropped before it is done, its
/// allocator is judged then.
///
/// ```
/// use alloc_core::AllocatorExt;
///
/// # fn block_on<F: Future>(future: F) -> F::Output {
/// #     let mut future = std::pin::pin!(future);
/// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #     loop {
/// #         if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut context) { return done; }
/// #     }
/// # }
/// // #[tokio::test]
/// async fn answers() {
///     alloc_testing::run_async(async |gpa| {
///         let text = gpa.dupe_str("42").unwrap();
///         assert_eq!(text.len(), 2);
///     })
///     .await;
/// }
/// # block_on(answers());
/// ```
///
/// # Panics
///
/// As [`run`].
pub async fn run_async<R>(test: impl AsyncFnOnce(&TestAllocator) -> R) -> R {
    run_async_with(Settings::new(), test).await
}

/// As [`run_async`], with other [`Settings`].
///
/// # Panics
///
/// As [`run`].
pub async fn run_async_with<R>(
    settings: impl Into<Settings>,
    test: impl AsyncFnOnce(&TestAllocator) -> R,
) -> R {
    let guard = TestGuard::with(settings);
    let result = guard.alloc.book.drive(test(&guard)).await;
    guard.finish();
    result
}

/// Drives a test that is a future, as [`run_async`] does, for what `#[alloc_test(block_on = ..)]` writes.
pub async fn driven<R>(alloc: &TestAllocator, test: impl Future<Output = R>) -> R {
    alloc.book.drive(test).await
}
