//! Large pages, where the system has them.
#![cfg(not(miri))]

use std::sync::{Mutex, PoisonError};

use alloc_core::AllocatorExt;
use alloc_page::{HUGE_PAGE_LEN, HugePages};
use alloc_testing::RawBlock;

/// Held by the tests that take pages which were set aside: there is one number of them.
static RESERVED: Mutex<()> = Mutex::new(());

/// Both kinds: aligned to large pages, zero, usable to the last byte; sizes change by large pages.
#[test]
fn blocks_are_whole_large_pages() {
    let _alone = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    for (alloc, always_grows) in
        [(HugePages::transparent(), cfg!(target_os = "linux")), (HugePages::reserved(), false)]
    {
        for (size, align) in [(1, 1), (HUGE_PAGE_LEN, 8), (HUGE_PAGE_LEN + 1, 8 << 20)] {
            let mut block = RawBlock::new_zeroed(alloc, size, align).unwrap();
            assert!(block.addr().is_multiple_of(align.max(HUGE_PAGE_LEN)));
            assert!(block.bytes().iter().all(|byte| *byte == 0));
            block.fill(1);
            let all = size.next_multiple_of(HUGE_PAGE_LEN);
            assert!(block.resize(all) && block.resize(1), "the same pages, and fewer");
            block.assert_filled(1, 1);
        }
        let mut grown = RawBlock::new(alloc, 100, 8).unwrap();
        grown.fill(2);
        // The kernel does not grow a mapping of pages that were set aside.
        assert!(grown.remap(3 * HUGE_PAGE_LEN) || !always_grows);
        grown.assert_filled(100, 2);
    }
}

/// Goal: the kernel is asked for large pages, and gives them if it can. Method: its flags of the mapping.
#[test]
#[cfg(target_os = "linux")]
fn the_kernel_is_told() {
    let block = HugePages::transparent().alloc_fill(4 << 20, 1u8).unwrap();
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let start = format!("{:x}", block.as_ptr().addr());
    let ours = smaps.split_inclusive("\nVmFlags:").zip(smaps.split("\nVmFlags:").skip(1));
    let flags = ours
        .filter(|(mapping, _)| mapping.contains(&start))
        .map(|(_, rest)| rest.lines().next().unwrap());
    // A neighbour of the same kind may have been joined: then the line is of both.
    let flags: Vec<&str> = flags.collect();
    let is_told = flags.iter().any(|flags| flags.contains(" hg"));
    let has_support = std::fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap();
    assert!(is_told || !has_support || flags.is_empty(), "{flags:?}");
}

/// Pages that were set aside are taken from there, and go back.
#[test]
#[cfg(target_os = "linux")]
fn reserved_pages_are_used_where_there_are_some() {
    let _alone = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    let free = || -> usize {
        let info = std::fs::read_to_string("/proc/meminfo").unwrap();
        let line = info.lines().find(|line| line.starts_with("HugePages_Free:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let before = free();
    if before < 2 {
        println!("not tested: this system has set no large pages aside");
        return;
    }
    let block = HugePages::reserved().alloc_fill(HUGE_PAGE_LEN + 1, 1u8).unwrap();
    assert_eq!(free(), before - 2);
    drop(block);
    assert_eq!(free(), before);
}
