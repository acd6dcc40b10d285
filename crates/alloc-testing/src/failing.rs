//! An allocator that fails on purpose.

use core::alloc::Layout;
use core::fmt;
use core::panic::Location;
use core::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloc_core::{AllocError, Allocator};

use crate::rng::Rng;

/// Which calls fail. Calls are counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Fail {
    /// None.
    #[default]
    Never,
    /// The one with this index and all later ones: memory has run out for good.
    From(usize),
    /// The one with this index alone: the clean-up after it gets its memory.
    Only(usize),
    /// Each with a probability of `rate`, between 0 and 1. Use [`seed()`](crate::seed()) to have the
    /// seed of the run; it is told with each failure.
    Randomly {
        /// The probability.
        rate: f64,
        /// The seed: equal seeds fail the same calls.
        seed: u64,
    },
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::From(index) => write!(f, "from {index} on"),
            Self::Only(index) => write!(f, "only {index}"),
            Self::Randomly { rate, seed } => write!(f, "randomly, rate {rate}, seed {seed:#x}"),
        }
    }
}

/// A call that was made to fail.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct InducedFailure {
    /// The method of the contract: `raw_alloc` or another.
    pub method: &'static str,
    /// The index of the call: among the requests, or among the resizes and remaps.
    pub index: usize,
    /// What was asked for; of a resize or remap, the block as it was.
    pub layout: Layout,
    /// The line that made the call, if that was through a verb.
    pub site: &'static Location<'static>,
    /// The rule that made it fail.
    pub fail: Fail,
}

impl fmt::Display for InducedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, index, site, fail, .. } = self;
        let size = self.layout.size();
        write!(f, "{method} number {index} ({size} bytes) at {site} was made to fail ({fail})")
    }
}

/// What a [`FailingAllocator`] has counted. A call that failed is in the first two only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailingCounts {
    /// Requests for a block, granted or not.
    pub requests: usize,
    /// Resizes and remaps, granted or not.
    pub changes: usize,
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
/// was.
///
/// Requests and changes (resizes and remaps) are counted and failed apart. A remap that fails is
/// `None`, after which a verb allocates and copies: that request may fail in turn.
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
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    counts: FailingCounts,
    /// The first failure of any kind, and of a request.
    first: Option<InducedFailure>,
    first_request: Option<InducedFailure>,
    request_rng: Rng,
    change_rng: Rng,
}

impl<A> FailingAllocator<A> {
    /// Wraps `inner`; nothing fails yet.
    pub const fn new(inner: A) -> Self {
        let counts = FailingCounts {
            requests: 0,
            changes: 0,
            allocations: 0,
            deallocations: 0,
            allocated_bytes: 0,
            freed_bytes: 0,
        };
        let (request_rng, change_rng) = (Rng::new(0), Rng::new(0));
        Self {
            inner,
            requests: Fail::Never,
            changes: Fail::Never,
            state: Mutex::new(State {
                counts,
                first: None,
                first_request: None,
                request_rng,
                change_rng,
            }),
        }
    }

    /// Sets which requests for a block fail, zeroed ones among them.
    ///
    /// # Panics
    ///
    /// If a rate is not between 0 and 1.
    #[must_use]
    pub fn requests(mut self, fail: Fail) -> Self {
        self.requests = fail;
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).request_rng = fail.rng();
        self
    }

    /// Sets which resizes and remaps fail.
    ///
    /// # Panics
    ///
    /// If a rate is not between 0 and 1.
    #[must_use]
    pub fn changes(mut self, fail: Fail) -> Self {
        self.changes = fail;
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).change_rng = fail.rng();
        self
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

    /// Nothing panics while the lock is held, and if it did, the state would still be whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request; whether it is to fail.
    fn request_fails(
        &self,
        method: &'static str,
        layout: Layout,
        site: &'static Location<'static>,
    ) -> bool {
        let mut state = self.state();
        let index = state.counts.requests;
        state.counts.requests += 1;
        let fails = self.requests.hits(index, &mut state.request_rng);
        if fails {
            let failure = InducedFailure { method, index, layout, site, fail: self.requests };
            state.first.get_or_insert(failure);
            state.first_request.get_or_insert(failure);
        }
        fails
    }

    /// Counts a resize or remap; whether it is to fail.
    fn change_fails(
        &self,
        method: &'static str,
        layout: Layout,
        site: &'static Location<'static>,
    ) -> bool {
        let mut state = self.state();
        let index = state.counts.changes;
        state.counts.changes += 1;
        let fails = self.changes.hits(index, &mut state.change_rng);
        if fails {
            let failure = InducedFailure { method, index, layout, site, fail: self.changes };
            state.first.get_or_insert(failure);
        }
        fails
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

impl Fail {
    fn rng(self) -> Rng {
        match self {
            Self::Randomly { rate, seed } => {
                assert!((0.0..=1.0).contains(&rate), "the rate {rate} is not between 0 and 1");
                Rng::new(seed)
            }
            _ => Rng::new(0),
        }
    }

    /// Whether the call with this index fails.
    fn hits(self, index: usize, rng: &mut Rng) -> bool {
        match self {
            Self::Never => false,
            Self::From(first) => first <= index,
            Self::Only(only) => index == only,
            // The top 53 bits make a number in 0..1, each of which an `f64` holds exactly.
            Self::Randomly { rate, .. } => {
                ((rng.next() >> 11) as f64 / (1_u64 << 53) as f64) < rate
            }
        }
    }
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
        if self.request_fails("raw_alloc", layout, Location::caller()) {
            return Err(AllocError);
        }
        let block = self.inner.raw_alloc(layout)?;
        self.count_alloc(layout.size());
        Ok(block)
    }

    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if self.request_fails("raw_alloc_zeroed", layout, Location::caller()) {
            return Err(AllocError);
        }
        let block = self.inner.raw_alloc_zeroed(layout)?;
        self.count_alloc(layout.size());
        Ok(block)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        if self.change_fails("raw_resize", layout, Location::caller()) {
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
        if self.change_fails("raw_remap", layout, Location::caller()) {
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
