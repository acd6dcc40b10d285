//! The strategy of this process: decided at its first call, for all its life.

use core::fmt::Write;
use core::sync::atomic::AtomicU8;
use core::sync::atomic::Ordering::Relaxed;

use alloc_gpa::ProcessHeap;

use crate::line::Line;
use crate::strategy::{Circumstances, Strategy};
use crate::{environment, exports, foreign, operators};

/// The variable that names the strategy.
const VARIABLE: &str = "ALLOC_PRELOAD";

/// The strategy; 0 until the first call.
static STRATEGY: AtomicU8 = AtomicU8::new(0);
/// Whether the program has operators of C++ of its own: 0 until the first call, `YES` or `NO`.
static REPLACED: AtomicU8 = AtomicU8::new(0);

const YES: u8 = 1;
const NO: u8 = 2;

/// Returns the strategy of this process.
#[inline]
pub(crate) fn strategy() -> Strategy {
    // Relaxed: the value stands for itself. What goes with it is set before, by the first call,
    // when there is one thread.
    match STRATEGY.load(Relaxed) {
        0 => decide(),
        1 => Strategy::Gpa,
        2 => Strategy::Glibc,
        4 => Strategy::Sampled,
        _ => Strategy::Own,
    }
}

/// Whether the program has any of C++'s operators of its own.
#[inline]
pub(crate) fn operators_are_replaced() -> bool {
    // Relaxed: as in `strategy`.
    if REPLACED.load(Relaxed) == 0 {
        decide();
    }
    REPLACED.load(Relaxed) == YES
}

/// What the strategy depends on. Before `main` only: a program may write over its environment.
pub(crate) fn circumstances() -> Circumstances<'static> {
    Circumstances {
        is_secure: environment::is_secure(),
        program_has_malloc: exports::is_any_replaced(),
        value: environment::initial(VARIABLE),
    }
}

#[cold]
#[inline(never)]
fn decide() -> Strategy {
    let circumstances = circumstances();
    let chosen = circumstances.choose().unwrap_or_else(|value| refuse(value));
    let chosen = chosen.sampled_if(|| ProcessHeap.is_sampled());
    if chosen == Strategy::Gpa {
        foreign::remember_early();
    }
    // Relaxed, both: as in `strategy`.
    REPLACED.store(if operators::is_any_replaced() { YES } else { NO }, Relaxed);
    STRATEGY.store(chosen as u8, Relaxed);
    chosen
}

/// Says which strategies there are, and ends the process with status 2.
#[cold]
fn refuse(value: &[u8]) -> ! {
    let mut line = Line::new();
    // What does not fit is cut off.
    let _ = write!(
        line,
        "{VARIABLE}: there is no strategy `{}`; it takes gpa or c",
        value[..value.len().min(64)].escape_ascii()
    );
    line.tell();
    // SAFETY: no preconditions. Exit handlers could not run: nobody has memory.
    unsafe { libc::_exit(2) }
}
