//! What an allocator declares about itself, and how thoroughly it is tested.

use core::alloc::Layout;

/// The largest alignment that is tested, unless the allocator declares a smaller one.
pub(super) const ALIGN_MAX: usize = 2 << 20;

/// The largest size that the random programs ask of an allocator of unlimited capacity, in bytes.
const SIZE_MAX: usize = 64 << 10;

/// The largest size that the checks of large blocks ask of it, in bytes; interpreted, few of them take
/// minutes.
const LARGE_MAX: usize = if cfg!(miri) { 64 << 10 } else { 4 << 20 };

/// What an allocator declares about itself, and how thoroughly it is tested.
///
/// ```
/// use alloc_testing::conformance::Options;
///
/// let options = Options::new().capacity(64 << 10).align_max(4096).cases(16);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub(super) seed: Option<u64>,
    pub(super) cases: u32,
    pub(super) operations: usize,
    pub(super) threads: usize,
    pub(super) align_max: usize,
    pub(super) capacity: Option<usize>,
    pub(super) may_refuse: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// Returns the options for an allocator that serves every reasonable request: 48 random programs
    /// of at most 80 operations, 4 threads; under Miri 4 of 24, and 2.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            seed: None,
            cases: if cfg!(miri) { 4 } else { 48 },
            operations: if cfg!(miri) { 24 } else { 80 },
            threads: if cfg!(miri) { 2 } else { 4 },
            align_max: ALIGN_MAX,
            capacity: None,
            may_refuse: false,
        }
    }

    /// Sets the seed; the environment variable `ALLOC_TESTING_SEED` goes before it.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the number of random programs.
    #[must_use]
    pub const fn cases(mut self, cases: u32) -> Self {
        self.cases = cases;
        self
    }

    /// Sets the largest number of operations in a random program.
    #[must_use]
    pub const fn operations(mut self, operations: usize) -> Self {
        self.operations = operations;
        self
    }

    /// Sets the number of threads, at least 2.
    #[must_use]
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = if threads < 2 { 2 } else { threads };
        self
    }

    /// Declares that the allocator refuses alignments above `align_max`, a power of two. The
    /// [`Summary`](super::Summary) says which were left out.
    #[must_use]
    pub const fn align_max(mut self, align_max: usize) -> Self {
        self.align_max = align_max;
        self
    }

    /// Declares that the allocator has about `bytes` bytes in all: sizes are chosen to suit, and a
    /// request may fail for want of memory.
    #[must_use]
    pub const fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = Some(bytes);
        self
    }

    /// Declares that the allocator may refuse any request, as one that injects failures does.
    #[must_use]
    pub const fn may_refuse(mut self) -> Self {
        self.may_refuse = true;
        self
    }

    /// The seed of this run.
    pub(super) fn resolve_seed(&self) -> u64 {
        crate::seed::or_environment(self.seed)
    }

    /// The largest size that an ordinary request has, in bytes.
    pub(super) fn size_max(&self) -> usize {
        self.capacity.map_or(SIZE_MAX, |capacity| (capacity / 16).clamp(1, SIZE_MAX))
    }

    /// The largest size that a request has whose size is its point, in bytes.
    pub(super) fn large_max(&self) -> usize {
        self.capacity.map_or(LARGE_MAX, |capacity| (capacity / 16).clamp(1, LARGE_MAX))
    }

    /// The largest alignment that an ordinary request has.
    pub(super) fn usual_align_max(&self) -> usize {
        let room = self.capacity.map_or(4096, |capacity| (capacity / 64).max(1));
        self.align_max.min(4096).min(1 << room.ilog2())
    }

    /// Whether a request for `layout` must be served by an allocator none of whose blocks is live.
    pub(super) fn must_serve(&self, layout: Layout) -> bool {
        !self.may_refuse && self.capacity.is_none() && layout.align() <= self.align_max
    }
}
