//! What over-mapping leaves behind. A file of its own, since it counts all addresses of the process: those that
//! another test maps meanwhile as well.
#![cfg(all(target_os = "linux", not(miri)))]

use alloc_page::{PageAllocator, page_size};
use alloc_testing::RawBlock;

/// Goal: over-mapping leaves nothing behind. Method: what the process has mapped, before, during and
/// after blocks that are aligned to 1 GiB.
#[test]
fn what_is_cut_off_is_unmapped() {
    let before = mapped_len();
    for _ in 0..8 {
        let block = RawBlock::new(PageAllocator, page_size(), 1 << 30).unwrap();
        assert!(mapped_len() < before + (1 << 29), "the rest of the mapping is still there");
        drop(block);
    }
    assert!(mapped_len() < before + (1 << 29));
}

/// The address space in use, in bytes.
fn mapped_len() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<usize>().unwrap() * page_size()
}
