//! Keeps the other threads still while the process's memory is searched.
//!
//! Each gets a signal with a value that says so; its handler is this crate's, waits, and leaves the thread's
//! registers where the search finds them. Which signal that is, [`carrier`] says.
//!
//! ```text
//!   Free ──► Asked ──► Taken ──► Answered ──► Free        a slot of `SLOTS`
//!       who searches   │ the thread, in the handler │
//!                      └ saves where its registers  └ once the word has changed
//! ```
//!
//! * Locks that the search takes are taken before: a thread that keeps still may hold any.
//! * A thread that cannot answer may wait for a lock of one that keeps still: then all go on for a moment, and
//!   are asked again.
//! * How long is waited depends on what the thread does, by the system's word, and not on a clock alone: one that
//!   can run answers, however late. The clock ends what is hopeless.
//!
//! | atomic | orderings | partner |
//! | --- | --- | --- |
//! | `WORD` | `AcqRel` to odd, `Release` to even; `Relaxed` in a forked child | `Acquire` of a waiting thread |
//! | `Slot::state` | `Release` to `Answered` | `Acquire` load: sees where the registers are |
//! | `Slot::state`, else | `AcqRel` exchange | itself: one thread has the slot |
//! | `Slot`'s other fields | `Relaxed` | ordered by `state` |

use core::ptr;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};

use super::context::Context;
use crate::stack::thread;
use crate::sys::{peek, signal};
use crate::turn::Turn;

mod asking;
mod carrier;

pub(super) use carrier::is_request;

/// Threads that can be kept still.
const THREAD_COUNT_MAX: usize = 1024;

/// The signals that a thread's own instructions raise: they cannot wait.
const SYNCHRONOUS: u64 = signal::bit(libc::SIGSEGV)
    | signal::bit(libc::SIGBUS)
    | signal::bit(libc::SIGILL)
    | signal::bit(libc::SIGFPE)
    | signal::bit(libc::SIGTRAP)
    | signal::bit(libc::SIGABRT)
    | signal::bit(libc::SIGSYS);

/// Odd while threads are to keep still; they wait for it to change.
static WORD: AtomicU32 = AtomicU32::new(0);
static SLOTS: [Slot; THREAD_COUNT_MAX] = [const { Slot::new() }; THREAD_COUNT_MAX];
/// Slots that were ever taken, all lower ones included. Relaxed, all: a thread that is asked has its slot by then.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Who has the [`Right`].
static STOPPER: AtomicI32 = AtomicI32::new(0);

/// A thread that keeps still.
struct Slot {
    /// A [`State`]; 0: free.
    state: AtomicU64,
    /// Its registers. Invariant: valid while the state is `Answered` and the word is that of the state.
    context: AtomicPtr<Context>,
    /// The lower end of its stack; 0: not known.
    stack_low: AtomicUsize,
    stack_high: AtomicUsize,
}

/// Whose a slot is, and for which turn of the word: the kernel's id of the thread, 2 bits of a [`Phase`], and the
/// lower 30 bits of the word.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u64);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Asked = 1,
    Taken = 2,
    Answered = 3,
}

impl State {
    const FREE: Self = Self(0);

    const fn new(tid: u32, phase: Phase, word: u32) -> Self {
        Self((word as u64) << 34 | (phase as u64) << 32 | tid as u64)
    }

    const fn tid(self) -> u32 {
        self.0 as u32
    }

    const fn is(self, phase: Phase) -> bool {
        self.0 >> 32 & 3 == phase as u64
    }

    /// Whether it is of the turn that the word says.
    const fn is_of(self, word: u32) -> bool {
        self.0 >> 34 == word as u64 & ((1 << 30) - 1)
    }
}

impl Slot {
    const fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            context: AtomicPtr::new(ptr::null_mut()),
            stack_low: AtomicUsize::new(0),
            stack_high: AtomicUsize::new(0),
        }
    }

    fn state(&self) -> State {
        // Acquire: pairs with the Release of an answer.
        State(self.state.load(Acquire))
    }

    /// Takes the slot from one state to another; whether nobody else did.
    fn step(&self, from: State, to: State) -> bool {
        // AcqRel: takes over from the last one who had it. Relaxed: on failure nothing is read.
        self.state.compare_exchange(from.0, to.0, AcqRel, Relaxed).is_ok()
    }
}

/// The slots that may be somebody's.
fn used() -> &'static [Slot] {
    &SLOTS[..USED.load(Relaxed).min(THREAD_COUNT_MAX)]
}

