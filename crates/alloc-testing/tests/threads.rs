//! Threads and tasks of a test: what they do fails the test that started them.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use alloc_core::{Allocator, AllocatorExt, Layout, Owned};
use alloc_testing::__private::driven;
use alloc_testing::{Settings, TestAllocator, alloc_test, run, run_async, run_with};

/// The message with which `test` fails under these settings.
fn failure(settings: Settings, test: impl FnOnce(&TestAllocator)) -> String {
    let run = AssertUnwindSafe(|| run_with(settings, test));
    let payload = catch_unwind(run).expect_err("the test fails");
    *payload.downcast::<String>().expect("the report")
}

/// A thread that was joined is the test's own: what it leaks and what it misuses.
#[test]
fn what_a_thread_does_fails_its_test() {
    let message = failure(Settings::new(), |gpa| {
        let gpa = gpa.shared();
        let thread = thread::Builder::new().name("worker".to_owned());
        let thread = thread.spawn(move || {
            Owned::leak(gpa.create(1u64).unwrap());
            let block = gpa.raw_alloc(Layout::new::<u32>()).unwrap();
            for _ in 0..2 {
                // SAFETY: the second time it is not live: `Gpa` defines what happens, a finding.
                unsafe { gpa.raw_free(block, Layout::new::<u32>()) };
            }
        });
        thread.unwrap().join().unwrap();
    });
    assert!(message.contains("left with 1 finding, 1 block leaked, 8 bytes:"), "{message}");
    for words in ["double free", "(worker)", "threads.rs"] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

/// A block that goes to another test and is freed there is a finding there, and a leak here.
#[test]
fn a_block_of_another_test_is_known() {
    let layout = Layout::new::<u64>();
    let mut block = None;
    let here = failure(Settings::new(), |gpa| {
        block = Some(gpa.raw_alloc(layout).unwrap());
        let there = failure(Settings::new(), |other| {
            drop(other.create(1u8)); // a heap of its own
            // SAFETY: of another allocator: `Gpa` defines what happens, a finding.
            unsafe { other.raw_free(block.unwrap(), layout) };
        });
        assert!(there.contains("1 finding, 0 blocks leaked"), "{there}");
        assert!(there.contains("block of another allocator"), "{there}");
    });
    assert!(here.contains("1 block leaked, 8 bytes"), "{here}");
}

/// A thread that panics fails the test although nobody asks how it ended, unless the test allows it.
#[test]
fn a_thread_that_panics_fails_the_test() {
    let panics = |gpa: &TestAllocator| {
        let gpa = gpa.shared();
        let thread = thread::Builder::new().name("worker".to_owned());
        let thread = thread.spawn(move || {
            let _freed_by_the_unwinding = gpa.create(1u64).unwrap();
            panic!("the thread's own reason");
        });
        assert!(thread.unwrap().join().is_err());
    };
    let message = failure(Settings::new(), panics);
    assert!(message.contains("left with 1 thread panicked:"), "{message}");
    assert!(message.contains("a thread (worker) panicked"), "{message}");
    run_with(Settings::new().allow_thread_panics(), panics);
}

/// A thread that goes on is told, with the line that gave it its handle; its memory stays valid until
/// it ends.
#[test]
fn a_thread_that_still_runs_fails_the_test() {
    let (go, wait) = mpsc::channel::<()>();
    let mut late = None;
    let message = failure(Settings::new().grace(Duration::ZERO), |gpa| {
        let gpa = gpa.shared();
        late = Some(thread::spawn(move || {
            let mut block = gpa.alloc_fill(1000, 1u8).unwrap();
            wait.recv().expect("the word to go on");
            block[999] = 2;
            drop(block);
            drop(gpa.create(3u64).unwrap());
        }));
    });
    assert!(message.contains("1 handle in use by threads"), "{message}");
    assert!(message.contains("still in use when the test ended"), "{message}");
    assert!(message.contains("threads.rs"), "{message}");
    go.send(()).unwrap();
    late.unwrap().join().expect("the allocator outlives the test");
}

/// A thread that is at work is waited for, though that takes longer than the grace.
#[cfg(target_os = "linux")]
#[test]
fn a_thread_at_work_is_waited_for() {
    run_with(Settings::new().grace(Duration::from_nanos(1)), |gpa| {
        let gpa = gpa.shared();
        thread::spawn(move || {
            let block = gpa.create(1u64).unwrap();
            let start = std::time::Instant::now();
            while start.elapsed() < Duration::from_millis(100) {
                std::hint::spin_loop();
            }
            drop(block);
        });
    });
}

/// A thread that is about to end is waited for.
#[test]
fn a_thread_that_ends_soon_passes() {
    run_with(Settings::new().grace(Duration::from_secs(60)), |gpa| {
        let gpa = gpa.shared();
        thread::spawn(move || {
            let block = gpa.create(1u64).unwrap();
            thread::sleep(Duration::from_millis(20));
            drop(block);
        });
    });
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// The macro form, with a runtime of the test's choice.
#[alloc_test(block_on = block_on)]
async fn an_async_test_passes(gpa: &TestAllocator) {
    let block = gpa.create(1u64).unwrap();
    tokio::task::yield_now().await;
    assert_eq!(*block, 1);
}

/// The closure form, in whatever runs futures; tasks own a handle.
#[test]
fn an_async_test_with_tasks_passes() {
    let sum = block_on(run_async(async |gpa| {
        let shared = gpa.shared();
        let task = tokio::spawn(async move { *shared.create(40u64).unwrap() });
        let two = gpa.create(2u64).unwrap();
        task.await.unwrap() + *two
    }));
    assert_eq!(sum, 42);
}

/// A leak in a task fails the test, and so does a task that nobody awaited.
#[test]
fn what_a_task_does_fails_its_test() {
    let message = failure(Settings::new(), |gpa| {
        let shared = gpa.shared();
        block_on(async {
            let task = tokio::spawn(async move {
                Owned::leak(shared.create(1u32).unwrap());
            });
            task.await.unwrap();
        });
    });
    assert!(message.contains("1 block leaked, 4 bytes"), "{message}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let message = failure(Settings::new().grace(Duration::ZERO), |gpa| {
        let shared = gpa.shared();
        runtime.spawn(async move { drop(shared.create(1u32)) });
    });
    assert!(message.contains("1 handle in use by threads"), "{message}");
}

/// Polls a future once, in a thread of its own; the message of its panic, if it did.
fn polled_elsewhere<F: Future + Send>(mut future: Pin<&mut F>) -> Result<Poll<F::Output>, String>
where
    F::Output: Send,
{
    let poll = || {
        let mut context = Context::from_waker(Waker::noop());
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)))
    };
    let polled = thread::scope(|scope| scope.spawn(poll).join().expect("caught"));
    polled.map_err(|payload| (*payload.downcast_ref::<&str>().expect("a text")).to_owned())
}

