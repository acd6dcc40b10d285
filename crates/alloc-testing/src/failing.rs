//! An allocator that fails on purpose.

use core::alloc::Layout;
use core::fmt;
use core::panic::Location;
use core::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloc_core::{AllocError, Allocator};
use alloc_gpa::StackId;

use alloc_gpa::counted;

mod fail;

pub use fail::Fail;

/// A call that was made to fail.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct InducedFailure {
    /// The method of the contract: `raw_alloc` or another.
    pub method: &'static str,
    /// The index of the call among those that the rule is about: the requests, the resizes, the remaps,
    /// or resizes and remaps together.
    pub index: usize,
    /// What was asked for; of a resize or remap, the block as it was.
    pub layout: Layout,
    /// The line that made the call, if that was through a verb.
    pub site: &'static Location<'static>,
    /// The rule that made it fail.
    pub fail: Fail,
    /// The stack of the call; see [`stack_text`](Self::stack_text).
    pub stack: StackId,
}

impl InducedFailure {
    /// Returns the stack of the call, from the code under test on, a function a line: exact also where
    /// a container made the call, of which [`site`](Self::site) names a line of its own. Resolves
    /// symbols, which takes long the first time.
    #[must_use]
    pub fn stack_text(&self) -> String {
        crate::report::of_stack(self.stack)
    }
}

impl fmt::Display for InducedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, index, site, fail, .. } = self;
        let size = self.layout.size();
        write!(
            f,
            "{method} number {index} ({}) at {site} was made to fail ({fail})",
            counted(size, "byte")
        )
    }
}

/// What a [`FailingAllocator`] has counted. Calls that failed are in the first four only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailingCounts {
    /// Requests for a block, granted or not.
    pub requests: usize,
    /// Resizes and remaps, granted or not.
    pub changes: usize,
    /// Resizes alone.
    pub resizes: usize,
    /// Remaps alone.
    pub remaps: usize,
    /// Blocks handed out. A remap makes none.
    pub allocations: usize,
    /// Blocks taken back.
    pub deallocations: usize,
    /// Bytes handed out, with those that blocks grew by.
    pub allocated_bytes: usize,
    /// Bytes taken back, with those that blocks shrank by.
    pub freed_bytes: usize,
}

/// Passes calls on and fails those it is told to fail; counts, and remembers where the first failure
/// was, with its stack.
///
/// Requests and changes (resizes and remaps) are counted and failed apart; resizes and remaps can be,
/// too. A remap that fails is `None`, after which a verb allocates and copies: that request may fail in
/// turn.
///
/// If a test panics after a failure was induced, the drop prints which, so that it can be repeated.
///
/// ```
/// use alloc_core::AllocatorExt;
/// use alloc_testing::{Fail, FailingAllocator, hostile::Backing};
///
/// let backing = Backing::new();
/// let failing = FailingAllocator::new(&backing).requests(Fail::Only(1));
/// let first = failing.create(1);
/// assert!(failing.create(2).is_err());
/// assert!(failing.create(3).is_ok());
/// assert_eq!(failing.counts().allocations, 2);
/// assert_eq!(failing.induced().unwrap().site.line(), line!() - 3);
/// # drop(first);
/// ```
#[derive(Debug)]
pub struct FailingAllocator<A> {
    inner: A,
    requests: Fail,
    changes: Fail,
    resizes: Fail,
    remaps: Fail,
    /// Requests are refused so often at most: then all are granted.
    refusals_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: FailingCounts,
    /// The first failure of any kind, and of a request.
    first: Option<InducedFailure>,
    first_request: Option<InducedFailure>,
    /// Requests that were made to fail.
    refusals: usize,
    /// How many ask that nothing fails and no call is counted.
    pauses: usize,
}

/// A call that may be made to fail.
struct Call {
    method: &'static str,
    layout: Layout,
    /// The bytes it asks for.
    size: usize,
    site: &'static Location<'static>,
}

