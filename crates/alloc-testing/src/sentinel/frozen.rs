//! Programs that take all their memory at the start.

use std::fmt::Write;

use super::operation::{Frees, Offence, Operation};
use super::{require, text, thread, watch};

/// What happens at a heap operation in a phase without; see [`forbid_after`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnAlloc {
    /// It is made, and told at the end of the phase.
    Record,
    /// It is told on standard error, and the process aborts.
    Abort,
    /// It is told on standard error, and the process ends with this status, without exit handlers.
    Exit(i32),
}

impl OnAlloc {
    /// Does it; called inside the allocator.
    pub(super) fn act(self, phase: &str, operation: Operation) {
        match self {
            Self::Record => {}
            Self::Abort => {
                tell(phase, operation);
                std::process::abort();
            }
            Self::Exit(status) => {
                tell(phase, operation);
                text::exit_now(status);
            }
        }
    }
}

/// Says on standard error what was not allowed. The thread is inside the sentinel: what this allocates is
/// the system's.
#[cold]
fn tell(phase: &str, operation: Operation) {
    let mut report = String::new();
    let offence = Offence::here(operation);
    // A `String` takes all that is written to it.
    let _ = write!(report, "alloc-testing: a heap operation after {phase}: {offence}");
    text::to_standard_error(&report);
}

/// A phase of the program without heap operations, until it is dropped; from [`forbid_after`].
#[must_use = "the phase ends when this is dropped"]
pub struct Frozen {
    watched: watch::Watched,
    phase: &'static str,
    is_finished: bool,
}

impl core::fmt::Debug for Frozen {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Frozen").field("after", &self.phase).finish_non_exhaustive()
    }
}

impl Frozen {
    #[track_caller]
    pub(super) fn begin(frees: Frees, phase: &'static str, policy: OnAlloc) -> Self {
        require();
        let watched = watch::Watched::begin(watch::What::Forbid { frees, phase, policy });
        Self { watched, phase, is_finished: false }
    }

    /// Returns how many heap operations there were so far; more than none with [`OnAlloc::Record`] only.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.watched.offences().0
    }

    /// Ends the phase; the same as its drop.
    ///
    /// # Panics
    ///
    /// With [`OnAlloc::Record`], if there were heap operations; the message has the stack of the first.
    #[track_caller]
    pub fn finish(mut self) {
        self.is_finished = true;
        if let Some(report) = self.report() {
            panic!("{report}");
        }
    }

    fn report(&self) -> Option<String> {
        let (count, first) = self.watched.offences();
        thread::aside(|| text::offences(count, first, format_args!("after {}", self.phase)))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        let Some(report) = self.report() else { return };
        if std::thread::panicking() {
            crate::report::print(format_args!("beside the panic above: {report}\n"));
        } else {
            panic!("{report}");
        }
    }
}

/// Begins the phase of the program after `phase`, its start-up say: no thread may allocate or free any
/// more, until what is returned is dropped.
///
/// For programs that take all their memory at the start. It is the net under what the types cannot see,
/// code that uses `Box`, `Vec`, `String` or `format!`. What frames of the stack take, and what C code takes
/// from `malloc`, it does not see.
///
/// A thread may allocate in [`permit_alloc`](super::permit_alloc), and while it panics. Where blocks may be
/// freed: [`NoAlloc::allow_frees`](super::NoAlloc::allow_frees) and
/// [`after`](super::NoAlloc::after).
///
/// ```
/// use alloc_testing::{OnAlloc, Sentinel, forbid_after};
///
/// #[global_allocator]
/// static ALLOC: Sentinel = Sentinel::new();
///
/// fn main() {
///     let mut connections: Vec<u32> = Vec::with_capacity(64);
///     let frozen = forbid_after("the start-up", OnAlloc::Exit(9));
///     connections.push(1);
///     // `format!("{connections:?}")` would end the program here with status 9, and name this line.
///     drop(frozen); // what follows may free
/// }
/// ```
///
/// # Panics
///
/// If the program's global allocator is no [`Sentinel`](super::Sentinel).
#[track_caller]
pub fn forbid_after(phase: &'static str, policy: OnAlloc) -> Frozen {
    Frozen::begin(Frees::Forbidden, phase, policy)
}
