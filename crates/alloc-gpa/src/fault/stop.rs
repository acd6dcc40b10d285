//! Keeps the other threads still while the process's memory is searched at its end.
//!
//! Each gets `SIGSEGV` with a value that says so, as that is the one signal that no thread blocks where
//! libc's functions are interposed; its handler is this crate's, waits, and leaves the thread's registers
//! where the search finds them. Who does not answer within a second is left alone.
//!
//! | atomic | orderings | partner |
//! | --- | --- | --- |
//! | `WORD` | `Release` to even, `AcqRel` to odd; `Relaxed` in a forked child | `Acquire` of a waiting thread |
//! | `Slot::tid` | `Release` store | `Acquire` load: sees where the registers are |
//! | `NEXT`, the other fields | `Relaxed` | ordered by these two |

use core::ptr;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize};

use super::context::Context;
use crate::stack::thread;
use crate::sys::signal::{self, Action};
use crate::sys::{peek, tasks};

/// Threads that can be kept still.
const THREAD_COUNT_MAX: usize = 1024;
/// How long they have to answer, in nanoseconds.
const TIME_MAX: u64 = 1_000_000_000;
/// How long is waited before they are counted again.
const PAUSE: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 200_000 };

/// Odd while threads are to keep still; they wait for it to change.
static WORD: AtomicU32 = AtomicU32::new(0);
/// Slots that were taken.
static NEXT: AtomicUsize = AtomicUsize::new(0);
static SLOTS: [Slot; THREAD_COUNT_MAX] = [const { Slot::new() }; THREAD_COUNT_MAX];

/// A thread that keeps still.
struct Slot {
    /// The kernel's id; 0: not there yet.
    tid: AtomicU32,
    /// Its registers. Invariant: valid while the thread keeps still.
    context: AtomicPtr<Context>,
    /// The lower end of its stack; 0: not known.
    stack_low: AtomicUsize,
    stack_high: AtomicUsize,
}

impl Slot {
    const fn new() -> Self {
        Self {
            tid: AtomicU32::new(0),
            context: AtomicPtr::new(ptr::null_mut()),
            stack_low: AtomicUsize::new(0),
            stack_high: AtomicUsize::new(0),
        }
    }
}

/// Threads that keep still until this is dropped.
pub(crate) struct Stopped {
    is_complete: bool,
    is_asked: bool,
}

/// Asks all other threads to keep still. At most a second.
pub(crate) fn stop() -> Stopped {
    if !super::is_in_force() {
        return Stopped { is_complete: tasks::is_alone(), is_asked: false };
    }
    // Those that were taken: a forked child's others are its parent's pages.
    let used = NEXT.swap(0, Relaxed).min(THREAD_COUNT_MAX);
    SLOTS[..used].iter().for_each(|slot| slot.tid.store(0, Relaxed));
    // AcqRel: the slots are empty before any thread takes one.
    WORD.fetch_add(1, AcqRel);
    let action = super::action::get(libc::SIGSEGV);
    // Their system calls go on afterwards.
    super::set_handler(libc::SIGSEGV, &Action { flags: action.flags | libc::SA_RESTART, ..action });
    Stopped { is_complete: ask_all(), is_asked: true }
}

