//! What the program wants done with the two signals of faults, while their handler is this crate's.
//!
//! | atomic | orderings | partner |
//! | --- | --- | --- |
//! | `Wanted::turn` | `Acquire` exchange to odd, `Release` store to even | `Acquire` load of a reader |
//! | the fields | `Relaxed`, between fences | ordered by `turn` |

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, fence};

use crate::sys::signal::{self, Action};

/// An action that handlers read without a lock. Writers block all signals, so that no handler ever
/// interrupts one on its own thread, and a reader waits for another thread's few stores at most.
struct Wanted {
    /// Odd while the fields are being written.
    turn: AtomicU32,
    handler: AtomicUsize,
    flags: AtomicI32,
    mask: AtomicU64,
}

impl Wanted {
    const fn new() -> Self {
        Self {
            turn: AtomicU32::new(0),
            handler: AtomicUsize::new(libc::SIG_DFL),
            flags: AtomicI32::new(0),
            mask: AtomicU64::new(0),
        }
    }

    fn read(&self) -> Action {
        loop {
            // Acquire: pairs with the Release in `replace`.
            let turn = self.turn.load(Acquire);
            let action = self.fields();
            // Acquire: the fields are read before the turn is read again.
            fence(Acquire);
            if turn.is_multiple_of(2) && self.turn.load(Relaxed) == turn {
                return action;
            }
            core::hint::spin_loop();
        }
    }

    fn fields(&self) -> Action {
        Action {
            handler: self.handler.load(Relaxed),
            flags: self.flags.load(Relaxed),
            mask: self.mask.load(Relaxed),
        }
    }

    /// Writes what `change` makes of the action, if it makes anything; returns the one before.
    fn replace(&self, change: impl FnOnce(&Action) -> Option<Action>) -> Action {
        // Without signals nothing of this thread comes in between.
        let before = signal::mask(libc::SIG_BLOCK, Some(u64::MAX));
        let turn = loop {
            let turn = self.turn.load(Relaxed) & !1;
            // Acquire: sees what the last writer wrote; pairs with the Release below.
            if self.turn.compare_exchange_weak(turn, turn + 1, Acquire, Relaxed).is_ok() {
                break turn;
            }
            core::hint::spin_loop();
        };
        // Release: the odd turn is seen before any field; pairs with the fence in `read`.
        fence(Release);
        let old = self.fields();
        if let Some(new) = change(&old) {
            self.handler.store(new.handler, Relaxed);
            self.flags.store(new.flags, Relaxed);
            self.mask.store(new.mask, Relaxed);
        }
        // Release: publishes the fields; pairs with the Acquire in `read` and above.
        self.turn.store(turn.wrapping_add(2), Release);
        if let Ok(before) = before {
            // It cannot fail: the same call has worked.
            let _ = signal::mask(libc::SIG_SETMASK, Some(before));
        }
        old
    }
}

static SEGV: Wanted = Wanted::new();
static BUS: Wanted = Wanted::new();

fn wanted(signal: libc::c_int) -> &'static Wanted {
    if signal == libc::SIGBUS { &BUS } else { &SEGV }
}

/// Returns what the program wants done with `SIGSEGV` or `SIGBUS`.
pub(super) fn get(signal: libc::c_int) -> Action {
    wanted(signal).read()
}

/// Sets what the program wants; returns what it wanted.
pub(super) fn set(signal: libc::c_int, action: &Action) -> Action {
    wanted(signal).replace(|_| Some(*action))
}

/// Takes the program's action for one signal that arrived: a handler for one time only
/// (`SA_RESETHAND`) is taken away.
pub(super) fn take(signal: libc::c_int) -> Action {
    let action = get(signal);
    let is_handler = action.handler != libc::SIG_DFL && action.handler != libc::SIG_IGN;
    if !is_handler || action.flags & libc::SA_RESETHAND == 0 {
        return action;
    }
    // Of two threads one gets the handler, as from the kernel.
    wanted(signal).replace(|now| Some(Action { handler: libc::SIG_DFL, ..*now }))
}

/// A forked child's first step: a thread that was writing is not there.
pub(super) fn after_fork_child() {
    for wanted in [&SEGV, &BUS] {
        // Relaxed: the child has one thread.
        wanted.turn.store((wanted.turn.load(Relaxed) + 1) & !1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readers never see halves of two actions.
    #[test]
    fn actions_are_whole() {
        let cell = Wanted::new();
        let action =
            |number: usize| Action { handler: number, flags: number as i32, mask: number as u64 };
        std::thread::scope(|scope| {
            for part in 1..3 {
                let cell = &cell;
                scope.spawn(move || {
                    (0..2000).for_each(|n| {
                        cell.replace(|_| Some(action(part * 10_000 + n)));
                    })
                });
            }
            for _ in 0..20_000 {
                let read = cell.read();
                assert_eq!(read, action(read.handler));
            }
        });
        assert_eq!(cell.turn.load(Relaxed), 2 * 4000);
        assert_eq!(cell.replace(|_| None), cell.read());
    }
}
