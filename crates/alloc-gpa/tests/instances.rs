//! Several instances at once: in a forked child, and while one of them ends.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use alloc_core::{Allocator, AllocatorExt, Layout, UnsizedFree};
use alloc_gpa::{Check, Gpa};

fn quiet() -> Gpa {
    Gpa::builder().quiet().build()
}

/// Forks, and returns the status that `child` ends with; -1 if it is ended by a signal.
fn in_child(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child calls this test's function, and ends without handlers.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
        // SAFETY: no preconditions.
        unsafe { libc::_exit(outcome.unwrap_or(99)) };
    }
    let mut status = 0;
    // A child that waits for ever fails the test, by the alarm that ends it.
    // SAFETY: a live status, a child of ours.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -1 }
}

/// While other threads allocate, a process forks again and again: every child can use the heap, and
/// sees neither its parent's leaks nor its parent's findings as its own.
#[test]
fn a_forked_child_goes_on() {
    let gpa = quiet();
    let _leak = ManuallyDrop::new(gpa.create([1u8; 100]).unwrap());
    let twice = gpa.raw_alloc(Layout::new::<u64>()).unwrap();
    for _ in 0..2 {
        // SAFETY: `Gpa` defines what happens for every address: the second is told.
        unsafe { gpa.free_unsized(twice) };
    }
    assert_eq!(gpa.findings().count(), 1);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..3usize {
            let (gpa, stop) = (&gpa, &stop);
            scope.spawn(move || {
                let mut size = seed;
                while !stop.load(Relaxed) {
                    size = (size * 5 + 1) % 600;
                    for more in 1..20 {
                        drop(gpa.alloc_fill(size + more, 1u8).unwrap());
                    }
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
            });
        }
        for _ in 0..8 {
            let status = in_child(|| {
                // SAFETY: no preconditions: ends a child that waits.
                unsafe { libc::alarm(20) };
                let findings = gpa.findings().count();
                let before = gpa.detect_leaks().count;
                let blocks: Vec<_> =
                    (1..200).map(|size| gpa.alloc_fill(size * 40, 2u8).unwrap()).collect();
                let during = gpa.detect_leaks().count;
                drop(blocks);
                let kept = ManuallyDrop::new(gpa.create(5u32).unwrap());
                let after = (gpa.detect_leaks().count, gpa.find_leaks().unwrap().iter().count());
                drop(ManuallyDrop::into_inner(kept));
                let ok = findings == 0 && before == 0 && during == 199 && after == (1, 1);
                if ok && gpa.check() == Check::Ok { 0 } else { 1 }
            });
            if status != 0 {
                stop.store(true, Relaxed);
            }
            assert_eq!(status, 0);
        }
        stop.store(true, Relaxed);
    });
    assert_eq!(gpa.findings().count(), 1);
    assert_eq!(gpa.detect_leaks().count, 1, "the parent's own leak");
}

/// Instances begin and end while another one is asked about addresses of theirs: the answer is always
/// no, and no header is read that is gone.
#[test]
fn an_instance_ends_while_another_is_asked() {
    let asked = quiet();
    let own = asked.create(1u64).unwrap();
    let address = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let other = std::ptr::without_provenance::<u8>(address.load(Relaxed));
                    assert!(!asked.owns(other));
                    assert!(asked.owns((&raw const *own).cast()));
                }
            });
        }
        for size in 1..300usize {
            let short = quiet();
            let block = short.alloc_fill(size * 100, 0u8).unwrap();
            address.store(block.as_ptr().addr(), Relaxed);
            std::thread::yield_now();
            drop(block);
            assert_eq!(short.deinit(), Check::Ok);
        }
        stop.store(true, Relaxed);
    });
}

/// Many come and go in several threads while the process forks: the list of them stays whole.
#[test]
fn instances_come_and_go_across_forks() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let (first, second) = (quiet(), quiet());
                    let block = second.create(2u16).unwrap();
                    drop(first.create(1u8).unwrap());
                    assert_eq!(first.deinit(), Check::Ok);
                    drop(block);
                }
            });
        }
        for _ in 0..30 {
            let status = in_child(|| {
                // SAFETY: no preconditions: ends a child that waits.
                unsafe { libc::alarm(20) };
                let gpa = quiet();
                drop(gpa.create(7u64).unwrap());
                if gpa.deinit() == Check::Ok { 0 } else { 1 }
            });
            if status != 0 {
                stop.store(true, Relaxed);
            }
            assert_eq!(status, 0);
        }
        stop.store(true, Relaxed);
    });
}
