//! Signals: dispositions, masks and alternate stacks, past whatever interposes libc's names.
//!
//! Masks are one word, as the kernel has them: bit `n - 1` is signal `n`.

use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

/// What a process does with a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// `SIG_DFL`, `SIG_IGN`, or the address of a handler.
    pub handler: usize,
    /// `SA_…`.
    pub flags: libc::c_int,
    /// The signals that are blocked while the handler runs.
    pub mask: u64,
}

impl Action {
    /// What every signal does at first.
    pub const DEFAULT: Self = Self { handler: libc::SIG_DFL, flags: 0, mask: 0 };
}

/// Bytes of a mask as the kernel takes it.
const MASK_LEN: usize = size_of::<u64>();

/// Whether `sigaction` of this process is an interposed one that leads back to this crate.
static IS_INTERPOSED: AtomicBool = AtomicBool::new(false);

/// Says that libc's own names lead back here: its second names are used from now on.
pub(crate) fn set_interposed() {
    // Relaxed: set before the process has a second thread.
    IS_INTERPOSED.store(true, Relaxed);
}

/// Returns the bit of a signal in a mask.
pub(crate) const fn bit(signal: libc::c_int) -> u64 {
    1 << (signal - 1)
}

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    /// glibc's `sigaction` by the name that nobody interposes.
    fn __sigaction(
        signal: libc::c_int,
        new: *const libc::sigaction,
        old: *mut libc::sigaction,
    ) -> libc::c_int;
}
#[cfg(not(target_env = "gnu"))]
use libc::sigaction as __sigaction;

/// Sets what the process does with a signal, if `new` says so, and returns what it did before;
/// `None` if the system refuses.
pub(crate) fn action(signal: libc::c_int, new: Option<&Action>) -> Option<Action> {
    let new = new.map(|new| {
        // SAFETY: all zero bytes are a valid `sigaction`: integers and an optional function.
        let mut raw: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        raw.sa_sigaction = new.handler;
        raw.sa_flags = new.flags;
        set_mask_of(&mut raw.sa_mask, new.mask);
        raw
    });
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    let new = new.as_ref().map_or(ptr::null(), ptr::from_ref);
    // Relaxed: see `set_interposed`.
    let result = if IS_INTERPOSED.load(Relaxed) {
        // SAFETY: null or a valid action whose handler follows the rules of one; `old` is ours.
        unsafe { __sigaction(signal, new, old.as_mut_ptr()) }
    } else {
        // SAFETY: as above.
        unsafe { libc::sigaction(signal, new, old.as_mut_ptr()) }
    };
    // SAFETY: zeroed, which is valid, and perhaps written by the call.
    let old = unsafe { old.assume_init() };
    let action =
        Action { handler: old.sa_sigaction, flags: old.sa_flags, mask: mask_of(&old.sa_mask) };
    (result == 0).then_some(action)
}

/// As [`action`], by a bare system call: for the signals of libc's own, which its functions refuse.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn raw_action(signal: libc::c_int, new: Option<&Action>) -> Option<Action> {
    /// `struct kernel_sigaction` (`asm/signal.h`).
    #[repr(C)]
    struct Raw {
        handler: usize,
        flags: u64,
        restorer: usize,
        mask: u64,
    }
    /// The handler has to return to this call, which the kernel demands of the caller.
    const SA_RESTORER: u64 = 0x0400_0000;
    let restorer: unsafe extern "C" fn() = restore;
    let raw = |action: &Action| Raw {
        handler: action.handler,
        flags: u64::from(action.flags.cast_unsigned()) | SA_RESTORER,
        restorer: restorer as usize,
        mask: action.mask,
    };
    let new = new.map(raw);
    let new = new.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut old = Raw { handler: 0, flags: 0, restorer: 0, mask: 0 };
    // SAFETY: null or a valid action whose handler follows the rules of one, and a place of ours.
    let result =
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, new, &raw mut old, MASK_LEN) };
    let flags = (old.flags & !SA_RESTORER) as libc::c_int;
    (result == 0).then_some(Action { handler: old.handler, flags, mask: old.mask })
}

/// Returns from a handler, as libc's function does: unwinders know it by its bytes.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[unsafe(naked)]
unsafe extern "C" fn restore() {
    core::arch::naked_asm!(".byte 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0", "syscall")
}

