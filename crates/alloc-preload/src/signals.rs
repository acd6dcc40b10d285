//! libc's signal functions: `SIGSEGV` and `SIGBUS` belong to the checking heap, and the program does not
//! notice. It sees the actions, masks and stacks that it set; what these are for is done when a fault
//! is its own. Under strategies without checks everything goes to libc.
//!
//! Names that only lead to these through libc's own (`sigpause`, `raise`) are left alone, as are those
//! that take a signal without a handler (`sigwait`).

use core::ffi::{c_int, c_void};
use core::ptr;

use alloc_gpa::signals::{self, Action, mask_of, set_mask_of};
use libc::{sigset_t, stack_t};

use crate::errno;
use crate::symbols::Next;

type Handler = libc::sighandler_t;

/// `SIG_HOLD` of `<signal.h>`.
const SIG_HOLD: Handler = 2;

/// Returns what libc's function of this name and type does, or `otherwise` without one.
macro_rules! next {
    ($name:ident: fn($($type:ty),*) -> $result:ty, ($($arg:expr),*), else $otherwise:expr) => {{
        static NEXT: Next = Next::new(
            match core::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name has no NUL"),
            },
        );
        // SAFETY: the type is that of the function in signal.h.
        match unsafe { NEXT.function::<unsafe extern "C-unwind" fn($($type),*) -> $result>() } {
            // SAFETY: the caller's own contract, which is the function's.
            Some(next) => unsafe { next($($arg),*) },
            None => $otherwise,
        }
    }};
}

/// Fails with a number for `errno`.
fn fail(number: c_int) -> c_int {
    errno::set(number);
    -1
}

/// `int sigaction(int, const struct sigaction *, struct sigaction *)`: see sigaction(2).
///
/// # Safety
///
/// As C's: each pointer is null or valid.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    // SAFETY: null or valid by this function's contract.
    let wanted = unsafe { new.as_ref() };
    if !signals::is_kept(signal) {
        // SAFETY: the same contract.
        return unsafe { pass_action(signal, wanted, old) };
    }
    let wanted = wanted.map(|new| Action {
        handler: new.sa_sigaction,
        flags: new.sa_flags,
        mask: mask_of(&new.sa_mask),
    });
    let before = signals::program_action(signal, wanted.as_ref());
    // SAFETY: null or valid by this function's contract.
    if let Some(old) = unsafe { old.as_mut() } {
        old.sa_sigaction = before.handler;
        old.sa_flags = before.flags;
        set_mask_of(&mut old.sa_mask, before.mask);
    }
    0
}

/// Passes an action of another signal on, whose handler shall not block `SIGSEGV` either.
///
/// # Safety
///
/// As [`sigaction`].
unsafe fn pass_action(
    signal: c_int,
    wanted: Option<&libc::sigaction>,
    old: *mut libc::sigaction,
) -> c_int {
    let is_interposed = signals::is_interposed();
    let new = wanted.map(|wanted| {
        let mut new = *wanted;
        if is_interposed {
            set_mask_of(&mut new.sa_mask, signals::kernel_mask(mask_of(&wanted.sa_mask)));
        }
        new
    });
    let new = new.as_ref().map_or(ptr::null(), ptr::from_ref);
    let result = next!(
        sigaction: fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int,
        (signal, new, old),
        else fail(libc::ENOSYS)
    );
    // SAFETY: null or valid by this function's contract.
    if let Some(old) = unsafe { old.as_mut() }.filter(|_| is_interposed && result == 0) {
        let mask = signals::program_mask(mask_of(&old.sa_mask));
        set_mask_of(&mut old.sa_mask, mask);
    }
    result
}

/// Sets the action of a signal that is kept; returns the handler before.
fn set(signal: c_int, handler: Handler, flags: c_int, mask: u64) -> Handler {
    if handler == libc::SIG_ERR {
        fail(libc::EINVAL);
        return libc::SIG_ERR;
    }
    signals::program_action(signal, Some(&Action { handler, flags, mask })).handler
}

/// Writes the names of `signal` with the meaning of BSD.
macro_rules! signal {
    ($($name:ident)*) => {$(
        /// `sighandler_t signal(int, sighandler_t)`: see signal(2).
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $name(signal: c_int, handler: Handler) -> Handler {
            if signals::is_kept(signal) {
                return set(signal, handler, libc::SA_RESTART, 1 << (signal - 1));
            }
            next!($name: fn(c_int, Handler) -> Handler, (signal, handler), else libc::SIG_ERR)
        }
    )*};
}
signal! { signal bsd_signal ssignal }

