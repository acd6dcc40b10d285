//! What concerns a whole process: each in a child of its own.
#![cfg(all(target_os = "linux", not(miri)))]

use std::process::Command;

use alloc_core::{AllocError, AllocatorExt, Owned};
use alloc_page::{
    Decommit, PageAllocator, Region, dont_dump, limit_address_space, lock_all, page_size,
};

/// What the child does.
const TASK: &str = "ALLOC_PAGE_PROCESS_TASK";

/// The child's part; does nothing in an ordinary run.
#[test]
fn child() {
    match std::env::var(TASK).as_deref() {
        Ok("limit") => limit(),
        Ok("lock") => lock(),
        _ => return,
    }
    println!("done");
}

/// A request beyond the limit is an error, what is below works; the limit can be raised again.
fn limit() {
    let before = statm_len();
    limit_address_space(before + (64 << 20)).unwrap();
    assert_eq!(PageAllocator.alloc::<u8>(100 << 20).map(drop), Err(AllocError));
    drop(PageAllocator.alloc_fill(8 << 20, 1u8).unwrap());
    limit_address_space(usize::MAX).unwrap();
    drop(PageAllocator.alloc::<u8>(100 << 20).unwrap());
}

fn statm_len() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<usize>().unwrap() * page_size()
}

/// All mappings are locked from then on, new ones when they are touched.
fn lock() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it fills the structure.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) }, 0);
    let is_free = may_lock() || limit.rlim_cur == libc::RLIM_INFINITY;
    match lock_all() {
        Ok(()) => {
            let block = PageAllocator.alloc_fill(10 * page_size(), 1u8).unwrap();
            assert!(flags_at(block.as_ptr().addr()).contains(" lo"));
            locked_pages_become_zeros();
        }
        Err(error) => {
            assert!(!is_free, "{error}");
            assert!([libc::ENOMEM, libc::EPERM, libc::EAGAIN].contains(&error.code), "{error}");
            assert!(std::io::Error::from(error).to_string().contains("os error"));
        }
    }
}

/// Whether the process may lock as much as it likes: most superusers may, not those of many containers, nor those
/// of a user namespace, whose privileges are not the system's.
fn may_lock() -> bool {
    /// Of linux/capability.h.
    const CAP_IPC_LOCK: u32 = 14;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let users = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    u64::from_str_radix(effective.trim(), 16).unwrap() >> CAP_IPC_LOCK & 1 == 1
        && users.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Goal: a region gives the memory of pages back that are locked, as all are now. Method: they are zeros, where
/// the kernel does that for locked pages at all (Linux 5.18).
fn locked_pages_become_zeros() {
    const MADV_DONTNEED_LOCKED: libc::c_int = 24;
    let len = 10 * page_size();
    let mut region = Region::reserve(len).unwrap();
    region.commit(0..len).unwrap();
    // SAFETY: committed above.
    unsafe { region.bytes_mut(0..len) }.fill(1);
    let probe = PageAllocator.alloc_fill(page_size(), 1u8).unwrap();
    let start = Owned::as_ptr(&probe).cast();
    // SAFETY: pages of that block, which is not looked at again.
    let is_known = unsafe { libc::madvise(start, page_size(), MADV_DONTNEED_LOCKED) } == 0;
    let zeroed = region.decommit(0..len, Decommit::Zero);
    assert!(zeroed.is_ok() || !is_known, "{zeroed:?}");
    if zeroed.is_ok() {
        // SAFETY: committed above, and still.
        assert!(unsafe { region.bytes(0..len) }.iter().all(|byte| *byte == 0));
    }
    region.decommit(0..len, Decommit::Strict).unwrap();
}

/// The kernel's flags of the mapping that an address lies in.
fn flags_at(addr: usize) -> String {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut is_here = false;
    for line in smaps.lines() {
        let range = line.split(' ').next().unwrap().split_once('-');
        if let Some((start, end)) = range
            && let Ok(start) = usize::from_str_radix(start, 16)
            && let Ok(end) = usize::from_str_radix(end, 16)
        {
            is_here = start <= addr && addr < end;
        }
        if is_here && line.starts_with("VmFlags:") {
            return line.to_owned();
        }
    }
    panic!("{addr:x} is mapped nowhere")
}

fn run(task: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(TASK, task)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("done"), "{output:?}");
}

#[test]
#[cfg_attr(
    sanitized,
    ignore = "the sanitizers' runtimes need more addresses than any limit leaves"
)]
fn the_address_space_is_limited() {
    run("limit");
}

#[test]
#[cfg_attr(sanitized, ignore = "the sanitizers' runtimes map more than can be locked")]
fn everything_is_locked() {
    run("lock");
}

/// Goal: blocks are left out of dumps, their neighbours are not. Method: the kernel's flags.
#[test]
fn blocks_are_left_out_of_dumps() {
    let page = page_size();
    let cache = PageAllocator.alloc_zeroed::<u8>(16 * page).unwrap();
    assert_eq!(dont_dump(cache[4 * page..8 * page].chunks(page / 2)), Ok(1));
    let is_out = |index: usize| flags_at(cache.as_ptr().addr() + index * page).contains(" dd");
    assert!((0..16).all(|index| is_out(index) == (4..8).contains(&index)));
}