/// The right to stop the others, which one thread of the process has at a time.
pub(crate) struct Right(#[expect(dead_code, reason = "held")] Turn<'static>);

impl Right {
    /// Waits for the right, so many nanoseconds at most: none in signal handlers, which may have interrupted the search.
    /// Who waits may be asked to keep still meanwhile.
    pub(crate) fn wait_at_most(nanoseconds: u64) -> Option<Self> {
        Turn::wait_at_most(&STOPPER, nanoseconds).map(Self)
    }

    /// Asks all other threads to keep still. The caller has taken the locks that it will need.
    ///
    /// The program's signals wait until they go on: this thread is the only one that would handle them, and a handler
    /// may wait for a lock of one that keeps still, or never return.
    pub(crate) fn stop(self) -> Stopped {
        let mask = signal::mask(libc::SIG_BLOCK, Some(!SYNCHRONOUS)).ok();
        let is_complete = asking::stop_all();
        Stopped { is_complete, mask, _right: self }
    }
}

/// Threads that keep still until this is dropped.
pub(crate) struct Stopped {
    is_complete: bool,
    /// The signals that this thread blocked before.
    mask: Option<u64>,
    _right: Right,
}

/// Begins a turn, in which threads that are asked wait. Returns the word.
fn begin() -> u32 {
    // AcqRel: comes after all of the last turn. Odd already if this process was forked while another thread of its
    // parent searched, by a call that told nobody.
    let word = (WORD.load(Relaxed) + 1) | 1;
    WORD.swap(word, AcqRel);
    word
}

/// Ends the turn: all go on.
fn end() {
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
}

/// Keeps the calling thread still until the search is over, if it was asked.
///
/// A request that comes late, of a turn that is over, finds no slot, or that of a later turn, which it answers as well.
pub(super) fn keep_still(context: *mut Context) {
    let tid = crate::sys::thread_id();
    // Acquire: pairs with the AcqRel in `begin`.
    let word = WORD.load(Acquire);
    let asked = State::new(tid, Phase::Asked, word);
    let Some(slot) = used().iter().find(|slot| slot.state() == asked) else { return };
    if !slot.step(asked, State::new(tid, Phase::Taken, word)) {
        return;
    }
    let state = thread::current();
    slot.context.store(context, Relaxed);
    slot.stack_low.store(state.stack_low.load(Relaxed), Relaxed);
    slot.stack_high.store(state.stack_high.load(Relaxed), Relaxed);
    // Release: publishes the fields; pairs with the Acquire in `Slot::state`.
    slot.state.store(State::new(tid, Phase::Answered, word).0, Release);
    // Acquire: pairs with the Release in `end`.
    while WORD.load(Acquire) == word {
        // SAFETY: the word is a static; the call returns at once if it has changed (futex(2)).
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                WORD.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                word,
                ptr::null::<libc::timespec>(),
            );
        }
    }
    // Release: nothing of this turn comes after it; pairs with the AcqRel in `step`.
    slot.state.store(State::FREE.0, Release);
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
    // A signal of the program's that came meanwhile explains it: some wait for that.
    if signal::pending_handlers() & !(context.mask | carrier::SIGNALS) != 0 {
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
    // Relaxed, all: the child has one thread. Pages that hold nothing are not written to.
    WORD.store((WORD.load(Relaxed) + 1) & !1, Relaxed);
    for slot in used() {
        if slot.state.load(Relaxed) != State::FREE.0 {
            slot.state.store(State::FREE.0, Relaxed);
        }
    }
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
            context.for_each_vector_word(&mut visit);
        });
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        end();
        if let Some(mask) = self.mask {
            let _ = signal::mask(libc::SIG_SETMASK, Some(mask));
        }
    }
}

/// Calls `visit` for every thread that keeps still: its registers, and its stack, `[low, high)`.
fn for_each(mut visit: impl FnMut(&Context, (usize, usize))) {
    // Relaxed: only the thread that stopped the others makes it odd.
    let word = WORD.load(Relaxed);
    if word.is_multiple_of(2) {
        return;
    }
    for slot in used() {
        let state = slot.state();
        if state.is(Phase::Answered) && state.is_of(word) {
            // SAFETY: invariant on `context`: the thread keeps still until the word changes.
            let context = unsafe { &*slot.context.load(Relaxed) };
            visit(context, (slot.stack_low.load(Relaxed), slot.stack_high.load(Relaxed)));
        }
    }
}

/// Calls `visit` for the parts of each still thread's stacks that are not in use: start and length. They are those of
/// its own stack, and of the one for handlers, where words of earlier turns may stand.
pub(crate) fn for_each_dead_stack(mut visit: impl FnMut((usize, usize))) {
    for_each(|context, (low, high)| {
        // What a function without calls keeps below the stack pointer is in use.
        let sp = context.register(libc::REG_RSP).saturating_sub(128);
        if low != 0 && low <= sp && sp < high {
            visit((low, sp - low));
        }
        let (base, at) = (context.stack.ss_sp.addr(), ptr::from_ref(context).addr());
        if base < at && at - base < context.stack.ss_size {
            visit((base, at - base));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// While the others keep still the program's signals wait, but for those that an instruction raises; and no
    /// longer.
    #[test]
    fn signals_wait_while_threads_keep_still() {
        let mask = || signal::mask(libc::SIG_BLOCK, None).unwrap();
        let before = mask();
        let stopped = Right::wait_at_most(u64::MAX).unwrap().stop();
        let during = mask();
        drop(stopped);
        assert_eq!(mask(), before);
        for signal in [libc::SIGALRM, libc::SIGTERM, libc::SIGCHLD, libc::SIGUSR1, 32, 33, 64] {
            assert_ne!(during & signal::bit(signal), 0, "{signal}");
        }
        assert_eq!(during & SYNCHRONOUS, before & SYNCHRONOUS);
    }
}
