//! The global sentinel: each verb with a fault that it must tell, and the same without the fault.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::cell::Cell;
use std::hint::black_box;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Barrier, Mutex, Once, OnceLock, mpsc};
use std::thread;

use alloc_testing::{
    NoAlloc, Sentinel, Tag, assert_no_alloc, check_leaks, count, count_all, permit_alloc,
};

#[global_allocator]
static ALLOC: Sentinel = Sentinel::new();

thread_local! {
    /// Whether this thread awaits a panic.
    static AWAITS: Cell<bool> = const { Cell::new(false) };
}

/// Says nothing of panics that are awaited: each would come with a stack.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !AWAITS.get() {
                usual(info);
            }
        }));
    });
}

/// Runs code that must fail, and returns the message of its panic.
#[track_caller]
fn failure<R>(code: impl FnOnce() -> R) -> String {
    hush();
    let outer = AWAITS.replace(true);
    let failed = catch_unwind(AssertUnwindSafe(|| drop(code())));
    AWAITS.set(outer);
    let payload = failed.expect_err("it should have failed");
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).expect("a text")
}

/// Loses a block of so many bytes. Returns the line that does.
#[inline(never)]
fn lose(size: usize) -> u32 {
    let lost = ManuallyDrop::new(vec![1u8; size]);
    black_box(&lost);
    line!() - 2
}

#[track_caller]
fn has_line(report: &str, line: u32) {
    let place = format!("sentinel.rs:{line}\n");
    assert!(report.contains(&place), "no {place} in\n{report}");
}

// --- assert_no_alloc ---

/// Each kind of operation is told with its size and line, after the region is over.
#[test]
fn a_region_without_tells_each_kind_of_operation() {
    let mut is_over = false;
    let mut line = 0;
    let report = failure(|| {
        assert_no_alloc(|| {
            line = line!() + 1;
            black_box(Vec::<u8>::with_capacity(123));
            is_over = true;
        });
    });
    assert!(is_over, "the region runs to its end");
    assert!(report.contains("2 heap operations"), "{report}");
    assert!(report.contains("an allocation of 123 bytes (align 1)"), "{report}");
    has_line(&report, line);

    let block = Box::new(7u64);
    let report = failure(|| assert_no_alloc(|| drop(black_box(block))));
    assert!(report.contains("1 heap operation in"), "{report}");
    assert!(report.contains("a free of 8 bytes (align 8)"), "{report}");

    let mut block = Vec::<u8>::with_capacity(10);
    let report = failure(|| assert_no_alloc(|| black_box(&mut block).reserve_exact(100)));
    assert!(report.contains("a reallocation of 10 bytes to 100 (align 1)"), "{report}");
}

/// What does not touch the heap passes, and gives its value.
#[test]
fn a_region_without_passes_what_allocates_nothing() {
    let mut numbers = Vec::with_capacity(2);
    let sum = assert_no_alloc(|| {
        numbers.push(1u32);
        numbers.push(2);
        numbers.iter().sum::<u32>()
    });
    assert_eq!(sum, 3);
}

/// The innermost region decides, and each tells its own.
#[test]
fn regions_nest() {
    assert_no_alloc(|| permit_alloc(|| drop(black_box(Box::new(1u8)))));
    let report = failure(|| {
        assert_no_alloc(|| {
            permit_alloc(|| drop(black_box(Box::new(1u8))));
            drop(black_box(Box::new([1u8; 300])));
        });
    });
    assert!(report.contains("2 heap operations"), "{report}");
    assert!(report.contains("300 bytes"), "{report}");
    let report = failure(|| {
        assert_no_alloc(|| {
            let inner = permit_alloc(|| {
                failure(|| assert_no_alloc(|| drop(black_box(Box::new([1u8; 301])))))
            });
            assert!(inner.contains("301 bytes"), "{inner}");
            permit_alloc(|| drop(inner));
            drop(black_box(Box::new([1u8; 302])));
        });
    });
    assert!(report.contains("302 bytes"), "{report}");
}

/// Frees alone can be allowed; allocations are told all the same.
#[test]
fn frees_can_be_allowed() {
    let block = Box::new(1u8);
    NoAlloc::new().allow_frees().check(|| drop(black_box(block)));
    let report = failure(|| NoAlloc::new().allow_frees().check(|| drop(black_box(Box::new(1u8)))));
    assert!(report.contains("1 heap operation in"), "{report}");
    assert!(report.contains("an allocation of 1 byte (align"), "{report}");
}

