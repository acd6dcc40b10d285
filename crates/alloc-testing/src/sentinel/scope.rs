//! Regions of one thread in which nothing may be allocated, and holes in them.

use core::cell::Cell;
use core::ptr;

use super::frozen::{Frozen, OnAlloc};
use super::operation::{Frees, Offence, Operation};
use super::{Armed, require, text, thread, watch};

/// A region of the calling thread; the innermost one decides.
pub(super) struct Scope {
    outer: Cell<*const Scope>,
    kind: Kind,
    /// How many operations were not allowed, and the first of them.
    count: Cell<u64>,
    first: Cell<Option<Offence>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Forbids(Frees),
    Permits,
}

/// Whether those who watch all threads shall be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ask,
    Permitted,
}

/// Looks whether the innermost region allows an operation, and notes it if not.
pub(super) fn judge(operation: Operation) -> Verdict {
    let innermost = thread::with(|thread| thread.scope.get());
    // SAFETY: invariant on `scope`: null, or valid.
    let Some(scope) = (unsafe { innermost.as_ref() }) else { return Verdict::Ask };
    let Kind::Forbids(frees) = scope.kind else { return Verdict::Permitted };
    if !operation.is_allowed(frees) && !std::thread::panicking() {
        scope.count.set(scope.count.get() + 1);
        if scope.first.get().is_none() {
            scope.first.set(Some(Offence::here(operation)));
        }
    }
    Verdict::Ask
}

impl Scope {
    const fn new(kind: Kind) -> Self {
        Self { outer: Cell::new(ptr::null()), kind, count: Cell::new(0), first: Cell::new(None) }
    }

    /// Runs `code` in this region.
    fn run<R>(&self, code: impl FnOnce() -> R) -> R {
        /// Leaves the region, also when the code panics.
        struct Leave<'s>(&'s Scope);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                thread::with(|thread| thread.scope.set(self.0.outer.get()));
            }
        }
        let _armed = Armed::new();
        self.outer.set(thread::with(|thread| thread.scope.replace(self)));
        let _leave = Leave(self);
        code()
    }
}

/// A region in which nothing may be allocated: how strict it is. [`assert_no_alloc`] is the usual one.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct NoAlloc {
    frees: Frees,
    threads: Threads,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threads {
    This,
    All,
}

impl Default for NoAlloc {
    fn default() -> Self {
        Self::new()
    }
}

impl NoAlloc {
    /// Neither allocations nor frees, in the calling thread.
    pub const fn new() -> Self {
        Self { frees: Frees::Forbidden, threads: Threads::This }
    }

    /// Blocks may be freed.
    pub const fn allow_frees(mut self) -> Self {
        self.frees = Frees::Allowed;
        self
    }

    /// In no thread of the process. In a test binary, other tests are among them; see
    /// [`count_all`](super::count_all).
    pub const fn all_threads(mut self) -> Self {
        self.threads = Threads::All;
        self
    }

    /// Runs `code` and returns what it returns.
    ///
    /// Of what the code does while it panics nothing is held against it: then the panic goes on, and the
    /// report is printed beside it.
    ///
    /// # Panics
    ///
    /// If there was a heap operation that is not allowed; the message has the stack of the first one. Also
    /// if the program's global allocator is no [`Sentinel`](super::Sentinel).
    #[track_caller]
    pub fn check<R>(self, code: impl FnOnce() -> R) -> R {
        require();
        match self.threads {
            Threads::This => {
                let scope = Scope::new(Kind::Forbids(self.frees));
                let told = Told(|| (scope.count.get(), scope.first.get()));
                let result = scope.run(code);
                told.tell();
                result
            }
            Threads::All => {
                let (phase, policy) = ("", OnAlloc::Record);
                let what = watch::What::Forbid { frees: self.frees, phase, policy };
                let watched = watch::Watched::begin(what);
                let told = Told(|| watched.offences());
                // The calling thread may be in a hole of an outer region: the innermost one decides.
                let result = Scope::new(Kind::Forbids(self.frees)).run(code);
                told.tell();
                result
            }
        }
    }

    /// Begins a phase of the program in which no thread may allocate, as
    /// [`forbid_after`](super::forbid_after).
    ///
    /// # Panics
    ///
    /// As [`forbid_after`](super::forbid_after).
    #[track_caller]
    pub fn after(self, phase: &'static str, policy: OnAlloc) -> Frozen {
        Frozen::begin(self.frees, phase, policy)
    }
}

/// Tells what was not allowed when the region is over; beside the panic if there is one.
struct Told<F: Fn() -> (u64, Option<Offence>)>(F);

impl<F: Fn() -> (u64, Option<Offence>)> Told<F> {
    fn report(&self) -> Option<String> {
        let (count, first) = (self.0)();
        thread::aside(|| text::offences(count, first, format_args!("in a region without")))
    }

    #[track_caller]
    fn tell(self) {
        let report = self.report();
        // The drop would tell it again.
        let _told = core::mem::ManuallyDrop::new(self);
        if let Some(report) = report {
            panic!("{report}");
        }
    }
}

impl<F: Fn() -> (u64, Option<Offence>)> Drop for Told<F> {
    fn drop(&mut self) {
        if let Some(report) = self.report() {
            crate::report::print(format_args!("beside the panic above: {report}\n"));
        }
    }
}

/// Runs `code`, in which this thread may neither allocate nor free, and returns what it returns.
///
/// Regions nest. A hole is made by [`permit_alloc`]; frees alone are allowed by
/// [`NoAlloc::allow_frees`]. Threads that `code` starts are outside of it; see [`NoAlloc::all_threads`].
///
/// ```
/// # #[global_allocator]
/// # static ALLOC: alloc_testing::Sentinel = alloc_testing::Sentinel::new();
/// # fn main() {
/// use std::fmt::Write;
///
/// use alloc_testing::{NoAlloc, assert_no_alloc, permit_alloc};
///
/// let (mut line, name) = (String::with_capacity(80), String::from("a name"));
/// assert_no_alloc(|| {
///     write!(line, "{} + {}", 1, 2).unwrap();
///     permit_alloc(|| println!("{}", line.clone()));
/// });
/// NoAlloc::new().allow_frees().check(|| drop(name));
/// # }
/// ```
///
/// An optimised build may leave out an allocation that nobody needs: what is not made is not seen.
///
/// # Panics
///
/// After the region, if there was a heap operation in it: the message says how many, and has the stack of
/// the first one. Also if the program's global allocator is no [`Sentinel`](super::Sentinel).
#[track_caller]
pub fn assert_no_alloc<R>(code: impl FnOnce() -> R) -> R {
    NoAlloc::new().check(code)
}

/// Runs `code`, in which this thread may allocate although it is in a region without, or the program in a
/// phase without; returns what it returns. [`assert_no_alloc`] has an example.
pub fn permit_alloc<R>(code: impl FnOnce() -> R) -> R {
    Scope::new(Kind::Permits).run(code)
}
