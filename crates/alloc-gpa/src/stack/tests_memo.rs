//! Captures that are remembered, against those that are walked anew and against another unwinder's.

use std::hint::black_box;

use super::capture::{capture, capture_stored};
use super::tests::{Library, open_c};
use super::{FRAMES_MAX, StackId, Trace, depot, modules, pool, thread};

/// What the callback of the C code checks, and what it saw.
#[derive(Default)]
struct Check {
    /// Most frames asked for.
    max: usize,
    /// Captures that were checked against the `backtrace` crate's.
    compared: usize,
    captures: usize,
}

/// Captures from one place: remembered or not, and surely not.
#[inline(never)]
fn both(max: usize) -> (Trace, Trace) {
    let _inside = thread::enter().expect("not inside");
    let (mut remembered, mut walked) = (Trace::new(), Trace::new());
    let id = StackId(black_box(capture_stored(max)));
    capture(max, &mut walked);
    assert!(depot().get(id, &mut remembered));
    (remembered, walked)
}

extern "C" fn check(check: *mut Check) {
    // SAFETY: the tests below pass a value of their own, and wait.
    let check = unsafe { &mut *check };
    check.captures += 1;
    let (remembered, walked) = both(check.max);
    assert_eq!(remembered.len, walked.len);
    // The innermost are two calls of one function; the rest is the same, or one was not walked.
    assert_eq!(remembered.as_slice()[1..], walked.as_slice()[1..]);
    // The other unwinder takes longer.
    if check.captures.is_multiple_of(61) {
        let mut frames = Vec::new();
        backtrace::trace(|frame| {
            frames.push(frame.ip().addr());
            true
        });
        let own = &walked.as_slice()[2..];
        let at = frames.windows(own.len()).position(|window| window == own);
        assert!(at.is_some(), "{own:#x?} is not in {frames:#x?}");
        check.compared += 1;
    }
}

/// Functions that call each other by the bits of a seed: with frames of fixed and of variable size, with
/// all callee-saved registers in use (what stands in the frame pointer differs from call to call), and
/// with a return address that differs at the same depth.
const C_TREE: &str = "
typedef void (*callback)(void *);
int next(unsigned seed, int depth, callback f, void *p);
__attribute__((noinline)) int plain(unsigned seed, int depth, callback f, void *p) {
    int sum = next(seed, depth, f, p); return sum + (seed & 8 ? next(seed * 5 + 1, depth, f, p) : 1); }
__attribute__((noinline)) int variable(unsigned seed, int depth, callback f, void *p) {
    volatile char room[16 + (seed & 3) * 64]; room[0] = 1;
    return next(seed, depth, f, p) + room[0]; }
__attribute__((noinline)) int busy(unsigned seed, int depth, callback f, void *p) {
    unsigned long a = seed * 3ul, b = a ^ 77, c = b * 5, d = c + a, e = d ^ b;
    for (int i = 0; i < (int)(seed & 3); i++) {
        next(seed >> 1, depth, f, p); a += b; b ^= c; c += d; d ^= e; e += a; }
    return (int)(next(seed, depth, f, p) + a + b + c + d + e); }
__attribute__((noinline)) int wide(unsigned seed, int depth, callback f, void *p) {
    volatile char room[5000]; room[seed & 1023] = 1;
    return next(seed, depth, f, p) + room[seed & 1023]; }
__attribute__((noinline)) int next(unsigned seed, int depth, callback f, void *p) {
    if (depth == 0) { f(p); return 1; }
    unsigned rest = seed * 1664525u + 1013904223u;
    switch (seed >> 30) {
        case 0: return plain(rest, depth - 1, f, p) + 1;
        case 1: return variable(rest, depth - 1, f, p) + 1;
        case 2: return busy(rest, depth - 1, f, p) + 1;
        default: return wide(rest, depth - 1, f, p) + 1; } }
";

type Next = extern "C" fn(u32, libc::c_int, extern "C" fn(*mut Check), *mut Check) -> libc::c_int;

fn next_of(library: &Library) -> Next {
    // SAFETY: the library is open and the name a C string.
    let function = unsafe { libc::dlsym(library.handle, c"next".as_ptr()) };
    assert!(!function.is_null());
    // SAFETY: the source above defines the function with this signature.
    unsafe { std::mem::transmute(function) }
}

