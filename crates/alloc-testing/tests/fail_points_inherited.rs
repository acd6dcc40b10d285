//! In a program with a `Sentinel` threads have the fail points armed that were armed where they were started.
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use alloc_core::{AllocError, fail_point};
use alloc_testing::{Fail, FailPoints, Sentinel, alloc_test, carried, check_leaks};

#[global_allocator]
static ALLOC: Sentinel = Sentinel::new();

fn load() -> Result<u32, AllocError> {
    fail_point!(load);
    Ok(3)
}

fn in_a_thread<R: Send + 'static>(code: impl FnOnce() -> R + Send + 'static) -> R {
    thread::spawn(code).join().expect("no panic")
}

/// Children and their children; not what was there before, and not what is started afterwards.
#[test]
fn threads_have_what_was_armed_where_they_were_started() {
    let (ask, asked) = channel::<()>();
    let earlier = thread::spawn(move || asked.recv().map(|()| load()));
    let points = FailPoints::arm("load");
    assert!(in_a_thread(load).is_err());
    assert!(in_a_thread(|| in_a_thread(load)).is_err());
    assert!(thread::scope(|scope| scope.spawn(load).join().expect("no panic")).is_err());
    ask.send(()).expect("it waits");
    assert_eq!(earlier.join().expect("no panic"), Ok(Ok(3)));
    assert_eq!(points.tripped_count(), 3);
    drop(points);
    assert_eq!(in_a_thread(load), Ok(3));
}

/// What is carried to a thread that has it is not counted twice.
#[test]
fn what_is_carried_too_is_armed_once() {
    let _points = FailPoints::arm_with("load", Fail::Only(1));
    let twice = || [load().is_ok(), load().is_ok()];
    assert_eq!(in_a_thread(carried(twice)), [true, false]);
}

/// A thread that runs on when the points are disarmed is not made to fail any more.
#[test]
fn the_end_of_an_arming_is_its_end_everywhere() {
    let ((go, wait), (done, result)) = (channel::<()>(), channel());
    let points = FailPoints::arm("load");
    let thread = thread::spawn(move || {
        done.send(load()).expect("the test waits");
        wait.recv().expect("the word to go on");
        load()
    });
    assert!(result.recv().expect("a result").is_err());
    drop(points);
    go.send(()).expect("it waits");
    assert_eq!(thread.join().expect("no panic"), Ok(3));
}

/// What is handed on is no leak of the test, neither when the thread has ended nor while it runs on.
#[alloc_test]
fn what_threads_inherit_is_no_leak() {
    static KEPT: Mutex<Option<Sender<()>>> = Mutex::new(None);
    let points = FailPoints::arm("load");
    assert!(in_a_thread(load).is_err());
    let ((go, wait), (done, result)) = (channel::<()>(), channel());
    thread::spawn(move || {
        done.send(load()).expect("the test waits");
        let _ = wait.recv();
    });
    assert!(result.recv().expect("a result").is_err());
    *KEPT.lock().expect("no panic") = Some(go);
    drop(points);
    check_leaks(|| assert_eq!(in_a_thread(load), Ok(3)));
}
