//! One workload over one allocator as a process of its own, in the shape of `zig/bench.zig`: the same
//! generator, the same sizes in the same order, the same depth of calls, every operation through a
//! table of functions. So the two can be run side by side.
//!
//! `side WORKLOAD ALLOCATOR OPERATIONS` prints one line:
//! `RAW,WORKLOAD,ALLOCATOR,THREADS,WALL_NS,CPU_NS,OPERATIONS,PEAK_KB,TABLES_KB`, times for one
//! operation, the peak of resident memory and of page tables.
//!
//! | workload | an operation |
//! | --- | --- |
//! | `pair` | 64 bytes taken and given back |
//! | `lifo` | one of 1000 blocks of 16 to 512 bytes, taken, and given back in reverse |
//! | `random` | a take or a free in one of 10,000 slots, 16 to 1024 bytes, first and last byte written |
//! | `random2` | the same in two threads, each with slots of its own; the time is that for a step of either |
//! | `live` | 100 bytes taken and kept |

use std::alloc::{Layout, System};
use std::fs;
use std::hint::black_box;
use std::process::ExitCode;
use std::ptr::NonNull;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use alloc_bench::cpu_time;
use alloc_core::{Allocator, FromGlobal};
use alloc_gpa::Gpa;

/// Calls between the workload and `main`, so that a short stack is full.
const DEPTH: u32 = 8;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let &[workload, allocator, count] = &words[..] else {
        eprintln!("usage: side WORKLOAD ALLOCATOR OPERATIONS");
        return ExitCode::from(2);
    };
    let (Some(run), Ok(count)) = (run_of(workload), count.parse()) else {
        eprintln!("side: {workload} is no workload, or {count} no count");
        return ExitCode::from(2);
    };
    let gpa = |stacks| Gpa::builder().stacks(stacks).build();
    let measured = match allocator {
        "gpa" => run(&Gpa::new(), count),
        "gpa8" => run(&gpa(8), count),
        "gpa0" => run(&gpa(0), count),
        "system" => run(&FromGlobal::new(System), count),
        _ => {
            eprintln!("side: {allocator} is none of gpa, gpa8, gpa0, system");
            return ExitCode::from(2);
        }
    };
    let Measured { wall, cpu, count, threads } = measured;
    let each = |time: Duration| time.as_nanos() as f64 / count as f64;
    let [peak, tables] = ["VmHWM:", "VmPTE:"].map(kilobytes);
    let (wall, cpu) = (each(wall), each(cpu));
    println!("RAW,{workload},{allocator},{threads},{wall:.2},{cpu:.2},{count},{peak},{tables}");
    ExitCode::SUCCESS
}

/// What a workload took, of the wall's clock and of the processors', for how many operations.
struct Measured {
    wall: Duration,
    cpu: Duration,
    count: u64,
    threads: u32,
}

type Heap = dyn Allocator + Sync;

fn run_of(workload: &str) -> Option<fn(&Heap, u64) -> Measured> {
    Some(match workload {
        "pair" => |heap, count| alone(heap, count, pair),
        "lifo" => |heap, count| alone(heap, count.next_multiple_of(LIFO_COUNT as u64), lifo),
        "random" => |heap, count| {
            let mut table = Table::new();
            let measured =
                alone(heap, count, |heap, count, numbers| table.run(heap, count, numbers));
            table.drain(heap);
            measured
        },
        "random2" => two_randoms,
        "live" => |heap, count| {
            let mut blocks = Vec::with_capacity(count as usize);
            let measured = timed(count, 1, || {
                for _ in 0..count {
                    blocks.push(take(heap, 100));
                }
            });
            for block in blocks {
                give(heap, block, 100);
            }
            measured
        },
        _ => return None,
    })
}

/// Runs a workload at depth, a tenth of it first, which is not counted.
fn alone(heap: &Heap, count: u64, mut run: impl FnMut(&Heap, u64, &mut Numbers)) -> Measured {
    let mut numbers = Numbers(SEED);
    deep(DEPTH, &mut || {
        run(heap, count / 10, &mut numbers);
        timed(count, 1, || run(heap, count, &mut numbers))
    })
}