/// Another thread is outside of a region, inside one of all threads.
#[test]
fn threads_are_asked_only_if_that_is_wanted() {
    let (ask, asked) = mpsc::sync_channel::<()>(1);
    let (answer, answered) = mpsc::sync_channel::<()>(1);
    let worker = thread::spawn(move || {
        for () in asked {
            drop(black_box(Box::new([1u8; 3333])));
            answer.send(()).unwrap();
        }
    });
    let other_allocates = || {
        // Waiting may allocate in this thread.
        permit_alloc(|| {
            ask.send(()).unwrap();
            answered.recv().unwrap();
        });
    };
    other_allocates();
    assert_no_alloc(other_allocates);
    let report = failure(|| NoAlloc::new().all_threads().check(other_allocates));
    // Other tests may have been first.
    assert!(report.contains("in a region without"), "{report}");
    drop(ask);
    worker.join().unwrap();
}

/// A panic in the region stays the test's failure; what it allocates is nobody's fault.
#[test]
fn a_panic_stays_a_panic() {
    let report = failure(|| assert_no_alloc(|| panic!("the code's own {}", 1)));
    assert_eq!(report, "the code's own 1");
    assert_no_alloc(|| ());
    let report = failure(|| check_leaks(|| panic!("the code's own {}", 2)));
    assert_eq!(report, "the code's own 2");
}

// --- count ---

/// Every figure, for one thread; other threads do not count.
#[test]
fn operations_are_counted() {
    let before = vec![1u8; 50];
    let (kept, counts) = count(|| {
        thread::scope(|scope| {
            // Starting a thread allocates here; what it does is its own.
            drop(scope.spawn(|| drop(black_box(vec![1u8; 1 << 20]))).join());
        });
        drop(before);
        0
    });
    assert_eq!(kept, 0);
    assert!(counts.bytes < 1 << 20, "{counts:?}");

    let before = vec![1u8; 50];
    let (kept, counts) = count(|| {
        let mut first = Vec::<u8>::with_capacity(1000);
        black_box(&mut first).reserve_exact(3000);
        drop(black_box(first));
        drop(black_box(before));
        black_box(vec![1u8; 200])
    });
    assert_eq!(kept.len(), 200);
    assert_eq!((counts.allocations, counts.frees, counts.reallocs), (2, 2, 1), "{counts:?}");
    assert_eq!((counts.bytes, counts.peak_bytes), (3200, 3000), "{counts:?}");
}

/// An outer count has what an inner one has, and each its own peak.
#[test]
fn counts_nest() {
    let (inner, outer) = count(|| {
        drop(black_box(vec![1u8; 5000]));
        let (kept, inner) = count(|| black_box(vec![1u8; 100]));
        drop(kept);
        inner
    });
    assert_eq!((inner.allocations, inner.frees, inner.peak_bytes), (1, 0, 100));
    assert_eq!((outer.allocations, outer.frees, outer.peak_bytes), (2, 2, 5000));
    assert_eq!(count(|| ()).1, alloc_testing::Counts::default());
}

/// All threads count, among them those of other tests.
#[test]
fn all_threads_are_counted() {
    const LEN: usize = 64 << 20;
    let ((), counts) = count_all(|| {
        let thread = thread::spawn(|| drop(black_box(Vec::<u8>::with_capacity(LEN))));
        thread.join().unwrap();
    });
    assert!(0 < counts.allocations && 0 < counts.frees, "{counts:?}");
    assert!(LEN as u64 <= counts.bytes, "{counts:?}");
    // Other tests free what was there before.
    assert!(LEN as u64 / 2 <= counts.peak_bytes, "{counts:?}");
    let ((), counts) = count(|| ());
    assert_eq!(counts.allocations, 0);
}

// --- check_leaks ---

/// A lost block fails the region, with its size and the line that allocated it.
#[test]
fn a_leak_is_told() {
    let mut line = 0;
    let report = failure(|| check_leaks(|| line = lose(777)));
    assert!(report.contains("1 block leaked, 777 bytes"), "{report}");
    has_line(&report, line);
    assert!(!report.contains("catch_unwind"), "the harness is no news:\n{report}");
}

/// A leak in a thread that the code started, and in one that this thread started.
#[test]
fn a_leak_in_a_thread_is_told() {
    let report = failure(|| {
        check_leaks(|| {
            thread::spawn(|| thread::spawn(|| lose(778)).join().unwrap()).join().unwrap();
        })
    });
    assert!(report.contains("1 block leaked, 778 bytes"), "{report}");
    let report = failure(|| check_leaks(|| thread::scope(|scope| drop(scope.spawn(|| lose(779))))));
    assert!(report.contains("1 block leaked, 779 bytes"), "{report}");
}