/// Random call trees, each twice in a row and some again later: what is remembered is what a walk finds,
/// and what another unwinder finds.
#[test]
fn remembered_stacks_are_those_of_a_walk() {
    for (name, options) in [
        ("tree-omit", &["-O2", "-fomit-frame-pointer"][..]),
        ("tree-keep", &["-O1", "-fno-omit-frame-pointer"]),
    ] {
        let library = open_c(name, C_TREE, options);
        let next = next_of(&library);
        modules::invalidate();
        let before = pool::counts();
        let mut seen = Check::default();
        for round in 0..6 {
            for seed in 0..40_u32 {
                for max in [3, 12, FRAMES_MAX] {
                    seen.max = max;
                    let depth = 2 + (seed as libc::c_int + round) % 9;
                    let seed = seed.wrapping_mul(0x9e37_79b9);
                    black_box(next(seed, depth, check, &raw mut seen));
                    black_box(next(seed, depth, check, &raw mut seen));
                }
            }
        }
        let after = pool::counts();
        assert!(0 < seen.compared);
        let recalled = after.recalled - before.recalled;
        assert!(seen.captures as u64 / 2 < recalled, "{recalled} of {}", seen.captures);
        assert!(before.steps < after.steps);
    }
}

/// Deep recursion: the trace is full, and as a walk finds it, at every depth.
#[test]
fn deep_recursion_is_remembered() {
    const C_DEEP: &str = "
__attribute__((noinline)) int next(unsigned seed, int depth, void (*f)(void *), void *p) {
    f(p); return depth ? next(seed, depth - 1, f, p) + (int)seed : 0; }";
    let library = open_c("deep", C_DEEP, &["-O1"]);
    let next = next_of(&library);
    modules::invalidate();
    let mut seen = Check { max: FRAMES_MAX, ..Check::default() };
    for depth in [200, 300, 200, 301] {
        black_box(next(1, depth, check, &raw mut seen));
    }
    assert_eq!(seen.captures, 201 + 301 + 201 + 302);
}

/// A frame of variable size makes up for one more frame above it: stack pointer and all words that led
/// through the first stack are the same in the second, left over in room that nobody wrote to. Only the
/// frame pointer tells the two apart: in its register, or as an inner function saved it.
#[test]
fn left_over_return_addresses_do_not_mislead() {
    const C_STALE: &str = "
typedef void (*callback)(void *);
__attribute__((noinline)) int inner(callback f, void *p) { SAVE; f(p); return 1; }
__attribute__((noinline)) int variable(long n, callback f, void *p) {
    char room[n]; __asm__ volatile(\"\" :: \"r\"(room) : \"memory\"); return inner(f, p) + 1; }
__attribute__((noinline)) int direct(long n, callback f, void *p) { return variable(n, f, p) + 1; }
__attribute__((noinline)) int padded(long n, callback f, void *p) {
    char room[512]; __asm__ volatile(\"\" :: \"r\"(room) : \"memory\");
    return variable(n, f, p) + 2; }
int next(unsigned seed, int depth, callback f, void *p) {
    int (*volatile calls[2])(long, callback, void *) = { direct, padded }; int sum = 0;
    for (long n = 0; n < 128; n++) sum += calls[n & 1](n & 1 ? 2048 - n / 2 * 16 : 2048, f, p);
    return sum; }
";
    let saving = if cfg!(target_arch = "x86_64") {
        "-DSAVE=__asm__ volatile(\"\" ::: \"rbp\")"
    } else {
        "-DSAVE=__asm__ volatile(\"\" ::: \"x19\")"
    };
    for (name, save) in [("stale", "-DSAVE="), ("stale-saved", saving)] {
        let library = open_c(name, C_STALE, &["-O1", "-fomit-frame-pointer", save]);
        modules::invalidate();
        let mut seen = Check { max: FRAMES_MAX, ..Check::default() };
        black_box(next_of(&library)(0, 0, check, &raw mut seen));
        assert_eq!(seen.captures, 128);
    }
}

/// Code that comes where other code was is walked anew.
#[test]
fn other_modules_are_noticed() {
    let mut counts = Vec::new();
    for round in 0..3 {
        let library = open_c(&format!("tree-{round}"), C_TREE, &["-O2"]);
        modules::invalidate();
        let mut seen = Check { max: 12, ..Check::default() };
        black_box(next_of(&library)(5, 4, check, &raw mut seen));
        counts.push(seen.captures);
        drop(library);
        modules::invalidate();
    }
    assert_eq!(counts, [counts[0]; 3]);
}

/// The search for leaks is told of all that stacks are kept in: a memo holds words of stacks.
#[test]
fn mappings_are_told() {
    let _ = both(8);
    let memo = core::ptr::from_ref(pool::mine().expect("captured")).addr();
    let mut ranges = Vec::new();
    super::for_each_mapping(&mut |(start, len)| ranges.push(start..start + len));
    assert!(ranges.iter().any(|range| range.contains(&memo)));
    // Depot: buckets and a segment; a table of rules; a memo.
    assert!(4 <= ranges.len(), "{ranges:x?}");
}
