//! Leak checks while other threads go on: what only their registers hold, how they keep still, and that they notice
//! nothing of it.
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]

use std::arch::asm;
use std::ffi::c_void;
use std::hint::black_box;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use alloc_testing::{Sentinel, check_leaks};

#[global_allocator]
static ALLOC: Sentinel = Sentinel::new();

/// What a thread and its test tell each other.
#[derive(Default)]
struct Signs {
    is_ready: AtomicU8,
    may_go: AtomicU8,
}

impl Signs {
    fn await_ready(&self, count: u8) {
        while self.is_ready.load(SeqCst) < count {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Where a thread keeps its only pointer.
#[derive(Clone, Copy)]
enum Place {
    General,
    Vector,
    /// In a register, while it waits in a system call.
    Waiting,
}

/// Returns the address of a new block, inverted: nothing leads to it.
#[inline(never)]
fn hidden(value: u64) -> usize {
    let addr = Box::into_raw(Box::new(value)).expose_provenance();
    !black_box(addr)
}

/// Overwrites what earlier calls left on the stack.
#[inline(never)]
fn wipe() {
    black_box(&mut [0u64; 4096]);
}

/// Frees a block and returns what it holds.
#[inline(never)]
fn take(hidden: usize) -> u64 {
    // SAFETY: made by `hidden`, and taken once.
    *unsafe { Box::from_raw(std::ptr::with_exposed_provenance_mut(!hidden)) }
}

/// Spins with the only pointer to a block in a register, until it may go. Returns what the block holds.
#[inline(never)]
fn spin(place: Place, value: u64, signs: &Signs) -> u64 {
    let mut kept = hidden(value);
    wipe();
    let (ready, go) = (signs.is_ready.as_ptr(), signs.may_go.as_ptr());
    match place {
        Place::Vector => {
            // SAFETY: adds to one byte and reads the other, both of which live as long as `signs`; the registers
            // that it changes are named.
            unsafe {
                asm!(
                    "not {kept}",
                    "movq xmm9, {kept}",
                    "xor {kept:e}, {kept:e}",
                    "lock inc byte ptr [{ready}]",
                    "2:",
                    "pause",
                    "cmp byte ptr [{go}], 0",
                    "je 2b",
                    "movq {kept}, xmm9",
                    "pxor xmm9, xmm9",
                    "not {kept}",
                    kept = inout(reg) kept, ready = in(reg) ready, go = in(reg) go, out("xmm9") _,
                );
            }
        }
        _ => {
            // SAFETY: as above.
            unsafe {
                asm!(
                    "not {kept}",
                    "mov r12, {kept}",
                    "xor {kept:e}, {kept:e}",
                    "lock inc byte ptr [{ready}]",
                    "2:",
                    "pause",
                    "cmp byte ptr [{go}], 0",
                    "je 2b",
                    "mov {kept}, r12",
                    "not {kept}",
                    kept = inout(reg) kept, ready = in(reg) ready, go = in(reg) go, out("r12") _,
                );
            }
        }
    }
    take(kept)
}

/// Waits in `read` with the only pointer to a block in a register. Returns what the block holds, and the call's
/// result.
#[inline(never)]
fn wait(value: u64, signs: &Signs, pipe: &OwnedFd) -> (u64, isize) {
    let mut kept = hidden(value);
    wipe();
    let (mut byte, file, result) = (0u8, pipe.as_raw_fd(), 0isize);
    let mut result = result;
    let ready = signs.is_ready.as_ptr();
    // SAFETY: adds to a byte that lives as long as `signs`, and lets the kernel write the byte of this frame; the
    // registers that it changes are named.
    unsafe {
        asm!(
            "not r13",
            "mov r12, r13",
            "xor r13d, r13d",
            "lock inc byte ptr [{ready}]",
            "xor eax, eax", // read
            "syscall",
            "mov r13, r12",
            "not r13",
            ready = in(reg) ready,
            inout("r13") kept, out("r12") _, inout("rax") result, in("rdi") file,
            in("rsi") &raw mut byte, in("rdx") 1usize, out("rcx") _, out("r11") _,
        );
    }
    (take(kept), result)
}

/// Starts a thread that holds a block in a register.
fn holder(place: Place, value: u64, signs: &Arc<Signs>) -> JoinHandle<u64> {
    let signs = Arc::clone(signs);
    if !matches!(place, Place::Waiting) {
        return thread::spawn(move || spin(place, value, &signs));
    }
    let (read, mut write) = std::io::pipe().expect("a pipe");
    thread::spawn(move || {
        let reader = OwnedFd::from(read);
        thread::scope(|scope| {
            scope.spawn(|| {
                while signs.may_go.load(SeqCst) == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
                write.write_all(&[1]).expect("somebody reads");
            });
            let (value, result) = wait(value, &signs, &reader);
            assert_eq!(result, 1, "the call goes on");
            value
        })
    })
}

/// A block that only the registers of a running thread lead to is in use.
#[test]
fn what_registers_hold_is_in_use() {
    for place in [Place::General, Place::Vector, Place::Waiting] {
        let signs = Arc::new(Signs::default());
        let thread = check_leaks(|| {
            let thread = holder(place, 41, &signs);
            signs.await_ready(1);
            thread
        });
        signs.may_go.store(1, SeqCst);
        assert_eq!(thread.join().expect("no panic"), 41);
    }
}

/// More than other threads of this program have, so that libc keeps such stacks for this test's.
const STACK_LEN: usize = 3 << 20;

/// Covers much of the stack with an address; returns where.
#[inline(never)]
fn litter(hidden: usize) -> usize {
    let words = black_box([!hidden; 8192]);
    (&raw const words).addr()
}

/// Waits, above a part of the stack that it does not write to; returns where that is.
#[inline(never)]
fn wait_above(signs: &Signs) -> usize {
    let hole = MaybeUninit::<[u64; 4096]>::uninit();
    let start = black_box(&raw const hole).addr();
    signs.is_ready.store(1, SeqCst);
    while signs.may_go.load(SeqCst) == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    start
}

/// What a thread of no region left on its stack hides no leak from the next one's region.
#[test]
fn a_stack_that_another_thread_had_is_wiped() {
    let begin = || thread::Builder::new().stack_size(STACK_LEN);
    // As a rule the first one: another thread may take the stack in between.
    for _ in 0..100 {
        let (send, receive) = mpsc::channel();
        let litterer = begin().spawn(move || litter(receive.recv().expect("an address")));
        let litterer = litterer.expect("a thread");
        let signs = Arc::new(Signs::default());
        let (mut littered, mut waiter) = (0, None);
        let verdict = panic::catch_unwind(AssertUnwindSafe(|| {
            check_leaks(|| {
                send.send(hidden(7)).expect("the thread waits");
                littered = litterer.join().expect("no panic");
                let signs_there = Arc::clone(&signs);
                waiter = Some(begin().spawn(move || wait_above(&signs_there)).expect("a thread"));
                signs.await_ready(1);
            });
        }));
        signs.may_go.store(1, SeqCst);
        let hole = waiter.expect("started above").join().expect("no panic");
        if hole.abs_diff(littered) < STACK_LEN / 2 {
            assert!(verdict.is_err(), "the block is lost, whatever lies on the stack");
            return;
        }
    }
    panic!("no thread got the stack of the one before");
}

/// Keeps a thread at its very end, after the destructor that tells its region so: keys' destructors run in the order of
/// the keys.
///
/// # Safety
///
/// `signs` is a leaked `Signs`.
unsafe extern "C" fn linger(signs: *mut c_void) {
    // SAFETY: leaked, by the contract.
    let signs = unsafe { &*signs.cast_const().cast::<Signs>() };
    let (ready, go) = (signs.is_ready.as_ptr(), signs.may_go.as_ptr());
    // SAFETY: adds to one byte and reads the other, both of which are leaked.
    unsafe {
        asm!(
            "lock inc byte ptr [{ready}]", "2:", "pause", "cmp byte ptr [{go}], 0", "je 2b",
            ready = in(reg) ready, go = in(reg) go,
        );
    }
}

/// What a thread that has ended left in a vector register hides no leak, though it is still there.
#[test]
fn what_an_ended_thread_left_in_registers_is_lost() {
    check_leaks(|| ()); // It has its key from now on.
    let mut key = 0;
    // SAFETY: `key` is ours to write, and the function stays.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(linger)) }, 0);
    let signs: &Signs = Box::leak(Box::default());
    let mut thread = None;
    let verdict = panic::catch_unwind(AssertUnwindSafe(|| {
        check_leaks(|| {
            let lose = move || {
                let value = std::ptr::from_ref(signs).cast::<c_void>();
                // SAFETY: a key that is never deleted.
                assert_eq!(unsafe { libc::pthread_setspecific(key, value) }, 0);
                let hidden = hidden(7);
                wipe();
                // SAFETY: changes one register, which it names.
                unsafe {
                    asm!(
                        "not {0}", "movq xmm14, {0}", "xor {0:e}, {0:e}",
                        inout(reg) hidden => _, out("xmm14") _,
                    );
                }
            };
            thread = Some(thread::spawn(lose));
            signs.await_ready(1);
        });
    }));
    signs.may_go.store(1, SeqCst);
    thread.expect("started above").join().expect("no panic");
    assert!(verdict.is_err(), "only a register held the block that nobody needs any more");
}

/// Many threads keep still, for two checks at once.
#[test]
fn many_threads_keep_still() {
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let signs = Arc::new(Signs::default());
                let threads = check_leaks(|| {
                    let threads: Vec<_> =
                        (0..8).map(|value| holder(Place::General, value, &signs)).collect();
                    signs.await_ready(8);
                    threads
                });
                signs.may_go.store(1, SeqCst);
                let sum: u64 =
                    threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
                assert_eq!(sum, 7 * 8 / 2);
            });
        }
    });
}

