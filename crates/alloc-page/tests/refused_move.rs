//! A kernel that refuses to move blocks. A process of its own: a filter of system calls is for ever.
#![cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]

use std::process::Command;

use alloc_page::{HUGE_PAGE_LEN, HugePages, PageAllocator, page_size};
use alloc_testing::RawBlock;

/// Set for the child that runs under the filter.
const FILTERED: &str = "ALLOC_PAGE_FILTERED";

/// How much the blocks want to grow by: more than all else that the process maps.
const MORE: usize = 1 << 30;

/// `mremap(2)` to a given place fails with `ENOMEM` from now on; any other call is made.
fn refuse_moves() -> bool {
    let statement = |code: u32, k: u32, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    // Offsets in `struct seccomp_data`: the number of the call, and the lower half of its fourth argument.
    let (number, flags) = (0, 16 + 3 * 8);
    let mut program = [
        statement(load, number, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_mremap as u32, 0, 3),
        statement(load, flags, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, libc::MREMAP_FIXED as u32, 0, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOMEM as u32, 0, 0),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: numbers only.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return false;
    }
    // SAFETY: it reads the program, which is well-formed or refused.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) == 0 }
}

/// The address space in use, in bytes.
fn mapped_len() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<usize>().unwrap() * page_size()
}

/// The child's part; does nothing in an ordinary run.
#[test]
fn child() {
    if std::env::var_os(FILTERED).is_none() {
        return;
    }
    if !refuse_moves() {
        println!("no filter");
        return;
    }
    let mut aligned = RawBlock::new(PageAllocator, 100, 64 * page_size()).unwrap();
    let mut huge = RawBlock::new(HugePages::transparent(), 100, 1).unwrap();
    let mut reserved = RawBlock::new(HugePages::reserved(), 100, 1).unwrap();
    let before = mapped_len();
    assert_refused(&mut aligned, page_size());
    assert_refused(&mut huge, HUGE_PAGE_LEN);
    assert_refused(&mut reserved, HUGE_PAGE_LEN);
    assert!(mapped_len() < before + MORE, "addresses are lost");
    println!("filtered");
}

/// A growth that cannot be in place fails, and the content is there.
fn assert_refused<A: alloc_core::Allocator>(block: &mut RawBlock<A>, len: usize) {
    // A page of somebody else's right behind the `len` bytes that are mapped for the block.
    let end = block.as_ptr().as_ptr().wrapping_add(len);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: it replaces nothing.
    let found = unsafe { libc::mmap(end.cast(), page_size(), libc::PROT_NONE, flags, -1, 0) };
    block.fill(1);
    assert!(!block.remap(MORE), "there was no filter");
    block.assert_filled(100, 1);
    if found != libc::MAP_FAILED {
        // SAFETY: mapped above.
        unsafe { libc::munmap(found, page_size()) };
    }
}

/// Goal: a refused move loses no addresses. Method: a process whose kernel refuses every one.
#[test]
#[cfg_attr(sanitized, ignore = "the sanitizers' runtimes make calls of their own")]
fn refused_moves_lose_no_addresses() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FILTERED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    if text.contains("no filter") {
        println!("not tested: this system filters no system calls");
        return;
    }
    assert!(text.contains("filtered"), "{output:?}");
}
