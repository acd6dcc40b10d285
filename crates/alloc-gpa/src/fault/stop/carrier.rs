//! The signal that asks a thread to keep still.
//!
//! With glibc it is number 33, libc's own (`SIGSETXID`, nptl(7)): no program can block it or have a handler for
//! it by libc's functions. Its handler is this crate's while threads are asked, and passes libc's own requests on;
//! libc's takes no notice of a request of ours that comes late. Where a thread lets 33 not through, and elsewhere, it
//! is `SIGSEGV`, if that one's handler is this crate's.

use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::{Acquire, Release};

use super::super::context::Context;
use super::{WORD, keep_still};
use crate::fault::{self, action, program};
use crate::sys::errno::KeepErrno;
use crate::sys::signal::{self, Action, bit};

/// glibc's signal for changes of all threads' user.
const LIBCS: libc::c_int = 33;

/// Those that are sent, as bits of a mask.
pub(super) const SIGNALS: u64 = bit(LIBCS) | bit(libc::SIGSEGV);

/// The signals that may be sent.
pub(super) struct Carriers {
    /// What is done with libc's signal else, if it may be used.
    libcs: Option<Action>,
    is_segv: bool,
}

impl Carriers {
    /// Sets the handlers.
    pub(super) fn begin() -> Self {
        let libcs = if cfg!(target_env = "gnu") { take_libcs() } else { None };
        // A program that is not interposed may set its own handler at any moment, which this would replace.
        let is_segv = fault::is_in_force() && (program::is_interposed() || libcs.is_none());
        if is_segv {
            // System calls go on afterwards.
            let action = action::get(libc::SIGSEGV);
            let flags = action.flags | libc::SA_RESTART;
            fault::set_handler(libc::SIGSEGV, &Action { flags, ..action });
        }
        Self { libcs, is_segv }
    }

    /// Sets back what was there. Threads that keep still are in the handler already.
    pub(super) fn end(self) {
        // Without a handler before, a request that comes late would end the process.
        if let Some(before) = self.libcs.filter(|before| is_handler(before.handler)) {
            signal::raw_action(LIBCS, Some(&before));
        }
        if self.is_segv {
            fault::set_handler(libc::SIGSEGV, &action::get(libc::SIGSEGV));
        }
    }

    /// Returns a signal that a thread with this mask lets through.
    pub(super) fn signal_for(&self, blocked: u64) -> Option<libc::c_int> {
        let libcs = self.libcs.is_some().then_some(LIBCS);
        let segv = self.is_segv.then_some(libc::SIGSEGV);
        [libcs, segv].into_iter().flatten().find(|signal| blocked & bit(*signal) == 0)
    }

    /// Asks a thread; returns whether the signal was sent.
    pub(super) fn send(&self, tid: u32, signal: libc::c_int) -> bool {
        signal::send_value(tid, signal, word_addr())
    }
}

fn is_handler(handler: usize) -> bool {
    handler != libc::SIG_DFL && handler != libc::SIG_IGN
}

/// libc's handler of its signal; 0: none.
static LIBCS_HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Installs the handler of libc's signal; returns what was there.
fn take_libcs() -> Option<Action> {
    let handler: unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut Context) = on_libcs;
    let before = signal::raw_action(LIBCS, None)?;
    if before.handler != handler as usize {
        let kept = if is_handler(before.handler) { before.handler } else { 0 };
        // Release: pairs with the Acquire in `on_libcs`.
        LIBCS_HANDLER.store(kept, Release);
    }
    let flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    signal::raw_action(LIBCS, Some(&Action { handler: handler as usize, flags, mask: u64::MAX }))
}

/// The handler of libc's signal.
///
/// # Safety
///
/// Called by the kernel.
unsafe extern "C" fn on_libcs(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut Context,
) {
    type Handler = unsafe extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut Context);
    let _errno = KeepErrno::new();
    // SAFETY: the kernel's own.
    if unsafe { is_request(info) } {
        keep_still(context);
        return;
    }
    // Acquire: pairs with the Release in `take_libcs`.
    let libcs = LIBCS_HANDLER.load(Acquire);
    if libcs != 0 {
        let libcs = core::ptr::with_exposed_provenance::<()>(libcs);
        // SAFETY: the address of libc's handler, which has this type.
        let libcs = unsafe { core::mem::transmute::<*const (), Handler>(libcs) };
        // SAFETY: the kernel's own arguments.
        unsafe { libcs(signal, info, context) };
    }
}

fn word_addr() -> usize {
    (&raw const WORD).addr()
}

/// Whether a signal asks this thread to keep still.
///
/// # Safety
///
/// `info` is what a handler got.
pub(in crate::fault) unsafe fn is_request(info: *const libc::siginfo_t) -> bool {
    // SAFETY: valid by this function's contract.
    let info = unsafe { &*info };
    if info.si_code != libc::SI_QUEUE {
        return false;
    }
    // SAFETY: a signal with this code has a value.
    let value = unsafe { info.si_value() };
    // SAFETY: ... and a sender.
    let sender = unsafe { info.si_pid() };
    // SAFETY: no preconditions.
    value.sival_ptr.addr() == word_addr() && sender == unsafe { libc::getpid() }
}
