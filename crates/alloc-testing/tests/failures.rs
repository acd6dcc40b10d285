//! `check_all_alloc_failures`: code that handles every failure passes, and each way of handling one
//! wrongly has its verdict, with the line of the request that failed.

use std::cell::Cell;
use std::mem::ManuallyDrop;

use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};
use alloc_testing::{
    Fail, FailureAllocator, FailurePoint, Verdict, all_alloc_failures, check_all_alloc_failures,
};

type Outcome = Result<(), AllocError>;

fn points(code: impl Fn(&FailureAllocator) -> Outcome) -> Vec<FailurePoint> {
    all_alloc_failures(code).expect_err("a verdict")
}

/// Face of the kit: a parser that is generic, or takes the erased handle.
#[test]
fn good_code_passes() {
    struct Database<A: Allocator> {
        _connection: Owned<[u8], A>,
        _buffer: Owned<[u8], A>,
        _cache: Owned<[u8], A>,
    }
    fn init<A: Allocator + Copy>(gpa: A) -> Result<Database<A>, AllocError> {
        Ok(Database {
            _connection: gpa.dupe(b"db://x")?,
            _buffer: gpa.alloc_fill(1024, 0)?,
            _cache: gpa.alloc_fill(2048, 0)?,
        })
    }
    let summary = check_all_alloc_failures(|gpa| init(gpa).map(drop));
    assert_eq!((summary.requests, summary.points), (3, 6));
    check_all_alloc_failures(|gpa| init(gpa as &dyn Allocator).map(drop));
}

/// Growth is a request each time: resizes are refused, so it does not depend on what lies where.
/// As Zig's test of two lists that grow by turns.
#[test]
fn growth_does_not_depend_on_places() {
    let summary = check_all_alloc_failures(|gpa| -> Outcome {
        let (mut first, mut second) = (gpa.alloc::<u8>(1)?, gpa.alloc::<u8>(1)?);
        for _ in 0..5 {
            let (old_first, old_second) = (first.len(), second.len());
            first = gpa.realloc(first, 2 * old_first).map_err(|(_, error)| error)?;
            second = gpa.realloc(second, 2 * old_second).map_err(|(_, error)| error)?;
        }
        Ok(())
    });
    assert_eq!(summary.requests, 12);
}

/// A failure that the code hides is told at every point where it does, with its line.
#[test]
fn a_swallowed_failure_is_told() {
    let line = Cell::new(0);
    let points = points(|gpa| {
        let _kept = gpa.create(1)?;
        line.set(line!() + 1);
        let _optional = gpa.create(2).ok();
        Ok(())
    });
    let verdicts: Vec<_> = points.iter().map(|point| (point.fail, &point.verdict)).collect();
    assert_eq!(
        verdicts,
        [(Fail::Only(1), &Verdict::Swallowed), (Fail::From(1), &Verdict::Swallowed)]
    );
    let induced = points[0].induced.unwrap();
    assert_eq!((induced.site.line(), induced.site.file()), (line.get(), file!()));
}

/// An early return that forgets what came before; the report has the leaked block's stack.
#[test]
fn a_leak_on_the_way_out_is_told() {
    let points = points(|gpa| {
        let first = ManuallyDrop::new(gpa.alloc_fill(24, 7u8)?);
        let second = gpa.create(5)?;
        drop(ManuallyDrop::into_inner(first));
        drop(second);
        Ok(())
    });
    assert_eq!(points.len(), 2);
    for point in &points {
        let Verdict::Leaked(leaks) = point.verdict else { panic!("{point}") };
        assert_eq!((leaks.count, leaks.bytes), (1, 24));
        assert_eq!(point.induced.unwrap().index, 1);
        assert!(point.to_string().contains("failures.rs"), "{point}");
    }
}

/// A leak that shows only if the clean-up gets its memory is found by `Only`, one that shows only if
/// it does not by `From`: neither mode finds both.
#[test]
fn each_mode_finds_what_the_other_does_not() {
    let by_only = points(|gpa| {
        gpa.create(1).map(drop).inspect_err(|_| {
            if let Ok(note) = gpa.dupe_str("out of memory") {
                Owned::leak(note);
            }
        })
    });
    assert_eq!(by_only.iter().map(|point| point.fail).collect::<Vec<_>>(), [Fail::Only(0)]);
    let by_from = points(|gpa| {
        let held = ManuallyDrop::new(gpa.create(1)?);
        let outcome = gpa.create(2).map(drop);
        if outcome.is_ok() || gpa.create(3).is_ok() {
            drop(ManuallyDrop::into_inner(held));
        }
        outcome
    });
    assert_eq!(by_from.iter().map(|point| point.fail).collect::<Vec<_>>(), [Fail::From(1)]);
}

#[test]
fn a_panic_for_lack_of_memory_is_told() {
    let points = points(|gpa| {
        drop(gpa.create(1).expect("there is always memory"));
        Ok(())
    });
    assert_eq!(points.len(), 2);
    let Verdict::Panicked(message) = &points[0].verdict else { panic!("{}", points[0]) };
    assert!(message.contains("there is always memory"), "{message}");
}

/// Code that asks for more from run to run cannot be tried at every point.
#[test]
fn a_count_that_changes_is_told() {
    let run = Cell::new(0);
    let points = points(|gpa| {
        run.set(run.get() + 1);
        (0..run.get()).try_for_each(|_| gpa.create(0).map(drop))
    });
    let verdict = &points[0].verdict;
    assert_eq!(*verdict, Verdict::Nondeterministic { expected: 1, found: 2 });

    let run = Cell::new(0);
    let points = self::points(|gpa| {
        run.set(run.get() + 1);
        if run.get() < 3 { gpa.create(0).map(drop) } else { Ok(()) }
    });
    let verdict = &points[0].verdict;
    assert_eq!(*verdict, Verdict::Nondeterministic { expected: 1, found: 0 });
}

/// What is wrong without any failure is told alone, once.
#[test]
fn the_first_run_must_be_good() {
    let failed = points(|_| Err(AllocError));
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].verdict, Verdict::Failed("AllocError".to_owned()));
    let leaked = points(|gpa| {
        Owned::into_raw_parts(gpa.create(1u64)?);
        Ok(())
    });
    assert_eq!(leaked.len(), 1);
    assert!(matches!(leaked[0].verdict, Verdict::Leaked(leaks) if leaks.bytes == 8));
}

/// The panic of the checking form names the point, the line and the verdict.
#[test]
#[should_panic(
    expected = "2 points of failure are handled wrongly:\n* swallowed: the code returned \
                           Ok\n  when raw_alloc number 0 (1 bytes) at "
)]
fn the_checking_form_panics() {
    check_all_alloc_failures(|gpa| -> Outcome {
        let _ = gpa.create(0u8);
        Ok(())
    });
}
