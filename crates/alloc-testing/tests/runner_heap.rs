//! Between the first line of `main` and that of the first test nothing is taken from the global
//! allocator. Before `main`, std takes two blocks itself, for its handler of stack overflows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use alloc_core::AllocatorExt;
use alloc_testing::runner::Runner;
use alloc_testing::{TestAllocator, alloc_test, suite, suites};

/// Counts what is taken from the system's heap. Relaxed: a number that is read in the thread that
/// counted, or after all others ended.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What had been counted at the first line of `main`.
static AT_MAIN: AtomicUsize = AtomicUsize::new(0);

/// How much was taken since `main` began.
fn taken() -> usize {
    COUNT.load(Relaxed) - AT_MAIN.load(Relaxed)
}

#[global_allocator]
static GLOBAL: Counting = Counting;

// SAFETY: it passes everything on to `System`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[suite]
mod tests {
    use super::*;

    /// Runs one test of this program alone, as the first of its process.
    fn runs_alone(name: &str) {
        let program = std::env::current_exe().unwrap();
        let mut child = std::process::Command::new(program);
        child.args(["--ignored", "--exact", name, "--jobs", "2", "--seed", "5"]);
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    #[test]
    fn nothing_is_taken_before_the_first_test() {
        runs_alone("tests::takes_nothing");
        runs_alone("tests::takes_one_block");
    }

    #[test]
    #[ignore = "run alone by `nothing_is_taken_before_the_first_test`"]
    fn takes_nothing() {
        assert_eq!(taken(), 0, "taken from the heap before the first test");
    }

    #[alloc_test]
    #[ignore = "run alone by `nothing_is_taken_before_the_first_test`"]
    fn takes_one_block(gpa: &TestAllocator) {
        assert_eq!(taken(), 1, "what threads of the test share");
        drop(gpa.create(1).unwrap());
    }
}

fn main() -> std::process::ExitCode {
    AT_MAIN.store(COUNT.load(Relaxed), Relaxed);
    Runner::new(suites![tests]).run()
}
