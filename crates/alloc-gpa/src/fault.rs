//! Faults: an access to memory that was freed, or that lies beside a block, becomes a finding, and all
//! others reach the program's own handlers as if nobody stood before them.
//!
//! ```text
//!   SIGSEGV, SIGBUS ─► entry ─► handle ── sent by somebody, or no memory of ours? ──┐
//!                                 │                                                 ▼
//!                    classified by the records (heap::trapped)       deliver: the program's handler,
//!                                 │                                  its stack, its mask; or it dies
//!                    on the report's stack: stack of the access,     by the same signal
//!                    finding, policy
//!                                 │
//!                 continue: the page is open again ─► the instruction is tried once more
//! ```
//!
//! # Invariants
//!
//! 1. All signals are blocked while this crate's handler runs; it leaves by a return, or by a jump to
//!    the program's handler with the frame that the kernel made.
//! 2. The handler waits for no lock that the interrupted code may hold: the report's stack is held by
//!    handlers only, and the heap's log and the record file are given up on.
//! 3. Nothing is allocated but where symbols are resolved in the process, from the side heap.
//!
//! # Limits
//!
//! * On Linux and x86-64; elsewhere no handler is installed, and a trap ends the process.
//! * A system call on a trapped page fails with `EFAULT`: there is no signal.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicU32};

mod action;
mod context;
mod deliver;
mod followed;
pub(crate) mod own_stack;
pub(crate) mod program;
pub(crate) mod reopened;
pub(crate) mod stop;

pub(crate) use context::Access;
use context::Context;

use crate::config::OnFinding;
use crate::finding::Detail;
use crate::heap::Heap;
use crate::heap::chunk::Chunk;
use crate::heap::map;
use crate::registry;
use crate::stack::{self, thread};
use crate::sys::errno::KeepErrno;
use crate::sys::signal::{self, Action};
use crate::sys::tasks;

/// The signals that a fault makes.
const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// `SEGV_MAPERR` and `SEGV_ACCERR`: how the kernel calls a guard marker, and a protection.
const NOT_MAPPED: libc::c_int = 1;
const NOT_PERMITTED: libc::c_int = 2;
/// `SI_KERNEL`: the processor gave no address, as for one that no memory can have.
const NO_ADDRESS: libc::c_int = 0x80;

/// Whether the handler is there.
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

/// Installs the handler in front of the one that is there, once. May change `errno`.
#[cold]
pub(crate) fn install() {
    // Relaxed: only that one call goes on matters.
    if IS_INSTALLED.load(Relaxed)
        || !own_stack::prepare_report()
        || IS_INSTALLED.swap(true, Relaxed)
    {
        return;
    }
    for signal in SIGNALS {
        if let Some(before) = signal::action(signal, None) {
            action::set(signal, &before);
            set_handler(signal, &before);
        }
    }
}

/// How often the heap of a Rust program still grows before the handler is installed; 0: it is, or was
/// never asked for.
static DEFERRED: AtomicU32 = AtomicU32::new(0);
/// Std allocates a few times while it installs its own handler.
const DEFERRED_MAX: u32 = 8;

/// Installs the handler of a Rust program's global allocator, once std's own stands: std installs none,
/// and no stack to run it on, where it finds another one. The first allocation comes from the very
/// function of std that does so. A program without std's start has none to wait for.
pub(crate) fn install_behind_std() {
    // Relaxed: written by the first call of the process, when it has one thread.
    DEFERRED.store(DEFERRED_MAX, Relaxed);
    heap_grows();
}

/// Called when a heap takes new memory. May change `errno`.
#[inline]
pub(crate) fn heap_grows() {
    // Relaxed: a thread that sees it late asks the system once more.
    let left = DEFERRED.load(Relaxed);
    if left != 0 {
        install_deferred(left);
    }
}

#[cold]
fn install_deferred(left: u32) {
    let before = signal::action(libc::SIGSEGV, None);
    let is_there = before.is_none_or(|action| action.handler != libc::SIG_DFL);
    // Relaxed, both: as in `heap_grows`.
    if is_there || left == 1 {
        DEFERRED.store(0, Relaxed);
        install();
    } else {
        DEFERRED.store(left - 1, Relaxed);
    }
}

/// Installs the handler of a process whose calls of libc's signal functions lead to [`program`].
pub(crate) fn install_interposed() {
    signal::set_interposed();
    install();
    // Relaxed: see `install`.
    if IS_INSTALLED.load(Relaxed) {
        program::set_interposed();
        own_stack::give_alternate();
    }
}

/// Whether the handler that the kernel calls for `SIGSEGV` is this crate's.
fn is_in_force() -> bool {
    let entry: unsafe extern "C" fn() = entry;
    let now = signal::action(libc::SIGSEGV, None);
    now.is_some_and(|action| action.handler == entry as usize)
}

