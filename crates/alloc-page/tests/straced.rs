//! What strace says of the page allocator: a second witness beside the seam of `src/sys/tests.rs`.
#![cfg(all(target_os = "linux", not(miri)))]

use std::process::Command;

use alloc_core::Allocator;
use alloc_page::{PageAllocator, page_size};
use std::alloc::Layout;

/// Set for the child that runs under strace.
const STRACED: &str = "ALLOC_PAGE_STRACED";

/// The first number of the marks, which are calls with an argument that nobody else passes.
const MARK: libc::pid_t = 0x6d61_7200;

fn mark(number: libc::pid_t) {
    // SAFETY: it asks for the group of a process that does not exist.
    unsafe { libc::getpgid(MARK + number) };
}

/// The child's part, between marks: take, grow by 1 GiB, shrink, and give back. Does nothing in an ordinary
/// run.
#[test]
fn child() {
    if std::env::var_os(STRACED).is_none() {
        return;
    }
    assert!(page_size().is_power_of_two(), "asked before the marks");
    let layout = |size| Layout::from_size_align(size, 64).unwrap();
    let (small, large, gib) = (layout(100), layout(1 << 30), 1 << 30);
    mark(0);
    let block = PageAllocator.raw_alloc(small).unwrap();
    mark(1);
    // SAFETY: live, with this layout; the new size makes one.
    let block = unsafe { PageAllocator.raw_remap(block, small, gib) }.unwrap();
    mark(2);
    // SAFETY: the same.
    let block = unsafe { PageAllocator.raw_remap(block, large, 2 * gib) }.unwrap();
    mark(3);
    // SAFETY: the same.
    assert!(unsafe { PageAllocator.raw_resize(block, layout(2 * gib), 100) });
    mark(4);
    // SAFETY: the same.
    assert!(unsafe { PageAllocator.raw_resize(block, small, 4000) });
    mark(5);
    // SAFETY: live, with the layout of the last resize.
    unsafe { PageAllocator.raw_free(block, layout(4000)) };
    mark(6);
}

/// One call for each operation that changes the number of pages, none for the other.
#[test]
#[cfg_attr(sanitized, ignore = "the sanitizers' runtimes make calls of their own")]
fn strace_sees_one_call_each() {
    let log = std::env::temp_dir().join(format!("alloc-page-{}.strace", std::process::id()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=%memory,getpgid", "-o"]).arg(&log);
    strace.arg(std::env::current_exe().unwrap()).args(["--exact", "child"]);
    let Ok(output) = strace.env(STRACED, "1").output() else {
        println!("not tested: there is no strace");
        return;
    };
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(&log);
    if !text.contains("getpgid") {
        println!(
            "not tested: strace cannot trace here: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    assert!(output.status.success(), "{output:?}");
    // Other threads of the test's harness may be at work: only the marks' own thread counts.
    let marked = format!("getpgid({MARK}");
    let thread =
        text.lines().find(|line| line.contains(&marked)).unwrap().split(' ').next().unwrap();
    let mut calls: Vec<Vec<&str>> = Vec::new();
    for line in text.lines().filter(|line| line.split(' ').next() == Some(thread)) {
        let call = line[thread.len()..].trim_start().split('(').next().unwrap();
        match calls.last_mut() {
            _ if call == "getpgid" => calls.push(Vec::new()),
            Some(between) => between.push(call),
            None => {}
        }
    }
    let expected: [&[&str]; 6] =
        [&["mmap"], &["mremap"], &["mremap"], &["munmap"], &[], &["munmap"]];
    assert_eq!(calls[..6], expected, "{text}");
}