/// A list that lost its head, and a cycle: all of it leaked, and the cycle is shown.
#[test]
fn what_leaked_blocks_hold_leaked_too() {
    use std::cell::RefCell;
    use std::rc::Rc;
    struct Node {
        _next: RefCell<Option<Rc<Node>>>,
        _text: String,
    }
    let report = failure(|| {
        check_leaks(|| {
            let new = || Node { _next: RefCell::new(None), _text: "x".repeat(50) };
            let (first, second) = (Rc::new(new()), Rc::new(new()));
            *first._next.borrow_mut() = Some(Rc::clone(&second));
            *second._next.borrow_mut() = Some(Rc::clone(&first));
        });
    });
    assert!(report.contains("4 blocks leaked"), "{report}");
    assert!(report.contains("in a cycle"), "{report}");
}

/// What is still led to is no leak: statics, thread-local values, what the code returns or stores
/// elsewhere, the harness's captured output, a running thread.
#[test]
fn what_is_in_use_is_no_leak() {
    static LAZY: OnceLock<Vec<String>> = OnceLock::new();
    thread_local! {
        static LOCAL: Mutex<Vec<u64>> = const { Mutex::new(Vec::new()) };
    }
    let mut outside = Vec::new();
    let (stop, stopped) = mpsc::channel::<()>();
    let (ready, is_ready) = mpsc::channel::<()>();
    let (returned, thread) = check_leaks(|| {
        LAZY.get_or_init(|| vec!["lazily".repeat(10)]);
        LOCAL.with(|local| local.lock().unwrap().extend(0..100));
        println!("captured by the harness, in a buffer that grows");
        outside.push(Box::new(5u8));
        drop(thread::current());
        // Running when the region ends.
        let thread = thread::spawn(move || {
            let held = vec![1u8; 1234];
            ready.send(()).unwrap();
            let _ = stopped.recv();
            black_box(&held).len()
        });
        is_ready.recv().unwrap();
        (String::from("returned"), thread)
    });
    drop(stop);
    assert_eq!(thread.join().unwrap(), 1234);
    assert_eq!((returned.as_str(), outside.len()), ("returned", 1));
    assert_eq!(LAZY.get().map(Vec::len), Some(1));
}

/// Blocks go where they came from, whoever frees or grows them, before and after the region ends.
#[test]
fn blocks_cross_regions() {
    let mut before = vec![1u32; 10];
    let mut kept = check_leaks(|| {
        before.extend(0..1000);
        let mut own = vec![7u64; 10];
        own.reserve_exact(1000);
        own
    });
    kept.reserve_exact(5000);
    assert_eq!((before.len(), kept[9]), (1010, 7));
    let text = check_leaks(|| {
        kept.extend(0..10_000);
        String::from("other")
    });
    thread::spawn(move || drop((kept, text))).join().unwrap();
    check_leaks(|| drop(before));
}

/// An inner region has its own blocks.
#[test]
fn leak_checks_nest() {
    let report = failure(|| {
        check_leaks(|| {
            let inner = failure(|| check_leaks(|| lose(100)));
            assert!(inner.contains("1 block leaked, 100 bytes"), "{inner}");
            lose(200)
        })
    });
    assert!(report.contains("1 block leaked, 200 bytes"), "{report}");
}

/// Misuse of a region's block fails it, with stacks.
#[test]
fn misuse_is_told() {
    let report = failure(|| {
        check_leaks(|| {
            let mut block = ManuallyDrop::new(Box::new([1u8; 24]));
            // SAFETY: used no more: the first of two frees.
            unsafe { ManuallyDrop::drop(&mut block) };
            // SAFETY: of no consequence: the region's heap takes a second free for what it is.
            unsafe { ManuallyDrop::drop(&mut block) };
        })
    });
    assert!(report.contains("1 finding") && report.contains("double free"), "{report}");
    let report = failure(|| {
        check_leaks(|| {
            let mut block = vec![1u8; 24];
            // SAFETY: the end of the block.
            let end = unsafe { block.as_mut_ptr().add(24) };
            // SAFETY: of no consequence: behind the block there is only the heap's canary.
            unsafe { end.write(9) };
        })
    });
    assert!(report.contains("write past the end"), "{report}");
}

