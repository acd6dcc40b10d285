//! Guards stop what leaves a block: in a child process, which they end.
#![cfg(all(target_os = "linux", not(miri)))]

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use alloc_core::AllocatorExt;
use alloc_page::{GuardedPages, page_size};
use alloc_testing::RawBlock;

/// What the child does: the name of a kind of block, its size, its alignment, and the offset it writes.
const TASK: &str = "ALLOC_PAGE_GUARD_TASK";

fn kind(name: &str) -> GuardedPages {
    match name {
        "right" => GuardedPages::right_aligned(),
        "left" => GuardedPages::left_aligned(),
        other => panic!("no kind of guard is called {other}"),
    }
}

/// The child's part; does nothing in an ordinary run.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let words: Vec<&str> = task.split(' ').collect();
    let number = |index: usize| words[index].parse::<isize>().unwrap();
    let (size, align) = (number(1).cast_unsigned(), number(2).cast_unsigned());
    // The guard page may lie just below this thread's stack, where std's handler of the signal would
    // take the fault for an overflow of the stack and abort.
    // SAFETY: the default action is a valid disposition, and nothing here relies on std's handler.
    unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
    let block = RawBlock::new(kind(words[0]), size, align).unwrap();
    let place = block.as_ptr().as_ptr().wrapping_offset(number(3));
    // SAFETY: none. It writes outside of the block, where the guard page is to stop it.
    unsafe { place.write_volatile(1) };
    println!("written");
}

/// Whether a write at `offset` ends the process.
fn is_stopped(kind: &str, size: usize, align: usize, offset: isize) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(TASK, format!("{kind} {size} {align} {offset}"))
        .output()
        .unwrap();
    let is_written = String::from_utf8_lossy(&output.stdout).contains("written");
    let signal = output.status.signal();
    assert_eq!(is_written, signal.is_none(), "{output:?}");
    assert!(signal.is_none_or(|signal| signal == libc::SIGSEGV), "{output:?}");
    signal.is_some()
}

/// One byte behind a right-aligned block, one before a left-aligned one; and on the other side as far as the guard
/// page surely reaches: what lies behind that is anybody's.
#[test]
#[cfg_attr(sanitized, ignore = "the sanitizers' runtimes take the fault")]
fn a_write_outside_is_stopped() {
    let page = page_size().cast_signed();
    for (size, align) in [(1_usize, 1), (100, 4), (4096, 16), (5000, 8), (65536, 65536)] {
        let end = size.cast_signed();
        assert!(is_stopped("right", size, align, end), "{size}");
        assert!(!is_stopped("right", size, align, end - 1), "{size}");
        assert!(is_stopped("right", size, align, -page), "{size}");
        assert!(is_stopped("left", size, align, -1), "{size}");
        assert!(!is_stopped("left", size, align, 0), "{size}");
        assert!(is_stopped("left", size, align, end + page - 1), "{size}");
    }
    // What the alignment leaves behind a block is within reach.
    assert!(!is_stopped("right", 100, 16, 100) && is_stopped("right", 100, 16, 112));
}

/// Both kinds at sizes and alignments around a page: where they should be, zero, and all usable.
#[test]
fn blocks_touch_their_guard() {
    let page = page_size();
    for shift in 0..18 {
        let align = 1 << shift;
        for size in [1, 24, page - 1, page, page + 1, 3 * page] {
            let right = RawBlock::new_zeroed(GuardedPages::right_aligned(), size, align).unwrap();
            assert!(right.addr().is_multiple_of(align));
            assert!((right.addr() + size).next_multiple_of(align).is_multiple_of(page));
            assert!(right.bytes().iter().all(|byte| *byte == 0));
            let left = RawBlock::new_zeroed(GuardedPages::left_aligned(), size, align).unwrap();
            assert!(left.addr().is_multiple_of(page) && left.addr().is_multiple_of(align));
            assert!(left.bytes().iter().all(|byte| *byte == 0));
        }
    }
}

/// A right-aligned block cannot grow; a left-aligned one can, to the end of its page.
#[test]
fn growth_stays_inside_the_guards() {
    let page = page_size();
    let mut right = RawBlock::new(GuardedPages::right_aligned(), 100, 8).unwrap();
    assert!(!right.resize(108) && !right.resize(92) && !right.remap(1000));
    assert!(right.resize(97) && right.resize(104), "what its alignment leaves");
    let mut left = RawBlock::new(GuardedPages::left_aligned(), 100, 8).unwrap();
    assert!(left.resize(page) && left.resize(1) && !left.resize(page + 1));
    let grown = GuardedPages::right_aligned().alloc_fill(10, 1u8).unwrap();
    let grown = alloc_core::Owned::grow_with(grown, 10_000, |_| 2).map_err(|(_, e)| e).unwrap();
    assert!(grown.iter().take(10).all(|&byte| byte == 1) && grown[9_999] == 2);
}