impl<A> FailingAllocator<A> {
    /// Wraps `inner`; nothing fails yet.
    pub const fn new(inner: A) -> Self {
        let counts = FailingCounts {
            requests: 0,
            changes: 0,
            resizes: 0,
            remaps: 0,
            allocations: 0,
            deallocations: 0,
            allocated_bytes: 0,
            freed_bytes: 0,
        };
        let state = State { counts, first: None, first_request: None, refusals: 0, pauses: 0 };
        Self {
            inner,
            requests: Fail::Never,
            changes: Fail::Never,
            resizes: Fail::Never,
            remaps: Fail::Never,
            refusals_max: usize::MAX,
            state: Mutex::new(state),
        }
    }

    /// Sets which requests for a block fail, zeroed ones among them.
    ///
    /// # Panics
    ///
    /// If a rate is not between 0 and 1, a period is 0, or a pair is not in order; so do those below.
    #[must_use]
    pub fn requests(mut self, fail: Fail) -> Self {
        fail.check();
        self.requests = fail;
        self
    }

    /// Sets which resizes and remaps fail, counted together.
    ///
    /// # Panics
    ///
    /// As [`requests`](Self::requests).
    #[must_use]
    pub fn changes(mut self, fail: Fail) -> Self {
        fail.check();
        self.changes = fail;
        self
    }

    /// Sets which resizes fail, counted alone; beside those of [`changes`](Self::changes).
    ///
    /// # Panics
    ///
    /// As [`requests`](Self::requests).
    #[must_use]
    pub fn resizes(mut self, fail: Fail) -> Self {
        fail.check();
        self.resizes = fail;
        self
    }

    /// Sets which remaps fail, counted alone; beside those of [`changes`](Self::changes).
    ///
    /// # Panics
    ///
    /// As [`requests`](Self::requests).
    #[must_use]
    pub fn remaps(mut self, fail: Fail) -> Self {
        fail.check();
        self.remaps = fail;
        self
    }

    /// Ends the shortage after so many refusals, so that code which asks until it is given ends, too.
    pub(crate) const fn refusals_max(mut self, count: usize) -> Self {
        self.refusals_max = count;
        self
    }

    /// Whether the shortage was ended because the code did not stop asking.
    pub(crate) fn has_given_in(&self) -> bool {
        self.refusals_max <= self.state().refusals
    }

    /// Returns what was counted so far.
    #[must_use]
    pub fn counts(&self) -> FailingCounts {
        self.state().counts
    }

    /// Returns the first failure that was induced, if there was one.
    #[must_use]
    pub fn induced(&self) -> Option<InducedFailure> {
        self.state().first
    }

    /// As [`induced`](Self::induced), of requests alone.
    #[must_use]
    pub fn induced_request(&self) -> Option<InducedFailure> {
        self.state().first_request
    }

    /// Whether a failure was induced.
    #[must_use]
    pub fn has_induced_failure(&self) -> bool {
        self.induced().is_some()
    }

    /// Returns the allocator inside.
    pub const fn inner(&self) -> &A {
        &self.inner
    }

    /// The allocator inside, to end it.
    pub(crate) const fn inner_mut(&mut self) -> &mut A {
        &mut self.inner
    }

    /// Runs `code`, during which nothing is made to fail, and no request or change is counted: what a
    /// test sets up first. Meanwhile that is so for all threads.
    ///
    /// ```
    /// use alloc_core::AllocatorExt;
    /// use alloc_testing::{Fail, FailingAllocator, hostile::Backing};
    ///
    /// let failing = FailingAllocator::new(Backing::new()).requests(Fail::From(0));
    /// assert_eq!(*failing.without_failures(|| failing.create(1)).unwrap(), 1);
    /// assert!(failing.create(2).is_err());
    /// ```
    pub fn without_failures<R>(&self, code: impl FnOnce() -> R) -> R {
        self.state().pauses += 1;
        let _pause = Pause(&self.state);
        code()
    }

    /// Nothing panics while the lock is held, and if it did, the state would still be whole.
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Counts a request; whether it is to fail.
    fn request_fails(&self, call: &Call) -> bool {
        let mut state = self.state();
        if state.pauses != 0 {
            return false;
        }
        let index = state.counts.requests;
        state.counts.requests += 1;
        let fails = state.refusals < self.refusals_max && self.requests.hits(index, call.size);
        state.refusals += usize::from(fails);
        if fails && state.first_request.is_none() {
            let failure = call.failure(index, self.requests);
            state.first_request = Some(failure);
            state.first.get_or_insert(failure);
        }
        fails
    }

