//! Allocates and frees many blocks in one process, with a window of live ones, and prints what memory
//! the process takes: `cargo run --release -p alloc-gpa --example many -- 100000000`. A second number is the
//! quarantine in bytes, after which addresses are used again.

use alloc_core::{Allocator, Layout};
use alloc_gpa::{Check, Gpa};

/// Blocks that are live at a time.
const WINDOW: usize = 1000;

/// Values of `/proc/self/status`, in KiB.
fn status(keys: [&str; 3]) -> [u64; 3] {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    keys.map(|key| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
    })
}

fn main() {
    let argument = std::env::args().nth(1);
    let count: u64 = argument.and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
    let quarantine = std::env::args().nth(2).and_then(|text| text.parse().ok());
    let builder = Gpa::builder();
    let gpa = quarantine.map_or(builder, |bytes| builder.quarantine(bytes)).build();
    let mut window = std::collections::VecDeque::with_capacity(WINDOW);
    let mut random = 1u64;
    for index in 0..count {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let size = 16 + (random >> 40) as usize % 200;
        let layout = Layout::from_size_align(size, 8).expect("a small size");
        let block = gpa.raw_alloc(layout).expect("memory");
        // SAFETY: live, and not of size zero.
        unsafe { block.write(1) };
        window.push_back((block, layout));
        if window.len() == WINDOW
            && let Some((block, layout)) = window.pop_front()
        {
            // SAFETY: live, allocated with this layout.
            unsafe { gpa.raw_free(block, layout) };
        }
        if (index + 1) % (count / 10).max(1) == 0 {
            let [rss, tables, size] = status(["VmRSS:", "VmPTE:", "VmSize:"]);
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
            let mappings = maps.lines().count();
            println!(
                "{:>11} blocks: {rss} KiB resident, {tables} KiB of page tables, {} MiB of addresses, \
                 {mappings} mappings",
                index + 1,
                size >> 10
            );
        }
    }
    for (block, layout) in window {
        // SAFETY: live, allocated with this layout.
        unsafe { gpa.raw_free(block, layout) };
    }
    assert_eq!(gpa.deinit(), Check::Ok);
}