/// Runs one test of this file as a child, with a variable that says so.
fn child(test: &str) -> (Output, String) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    let output = command.output().expect("a child");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, text)
}

const CHILD: &str = "ALLOC_TESTING_REGISTERS_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// A thread that lets no signal through holds a block, perhaps: that is printed, and no failure.
#[test]
fn a_thread_that_cannot_be_asked_raises_doubt() {
    if !is_child() {
        let (output, text) = child("a_thread_that_cannot_be_asked_raises_doubt");
        assert!(output.status.success(), "{text}");
        assert!(text.contains("could not look: 1 block perhaps leaked, 8 bytes"), "{text}");
        assert!(text.contains("a thread did not keep still"), "{text}");
        return;
    }
    let signs = Arc::new(Signs::default());
    let thread = check_leaks(|| {
        let own = Arc::clone(&signs);
        let thread = thread::spawn(move || {
            let all = u64::MAX;
            // SAFETY: a mask of that length; no signal is waited for in this thread. Not libc's function, which leaves
            // out its own signals.
            let result = unsafe {
                libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const all, 0usize, 8)
            };
            assert_eq!(result, 0);
            spin(Place::General, 7, &own)
        });
        signs.await_ready(1);
        thread
    });
    signs.may_go.store(1, SeqCst);
    assert_eq!(thread.join().expect("no panic"), 7);
}

/// A check that is made by a drop while its thread is panicking prints what it finds; the panic goes on.
#[test]
fn a_leak_beside_a_panic_aborts_nothing() {
    struct Checks;
    impl Drop for Checks {
        fn drop(&mut self) {
            check_leaks(|| {
                black_box(hidden(5));
                wipe();
            });
        }
    }
    if !is_child() {
        let (output, text) = child("a_leak_beside_a_panic_aborts_nothing");
        assert_eq!(output.status.code(), Some(101), "{text}");
        assert!(text.contains("the test's own"), "{text}");
        assert!(text.contains("beside the panic above: check_leaks: 1 block leaked"), "{text}");
        return;
    }
    let _checks = Checks;
    panic!("the test's own");
}