/// Returns the signals that wait for the calling thread, blocked as they are, and have a handler.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn pending_handlers() -> u64 {
    let mut pending = 0u64;
    // SAFETY: a place of ours for a mask of that length.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut pending, MASK_LEN) };
    let has_handler = |signal: &libc::c_int| {
        let action = raw_action(*signal, None);
        action.is_some_and(|action| !matches!(action.handler, libc::SIG_DFL | libc::SIG_IGN))
    };
    (1..=64).filter(|signal| pending & bit(*signal) != 0).filter(has_handler).map(bit).sum()
}

/// Returns the first word of libc's set: all signals that Linux has.
#[must_use]
pub fn mask_of(set: &libc::sigset_t) -> u64 {
    const { assert!(size_of::<u64>() <= size_of::<libc::sigset_t>()) };
    // SAFETY: a set is an array of words, at least as long and as aligned as one.
    unsafe { ptr::from_ref(set).cast::<u64>().read_unaligned() }
}

/// Sets the first word of libc's set.
pub fn set_mask_of(set: &mut libc::sigset_t, mask: u64) {
    // SAFETY: as in `mask_of`.
    unsafe { ptr::from_mut(set).cast::<u64>().write_unaligned(mask) };
}

/// Changes the calling thread's mask by a bare system call, and returns the mask before.
pub(crate) fn mask(how: libc::c_int, set: Option<u64>) -> Result<u64, libc::c_int> {
    let mut old = 0u64;
    let set = set.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: null or a mask of that length, and a place of ours for the old one.
    let result =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, set, &raw mut old, MASK_LEN) };
    if result == 0 { Ok(old) } else { Err(super::errno::get()) }
}

/// Sets the calling thread's alternate stack, if `new` is there, by a bare system call; returns the
/// one before.
pub(crate) fn alternate_stack(new: Option<&libc::stack_t>) -> Result<libc::stack_t, libc::c_int> {
    let mut old = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: null or a valid description; what it describes is the caller's affair, as the kernel
    // writes there only when a signal arrives.
    let result = unsafe { libc::syscall(libc::SYS_sigaltstack, new, &raw mut old) };
    if result == 0 { Ok(old) } else { Err(super::errno::get()) }
}

/// Sends a signal to the calling thread with what is known of it; returns whether it was sent.
pub(crate) fn send_to_self(signal: libc::c_int, info: *const libc::siginfo_t) -> bool {
    // SAFETY: no preconditions.
    let pid = unsafe { libc::getpid() };
    // SAFETY: no preconditions. Not `ThreadState::tid`: the thread may be one that never allocated.
    let tid = unsafe { libc::syscall(libc::SYS_gettid) };
    // SAFETY: the kernel reads `info`, which is the caller's valid one, and checks the rest.
    unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, signal, info) == 0 }
}

/// Sends a signal to a thread of this process; returns whether there is such a thread.
pub(crate) fn send(tid: u32, signal: libc::c_int) -> bool {
    // SAFETY: no preconditions.
    let pid = unsafe { libc::getpid() };
    // SAFETY: no preconditions: the signal's handler is this crate's, or the signal is 0.
    unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) == 0 }
}

/// Sends a signal with a value to a thread of this process; returns whether it was sent.
pub(crate) fn send_value(tid: u32, signal: libc::c_int, value: usize) -> bool {
    /// The start of the kernel's `siginfo_t`, for a signal with a value (`asm-generic/siginfo.h`).
    #[repr(C)]
    struct Info {
        signal: libc::c_int,
        error: libc::c_int,
        code: libc::c_int,
        padding: libc::c_int,
        pid: libc::pid_t,
        uid: libc::uid_t,
        value: usize,
        rest: [u64; 12],
    }
    const { assert!(size_of::<Info>() == size_of::<libc::siginfo_t>()) };
    // SAFETY: no preconditions.
    let pid = unsafe { libc::getpid() };
    // SAFETY: no preconditions.
    let uid = unsafe { libc::getuid() };
    let code = libc::SI_QUEUE;
    let info = Info { signal, error: 0, code, padding: 0, pid, uid, value, rest: [0; 12] };
    // SAFETY: the kernel reads `info`, which is that long, and checks the rest.
    unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, signal, &raw const info) == 0 }
}
