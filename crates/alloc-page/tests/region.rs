//! Regions: memory comes and goes, addresses stay.
#![cfg(all(target_os = "linux", not(miri)))]

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use alloc_core::AllocError;
use alloc_page::{Decommit, Region, page_size};

/// How many bytes of `len` from `addr` on are in memory, by the kernel's `mincore(2)`.
fn resident_len(region: &Region, len: usize) -> usize {
    let mut pages = vec![0u8; len / page_size()];
    let start = region.base().as_ptr().cast();
    // SAFETY: `pages` has a byte for each page.
    assert_eq!(unsafe { libc::mincore(start, len, pages.as_mut_ptr().cast()) }, 0);
    pages.iter().filter(|page| **page & 1 == 1).count() * page_size()
}

/// Goal: both ways of decommitting give the memory back, and what comes again is zero, at the same
/// address. Method: the kernel's count of resident pages.
#[test]
fn memory_goes_and_comes_back_as_zeros() {
    let len = 4 << 20;
    let mut region = Region::reserve(1 << 30).unwrap();
    let base = region.base();
    for how in [Decommit::Zero, Decommit::Strict, Decommit::Strict, Decommit::Zero] {
        region.commit(0..len).unwrap();
        // SAFETY: committed above.
        let bytes = unsafe { region.bytes_mut(0..len) };
        assert!(bytes.iter().all(|byte| *byte == 0));
        bytes.fill(0xa5);
        assert_eq!(resident_len(&region, len), len);
        region.decommit(0..len, how).unwrap();
        assert_eq!(resident_len(&region, len), 0);
        assert_eq!(region.base(), base);
    }
    // After `Zero` it is committed still.
    // SAFETY: committed in the last round, and decommitted to zeros.
    assert!(unsafe { region.bytes(0..len) }.iter().all(|byte| *byte == 0));
}

/// A range's own pages, not more: its neighbours keep their bytes, partial pages theirs.
#[test]
fn neighbours_keep_their_bytes() {
    let page = page_size();
    let len = 8 * page;
    let mut region = Region::reserve(len).unwrap();
    region.commit(0..len).unwrap();
    for how in [Decommit::Zero, Decommit::Strict] {
        // SAFETY: all is committed.
        unsafe { region.bytes_mut(0..len) }.fill(1);
        region.decommit(2 * page - 1..5 * page + 1, how).unwrap();
        region.commit(2 * page..5 * page).unwrap();
        // SAFETY: all is committed again.
        let bytes = unsafe { region.bytes(0..len) };
        for (index, byte) in bytes.iter().enumerate() {
            let expected = if (2 * page..5 * page).contains(&index) { 0 } else { 1 };
            assert_eq!(*byte, expected, "{how:?} {index}");
        }
    }
    // Committing what is committed changes nothing.
    // SAFETY: all is committed.
    unsafe { region.bytes_mut(0..len) }.fill(2);
    region.commit(0..1).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { region.bytes(0..1) }, [2]);
}

#[test]
fn wrong_ranges_and_sizes_are_refused() {
    let page = page_size();
    let mut region = Region::reserve(page + 1).unwrap();
    assert_eq!(region.len(), 2 * page);
    #[expect(clippy::reversed_empty_ranges, reason = "it must be refused")]
    for range in [0..2 * page + 1, 2 * page + 1..2 * page + 1, 5..4, 0..usize::MAX] {
        assert_eq!(region.commit(range.clone()), Err(AllocError));
        assert_eq!(region.decommit(range, Decommit::Strict), Err(AllocError));
    }
    region.commit(2 * page..2 * page).unwrap();
    assert!(Region::reserve(0).is_err());
    assert!(Region::reserve(usize::MAX).is_err());
    assert!(Region::reserve(1 << (usize::BITS - 2)).is_err());
    assert!(Region::reserve_aligned(page, 3).is_err());
    for shift in [0, 12, 16, 21, 30] {
        let region = Region::reserve_aligned(page, 1 << shift).unwrap();
        assert!(region.base().addr().get().is_multiple_of(1 << shift));
    }
}