/// Asks until all have answered; returns whether they have.
fn ask_all() -> bool {
    let mut asked = [0u32; THREAD_COUNT_MAX];
    let mut count = 0;
    let start = tasks::now();
    loop {
        let mut is_complete = true;
        let listed = tasks::for_each_other(|tid| {
            if !asked[..count].contains(&tid) {
                is_complete = false;
                if let Some(place) = asked.get_mut(count) {
                    *place = tid;
                    count += 1;
                    signal::send_value(tid, libc::SIGSEGV, word_addr());
                }
            } else if !SLOTS.iter().any(|slot| slot.tid.load(Acquire) == tid) {
                // Acquire: pairs with the Release in `keep_still`.
                is_complete = false;
            }
        });
        if is_complete || !listed {
            return listed;
        }
        if TIME_MAX < tasks::now() - start {
            return false;
        }
        // libc's function is a cancellation point.
        let pause = PAUSE;
        // SAFETY: a valid time, and nothing to be written.
        unsafe {
            libc::syscall(libc::SYS_nanosleep, &raw const pause, ptr::null_mut::<libc::timespec>());
        }
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
pub(super) unsafe fn is_request(info: *const libc::siginfo_t) -> bool {
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

/// Keeps the calling thread still until the search is over.
pub(super) fn keep_still(context: *mut Context) {
    // Acquire: pairs with the AcqRel in `stop`.
    let turn = WORD.load(Acquire);
    if turn.is_multiple_of(2) {
        return;
    }
    let state = thread::current();
    if let Some(slot) = SLOTS.get(NEXT.fetch_add(1, Relaxed)) {
        slot.context.store(context, Relaxed);
        slot.stack_low.store(state.stack_low.load(Relaxed), Relaxed);
        slot.stack_high.store(state.stack_high.load(Relaxed), Relaxed);
        // Release: publishes the fields; pairs with the Acquire in `ask_all` and `for_each`.
        slot.tid.store(crate::sys::thread_id(), Release);
    }
    // Acquire: pairs with the Release of the one that searched.
    while WORD.load(Acquire) == turn {
        // SAFETY: the word is a static; the call returns at once if it has changed (futex(2)).
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                WORD.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                turn,
                ptr::null::<libc::timespec>(),
            );
        }
    }
    begin_again(context);
}

/// Makes a system call that the request cut short begin again: most that wait for a time (`poll`,
/// `epoll_wait`, `nanosleep`) are not begun again by the kernel once a handler has run, and the program
/// would see an `EINTR` that no signal of its own explains. A relative time begins anew.
fn begin_again(context: *mut Context) {
    // SAFETY: valid until the handler returns, and this thread's own again.
    let context = unsafe { &mut *context };
    let result = context.registers[libc::REG_RAX as usize].cast_signed();
    if result != -i64::from(libc::EINTR) {
        return;
    }
    let mut code = [0; 7];
    let pc = context.register(libc::REG_RIP);
    // `mov eax, number; syscall`, as nearly all of libc has it: the kernel keeps no number.
    if peek::read(pc.wrapping_sub(code.len()), &mut code)
        && let [0xb8, number @ .., 0x0f, 0x05] = code
    {
        context.registers[libc::REG_RAX as usize] = u32::from_le_bytes(number).into();
        context.registers[libc::REG_RIP as usize] -= 2;
    }
}

/// A forked child's first step: nobody searches there, and nobody keeps still.
pub(super) fn after_fork_child() {
    // Relaxed: the child has one thread.
    WORD.store(0, Relaxed);
}

impl Stopped {
    /// Whether no other thread runs.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Calls `visit` for every word that a thread's registers hold, vectors included.
    pub(crate) fn for_each_word(&self, mut visit: impl FnMut(usize)) {
        for_each(|context, _| {
            context.registers.iter().for_each(|word| visit(*word as usize));
            visit(context.stack.ss_sp.addr());
            if context.vectors != 0 {
                // The sixteen registers of SSE, behind those of the old coprocessor.
                let vectors = ptr::with_exposed_provenance::<[usize; 64]>(context.vectors);
                // SAFETY: where the kernel saved the registers, at least 512 bytes, aligned to 64.
                let words = unsafe { &*vectors };
                words[20..52].iter().for_each(|word| visit(*word));
            }
        });
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if !self.is_asked {
            return;
        }
        // Release: pairs with the Acquire in `keep_still`.
        WORD.fetch_add(1, Release);
        // SAFETY: the word is a static, which the call does not even read.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                WORD.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                i32::MAX,
            );
        }
        super::set_handler(libc::SIGSEGV, &super::action::get(libc::SIGSEGV));
    }
}

/// Calls `visit` for every thread that keeps still: its registers, and its stack, `[low, high)`.
fn for_each(mut visit: impl FnMut(&Context, (usize, usize))) {
    // Relaxed: only the thread that stopped the others makes it odd.
    if WORD.load(Relaxed).is_multiple_of(2) {
        return;
    }
    for slot in &SLOTS {
        // Acquire: pairs with the Release in `keep_still`.
        if slot.tid.load(Acquire) != 0 {
            // SAFETY: invariant on `context`: the thread keeps still until the word is even.
            let context = unsafe { &*slot.context.load(Relaxed) };
            visit(context, (slot.stack_low.load(Relaxed), slot.stack_high.load(Relaxed)));
        }
    }
}

/// Calls `visit` for the part of each still thread's own stack that is not in use: start and length.
pub(crate) fn for_each_dead_stack(mut visit: impl FnMut((usize, usize))) {
    for_each(|context, (low, high)| {
        // What a function without calls keeps below the stack pointer is in use.
        let sp = context.register(libc::REG_RSP).saturating_sub(128);
        if low != 0 && low <= sp && sp < high {
            visit((low, sp - low));
        }
    });
}

/// Whether a still thread's stack pointer is in a range.
pub(super) fn is_in_use(start: usize, len: usize) -> bool {
    let mut found = false;
    for_each(|context, _| {
        found |= (start..start + len).contains(&context.register(libc::REG_RSP));
    });
    found
}
