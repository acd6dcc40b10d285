//! `TestAllocator`: a leak or a finding fails its test and no other, with stacks.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use alloc_core::{AllocError, Allocator, AllocatorExt, Layout, Owned};
use alloc_gpa::{Gpa, Guard};
use alloc_testing::hostile::Backing;
use alloc_testing::{Fail, FailingAllocator, TestAllocator, TestGuard, alloc_test, run};

/// The message with which `test` fails.
fn failure(test: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(test)).expect_err("the test fails");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast_ref::<&str>().map_or_else(String::new, |s| s.to_string()),
    }
}

#[alloc_test]
fn a_clean_test_passes(gpa: &TestAllocator) {
    let numbers = gpa.alloc_fill(5, 0u32).unwrap();
    assert_eq!(gpa.gpa().stats().live_bytes, 20);
    drop(numbers);
}

#[alloc_test]
fn a_test_may_return_a_result(gpa: &TestAllocator) -> Result<(), AllocError> {
    let text = gpa.dupe_str("text")?;
    assert_eq!(&*text, "text");
    Ok(())
}

#[alloc_test]
fn a_test_may_take_the_erased_handle(gpa: &dyn Allocator) {
    assert_eq!(*gpa.create(5).unwrap(), 5);
}

#[alloc_test]
fn a_test_may_be_generic_in_its_handle(gpa: impl Allocator + Copy) {
    assert_eq!(*gpa.create(5).unwrap(), 5);
}

/// Documentation stays.
#[alloc_test]
#[should_panic(expected = "as it should")]
fn attributes_stay(gpa: &TestAllocator) {
    let _freed_by_the_unwinding = gpa.create(5).unwrap();
    panic!("as it should");
}

/// What `#[alloc_test]` writes, as a function to call.
mod failing {
    use super::*;

    #[alloc_test]
    #[ignore = "fails, as `attributes_judge_the_test` awaits"]
    pub(super) fn leaks(gpa: &TestAllocator) {
        Owned::leak(gpa.create(5u64).unwrap());
    }

    #[alloc_test]
    #[ignore = "fails, as `attributes_judge_the_test` awaits"]
    #[should_panic(expected = "as it should")]
    pub(super) fn leaks_and_panics_as_it_should(gpa: &TestAllocator) {
        Owned::leak(gpa.create(5u64).unwrap());
        panic!("as it should");
    }

    #[alloc_test]
    #[ignore = "fails, as `attributes_judge_the_test` awaits"]
    #[should_panic]
    pub(super) fn leaks_and_does_not_panic(gpa: &TestAllocator) {
        Owned::leak(gpa.create(5u64).unwrap());
    }

    #[alloc_test]
    #[ignore = "fails, as `attributes_judge_the_test` awaits"]
    pub(super) fn leaks_and_returns_an_error(gpa: &TestAllocator) -> Result<(), &'static str> {
        Owned::leak(gpa.create(5u64).unwrap());
        Err("no")
    }

    #[alloc_test]
    #[ignore = "fails, as `without_a_sentinel_nothing_is_said_to_be_checked` awaits"]
    #[should_panic]
    pub(super) fn checks_the_global_allocator() {
        panic!("never run");
    }

    #[alloc_test(live_bytes = 8, requests = 2, settings = Gpa::builder().dump(8))]
    #[ignore = "fails, as `attributes_judge_the_test` awaits"]
    pub(super) fn asks_for_too_much(gpa: &TestAllocator) {
        drop(gpa.create(0u64));
        drop(gpa.alloc_fill(9, 0u8));
    }
}

/// A leak fails a test that panics as it should, and is not taken for that panic; a test that returns
/// an error and leaks is told both.
#[test]
fn attributes_judge_the_test() {
    let left = "the test's allocator was left with 1 block leaked, 8 bytes";
    assert!(failure(failing::leaks).starts_with(left));
    assert!(failure(failing::leaks_and_panics_as_it_should).starts_with(left));
    let both = failure(failing::leaks_and_does_not_panic);
    assert!(
        both.starts_with(&format!("the test did not panic as it should; and {left}")),
        "{both}"
    );
    let both = failure(failing::leaks_and_returns_an_error);
    assert!(both.starts_with(&format!("the test returned an error: \"no\"; and {left}")), "{both}");
    let excess = failure(failing::asks_for_too_much);
    let expected = "left with 1 budget not kept:\n\
                    budget of the test exceeded: 9 live bytes of 8, by a request of 9 bytes at\n";
    assert!(excess.contains(expected) && excess.contains("test_allocator.rs"), "{excess}");
}

