//! What a counting allocator counts. Every operation is a statement about one success.

use crate::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use crate::sync::const_unless_loom;

/// Figures of one moment. Blocks that failed to be had are in none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Bytes in live blocks, as they were asked for.
    pub live_bytes: usize,
    /// Live blocks.
    pub live_blocks: usize,
    /// The most bytes that were ever live at one moment.
    pub peak_bytes: usize,
    /// Bytes that were ever handed out: every block's size, and what blocks grew by.
    pub total_bytes: usize,
    /// Blocks that were ever handed out. A resized or remapped block stays one block.
    pub total_blocks: usize,
}

/// The counters behind [`Counts`].
///
/// All accesses are relaxed: the figures guard no memory, and each stands for itself. No peak of what
/// is counted is missed all the same: every change of `live_bytes` is one atomic operation that returns
/// the sum it made, and each sum that grew is offered to `peak_bytes`.
#[derive(Debug)]
pub(super) struct Counters {
    live_bytes: AtomicUsize,
    live_blocks: AtomicUsize,
    peak_bytes: AtomicUsize,
    total_bytes: AtomicUsize,
    total_blocks: AtomicUsize,
}

impl Counters {
    const_unless_loom! {
        pub(super) fn new() -> Self {
            Self {
                live_bytes: AtomicUsize::new(0),
                live_blocks: AtomicUsize::new(0),
                peak_bytes: AtomicUsize::new(0),
                total_bytes: AtomicUsize::new(0),
                total_blocks: AtomicUsize::new(0),
            }
        }
    }

    /// A block of `size` bytes was handed out.
    #[inline]
    pub(super) fn allocated(&self, size: usize) {
        // Relaxed, here and below: see the type.
        self.live_blocks.fetch_add(1, Relaxed);
        self.total_blocks.fetch_add(1, Relaxed);
        self.grew(size);
    }

    /// A block changed its size.
    #[inline]
    pub(super) fn resized(&self, old_size: usize, new_size: usize) {
        if old_size < new_size {
            self.grew(new_size - old_size);
        } else {
            self.live_bytes.fetch_sub(old_size - new_size, Relaxed);
        }
    }

    /// A block of `size` bytes is about to be given back.
    #[inline]
    pub(super) fn freed(&self, size: usize) {
        self.live_blocks.fetch_sub(1, Relaxed);
        self.live_bytes.fetch_sub(size, Relaxed);
    }

    #[inline]
    fn grew(&self, size: usize) {
        self.total_bytes.fetch_add(size, Relaxed);
        // Cannot overflow: live blocks are disjoint and lie in one address space.
        let live = self.live_bytes.fetch_add(size, Relaxed).wrapping_add(size);
        self.peak_bytes.fetch_max(live, Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            live_bytes: self.live_bytes.load(Relaxed),
            live_blocks: self.live_blocks.load(Relaxed),
            peak_bytes: self.peak_bytes.load(Relaxed),
            total_bytes: self.total_bytes.load(Relaxed),
            total_blocks: self.total_blocks.load(Relaxed),
        }
    }
}
