//! A fresh checked allocator for each test.

use core::ops::Deref;

use alloc_core::{Allocator, UnsizedFree};
use alloc_gpa::{Builder, Check, Gpa};

/// The allocator of one test: what is still allocated when the test ends, and any misuse before,
/// fails that test, and only that one.
///
/// A test gets it from [`#[alloc_test]`](crate::alloc_test), from [`run`], or from a [`TestGuard`].
/// It is a [`Gpa`] of its own, so tests that run side by side do not mix, and threads of a test may
/// share it. What it finds comes with the stacks of allocation and free; of what leaked it says which
/// leaked block holds which, and shows cycles.
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
pub struct TestAllocator(Gpa);

impl TestAllocator {
    /// Returns the checking allocator behind it, with its statistics and findings.
    #[must_use]
    pub const fn gpa(&self) -> &Gpa {
        &self.0
    }
}

// SAFETY: 1 to 7 are kept by forwarding to `Gpa`, which keeps them.
unsafe impl Allocator for TestAllocator {
    alloc_core::forward!(self.0);
}

// SAFETY: the sizes are those that `Gpa` tells.
unsafe impl UnsizedFree for TestAllocator {
    alloc_core::forward_unsized!(self.0);
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
    alloc: TestAllocator,
    done: bool,
}

impl TestGuard {
    /// Makes a fresh allocator.
    pub const fn new() -> Self {
        Self::with(Gpa::builder())
    }

    /// Makes a fresh allocator with other settings: each block beside pages that trap, so that reads
    /// after the free and past the end are found, too; the first bytes of what leaked.
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
    pub const fn with(settings: Builder) -> Self {
        Self { alloc: TestAllocator(settings.quiet().build()), done: false }
    }

    /// Ends the test's allocator now; the same as its drop.
    ///
    /// # Panics
    ///
    /// If something is still allocated or misuse was found; the message is the report.
    #[track_caller]
    pub fn finish(mut self) {
        self.done = true;
        if let Some(report) = self.alloc.report() {
            panic!("{report}");
        }
    }
}

impl TestAllocator {
    /// What there is to say against the test, if anything.
    fn report(&self) -> Option<String> {
        let verdict = match self.0.check() {
            Check::Ok => return None,
            Check::Leak(leaks) => format!("{} blocks leaked, {} bytes", leaks.count, leaks.bytes),
            Check::Misuse { findings, leaks } => {
                format!("{findings} findings, {} blocks leaked", leaks.count)
            }
        };
        let report = crate::report::of(&self.0);
        Some(format!("the test's allocator was left with {verdict}:\n{report}"))
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

/// Runs a test with a fresh [`TestAllocator`] and returns what it returns; what
/// [`#[alloc_test]`](crate::alloc_test) does.
///
/// # Panics
///
/// If the test panics, or leaves something allocated, or misuse was found.
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
    let guard = TestGuard::new();
    let result = test(&guard);
    guard.finish();
    result
}