/// Writes the names of `signal` with the meaning of System V.
macro_rules! sysv_signal {
    ($($name:ident)*) => {$(
        /// `sighandler_t sysv_signal(int, sighandler_t)`: see sysv_signal(3).
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $name(signal: c_int, handler: Handler) -> Handler {
            if signals::is_kept(signal) {
                return set(signal, handler, libc::SA_RESETHAND | libc::SA_NODEFER, 0);
            }
            next!($name: fn(c_int, Handler) -> Handler, (signal, handler), else libc::SIG_ERR)
        }
    )*};
}
sysv_signal! { sysv_signal __sysv_signal }

/// `sighandler_t sigset(int, sighandler_t)`: see sigset(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sigset(signal: c_int, handler: Handler) -> Handler {
    if !signals::is_kept(signal) {
        return next!(sigset: fn(c_int, Handler) -> Handler, (signal, handler), else libc::SIG_ERR);
    }
    let bit = 1 << (signal - 1);
    let (how, before) = if handler == SIG_HOLD {
        (libc::SIG_BLOCK, signals::program_action(signal, None).handler)
    } else {
        (libc::SIG_UNBLOCK, set(signal, handler, 0, 0))
    };
    match signals::change_mask(how, Some(bit)) {
        Ok(mask) if mask & bit != 0 => SIG_HOLD,
        _ => before,
    }
}

/// `int sigignore(int)`: see sigset(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sigignore(signal: c_int) -> c_int {
    if !signals::is_kept(signal) {
        return next!(sigignore: fn(c_int) -> c_int, (signal), else fail(libc::ENOSYS));
    }
    set(signal, libc::SIG_IGN, 0, 0);
    0
}

/// `int siginterrupt(int, int)`: see siginterrupt(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn siginterrupt(signal: c_int, flag: c_int) -> c_int {
    if !signals::is_kept(signal) {
        return next!(siginterrupt: fn(c_int, c_int) -> c_int, (signal, flag),
            else fail(libc::ENOSYS));
    }
    let mut action = signals::program_action(signal, None);
    action.flags &= !libc::SA_RESTART;
    if flag == 0 {
        action.flags |= libc::SA_RESTART;
    }
    signals::program_action(signal, Some(&action));
    0
}

/// Changes the mask; returns 0 or a number for `errno`.
///
/// # Safety
///
/// Each pointer is null or valid.
unsafe fn change_mask(how: c_int, new: *const sigset_t, old: *mut sigset_t) -> c_int {
    // SAFETY: null or valid by this function's contract.
    let wanted = unsafe { new.as_ref() }.map(mask_of);
    match signals::change_mask(how, wanted) {
        Ok(before) => {
            // SAFETY: as above. The kernel writes the first word only, and so does libc.
            if let Some(old) = unsafe { old.as_mut() } {
                set_mask_of(old, before);
            }
            0
        }
        Err(number) => number,
    }
}

/// `int sigprocmask(int, const sigset_t *, sigset_t *)`: see sigprocmask(2).
///
/// # Safety
///
/// As C's: each pointer is null or valid.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sigprocmask(
    how: c_int,
    new: *const sigset_t,
    old: *mut sigset_t,
) -> c_int {
    if !signals::is_interposed() {
        return next!(sigprocmask: fn(c_int, *const sigset_t, *mut sigset_t) -> c_int,
            (how, new, old), else fail(libc::ENOSYS));
    }
    // SAFETY: the same contract.
    match unsafe { change_mask(how, new, old) } {
        0 => 0,
        number => fail(number),
    }
}

/// `int pthread_sigmask(int, const sigset_t *, sigset_t *)`: see pthread_sigmask(3).
///
/// # Safety
///
/// As C's: each pointer is null or valid.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pthread_sigmask(
    how: c_int,
    new: *const sigset_t,
    old: *mut sigset_t,
) -> c_int {
    if !signals::is_interposed() {
        return next!(pthread_sigmask: fn(c_int, *const sigset_t, *mut sigset_t) -> c_int,
            (how, new, old), else libc::ENOSYS);
    }
    let before = errno::get();
    // SAFETY: the same contract.
    let result = unsafe { change_mask(how, new, old) };
    errno::set(before);
    result
}