/// What the limit of the process's data leaves room for.
const ROOM: usize = 64 << 20;

/// The child's part: a commit that the system refuses after its first pages.
fn commit_beyond_a_limit() {
    let (page, len) = (page_size(), 1 << 30);
    let mut region = Region::reserve(len).unwrap();
    region.commit(page..2 * page).unwrap();
    // SAFETY: committed above.
    unsafe { region.bytes_mut(page..2 * page) }.fill(7);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let Some(data) = status.lines().find_map(|line| line.strip_prefix("VmData:")) else {
        println!("no limit");
        return;
    };
    let data_kib: usize = data.split_whitespace().next().unwrap().parse().unwrap();
    let max = libc::rlim_t::try_from(data_kib * 1024 + ROOM).unwrap();
    let limit = libc::rlimit { rlim_cur: max, rlim_max: max };
    // SAFETY: it reads the structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) }, 0);
    if region.commit(0..len).is_ok() {
        println!("no limit");
        return;
    }
    // SAFETY: committed at first; an error takes that from no page.
    assert!(unsafe { region.bytes(page..2 * page) }.iter().all(|byte| *byte == 7));
    region.decommit(0..len, Decommit::Strict).unwrap();
    region.commit(0..3 * page).unwrap();
    // SAFETY: committed above.
    assert!(unsafe { region.bytes(0..3 * page) }.iter().all(|byte| *byte == 0));
    println!("limited");
}

/// Goal: a commit that is refused halfway keeps what was committed, and the region goes on. Method: a limit of
/// the process's data, which the system looks at for each run of pages.
#[test]
#[cfg_attr(sanitized, ignore = "the sanitizers' runtimes map more than the limit")]
fn a_commit_that_is_refused_keeps_what_was_there() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(TOUCH, "limited")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    if text.contains("no limit") {
        println!("not tested: this system has no limit of a process's data");
        return;
    }
    assert!(text.contains("limited"), "{output:?}");
}

/// Set for the child: what it is to do.
const TOUCH: &str = "ALLOC_PAGE_TOUCH";

/// The child's part: touches what is not committed, or else; does nothing in an ordinary run.
#[test]
fn child() {
    let Ok(task) = std::env::var(TOUCH) else { return };
    if task == "limited" {
        return commit_beyond_a_limit();
    }
    // The region may lie just below this thread's stack, where std's handler of the signal would take
    // the fault for an overflow of the stack and abort.
    // SAFETY: the default action is a valid disposition, and nothing here relies on std's handler.
    unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
    let mut region = Region::reserve(page_size()).unwrap();
    if task != "reserved" {
        region.commit(0..1).unwrap();
        let how = if task == "strict" { Decommit::Strict } else { Decommit::Zero };
        region.decommit(0..page_size(), how).unwrap();
    }
    // SAFETY: none where the page is not committed: it is to end this process.
    unsafe { region.base().write_volatile(1) };
    println!("touched");
}

#[test]
#[cfg_attr(sanitized, ignore = "the sanitizers' runtimes take the fault")]
fn a_touch_of_what_is_not_committed_is_fatal() {
    for (task, is_fatal) in [("reserved", true), ("strict", true), ("zero", false)] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(TOUCH, task)
            .output()
            .unwrap();
        let is_touched = String::from_utf8_lossy(&output.stdout).contains("touched");
        assert_eq!(output.status.signal() == Some(libc::SIGSEGV), is_fatal, "{task} {output:?}");
        assert_eq!(is_touched, !is_fatal, "{task} {output:?}");
    }
}

/// What is dropped is unmapped: ten thousand regions of a tebibyte each fit one after the other.
#[test]
fn dropped_regions_give_their_addresses_back() {
    for _ in 0..10_000 {
        drop(Region::reserve(1 << 40).unwrap());
    }
}
