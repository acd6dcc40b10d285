//! The program's view of its signals, for a library that interposes libc's names.
//!
//! `SIGSEGV` must never be blocked in the kernel: a fault of a thread that blocks it kills the process
//! without a handler. So where the program blocks it, [`MARKER`] is blocked in its place: a signal that
//! nobody sends. The kernel then keeps the program's wish for each thread, gives it to new threads, and
//! saves and restores it where libc does (`sigsetjmp`, handlers), without any state of ours.
//!
//! `SIGBUS` never comes from a trap on Linux. It may be blocked.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicI32};

use super::{action, own_stack};
use crate::sys::signal::{self, Action, bit};

/// Blocked in the kernel where the program blocks `SIGSEGV`: unused on Linux (signal(7)).
const MARKER: u64 = bit(libc::SIGSTKFLT);
const SEGV: u64 = bit(libc::SIGSEGV);
/// The signals of libc's own, 32 and 33, which no program may block (nptl(7)).
const LIBCS: u64 = bit(32) | bit(33);
/// Signals that cannot be blocked.
const UNBLOCKABLE: u64 = bit(libc::SIGKILL) | bit(libc::SIGSTOP);
/// `SA_RESTORER`: libc sets it, and shows it.
const RESTORER: libc::c_int = 0x0400_0000;

/// Whether the program's calls come here.
static IS_INTERPOSED: AtomicBool = AtomicBool::new(false);

/// The process whose actions are kept; another one shares this memory after `vfork`.
static PROCESS: AtomicI32 = AtomicI32::new(0);

/// Whether the program's calls come here.
#[must_use]
pub fn is_interposed() -> bool {
    // Relaxed: set before the process has a second thread.
    IS_INTERPOSED.load(Relaxed)
}

pub(super) fn set_interposed() {
    // Relaxed: as above.
    IS_INTERPOSED.store(true, Relaxed);
    note_process();
    // A process may inherit a mask that blocks the signal.
    if let Ok(before) = signal::mask(libc::SIG_UNBLOCK, Some(SEGV))
        && before & SEGV != 0
    {
        // It cannot fail: the same call has worked.
        let _ = signal::mask(libc::SIG_BLOCK, Some(MARKER));
    }
}

/// Notes which process this is.
pub(super) fn note_process() {
    // SAFETY: no preconditions.
    let pid = unsafe { libc::getpid() };
    // Relaxed: written when the process has one thread.
    PROCESS.store(pid, Relaxed);
}

/// Whether a thread with this mask, as the kernel has it, blocks the signal in the program's view.
pub(super) fn is_blocked(signal: libc::c_int, mask: u64) -> bool {
    is_interposed() && signal == libc::SIGSEGV && mask & MARKER != 0
}

/// Returns the mask that the program's handler shall run with.
pub(super) fn handler_mask(signal: libc::c_int, interrupted: u64, action: &Action) -> u64 {
    let own = if action.flags & libc::SA_NODEFER == 0 { bit(signal) } else { 0 };
    let added = action.mask | own;
    if !is_interposed() {
        return interrupted | added;
    }
    let marker = if added & SEGV != 0 { MARKER } else { 0 };
    (interrupted | added & !MARKER | marker) & !SEGV
}

/// Whether a signal's action is kept here instead of in the kernel.
#[must_use]
pub fn is_kept(signal: libc::c_int) -> bool {
    if !is_interposed() || (signal != libc::SIGSEGV && signal != libc::SIGBUS) {
        return false;
    }
    // SAFETY: no preconditions.
    let pid = unsafe { libc::getpid() };
    // Relaxed: see `note_process`. A child that shares its parent's memory has actions of its own, and
    // they are in the kernel.
    pid == PROCESS.load(Relaxed)
}

/// Sets, if `new` says so, what the program wants done with a signal that [`is_kept`]; returns what it
/// wanted before, in the form that libc shows it.
pub fn program_action(signal: libc::c_int, new: Option<&Action>) -> Action {
    let Some(new) = new else { return action::get(signal) };
    let kept = Action { flags: new.flags | RESTORER, mask: new.mask & !UNBLOCKABLE, ..*new };
    let old = action::set(signal, &kept);
    super::set_handler(signal, &kept);
    old
}

/// Returns the mask that the kernel shall get for an action of another signal: without `SIGSEGV`.
#[must_use]
pub fn kernel_mask(program: u64) -> u64 {
    if program & SEGV != 0 { program & !SEGV | MARKER } else { program & !MARKER }
}

/// Returns what the program sees of a mask of the kernel's.
#[must_use]
pub fn program_mask(kernel: u64) -> u64 {
    if kernel & MARKER != 0 { kernel | SEGV } else { kernel }
}

/// Whether `SIGSEGV` was blocked in the kernel for what is executed.
pub(super) struct Closed(bool);

/// Blocks `SIGSEGV` in the kernel if the program wants it blocked: what is executed inherits the mask.
pub(super) fn close_mask() -> Closed {
    let is_wanted = is_interposed()
        && signal::mask(libc::SIG_BLOCK, None).is_ok_and(|mask| mask & (MARKER | SEGV) == MARKER);
    Closed(is_wanted && signal::mask(libc::SIG_BLOCK, Some(SEGV)).is_ok())
}

/// Opens it again: nothing was executed.
pub(super) fn reopen_mask(closed: Closed) {
    if closed.0 {
        // It cannot fail: the same call has worked.
        let _ = signal::mask(libc::SIG_UNBLOCK, Some(SEGV));
    }
}

/// Changes the calling thread's mask as the program asks; returns the one before, as it sees it.
///
/// # Errors
///
/// The system's error number.
pub fn change_mask(how: libc::c_int, set: Option<u64>) -> Result<u64, libc::c_int> {
    let set = set.map(|set| {
        let set = set & !LIBCS;
        match how {
            // Whatever blocks it ends: it may be blocked in the kernel as well, while a signal that
            // was sent waits.
            libc::SIG_UNBLOCK if set & SEGV != 0 => set | MARKER,
            libc::SIG_UNBLOCK => set & !MARKER,
            _ => kernel_mask(set),
        }
    });
    signal::mask(how, set).map(program_mask)
}

/// Sets the calling thread's alternate stack as the program asks; returns the one before, as it sees
/// it: one that was given to the thread behind its back is none.
///
/// # Errors
///
/// The system's error number.
pub fn change_alternate_stack(new: Option<&libc::stack_t>) -> Result<libc::stack_t, libc::c_int> {
    let old = signal::alternate_stack(new)?;
    if new.is_some_and(|new| new.ss_flags & libc::SS_DISABLE != 0) {
        own_stack::restore_alternate();
    }
    if !own_stack::is_hidden(&old) {
        return Ok(old);
    }
    Ok(libc::stack_t { ss_sp: core::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program's wish for `SIGSEGV` goes to the kernel as the marker, and comes back.
    #[test]
    fn masks_are_translated() {
        let all = u64::MAX;
        let others = bit(libc::SIGUSR1) | bit(libc::SIGBUS);
        assert_eq!(kernel_mask(others), others);
        assert_eq!(kernel_mask(others | SEGV), others | MARKER);
        assert_eq!(kernel_mask(all) & SEGV, 0);
        assert_eq!(kernel_mask(all & !SEGV) & MARKER, 0, "all but SIGSEGV leaves it open");
        assert_eq!(program_mask(kernel_mask(others | SEGV)) & (others | SEGV), others | SEGV);
        assert_eq!(program_mask(kernel_mask(all)), all);
        assert_eq!(program_mask(others), others);
    }
}