/// A layout that the block does not have is told by `realloc`, too, which takes the block for what it is.
#[test]
fn a_wrong_layout_is_told() {
    let layout = |size| Layout::from_size_align(size, 8).unwrap();
    let (right, wrong) = (layout(24), layout(20));
    let mut line = 0;
    let mut resize = |claimed, new_size| {
        check_leaks(|| {
            // SAFETY: the size is not zero.
            let block = unsafe { alloc(right) };
            // SAFETY: as many bytes as were asked for.
            unsafe { block.write_bytes(7, right.size()) };
            line = line!() + 2;
            // SAFETY: of no consequence if wrong: the region's heap knows the block's own layout.
            let block = unsafe { realloc(black_box(block), claimed, new_size) };
            let kept_len = right.size().min(new_size);
            // SAFETY: as many bytes as were kept.
            let kept = unsafe { std::slice::from_raw_parts(block, kept_len) };
            assert!(kept.iter().all(|byte| *byte == 7), "{kept:?}");
            // SAFETY: the layout that it has now.
            unsafe { dealloc(black_box(block), layout(new_size)) };
        });
        line
    };
    // In its slot, and as another block.
    for new_size in [16, 4000] {
        resize(right, new_size);
        let report = failure(|| resize(wrong, new_size));
        assert!(report.starts_with("check_leaks: 1 finding\nwrong size given"), "{report}");
        assert!(report.contains("the caller says size 20 align 8"), "{report}");
        has_line(&report, resize(right, new_size));
    }
}

/// A leak and a panic: the panic stays, the leak is printed beside it; the region is over.
#[test]
fn a_panic_with_a_leak_stays_a_panic() {
    let report = failure(|| {
        check_leaks(|| {
            lose(500);
            panic!("the code's own");
        })
    });
    assert_eq!(report, "the code's own");
    check_leaks(|| drop(black_box(Box::new(1u8))));
}

/// A pool's thread that was there before adopts the tag of the test it works for.
#[test]
fn a_pools_thread_adopts_the_tag() {
    type Job = Box<dyn FnOnce() + Send>;
    let (jobs, queue) = mpsc::channel::<Job>();
    let worker = thread::spawn(move || queue.into_iter().for_each(|job| job()));
    let run = |adopts: bool| {
        check_leaks(|| {
            let (done, wait) = mpsc::channel();
            let tag = Tag::current();
            let job = move || {
                let _ = if adopts { tag.adopt(|| lose(900)) } else { lose(901) };
                drop(tag);
                done.send(()).unwrap();
            };
            jobs.send(Box::new(job)).unwrap();
            wait.recv().unwrap();
        })
    };
    let report = failure(|| run(true));
    assert!(report.contains("1 block leaked, 900 bytes"), "{report}");
    run(false);
    drop(jobs);
    worker.join().unwrap();
}

/// Sixty-four regions at once, each with a leak of its own in a thread, and as many without: none sees
/// another's.
#[test]
fn regions_at_once_do_not_mix() {
    const COUNT: usize = 64;
    /// Where the system gives huge pages, a stack of the usual length is searched whole.
    const STACK_LEN: usize = 512 << 10;
    let start = Barrier::new(COUNT);
    let run = &|index: usize| {
        start.wait();
        check_leaks(|| {
            let kept: Vec<_> = (0..50).map(|len| vec![1u8; len]).collect();
            let builder = thread::Builder::new().stack_size(STACK_LEN);
            builder.spawn(move || lose(10_000 + index)).unwrap().join().unwrap();
            drop(kept);
        });
    };
    let reports = thread::scope(|scope| {
        let threads: Vec<_> = (0..COUNT)
            .map(|index| {
                let test = move || {
                    let report = failure(|| run(index));
                    check_leaks(|| drop(black_box(vec![1u8; 100])));
                    report
                };
                thread::Builder::new().stack_size(STACK_LEN).spawn_scoped(scope, test).unwrap()
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for (index, report) in reports.iter().enumerate() {
        let expected = format!("check_leaks: 1 block leaked, {} bytes\n", 10_000 + index);
        assert!(report.starts_with(&expected), "{expected}{report}");
    }
}

/// The program's `pthread_create` is its own. (Without a `Sentinel`: `sentinel_absent`.)
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#[test]
fn threads_are_created_by_the_program() {
    let object = alloc_testing_object_of_pthread_create();
    assert_eq!(std::fs::canonicalize(object).unwrap(), std::env::current_exe().unwrap());
}

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
include!("sentinel/object.rs");