/// Yields until the count of polls is reached.
async fn polls(mut count: u32) {
    poll_fn(|_| {
        count -= 1;
        if count == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A future that moves to another thread and panics there has panicked as the test, not as a thread.
#[test]
fn a_test_that_moves_panics_for_itself() {
    let message = failure(Settings::new(), |gpa| {
        let mut test = Box::pin(driven(gpa, async {
            let _handle = gpa.shared();
            polls(2).await;
            panic!("the test's own reason");
        }));
        assert_eq!(polled_elsewhere(test.as_mut()), Ok(Poll::Pending));
        let told: Result<Poll<()>, _> = polled_elsewhere(test.as_mut());
        assert_eq!(told, Err("the test's own reason".to_owned()));
        drop(test);
        Owned::leak(gpa.create(1u8).unwrap());
    });
    assert!(message.contains("was left with 1 block leaked, 1 byte:"), "{message}");
}

/// A task that panics between two polls of the test is charged, even in the thread that runs the test.
#[test]
fn a_task_that_panics_fails_the_test() {
    let test = catch_unwind(|| {
        block_on(run_async(async |gpa| {
            let shared = gpa.shared();
            let task = tokio::spawn(async move {
                let _handle = shared;
                panic!("the task's own reason");
            });
            assert!(task.await.is_err());
        }));
    });
    let message = *test.expect_err("the test fails").downcast::<String>().expect("the report");
    assert!(message.contains("left with 1 thread panicked:"), "{message}");
}

/// A future that is dropped before its end is judged then.
#[test]
fn a_test_that_is_cancelled_is_judged() {
    let message = catch_unwind(|| {
        block_on(async {
            let mut test = Box::pin(run_async(async |gpa| {
                Owned::leak(gpa.create(1u16).unwrap());
                std::future::pending::<()>().await;
            }));
            std::future::poll_fn(|context| {
                assert!(test.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
        });
    })
    .expect_err("the drop fails the test");
    let message = message.downcast::<String>().expect("the report");
    assert!(message.contains("1 block leaked, 2 bytes"), "{message}");
    run(|gpa| drop(gpa.create(1)));
}