    /// Counts a resize or remap; whether it is to fail.
    fn change_fails(&self, call: &Call, count: Count) -> bool {
        let mut state = self.state();
        if state.pauses != 0 {
            return false;
        }
        let own = match count {
            Count::Resize => &mut state.counts.resizes,
            Count::Remap => &mut state.counts.remaps,
        };
        let own_index = *own;
        *own += 1;
        let index = state.counts.changes;
        state.counts.changes += 1;
        let own_rule = match count {
            Count::Resize => self.resizes,
            Count::Remap => self.remaps,
        };
        let rules = [(self.changes, index), (own_rule, own_index)];
        let hit = rules.into_iter().find(|(rule, index)| rule.hits(*index, call.size));
        if let Some((rule, index)) = hit {
            state.first.get_or_insert_with(|| call.failure(index, rule));
        }
        hit.is_some()
    }

    fn count_alloc(&self, size: usize) {
        let counts = &mut self.state().counts;
        counts.allocations += 1;
        counts.allocated_bytes += size;
    }

    fn count_change(&self, size: usize, new_size: usize) {
        let counts = &mut self.state().counts;
        counts.allocated_bytes += new_size.saturating_sub(size);
        counts.freed_bytes += size.saturating_sub(new_size);
    }
}

/// Which of the counts of changes a call is in.
#[derive(Clone, Copy)]
enum Count {
    Resize,
    Remap,
}

impl Call {
    /// What is remembered of the call. The capture allocates nothing, so it may be under the lock.
    fn failure(&self, index: usize, fail: Fail) -> InducedFailure {
        let Self { method, layout, site, .. } = *self;
        InducedFailure { method, index, layout, site, fail, stack: StackId::capture() }
    }
}

/// Ends a pause, also when the code in it panics.
struct Pause<'a>(&'a Mutex<State>);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        lock(self.0).pauses -= 1;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<A> Drop for FailingAllocator<A> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = state.first
            && std::thread::panicking()
        {
            crate::report::print(format_args!("note: before this panic, {first}\n"));
        }
    }
}

// SAFETY: what is granted is granted by `A`, which keeps 1 to 3, 5 and 6. 4: nothing here panics: the
// counts cannot overflow before memory does. 7: a call that is made to fail never reaches `A`, and
// the counts of blocks and bytes change on success only.
unsafe impl<A: Allocator> Allocator for FailingAllocator<A> {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let (size, site) = (layout.size(), Location::caller());
        if self.request_fails(&Call { method: "raw_alloc", layout, size, site }) {
            return Err(AllocError);
        }
        let block = self.inner.raw_alloc(layout)?;
        self.count_alloc(layout.size());
        Ok(block)
    }

    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let (size, site) = (layout.size(), Location::caller());
        if self.request_fails(&Call { method: "raw_alloc_zeroed", layout, size, site }) {
            return Err(AllocError);
        }
        let block = self.inner.raw_alloc_zeroed(layout)?;
        self.count_alloc(layout.size());
        Ok(block)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let site = Location::caller();
        let call = Call { method: "raw_resize", layout, size: new_size, site };
        if self.change_fails(&call, Count::Resize) {
            return false;
        }
        // SAFETY: the caller keeps the same contract towards this method.
        let resized = unsafe { self.inner.raw_resize(block, layout, new_size) };
        if resized {
            self.count_change(layout.size(), new_size);
        }
        resized
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let site = Location::caller();
        let call = Call { method: "raw_remap", layout, size: new_size, site };
        if self.change_fails(&call, Count::Remap) {
            return None;
        }
        // SAFETY: the caller keeps the same contract towards this method.
        let moved = unsafe { self.inner.raw_remap(block, layout, new_size) }?;
        self.count_change(layout.size(), new_size);
        Some(moved)
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller keeps the same contract towards this method.
        unsafe { self.inner.raw_free(block, layout) };
        let counts = &mut self.state().counts;
        counts.deallocations += 1;
        counts.freed_bytes += layout.size();
    }
}

alloc_core::impl_foreign_allocator!(impl[A: Allocator] for FailingAllocator<A>);
