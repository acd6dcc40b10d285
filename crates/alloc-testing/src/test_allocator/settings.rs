//! What a test's allocator is told before it begins.
#![forbid(unsafe_code)]

use core::time::Duration;

use alloc_gpa::{Builder, Gpa};

/// How long a test's end waits for its threads, unless told otherwise.
const GRACE: Duration = Duration::from_secs(1);

/// Settings of a test's allocator, one after the other.
///
/// ```
/// use alloc_core::AllocatorExt;
/// use alloc_gpa::{Gpa, Guard};
/// use alloc_testing::{Settings, run_with};
///
/// let settings = Settings::new()
///     .heap(Gpa::builder().guard(Guard::Every).dump(32)) // late reads are found, leaks are shown
///     .live_bytes(4096) // more at once fails the test
///     .requests(10); // and so does an eleventh block
/// let len = run_with(settings, |gpa| gpa.dupe_str("text").unwrap().len());
/// assert_eq!(len, 4);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Settings {
    pub(super) heap: Builder,
    pub(super) limits: Limits,
    pub(super) grace: Duration,
    pub(super) thread_panics: ThreadPanics,
}

/// The most that may be asked for; none: as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) live_bytes: Option<usize>,
    pub(super) requests: Option<usize>,
}

/// What a thread is to the test that panics while it holds the test's allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThreadPanics {
    Fail,
    Allowed,
}

impl Settings {
    /// Returns the usual settings.
    pub const fn new() -> Self {
        Self {
            heap: Gpa::builder(),
            limits: Limits { live_bytes: None, requests: None },
            grace: GRACE,
            thread_panics: ThreadPanics::Fail,
        }
    }

    /// The settings of the checking heap itself: guards, dumps, depth of stacks. It never prints: what
    /// it finds is in the report of the test.
    pub const fn heap(mut self, heap: Builder) -> Self {
        self.heap = heap;
        self
    }

    /// A budget: bytes, as requested, that the test may have live at once. A request beyond it is
    /// served, and the test fails at its end with the stack of the first one. To have requests refused
    /// instead, see [`Builder::memory_limit`] and [`Fail`](crate::Fail).
    pub const fn live_bytes(mut self, bytes: usize) -> Self {
        self.limits.live_bytes = Some(bytes);
        self
    }

    /// A budget: blocks that the test may ask for, granted or not. As with
    /// [`live_bytes`](Self::live_bytes), what is beyond it fails the test at its end.
    pub const fn requests(mut self, count: usize) -> Self {
        self.limits.requests = Some(count);
        self
    }

    /// How long the end of the test waits, at least, for threads and tasks that still have a
    /// [`SharedTestAllocator`](crate::SharedTestAllocator); one second unless told otherwise. If one has it
    /// then still, and all other threads of the process sleep or have worked on for ten seconds of processor
    /// time, the test fails. So a thread that gets no time on a busy machine fails no test, and one that waits
    /// for something else does. (Threads are seen on Linux; elsewhere it is the time that decides.) With no
    /// grace at all nobody is waited for.
    pub const fn grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }

    /// Lets threads panic: the test looks at what they did itself. Otherwise a thread that panics while
    /// it has a [`SharedTestAllocator`](crate::SharedTestAllocator) fails the test.
    pub const fn allow_thread_panics(mut self) -> Self {
        self.thread_panics = ThreadPanics::Allowed;
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Builder> for Settings {
    fn from(heap: Builder) -> Self {
        Self::new().heap(heap)
    }
}