/// `int sigblock(int)`: see sigvec(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sigblock(mask: c_int) -> c_int {
    if !signals::is_interposed() {
        return next!(sigblock: fn(c_int) -> c_int, (mask), else 0);
    }
    let before = signals::change_mask(libc::SIG_BLOCK, Some(u64::from(mask.cast_unsigned())));
    before.map_or(-1, |before| (before as u32).cast_signed())
}

/// `int sigsetmask(int)`: see sigvec(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sigsetmask(mask: c_int) -> c_int {
    if !signals::is_interposed() {
        return next!(sigsetmask: fn(c_int) -> c_int, (mask), else 0);
    }
    let before = signals::change_mask(libc::SIG_SETMASK, Some(u64::from(mask.cast_unsigned())));
    before.map_or(-1, |before| (before as u32).cast_signed())
}

/// `int sighold(int)`: see sigset(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sighold(signal: c_int) -> c_int {
    if !signals::is_kept(signal) {
        return next!(sighold: fn(c_int) -> c_int, (signal), else fail(libc::ENOSYS));
    }
    signals::change_mask(libc::SIG_BLOCK, Some(1 << (signal - 1))).map_or_else(fail, |_| 0)
}

/// `int sigrelse(int)`: see sigset(3).
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sigrelse(signal: c_int) -> c_int {
    if !signals::is_kept(signal) {
        return next!(sigrelse: fn(c_int) -> c_int, (signal), else fail(libc::ENOSYS));
    }
    signals::change_mask(libc::SIG_UNBLOCK, Some(1 << (signal - 1))).map_or_else(fail, |_| 0)
}

/// `int sigsuspend(const sigset_t *)`: see sigsuspend(2). Handlers run with that mask.
///
/// # Safety
///
/// As C's: a valid set.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn sigsuspend(mask: *const sigset_t) -> c_int {
    // SAFETY: valid by this function's contract.
    let mut set = unsafe { mask.read() };
    if signals::is_interposed() {
        let kernel = signals::kernel_mask(mask_of(&set));
        set_mask_of(&mut set, kernel);
    }
    next!(sigsuspend: fn(*const sigset_t) -> c_int, (&raw const set), else fail(libc::ENOSYS))
}

/// `int pthread_attr_setsigmask_np(pthread_attr_t *, const sigset_t *)`: the mask of a new thread; see
/// pthread_attr_setsigmask_np(3).
///
/// # Safety
///
/// As C's: valid attributes, and null or a valid set.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn pthread_attr_setsigmask_np(
    attributes: *mut c_void,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: null or valid by this function's contract.
    let mut set = unsafe { mask.as_ref() }.copied();
    if let Some(set) = set.as_mut().filter(|_| signals::is_interposed()) {
        let kernel = signals::kernel_mask(mask_of(set));
        set_mask_of(set, kernel);
    }
    let set = set.as_ref().map_or(ptr::null(), ptr::from_ref);
    next!(pthread_attr_setsigmask_np: fn(*mut c_void, *const sigset_t) -> c_int,
        (attributes, set), else libc::ENOSYS)
}

/// `int sigaltstack(const stack_t *, stack_t *)`: see sigaltstack(2).
///
/// # Safety
///
/// As C's: each pointer is null or valid.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sigaltstack(new: *const stack_t, old: *mut stack_t) -> c_int {
    if !signals::is_interposed() {
        return next!(sigaltstack: fn(*const stack_t, *mut stack_t) -> c_int, (new, old),
            else fail(libc::ENOSYS));
    }
    // SAFETY: null or valid by this function's contract. A copy: `old` may be the same place.
    let wanted = unsafe { new.as_ref() }.copied();
    match signals::change_alternate_stack(wanted.as_ref()) {
        Ok(before) => {
            // SAFETY: as above.
            if let Some(old) = unsafe { old.as_mut() } {
                *old = before;
            }
            0
        }
        Err(number) => fail(number),
    }
}

/// Returns what the kernel shall get for a mask that the program wants while it waits; null stays null.
///
/// # Safety
///
/// Null or a valid set.
unsafe fn while_waiting(mask: *const sigset_t) -> Option<sigset_t> {
    // SAFETY: null or valid by this function's contract.
    let mut set = unsafe { mask.as_ref() }.copied()?;
    if signals::is_interposed() {
        let kernel = signals::kernel_mask(mask_of(&set));
        set_mask_of(&mut set, kernel);
    }
    Some(set)
}