/// Calls itself, then `then`: frames for a stack.
#[inline(never)]
fn deep<R>(depth: u32, then: &mut dyn FnMut() -> R) -> R {
    let result = if depth == 0 { then() } else { deep(depth - 1, then) };
    // Something left to do after the call: no call becomes a jump.
    black_box(depth);
    result
}

fn timed(count: u64, threads: u32, run: impl FnOnce()) -> Measured {
    let (cpu, begin) = (cpu_time(), Instant::now());
    run();
    let wall = begin.elapsed();
    Measured { wall, cpu: cpu_time().saturating_sub(cpu), count, threads }
}

/// A value of `/proc/self/status`; 0 where there is none.
fn kilobytes(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The generator of `zig/bench.zig` (Marsaglia, Xorshift RNGs, 2003).
struct Numbers(u64);

impl Numbers {
    #[inline]
    fn below(&mut self, limit: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit) as usize
    }
}

fn bytes(size: usize) -> Layout {
    Layout::from_size_align(size, 1).expect("the workloads' sizes are small")
}

#[inline]
fn take(heap: &Heap, size: usize) -> NonNull<u8> {
    black_box(heap.raw_alloc(bytes(size)).expect("a benchmark has enough memory"))
}

#[inline]
fn give(heap: &Heap, block: NonNull<u8>, size: usize) {
    // SAFETY: every caller took `block` with this size and gives it back once.
    unsafe { heap.raw_free(block, bytes(size)) };
}

fn pair(heap: &Heap, count: u64, _: &mut Numbers) {
    for _ in 0..count {
        give(heap, take(heap, 64), 64);
    }
}

const LIFO_COUNT: usize = 1000;

fn lifo(heap: &Heap, count: u64, numbers: &mut Numbers) {
    let mut blocks = [(NonNull::dangling(), 0); LIFO_COUNT];
    for _ in 0..count.div_ceil(LIFO_COUNT as u64) {
        for block in &mut blocks {
            let size = 16 + numbers.below(497);
            *block = (take(heap, size), size);
        }
        for (block, size) in blocks.iter().rev() {
            give(heap, *block, *size);
        }
    }
}

/// Slots for blocks.
struct Table(Vec<Option<(NonNull<u8>, usize)>>);

impl Table {
    const LEN: usize = 10_000;

    fn new() -> Self {
        Self(vec![None; Self::LEN])
    }

    fn run(&mut self, heap: &Heap, count: u64, numbers: &mut Numbers) {
        for _ in 0..count {
            let slot = &mut self.0[numbers.below(Self::LEN as u64)];
            if let Some((block, size)) = slot.take() {
                give(heap, block, size);
                continue;
            }
            let size = 16 + numbers.below(1009);
            let block = take(heap, size);
            // SAFETY: the block's first byte, which nobody else has.
            unsafe { block.write(1) };
            // SAFETY: `size` is not zero: the block's last byte.
            let last = unsafe { block.add(size - 1) };
            // SAFETY: inside the block.
            unsafe { last.write(2) };
            *slot = Some((block, size));
        }
    }

    fn drain(&mut self, heap: &Heap) {
        for (block, size) in self.0.iter_mut().filter_map(Option::take) {
            give(heap, block, size);
        }
    }
}

fn two_randoms(heap: &Heap, count: u64) -> Measured {
    let (warm, each) = (count / 20, count / 2);
    // The two threads and the one that looks at the clock.
    let barrier = Barrier::new(3);
    let work = |index: u64| {
        let mut table = Table::new();
        let mut numbers = Numbers(SEED.wrapping_add(index * 0x0123_4567));
        deep(DEPTH, &mut || {
            table.run(heap, warm, &mut numbers);
            barrier.wait();
            table.run(heap, each, &mut numbers);
            barrier.wait();
        });
        table.drain(heap);
    };
    std::thread::scope(|scope| {
        for index in 0..2 {
            scope.spawn(move || work(index));
        }
        barrier.wait();
        timed(each * 2, 2, || {
            barrier.wait();
        })
    })
}