/// Returns the fault signals that the program ignores while their handler is this crate's.
fn ignored() -> [Option<libc::c_int>; 2] {
    let entry: unsafe extern "C" fn() = entry;
    let is_ours = |signal| {
        signal::action(signal, None).is_some_and(|action| action.handler == entry as usize)
    };
    let is_ignored = |signal: &libc::c_int| {
        program::is_interposed()
            && action::get(*signal).handler == libc::SIG_IGN
            && is_ours(*signal)
    };
    SIGNALS.map(|signal| Some(signal).filter(is_ignored))
}

/// Runs `exec`, which only comes back if it fails, with the signals ignored and blocked that the program
/// ignores and blocks: the kernel hands that on to what is executed, as it does not with a handler.
pub fn around_exec<R>(exec: impl FnOnce() -> R) -> R {
    let closed = program::close_mask();
    let result = with_ignored(ignored(), exec);
    let _errno = KeepErrno::new();
    program::reopen_mask(closed);
    result
}

/// Runs `spawn`, which starts another program beside this one, with the signals ignored that this one
/// ignores. Only while the process has one thread: a trap of another would end it meanwhile, without a
/// word.
pub fn around_spawn<R>(spawn: impl FnOnce() -> R) -> R {
    let ignored = ignored();
    if ignored == [None; 2] || !tasks::is_alone() {
        return spawn();
    }
    with_ignored(ignored, spawn)
}

fn with_ignored<R>(ignored: [Option<libc::c_int>; 2], run: impl FnOnce() -> R) -> R {
    let ignore = Action { handler: libc::SIG_IGN, ..Action::DEFAULT };
    for signal in ignored.into_iter().flatten() {
        signal::action(signal, Some(&ignore));
    }
    let result = run();
    let _errno = KeepErrno::new();
    for signal in ignored.into_iter().flatten() {
        set_handler(signal, &action::get(signal));
    }
    result
}

/// Called for each thread at its first allocation. May change `errno`.
pub(crate) fn thread_begins() {
    if program::is_interposed() {
        own_stack::give_alternate();
    }
}

/// Makes the kernel call `entry`; interrupted system calls go on if the program wants that.
fn set_handler(signal: libc::c_int, program: &Action) {
    let flags = libc::SA_SIGINFO | libc::SA_ONSTACK | program.flags & libc::SA_RESTART;
    let entry: unsafe extern "C" fn() = entry;
    signal::action(signal, Some(&Action { handler: entry as usize, flags, mask: u64::MAX }));
}

/// A forked child's first step.
///
/// # Safety
///
/// The process has one thread, which is in no handler of this crate.
pub(crate) unsafe fn after_fork_child() {
    action::after_fork_child();
    stop::after_fork_child();
    program::note_process();
    // SAFETY: this function's contract.
    unsafe { own_stack::after_fork_child() };
}

/// The handler. After [`on_signal`] it returns, or goes on as the program's handler: with the stack
/// pointer, the arguments and the return address that the kernel made for it.
#[unsafe(naked)]
unsafe extern "C" fn entry() {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "push rdi",
        ".cfi_def_cfa_offset 16",
        "push rsi",
        ".cfi_def_cfa_offset 24",
        "push rdx",
        ".cfi_def_cfa_offset 32",
        "call {on_signal}",
        "pop rdx",
        ".cfi_def_cfa_offset 24",
        "pop rsi",
        ".cfi_def_cfa_offset 16",
        "pop rdi",
        ".cfi_def_cfa_offset 8",
        "test rax, rax",
        "jz 2f",
        "mov r11, rax",
        "xor eax, eax",
        "jmp r11",
        "2:",
        "ret",
        ".cfi_endproc",
        on_signal = sym on_signal,
    );
}

/// Returns the program's handler, if that shall run now.
///
/// # Safety
///
/// Called by `entry` with the arguments of the kernel.
unsafe extern "C" fn on_signal(
    signal: libc::c_int,
    info: *const libc::siginfo_t,
    context: *mut Context,
) -> usize {
    let _errno = KeepErrno::new();
    // SAFETY: the kernel's own.
    if unsafe { stop::is_request(info) } {
        stop::keep_still(context);
        return 0;
    }
    // SAFETY: the kernel's own.
    if unsafe { handle(signal, info, context) } {
        return 0;
    }
    // SAFETY: as above; `entry` does as the function asks.
    unsafe { deliver::to_program(signal, info, context) }
}

