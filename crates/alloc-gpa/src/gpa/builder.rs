//! What an explicit instance is told before it begins.
#![forbid(unsafe_code)]

use core::ptr;
use core::sync::atomic::AtomicPtr;

use super::Gpa;
use crate::config::{Config, Guard, GuardAlign, GuardImpl, OnFinding};
use crate::finding::Finding;
use crate::sample::Sampler;

/// Settings of a [`Gpa`], one after the other.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Builder {
    pub(super) config: Config,
    pub(super) print: bool,
    pub(super) callback: Option<fn(&Finding)>,
}

impl Builder {
    /// Frames kept of each stack, from 0 (stacks off) to 32; more are cut off there.
    pub const fn stacks(mut self, frames: u8) -> Self {
        let max = crate::stack::FRAMES_MAX as u8;
        self.config.stacks = if frames < max { frames } else { max };
        self
    }

    /// Bytes of records kept of freed blocks whose memory is gone; 16 MiB unless told
    /// otherwise, which is a million blocks.
    pub const fn history(mut self, bytes: usize) -> Self {
        self.config.history = bytes;
        self
    }

    /// Which blocks lie between pages that trap; [`Guard::Off`] unless told otherwise.
    ///
    /// A guarded block costs some microseconds, a page of memory at least, and two of addresses.
    /// What cannot be guarded (alignments above 1 MiB; see also [`GuardImpl::Mprotect`]) is a block
    /// like any other; [`Gpa::notes`] says so.
    ///
    /// With [`Guard::Sampled`] all other blocks come from std's `System`, and are not this
    /// allocator's: they are not counted, not limited, not checked, and not freed when it ends. What
    /// it is asked to free that is in no heap of this crate goes to the system.
    pub const fn guard(mut self, guard: Guard) -> Self {
        self.config.guard = guard.capped();
        self
    }

    /// What [`Guard::Sampled`] picks blocks by: the same blocks in each run for the same seed. Other
    /// blocks in each run unless told otherwise.
    pub const fn guard_seed(mut self, seed: u64) -> Self {
        self.config.guard_seed = Some(seed);
        self
    }

    /// At which end of its pages a guarded block lies; [`GuardAlign::Right`] unless told otherwise,
    /// which `Exact` is the same as here: whoever uses a `Gpa` names each alignment.
    pub const fn guard_align(mut self, align: GuardAlign) -> Self {
        self.config.guard_align = align.for_layouts();
        self
    }

    /// How pages are made to trap; [`GuardImpl::Auto`] unless told otherwise.
    pub const fn guard_impl(mut self, means: GuardImpl) -> Self {
        self.config.guard_impl = means;
        self
    }

    /// Bytes, as requested, that may be live at once; no limit unless told otherwise.
    ///
    /// An allocation beyond it fails with `AllocError`, and so does growing in place; a block that
    /// moves counts twice until its old place is free. The limit is exact whatever threads do. That
    /// it was reached is one of [`Gpa::notes`]. It costs two atomic additions to one word for each
    /// block.
    pub const fn memory_limit(mut self, bytes: usize) -> Self {
        self.config.memory_limit = Some(bytes);
        self
    }

    /// Bytes of freed blocks that wait before addresses are used again; see [`Config::quarantine`].
    /// Unless told otherwise none is. It has no effect where blocks are guarded.
    pub const fn quarantine(mut self, bytes: usize) -> Self {
        self.config.quarantine = Some(bytes);
        self
    }

    /// The byte that freed memory is filled with; `0x5a` unless told otherwise. A write of this very
    /// byte after the free is not seen.
    pub const fn junk(mut self, byte: u8) -> Self {
        self.config.junk = byte;
        self
    }

    /// What happens after a finding; [`OnFinding::Record`] unless told otherwise.
    pub const fn on_finding(mut self, policy: OnFinding) -> Self {
        self.config.on_finding = policy;
        self
    }

    /// Installs no handler for `SIGSEGV` and `SIGBUS`: an access that traps is the program's affair, as
    /// [`Config::faults`] says. An instance that wants one installs it for the whole process.
    pub const fn leave_faults(mut self) -> Self {
        self.config.faults = false;
        self
    }

    /// How many bytes of the largest block of each leak the report shows, in hexadecimal and as
    /// characters; at most 256, none unless told otherwise, and none where blocks are sampled.
    pub const fn dump(mut self, bytes: u16) -> Self {
        let max = crate::config::DUMP_LEN_MAX;
        self.config.told.dump = if bytes < max { bytes } else { max };
        self
    }

    /// A function that is told of every finding when it is new, in the thread that met it, before
    /// [`on_finding`](Self::on_finding) acts.
    ///
    /// No lock of the allocator is held: the function may allocate and free, from this allocator too,
    /// look at findings and statistics, print, or end the process. It is not told of what it finds by
    /// that itself. Stacks of what it allocates are not recorded, and if it is the process's own heap,
    /// what it allocates there is not checked. It shall not wait for threads that may be waiting for
    /// what this one holds: the misuse may be anywhere. If it panics, the process ends.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    ///
    /// use alloc_core::{Allocator, Layout, UnsizedFree};
    /// use alloc_gpa::{FindingKind, Gpa};
    ///
    /// static SEEN: AtomicU32 = AtomicU32::new(0);
    ///
    /// let gpa = Gpa::builder()
    ///     .quiet()
    ///     .sink(|finding| {
    ///         assert_eq!(finding.kind, FindingKind::DoubleFree);
    ///         SEEN.fetch_add(1, Relaxed);
    ///     })
    ///     .build();
    /// let block = gpa.raw_alloc(Layout::new::<u64>())?;
    /// // SAFETY: `Gpa` defines what happens for every address: the second is told.
    /// unsafe { gpa.free_unsized(block) };
    /// unsafe { gpa.free_unsized(block) };
    /// assert_eq!(SEEN.load(Relaxed), 1);
    /// # Ok::<(), alloc_core::AllocError>(())
    /// ```
    pub const fn sink(mut self, callback: fn(&Finding)) -> Self {
        self.callback = Some(callback);
        self
    }

    /// Prints nothing at the end: the caller reads [`Gpa::report`] and [`Gpa::findings`].
    pub const fn quiet(mut self) -> Self {
        self.print = false;
        self
    }

    /// Returns the allocator. It takes no memory before its first allocation.
    #[must_use]
    pub const fn build(self) -> Gpa {
        let Self { config, print, callback } = self;
        Gpa {
            heap: AtomicPtr::new(ptr::null_mut()),
            config,
            print,
            callback,
            ends: true,
            sampler: Sampler::new(),
        }
    }
}