/// A test without an allocator of its own fails, and is not run, where the global one cannot be checked.
#[test]
fn without_a_sentinel_nothing_is_said_to_be_checked() {
    let message = failure(failing::checks_the_global_allocator);
    let start = "an `#[alloc_test]` without an allocator of its own checks the global one: the global \
                 allocator of this program is no `Sentinel`";
    assert!(message.starts_with(start), "{message}");
    for words in ["#[global_allocator]\n", "`gpa: &TestAllocator`"] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

/// The report has the stack of the allocation, with this file in it.
#[test]
fn a_leak_comes_with_its_stack() {
    let message = failure(|| {
        run(|gpa| {
            Owned::leak(gpa.alloc_fill(3, 1u8).unwrap());
        })
    });
    assert!(message.contains("1 block leaked, 3 bytes"), "{message}");
    assert!(message.contains("test_allocator.rs"), "{message}");
}

/// The guard form fails at the end of the scope.
#[test]
fn a_guard_fails_at_its_drop() {
    let message = failure(|| {
        let gpa = TestGuard::new();
        Owned::leak(gpa.create(1u16).unwrap());
    });
    assert!(message.contains("1 block leaked, 2 bytes"), "{message}");
    let clean = TestGuard::new();
    drop(clean.create(1u16));
    clean.finish();
}

/// A test that panics keeps its panic; the leak beside it is printed, and nothing aborts.
#[test]
fn a_panic_stays_the_failure() {
    let message = failure(|| {
        run(|gpa| {
            Owned::leak(gpa.create(1u32).unwrap());
            panic!("the test's own reason");
        })
    });
    assert_eq!(message, "the test's own reason");
}

/// A misuse is found at the end although everything was freed.
#[test]
fn a_double_free_fails_the_test() {
    let message = failure(|| {
        run(|gpa| {
            let layout = Layout::new::<u64>();
            let block = gpa.raw_alloc(layout).unwrap();
            for _ in 0..2 {
                // SAFETY: the second time it is not live: `Gpa` defines what happens, a finding.
                unsafe { gpa.raw_free(block, layout) };
            }
        })
    });
    assert!(message.contains("1 finding, 0 blocks leaked"), "{message}");
    assert!(message.contains("double free"), "{message}");
}

/// Reads that trap fail the test at its end, with what they read; the test itself goes on.
#[test]
fn reads_that_trap_fail_the_test() {
    let message = failure(|| {
        let gpa = TestGuard::with(Gpa::builder().guard(Guard::Every));
        let layout = Layout::new::<[u64; 2]>();
        let block = gpa.raw_alloc(layout).unwrap().cast::<u64>();
        // SAFETY: one past the end.
        let end = unsafe { block.add(2) };
        // SAFETY: none: this is the misuse that shall be found. The page behind the block traps, and is
        // open again when the finding is told.
        let past = unsafe { end.read_volatile() };
        // SAFETY: live, of that layout.
        unsafe { gpa.raw_free(block.cast(), layout) };
        // SAFETY: as above, after the free.
        let late = unsafe { block.read_volatile() };
        assert_eq!((past, late), (0, 0), "the test goes on");
        gpa.finish();
    });
    assert!(message.contains("2 findings, 0 blocks leaked"), "{message}");
    for words in ["read past the end", "read after free", "test_allocator.rs"] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

/// A leak report names the part of the program, shows the first bytes, and the cycle.
#[test]
fn a_leak_report_says_what_is_known() {
    struct Node<'a> {
        _payload: [u8; 8],
        other: std::cell::Cell<Option<&'a Node<'a>>>,
    }
    let message = failure(|| {
        let gpa = TestGuard::with(Gpa::builder().dump(8));
        let graph = gpa.gpa().tagged("graph");
        let node = || Node { _payload: *b"payload!", other: std::cell::Cell::new(None) };
        let first = ManuallyDrop::new(graph.create(node()).unwrap());
        let second = ManuallyDrop::new(graph.create(node()).unwrap());
        // SAFETY: both are leaked: they live as long as the allocator, which outlives this use.
        let [first, second] =
            [&raw const **first, &raw const **second].map(|node| unsafe { &*node });
        first.other.set(Some(second));
        second.other.set(Some(first));
        gpa.finish();
    });
    assert!(message.contains("2 blocks leaked, 32 bytes"), "{message}");
    for words in ["tag graph", "in a cycle: it leads back", "held by what is from", "payload!"] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

/// What holds a block is named by the place in the test, not by the way through an allocator's wrapper.
#[test]
fn a_holder_is_named_by_the_users_line() {
    fn chain(gpa: impl Allocator + Copy) {
        let held = gpa.create(7u64).unwrap();
        let held = core::ptr::from_mut(Owned::leak(held)).addr();
        Owned::leak(gpa.create([0, held]).unwrap());
    }
    for message in [
        failure(|| run(|gpa| chain(gpa))),
        failure(|| run(|gpa| chain(&gpa.shared()))),
        failure(|| run(|gpa| chain(&gpa.budget("all of it")))),
        failure(|| run(|gpa| chain(&FailingAllocator::new(gpa)))),
    ] {
        let holders = message.lines().filter(|line| line.contains("held by what is from "));
        let holders: Vec<_> = holders.collect();
        assert!(matches!(holders[..], [line] if line.contains("::chain at ")), "{message}");
    }
}

/// Threads of a test share its allocator; what one of them leaks fails that test.
#[test]
fn a_leak_in_a_thread_fails_the_test() {
    let message = failure(|| {
        run(|gpa| {
            std::thread::scope(|scope| {
                scope.spawn(|| Owned::leak(gpa.create(9u8).unwrap()));
                scope.spawn(|| drop(gpa.create(8u64)));
            });
        })
    });
    assert!(message.contains("1 block leaked, 1 byte"), "{message}");
}

/// Sixty-four tests side by side: each is told of its own leak and of no other's.
#[test]
fn parallel_tests_do_not_mix() {
    std::thread::scope(|scope| {
        let tests: Vec<_> = (0..64_usize)
            .map(|index| {
                scope.spawn(move || {
                    failure(|| {
                        run(|gpa| {
                            for round in 0..20 {
                                drop(gpa.alloc_fill(round, 1u8));
                            }
                            let _leaked = ManuallyDrop::new(gpa.alloc_fill(100 + index, 0u8));
                        })
                    })
                })
            })
            .collect();
        for (index, test) in tests.into_iter().enumerate() {
            let message = test.join().expect("`failure` catches");
            let expected = format!("1 block leaked, {} bytes", 100 + index);
            assert!(message.contains(&expected), "{message}");
        }
    });
}

/// The environment variable that names what a child of this program does.
const CHILD: &str = "ALLOC_TESTING_CHILD";

/// The test of the children; without the variable there is nothing to do.
#[test]
fn child() {
    match std::env::var(CHILD).as_deref() {
        Ok("panic") => run(|gpa| {
            Owned::leak(gpa.create(1u32).unwrap());
            panic!("the test's own reason");
        }),
        Ok("induced") => {
            let failing = FailingAllocator::new(Backing::new())
                .requests(Fail::Randomly { rate: 1.0, seed: 0xABC });
            drop(failing.create(1u32).expect("memory"));
        }
        Ok("leak") => run(|gpa| {
            Owned::leak(gpa.create(1u64).unwrap());
        }),
        _ => {}
    }
}

/// Runs this program with nothing but `child`, which does `what` and must fail; returns its output.
fn failing_child(what: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    let output = command.args(["--exact", "child"]).env(CHILD, what).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(101), "{text}");
    text
}

/// As the harness shows it: the test fails, by its own panic, and its leak is told beside it.
#[test]
fn a_test_that_panics_and_leaks_tells_both() {
    let output = failing_child("panic");
    assert!(output.contains("the test's own reason"), "{output}");
    assert!(output.contains("beside the panic above, the test's allocator"), "{output}");
    assert!(output.contains("1 block leaked, 4 bytes"), "{output}");
}

/// A leak fails the test in the eyes of the harness, with the stack of the allocation.
#[test]
fn a_leak_fails_in_the_eyes_of_the_harness() {
    let output = failing_child("leak");
    assert!(output.contains("child --- FAILED") || output.contains("child ... FAILED"), "{output}");
    assert!(output.contains("1 block leaked, 8 bytes"), "{output}");
    assert!(output.contains("test_allocator::child"), "{output}");
}

/// A test that panics after an induced failure is told which, and the seed that repeats it.
#[test]
fn an_induced_failure_is_told_with_its_seed() {
    let output = failing_child("induced");
    assert!(
        output.contains("note: before this panic, raw_alloc number 0 (4 bytes) at"),
        "{output}"
    );
    assert!(output.contains("was made to fail (randomly, rate 1, seed 0xabc)"), "{output}");
}
