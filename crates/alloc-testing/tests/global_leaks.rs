//! Tests without an allocator of their own are judged by what they leave in the global one: by this crate's
//! runner, whose outer tests run this program again, with suites that fail.
//!
//! The variable `ALLOC_TESTING_CHILD` says which suite a child runs.

use std::process::{Command, ExitCode, Output};

use alloc_testing::runner::Runner;
use alloc_testing::{Sentinel, suites};

#[global_allocator]
static ALLOC: Sentinel = Sentinel::new();

/// Names what a child of this program runs.
const CHILD: &str = "ALLOC_TESTING_CHILD";

fn main() -> ExitCode {
    match std::env::var(CHILD).ok().as_deref() {
        None => Runner::new(suites![outer, clean]).run(),
        Some("faulty") => Runner::new(suites![faulty]).run(),
        Some(other) => panic!("no suite {other}"),
    }
}

fn child(suite: &str) -> Output {
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new(program);
    command.args(["--format", "json", "--jobs", "8"]).env(CHILD, suite);
    command.env_remove(alloc_testing::SEED_VARIABLE).output().expect("a child")
}

/// What passes, in parallel.
#[alloc_testing::suite]
mod clean {
    use std::hint::black_box;
    use std::sync::OnceLock;
    use std::thread;

    use alloc_testing::alloc_test;

    static KEPT: OnceLock<Vec<u8>> = OnceLock::new();

    #[alloc_test]
    fn frees_what_it_takes() -> Result<(), std::num::ParseIntError> {
        let sum: u32 = format!("{}", 40).parse::<u32>()? + 2;
        assert_eq!(sum, 42);
        Ok(())
    }

    #[alloc_test]
    fn what_a_static_keeps_is_no_leak() {
        assert_eq!(KEPT.get_or_init(|| vec![7; 70])[69], 7);
    }

    #[alloc_test]
    fn a_thread_frees_what_it_takes() {
        let thread = thread::spawn(|| black_box(vec![1u8; 33]));
        assert_eq!(thread.join().expect("no panic").len(), 33);
    }

    #[alloc_test]
    #[should_panic(expected = "as it should")]
    fn panics_and_leaks_nothing() {
        let _freed_by_the_unwinding = black_box(vec![1u8; 34]);
        panic!("as it should: {}", 1);
    }

    #[alloc_test(block_on = super::block_on)]
    async fn a_future_frees_what_it_takes() {
        let block = black_box(vec![1u8; 35]);
        std::future::ready(()).await;
        assert_eq!(block.len(), 35);
    }
}

/// Runs a future that is ready at once.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// What fails: each with blocks of its own size.
#[alloc_testing::suite]
mod faulty {
    use std::alloc::{Layout, dealloc};
    use std::hint::black_box;
    use std::mem::ManuallyDrop;
    use std::thread;

    use alloc_testing::alloc_test;

    #[inline(never)]
    fn lose(size: usize) {
        black_box(&ManuallyDrop::new(vec![1u8; size]));
    }

    #[alloc_test]
    fn leaks_100() {
        lose(100);
    }

    #[alloc_test]
    fn leaks_101_in_a_thread() {
        thread::spawn(|| lose(101)).join().expect("no panic");
    }

    #[alloc_test]
    fn leaks_102_and_panics() {
        lose(102);
        panic!("for a reason of its own");
    }

    #[alloc_test]
    #[should_panic]
    fn leaks_103_and_panics_as_it_should() {
        lose(103);
        panic!("as it should");
    }

    #[alloc_test]
    fn leaks_104_and_returns_an_error() -> Result<(), String> {
        lose(104);
        Err("in words".to_owned())
    }

    #[alloc_test(block_on = super::block_on)]
    async fn leaks_105_in_a_future() {
        std::future::ready(()).await;
        lose(105);
    }

    #[alloc_test]
    fn frees_with_another_layout() {
        let block = Box::into_raw(Box::new([1u8; 64]));
        // SAFETY: the block is live; the size is wrong, which a region of the sentinel defines: a finding.
        unsafe { dealloc(block.cast(), Layout::new::<[u8; 32]>()) };
    }

    #[alloc_test]
    fn passes_beside_them() {
        drop(black_box(vec![1u8; 200]));
    }
}

#[alloc_testing::suite]
mod outer {
    use serde_json::{Value, json};

    use super::child;

    /// Each faulty test is told of its own fault, and of no other's.
    #[test]
    fn each_leak_fails_its_test() {
        let output = child("faulty");
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code(), Some(1), "{text}");
        let events: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let of = |name: &str| {
            let name = format!("faulty::{name}");
            events.iter().rfind(|event| event["name"] == *name).expect("an event")
        };
        for (name, size, kinds) in [
            ("leaks_100", 100, json!(["leak"])),
            ("leaks_101_in_a_thread", 101, json!(["leak"])),
            ("leaks_102_and_panics", 102, json!(["panic", "leak"])),
            ("leaks_103_and_panics_as_it_should", 103, json!(["leak"])),
            ("leaks_104_and_returns_an_error", 104, json!(["error", "leak"])),
            ("leaks_105_in_a_future", 105, json!(["leak"])),
        ] {
            let event = of(name);
            assert_eq!(event["kinds"], kinds, "{event}");
            assert_eq!(
                (&event["leaked_blocks"], &event["leaked_bytes"]),
                (&1.into(), &size.into())
            );
            let told = event["text"].as_str().expect("a text");
            assert!(told.contains("of the global allocator: 1 block leaked"), "{told}");
            assert!(told.contains("global_leaks.rs"), "{told}");
        }
        let event = of("frees_with_another_layout");
        assert_eq!(event["findings"], 1, "{event}");
        assert_eq!(of("passes_beside_them")["event"], "ok", "{text}");
    }
}
