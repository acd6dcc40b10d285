//! Our arena in the workloads of `zig/bench.zig`, as a process of its own: the same generator, the same sizes
//! in the same order, every operation through a table of functions, over pages of the system.
//!
//! `arena_side WORKLOAD OPERATIONS` prints `RAW,WORKLOAD,CPU_NS,OPERATIONS`; beside it runs
//! `bench WORKLOAD arena OPERATIONS` of Zig's.
//!
//! | workload | an operation |
//! | --- | --- |
//! | `pair` | 64 bytes taken and given back |
//! | `lifo` | one of 1000 blocks of 16 to 512 bytes, taken, and given back in reverse |
//! | `arena_reset` | one of 1000 blocks of 8 to 64 bytes; a reset that retains the capacity after each 1000 |
//! | `grow` | a `u64` pushed to a list of a million; then a reset |
//! | `large` | 1 MiB taken, its first byte written, given back |

use std::alloc::Layout;
use std::hint::black_box;
use std::process::ExitCode;
use std::ptr::NonNull;
use std::time::Duration;

use alloc_arena::{Arena, Reset};
use alloc_core::Allocator;
use alloc_page::PageAllocator;

/// Zig's generator: xorshift.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

type Over = Arena<PageAllocator>;

fn take(heap: &dyn Allocator, size: usize, align: usize) -> (NonNull<u8>, Layout) {
    let layout = Layout::from_size_align(size, align).expect("a small size has a layout");
    (black_box(heap.raw_alloc(layout).expect("a benchmark has enough memory")), layout)
}

fn give(heap: &dyn Allocator, (block, layout): (NonNull<u8>, Layout)) {
    // SAFETY: made by `take`, of this heap, and not used again.
    unsafe { heap.raw_free(block, layout) };
}

/// The erased handle, which the compiler cannot see through.
fn erased(arena: &Over) -> &dyn Allocator {
    black_box(arena)
}

fn pair(arena: &mut Over, count: u64, _: &mut Numbers) {
    let heap = erased(arena);
    for _ in 0..count {
        give(heap, take(heap, 64, 1));
    }
}

fn lifo(arena: &mut Over, count: u64, numbers: &mut Numbers) {
    let heap = erased(arena);
    let mut slots = Vec::with_capacity(1000);
    for _ in 0..count.div_ceil(1000) {
        slots.extend((0..1000).map(|_| take(heap, 16 + (numbers.next() % 497) as usize, 1)));
        while let Some(block) = slots.pop() {
            give(heap, block);
        }
    }
}

fn arena_reset(arena: &mut Over, count: u64, numbers: &mut Numbers) {
    for _ in 0..count.div_ceil(1000) {
        let heap = erased(arena);
        for _ in 0..1000 {
            take(heap, 8 + (numbers.next() % 57) as usize, 8);
        }
        arena.reset(Reset::RetainCapacity);
    }
}

/// A list's memory with more capacity: half as much again and eight, as Zig's lists grow.
#[inline(never)]
fn grown(heap: &dyn Allocator, block: NonNull<u64>, capacity: usize) -> (NonNull<u64>, usize) {
    let layout = |count| Layout::array::<u64>(count).expect("a list of a million");
    let (old, more) = (layout(capacity), capacity + capacity / 2 + 8);
    if capacity == 0 {
        return (heap.raw_alloc(layout(more)).expect("enough memory").cast(), more);
    }
    // SAFETY: made by this function, of this heap, with the layout of that capacity.
    let moved = unsafe { heap.raw_remap(block.cast(), old, layout(more).size()) };
    (moved.expect("the arena moves what does not grow").cast(), more)
}

fn grow(arena: &mut Over, count: u64, _: &mut Numbers) {
    for _ in 0..count.div_ceil(1_000_000) {
        let heap = erased(arena);
        let (mut block, mut capacity) = (NonNull::dangling(), 0);
        for item in 0..1_000_000 {
            if item == capacity {
                (block, capacity) = grown(heap, block, capacity);
            }
            // SAFETY: below the capacity.
            let place = unsafe { block.add(item) };
            // SAFETY: as above, and nobody else's.
            unsafe { place.write(item as u64) };
        }
        black_box(block);
        give(heap, (block.cast(), Layout::array::<u64>(capacity).expect("a list of a million")));
        arena.reset(Reset::RetainCapacity);
    }
}

fn large(arena: &mut Over, count: u64, _: &mut Numbers) {
    let heap = erased(arena);
    for _ in 0..count {
        let block = take(heap, 1 << 20, 1);
        // SAFETY: the block's first byte.
        unsafe { block.0.write_volatile(1) };
        give(heap, block);
    }
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "every system has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let run = match words.first().map(String::as_str) {
        Some("pair") => pair,
        Some("lifo") => lifo,
        Some("arena_reset") => arena_reset,
        Some("grow") => grow,
        Some("large") => large,
        _ => {
            eprintln!("usage: arena_side pair|lifo|arena_reset|grow|large OPERATIONS");
            return ExitCode::from(2);
        }
    };
    let Some(Ok(count)) = words.get(1).map(|word| word.parse::<u64>()) else {
        eprintln!("arena_side: OPERATIONS is a number");
        return ExitCode::from(2);
    };
    let mut arena = Arena::over(PageAllocator);
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    run(&mut arena, count / 10, &mut numbers);
    let begin = cpu_time();
    run(&mut arena, count, &mut numbers);
    let each = (cpu_time() - begin).as_nanos() as f64 / count as f64;
    println!("RAW,{},{each:.2},{count}", words[0]);
    ExitCode::SUCCESS
}
