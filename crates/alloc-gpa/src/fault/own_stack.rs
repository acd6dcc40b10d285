//! Stacks for handlers.
//!
//! * One for the report, which takes more than a thread may have left: whoever has something to tell
//!   goes there, one after the other. All signals are blocked there.
//! * Under a preloaded library one for each thread that has no alternate stack, as the place where
//!   the kernel starts the handler: the thread's own stack may be at its end.
//!
//! | atomic | orderings | partner |
//! | --- | --- | --- |
//! | `Slot::owner` | `AcqRel` exchange from a dead thread | itself |
//! | `Slot::base` | `Relaxed` | ordered by `owner` |
//! | `NEXT` | `Relaxed` | none: where to look next |

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{AcqRel, Relaxed};
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};

use super::stop;
use crate::lock::Lock;
use crate::stack::thread;
use crate::sys::{pages, signal};

/// Length of the report's stack: to resolve symbols takes some 100 KiB.
const REPORT_LEN: usize = 1 << 20;
/// Length of a thread's alternate stack: the kernel's frame takes up to 12 KiB, and a handler of the
/// program's that asked for an alternate stack without one runs here. Pages that nobody touches cost
/// nothing.
const ALTERNATE_LEN: usize = 128 << 10;
/// Threads that can have an alternate stack at once; those beyond have none.
const SLOT_COUNT: usize = 2048;
/// How many slots of others are looked at before a fresh one is taken.
const LOOK_COUNT: usize = 4;

/// The upper end of the report's stack; null: none.
static REPORT: Lock<ReportStack> = Lock::new(ReportStack(ptr::null_mut()));

struct ReportStack(*mut u8);

// SAFETY: the stack belongs to whoever holds the lock.
unsafe impl Send for ReportStack {}

/// Maps a stack with a page below it that nobody may touch.
fn map(len: usize) -> Option<NonNull<u8>> {
    let base = pages::map(len)?;
    // SAFETY: the first page of a fresh mapping.
    unsafe { libc::mprotect(base.as_ptr().cast(), pages::PAGE_LEN, libc::PROT_NONE) };
    Some(base)
}

/// Makes the report's stack; returns whether it is there.
pub(super) fn prepare_report() -> bool {
    let mut report = REPORT.lock();
    if report.0.is_null()
        && let Some(base) = map(REPORT_LEN)
    {
        // SAFETY: the end of the mapping just made.
        report.0 = unsafe { base.add(REPORT_LEN) }.as_ptr();
    }
    !report.0.is_null()
}

/// Runs `work` on the report's stack, after whoever is there now.
pub(super) fn run(mut work: impl FnMut()) {
    extern "C" fn call<W: FnMut()>(work: *mut c_void) {
        // SAFETY: the pointer comes from `run`, which waits for this call.
        let work = unsafe { &mut *work.cast::<W>() };
        work();
    }
    fn function<W: FnMut()>(_: &W) -> extern "C" fn(*mut c_void) {
        call::<W>
    }
    let function = function(&work);
    let report = REPORT.lock();
    switch(function, ptr::from_mut(&mut work).cast(), report.0);
}

/// A forked child's first step: who was on the stack is not there.
///
/// # Safety
///
/// The process has one thread, and that is not on the report's stack.
pub(super) unsafe fn after_fork_child() {
    if REPORT.try_lock().is_none() {
        // SAFETY: held by a thread that this process does not have.
        unsafe { REPORT.release() };
    }
}

/// Calls `work(data)` on the stack that ends at `top`, a multiple of 16.
#[unsafe(naked)]
extern "C" fn switch(work: extern "C" fn(*mut c_void), data: *mut c_void, top: *mut u8) {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "mov rsp, rdx",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "mov rsp, rbp",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    );
}

/// An alternate stack and the thread that has it.
struct Slot {
    /// The process's id, and the thread's in the lower half; 0: nobody's.
    owner: AtomicU64,
    /// Invariant: null, or a mapping of `ALTERNATE_LEN` that is never unmapped.
    base: AtomicPtr<u8>,
}

static SLOTS: [Slot; SLOT_COUNT] =
    [const { Slot { owner: AtomicU64::new(0), base: AtomicPtr::new(ptr::null_mut()) } };
        SLOT_COUNT];
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// Slots that were ever taken, all lower ones included.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Gives the calling thread an alternate stack, unless it has one. May change `errno`.
pub(super) fn give_alternate() {
    let state = thread::current();
    let has_one = signal::alternate_stack(None)
        .is_ok_and(|stack| stack.ss_flags & libc::SS_DISABLE == 0 && stack.ss_size != 0);
    if has_one || state.alternate.load(Relaxed) != 0 {
        return;
    }
    let Some(base) = take_slot() else { return };
    if set_alternate(base) {
        state.alternate.store(base.addr(), Relaxed);
    }
}

