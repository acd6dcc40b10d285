//! What a `Sentinel` adds to each call while nothing is watched: run under a counter of instructions, once
//! with the argument `system` and once with `sentinel`; the difference of the two, by the number of steps.
//!
//! ```console
//! $ cargo build --release -p alloc-testing --example sentinel_cost
//! $ valgrind --tool=callgrind target/release/examples/sentinel_cost sentinel 1000000
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

use alloc_testing::Sentinel;

static SENTINEL: Sentinel = Sentinel::new();

/// Allocates and frees a block so many times.
#[inline(never)]
fn steps(heap: &impl GlobalAlloc, count: u64) {
    let layout = Layout::new::<[u64; 4]>();
    for _ in 0..count {
        // SAFETY: the layout has a size.
        let block = black_box(unsafe { heap.alloc(black_box(layout)) });
        if !block.is_null() {
            // SAFETY: just allocated, with this layout, by this allocator.
            unsafe { heap.dealloc(block, black_box(layout)) };
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (heap, count) = (arguments.next(), arguments.next());
    let count = count.and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    match heap.as_deref() {
        Some("system") => steps(&System, count),
        Some("sentinel") => steps(&SENTINEL, count),
        _ => eprintln!("usage: sentinel_cost system|sentinel [STEPS]"),
    }
}