/// Tells of a fault if it is an access to memory that a heap of this crate has trapped; returns whether
/// the access may be tried again.
///
/// # Safety
///
/// The arguments are those that the kernel gave to a handler of the signal.
unsafe fn handle(
    signal: libc::c_int,
    info: *const libc::siginfo_t,
    context: *const Context,
) -> bool {
    // The chunk's heap may be one that ends just now.
    // SAFETY: the same contract.
    registry::looking(|| unsafe { handle_found(signal, info, context) })
}

/// As [`handle`], while no chunk goes that is in the map.
///
/// # Safety
///
/// As [`handle`].
unsafe fn handle_found(
    signal: libc::c_int,
    info: *const libc::siginfo_t,
    context: *const Context,
) -> bool {
    // SAFETY: this function's contract.
    let (code, addr) = unsafe { context::fault(info) };
    // What is sent by somebody has no address, and what else the kernel says is no trap.
    if !matches!(code, NOT_MAPPED | NOT_PERMITTED | NO_ADDRESS) || !SIGNALS.contains(&signal) {
        return false;
    }
    // SAFETY: this function's contract.
    let context = unsafe { &*context };
    // SAFETY: chunks in the map are mapped, and stay so while somebody looks.
    let chunk = unsafe { map::lookup(addr).as_ref() }.filter(|_| code != NO_ADDRESS);
    let Some(chunk) = chunk else {
        if let Some(followed) = followed::find(context, code != NO_ADDRESS) {
            own_stack::run(|| tell_followed(&followed, context));
        }
        return false;
    };
    if !chunk.may_trap(addr) {
        return false;
    }
    let mut goes_on = false;
    own_stack::run(|| goes_on = tell(chunk, addr, context));
    goes_on
}

/// Tells of an access, and opens its page again if the program goes on; returns whether it does.
fn tell(chunk: &Chunk, addr: usize, context: &Context) -> bool {
    let heap = Heap::of(chunk);
    let Some(mut finding) = heap.trapped(chunk, addr, context.access()) else { return false };
    let inside = thread::enter();
    if heap.config.stacks != 0 {
        finding.here = stack::interrupted_id(context.interrupted(), heap.config.stacks.into());
    }
    let goes_on = match heap.config.on_finding {
        OnFinding::Abort | OnFinding::Exit(_) => false,
        // Data is not executed, open or not: what follows is the program's affair.
        _ if context.access() == Access::Code => false,
        OnFinding::Record | OnFinding::Continue => {
            let is_open = reopened::reopen(addr);
            let what = if is_open {
                "the page is open from now on, and no longer watched"
            } else {
                "the page could not be opened again"
            };
            finding.detail = Detail::from_args(format_args!("{}; {what}", finding.detail.as_str()));
            is_open
        }
    };
    // The locks that resolving takes are held by the loader, or by the allocator when it resolves.
    let state = thread::current();
    state.set_unresolving(inside.is_none() || stack::is_in_loader(finding.here));
    heap.tell(finding);
    state.set_unresolving(false);
    drop(inside);
    goes_on
}

/// Tells that a pointer was followed that had been read from freed memory. The fault goes on to the
/// program: there is no memory that could be opened.
fn tell_followed(followed: &followed::Followed<'_>, context: &Context) {
    let heap = followed.heap;
    let mut finding = heap.followed(followed.pointer, followed.source);
    let inside = thread::enter();
    if heap.config.stacks != 0 {
        finding.here = stack::interrupted_id(context.interrupted(), heap.config.stacks.into());
    }
    let state = thread::current();
    state.set_unresolving(inside.is_none() || stack::is_in_loader(finding.here));
    heap.tell(finding);
    state.set_unresolving(false);
    drop(inside);
}

/// Tells of a fault if it is an access to memory that this crate has trapped, for a program that
/// installs a handler of its own for `SIGSEGV` after the first allocation: then that one is in force,
/// and calls this first.
///
/// Returns whether the access may be tried again: the handler returns then. Otherwise the fault is the
/// program's own.
///
/// ```no_run
/// extern "C" fn on_fault(
///     signal: libc::c_int,
///     info: *mut libc::siginfo_t,
///     context: *mut libc::c_void,
/// ) {
///     // SAFETY: the arguments are the kernel's.
///     if unsafe { alloc_gpa::handle_fault(signal, info, context) } {
///         return;
///     }
///     // What the program does with its own faults.
///     std::process::abort();
/// }
/// ```
///
/// # Safety
///
/// The arguments are those that the kernel gave to a handler of `signal`, which was installed with
/// `SA_SIGINFO`; the handler has not returned.
pub unsafe fn handle_fault(
    signal: libc::c_int,
    info: *const libc::siginfo_t,
    context: *const libc::c_void,
) -> bool {
    let _errno = KeepErrno::new();
    // SAFETY: the same contract.
    unsafe { handle(signal, info, context.cast()) }
}