/// Makes the thread's own alternate stack the one in force again, if it has one; returns whether.
pub(super) fn restore_alternate() -> bool {
    match thread::current().alternate.load(Relaxed) {
        0 => false,
        base => set_alternate(ptr::without_provenance_mut(base)),
    }
}

/// Whether this is the calling thread's alternate stack that the program knows nothing of.
pub(super) fn is_hidden(stack: &libc::stack_t) -> bool {
    let own = thread::current().alternate.load(Relaxed);
    own != 0 && stack.ss_sp.addr() == own
}

fn set_alternate(base: *mut u8) -> bool {
    let stack = libc::stack_t { ss_sp: base.cast(), ss_flags: 0, ss_size: ALTERNATE_LEN };
    signal::alternate_stack(Some(&stack)).is_ok()
}

/// Takes a stack whose thread is gone, or a fresh one.
fn take_slot() -> Option<*mut u8> {
    // SAFETY: the call has no preconditions.
    let pid = unsafe { libc::getpid() }.cast_unsigned();
    let me = u64::from(pid) << 32 | u64::from(thread::current().tid());
    // Relaxed: see the module's table.
    let used = USED.load(Relaxed).min(SLOT_COUNT);
    let first = NEXT.load(Relaxed);
    for step in 0..LOOK_COUNT.min(used) {
        let index = (first + step) % used;
        NEXT.store(index + 1, Relaxed);
        let slot = &SLOTS[index];
        if claim(slot, me) {
            return base_of(slot);
        }
    }
    // Slots beyond those that are in use may be another thread's that has not said so yet.
    (used..SLOT_COUNT).find_map(|index| {
        let base = claim(&SLOTS[index], me).then(|| base_of(&SLOTS[index]))?;
        // Relaxed: who reads less for a moment takes the next one, or passes an empty stack over.
        USED.fetch_max(index + 1, Relaxed);
        base
    })
}

/// Takes a slot whose thread is gone.
fn claim(slot: &Slot, me: u64) -> bool {
    let owner = slot.owner.load(Relaxed);
    // A stack of another process, this one's parent, stays: the forked thread may still use it.
    let is_free =
        owner == 0 || owner == me || (owner >> 32 == me >> 32 && !signal::send(owner as u32, 0));
    // AcqRel: takes over from the last owner; pairs with itself.
    is_free && slot.owner.compare_exchange(owner, me, AcqRel, Relaxed).is_ok()
}

/// Returns a claimed slot's stack, which is mapped at its first use.
fn base_of(slot: &Slot) -> Option<*mut u8> {
    let base = slot.base.load(Relaxed);
    if !base.is_null() {
        return Some(base);
    }
    let base = map(ALTERNATE_LEN)?.as_ptr();
    slot.base.store(base, Relaxed);
    Some(base)
}

/// Calls `visit` for each stack of this module that nobody is on: start and length. What handlers
/// left there keeps no block alive.
pub(crate) fn for_each_unused(stack_pointer: usize, mut visit: impl FnMut((usize, usize))) {
    let slots = SLOTS[..USED.load(Relaxed).min(SLOT_COUNT)].iter();
    let bases = slots.map(|slot| (slot.base.load(Relaxed).addr(), ALTERNATE_LEN));
    let report = REPORT.lock_or_give_up().map_or(0, |report| report.0.addr());
    let report = (report.saturating_sub(REPORT_LEN), REPORT_LEN);
    for (base, len) in bases.chain([report]) {
        let is_used = (base..base + len).contains(&stack_pointer) || stop::is_in_use(base, len);
        if base != 0 && !is_used {
            visit((base, len));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work runs on another stack, and its results come back.
    #[test]
    fn work_runs_on_the_reports_stack() {
        assert!(prepare_report());
        let top = REPORT.lock().0.addr();
        let mut seen = 0;
        run(|| {
            let local = 0u8;
            seen = (&raw const local).addr();
        });
        assert!(top - REPORT_LEN < seen && seen < top);
        let mut count = 0;
        for_each_unused(0, |(base, len)| count += usize::from(base + len == top));
        assert_eq!(count, 1);
        for_each_unused(top - 8, |(base, len)| assert_ne!(base + len, top));
    }

    /// Threads that come and go share a bounded number of stacks.
    #[test]
    fn stacks_are_taken_over() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            let base = std::thread::spawn(|| take_slot().expect("memory").addr());
            seen.insert(base.join().expect("no panic"));
        }
        // A joined thread may not be gone at once.
        assert!(seen.len() < 30, "{} stacks for 100 threads", seen.len());
    }
}
