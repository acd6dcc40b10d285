//! What checking costs a test suite: `testing`.
//!
//! A test makes 10,000 small allocations, once under a `TestAllocator` and once under the system's
//! allocator, in turn; the processors' time of each, medians. Then every failure of code with 500
//! requests, 1,000 points, by the clock: it uses all cores.
//!
//! Under `cargo test` it runs each once, to see that they run.

use std::alloc::System;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use alloc_core::{AllocError, Allocator, AllocatorExt, FromGlobal, Owned};
use alloc_gpa::Gpa;
use alloc_testing::{AllocFailures, Settings, run_with};

/// Allocations of a test.
const ALLOCATIONS: usize = 10_000;

/// Blocks that are live at once.
const LIVE: usize = 100;

/// Requests of the code whose failures are tried; each fails alone and with all later ones.
const REQUESTS: usize = 500;

/// The test: blocks of 16 to 128 bytes, of which the last hundred are live.
fn allocate<A: Allocator + Copy>(gpa: A) {
    let mut live: [Option<Owned<[u8], A>>; LIVE] = [const { None }; LIVE];
    for index in 0..ALLOCATIONS {
        let size = 16 + index * 7 % 113;
        live[index % LIVE] = Some(gpa.alloc_fill(size, index as u8).expect("memory"));
    }
}

/// A list of many small blocks, as a parser makes.
fn build(gpa: &dyn Allocator) -> Result<(), AllocError> {
    let mut nodes = gpa.alloc_fill(REQUESTS - 1, 0usize)?;
    let mut kept: [Option<Owned<[usize], &dyn Allocator>>; REQUESTS - 1] =
        [const { None }; REQUESTS - 1];
    for (index, (node, place)) in nodes.iter_mut().zip(&mut kept).enumerate() {
        let block = gpa.alloc_fill(1 + index % 8, index)?;
        *node = block.len();
        *place = Some(block);
    }
    Ok(())
}

/// The processors' time of this process so far.
fn processor_time() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: a place for the time; the clock exists on Linux.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, time.as_mut_ptr()) };
    assert_eq!(result, 0, "the clock of the process");
    // SAFETY: the system wrote it.
    let time = unsafe { time.assume_init() };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The processors' time of some tests.
fn cost(tests: usize, test: fn()) -> Duration {
    let start = processor_time();
    (0..tests).for_each(|_| test());
    processor_time() - start
}

/// A contender: its name, and its test.
const CONTENDERS: [(&str, fn()); 3] = [
    ("system", || allocate(FromGlobal::new(System))),
    ("TestAllocator", || run_with(Settings::new(), |gpa| allocate(gpa))),
    ("TestAllocator without stacks", || {
        run_with(Gpa::builder().stacks(0), |gpa| allocate(gpa));
    }),
];

fn main() {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let (rounds, tests) = if is_measured { (9, 20) } else { (1, 1) };
    let mut times = [const { Vec::new() }; CONTENDERS.len()];
    CONTENDERS.iter().for_each(|(_, test)| test()); // warm
    for _ in 0..rounds {
        for (times, (_, test)) in times.iter_mut().zip(CONTENDERS) {
            times.push(cost(tests, test));
        }
    }
    println!("| a test of {ALLOCATIONS} allocations under | ms | ratio |\n| --- | ---: | ---: |");
    let medians = times.map(|mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3 / tests as f64
    });
    for ((name, _), median) in CONTENDERS.iter().zip(medians) {
        println!("| {name} | {median:.2} | {:.1} |", median / medians[0]);
    }
    let start = Instant::now();
    let summary = AllocFailures::new().name("bench").pairs_max(0).check(|gpa| build(gpa));
    let seconds = start.elapsed().as_secs_f64();
    println!("\nevery failure: {summary}, in {seconds:.2} s");
}
