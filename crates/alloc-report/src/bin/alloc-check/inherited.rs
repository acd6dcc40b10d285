//! What Rust's runtime changes before `main`, as it was: the program shall start as it would without
//! us. The runtime ignores SIGPIPE, which services and scripts may have ignored themselves, and opens
//! `/dev/null` in place of closed standard descriptors.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

// Relaxed, here and below: written before `main`, when there is one thread.
static SIGPIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);
/// Bit `n`: descriptor `n` was closed.
static CLOSED: AtomicU32 = AtomicU32::new(0);

// SAFETY: the section holds pointers to functions that libc calls before `main` with `argc`, `argv` and
// `envp`, which a function of the C ABI may leave unread; this one calls nothing but system calls.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = take_note;

extern "C" fn take_note() {
    let mut old = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action asks only; `old` is valid for writes of an action (sigaction(2)).
    if unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), old.as_mut_ptr()) } == 0 {
        // SAFETY: sigaction(2) succeeded, so it has filled `old` in.
        let old = unsafe { old.assume_init() };
        SIGPIPE_WAS_IGNORED.store(old.sa_sigaction == libc::SIG_IGN, Relaxed);
    }
    let mut closed = 0;
    for descriptor in 0..3 {
        // SAFETY: F_GETFD takes no pointer; a closed descriptor is an error.
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0 {
            closed |= 1 << descriptor;
        }
    }
    CLOSED.store(closed, Relaxed);
}

/// Puts it back, in the child before exec. Async-signal-safe, allocates nothing.
pub(crate) fn restore() {
    if SIGPIPE_WAS_IGNORED.load(Relaxed) {
        // SAFETY: SIG_IGN is a valid disposition; no handler of ours is replaced.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    }
    for descriptor in (0..3).filter(|descriptor| CLOSED.load(Relaxed) & (1 << descriptor) != 0) {
        // SAFETY: what is open there is the runtime's `/dev/null`, which this child does not use.
        unsafe { libc::close(descriptor) };
    }
}