/// Writes functions that wait with a mask of their own, the last argument: handlers run with that mask.
macro_rules! waits {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {$(
        /// libc's: see its manual page.
        ///
        /// # Safety
        ///
        /// As C's: a valid mask, or null.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C-unwind" fn $name(
            $($arg: $type,)* mask: *const sigset_t
        ) -> c_int {
            // SAFETY: the same contract.
            let set = unsafe { while_waiting(mask) };
            let mask = set.as_ref().map_or(ptr::null(), ptr::from_ref);
            next!($name: fn($($type,)* *const sigset_t) -> c_int, ($($arg,)* mask),
                else fail(libc::ENOSYS))
        }
    )*};
}

waits! {
    ppoll(files: *mut c_void, count: libc::nfds_t, time: *const libc::timespec);
    pselect(count: c_int, reads: *mut c_void, writes: *mut c_void, others: *mut c_void,
        time: *const libc::timespec);
    epoll_pwait(poll: c_int, events: *mut c_void, room: c_int, time: c_int);
    epoll_pwait2(poll: c_int, events: *mut c_void, room: c_int, time: *const libc::timespec);
}

/// `int __ppoll_chk(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t)`:
/// `ppoll` where the compiler knows how long the list may be.
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn __ppoll_chk(
    files: *mut c_void,
    count: libc::nfds_t,
    time: *const libc::timespec,
    mask: *const sigset_t,
    len: usize,
) -> c_int {
    // SAFETY: the same contract.
    let set = unsafe { while_waiting(mask) };
    let mask = set.as_ref().map_or(ptr::null(), ptr::from_ref);
    next!(__ppoll_chk:
        fn(*mut c_void, libc::nfds_t, *const libc::timespec, *const sigset_t, usize) -> c_int,
        (files, count, time, mask, len), else fail(libc::ENOSYS))
}

/// Writes functions that go on in another context, with the mask that stands there. libc's own runs
/// with the registers and the stack of the call: it saves them.
#[cfg(target_arch = "x86_64")]
macro_rules! contexts {
    ($($name:ident, $next:ident, $context:literal;)*) => {$(
        /// libc's: see makecontext(3).
        ///
        /// # Safety
        ///
        /// As C's.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub(crate) unsafe extern "C" fn $name() {
            core::arch::naked_asm!(
                ".cfi_startproc",
                "push rdi",
                ".cfi_def_cfa_offset 16",
                "push rsi",
                ".cfi_def_cfa_offset 24",
                "sub rsp, 8",
                ".cfi_def_cfa_offset 32",
                concat!("mov rdi, ", $context),
                "call {next}",
                "add rsp, 8",
                ".cfi_def_cfa_offset 24",
                "pop rsi",
                ".cfi_def_cfa_offset 16",
                "pop rdi",
                ".cfi_def_cfa_offset 8",
                "test rax, rax",
                "jz 2f",
                "jmp rax",
                "2:",
                "mov eax, -1",
                "ret",
                ".cfi_endproc",
                next = sym $next,
            );
        }

        /// Looks at the context, and returns libc's function.
        unsafe extern "C" fn $next(context: *mut libc::ucontext_t) -> *mut c_void {
            static NEXT: Next = Next::new(
                match core::ffi::CStr::from_bytes_with_nul(
                    concat!(stringify!($name), "\0").as_bytes(),
                ) {
                    Ok(name) => name,
                    Err(_) => panic!("a name has no NUL"),
                },
            );
            // SAFETY: valid by the caller's contract, which is C's.
            unsafe { open_context(context) };
            let next = NEXT.get();
            if next.is_null() {
                errno::set(libc::ENOSYS);
            }
            next
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
contexts! {
    setcontext, next_setcontext, "rdi";
    swapcontext, next_swapcontext, "rsi";
}

/// Takes `SIGSEGV` out of the mask of a context, if a program has put it there.
///
/// # Safety
///
/// Null or a valid context.
#[cfg(target_arch = "x86_64")]
unsafe fn open_context(context: *mut libc::ucontext_t) {
    // SAFETY: null or valid by this function's contract.
    let Some(context) = (unsafe { context.as_mut() }) else { return };
    let mask = mask_of(&context.uc_sigmask);
    // One that was saved has none, and may be where nobody may write.
    if signals::is_interposed() && mask & 1 << (libc::SIGSEGV - 1) != 0 {
        set_mask_of(&mut context.uc_sigmask, signals::kernel_mask(mask));
    }
}
