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
    let flags = flags_at(block.as_ptr().addr());
    let has_support = std::fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap();
    assert!(flags.contains(" hg") || !has_support, "{flags}");
}

/// The kernel's flags of the mapping that an address lies in. It may begin before: the kernel joins neighbours of
/// the same kind.
#[cfg(target_os = "linux")]
fn flags_at(addr: usize) -> String {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = smaps.lines().skip_while(|line| {
        let range = line.split(' ').next().unwrap().split_once('-');
        let parse = |text| usize::from_str_radix(text, 16).unwrap_or(usize::MAX);
        !range.is_some_and(|(start, end)| parse(start) <= addr && addr < parse(end))
    });
    lines.find(|line| line.starts_with("VmFlags:")).unwrap().to_owned()
}

/// Goal: pages that were set aside are taken from there, and go back. Method: what this process has of them, by
/// the kernel's count.
#[test]
#[cfg(target_os = "linux")]
fn reserved_pages_are_used_where_there_are_some() {
    let _alone = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    let before = own_kib();
    let block = HugePages::reserved().alloc_fill(HUGE_PAGE_LEN + 1, 1u8).unwrap();
    let taken_kib = own_kib() - before;
    // They are the system's: another process may take them, as long as this one has none.
    if taken_kib == 0 && free_count() < 2 {
        println!("not tested: this system has set no large pages aside, or lent them to others");
        return;
    }
    assert_eq!(taken_kib, 2 * HUGE_PAGE_LEN / 1024);
    drop(block);
    assert_eq!(own_kib(), before);
}

/// The memory that this process has in pages that were set aside.
#[cfg(target_os = "linux")]
fn own_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = status.lines().find_map(|line| line.strip_prefix("HugetlbPages:"));
    own.map_or(0, |own| own.split_whitespace().next().unwrap().parse().unwrap())
}

/// How many pages are set aside that nobody has, nor may claim.
#[cfg(target_os = "linux")]
fn free_count() -> usize {
    let count = |what| {
        let path = format!("/sys/kernel/mm/hugepages/hugepages-2048kB/{what}_hugepages");
        std::fs::read_to_string(path).map_or(0, |count| count.trim().parse::<usize>().unwrap())
    };
    count("free").saturating_sub(count("resv"))
}
