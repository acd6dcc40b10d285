//! `check_all_alloc_failures`: code that handles every failure passes, and each way of handling one
//! wrongly has its verdict, with the line of the request that failed.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};
use alloc_testing::{
    AllocFailures, Fail, FailureAllocator, FailurePoint, Growth, Unrestored, Verdict,
    all_alloc_failures, check_all_alloc_failures,
};

type Outcome = Result<(), AllocError>;

fn points(code: impl Fn(&FailureAllocator) -> Outcome) -> Vec<FailurePoint> {
    AllocFailures::new().run_in_order(code).expect_err("a verdict")
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

/// Where hundreds of points are wrong, those that are shown first have the report of their heap, however
/// late they were tried and on however many cores: here those with request 0 fail, pairs too.
#[test]
fn the_first_of_many_points_have_reports() {
    let check = AllocFailures::new().may_recover();
    let leaks = |gpa: &FailureAllocator| -> Outcome {
        let blocks: Vec<_> = (0..40).map(|_| gpa.create(1u64)).collect();
        if gpa.induced_request().is_some() {
            blocks.into_iter().flatten().map(Owned::leak).for_each(|_| ());
        }
        Ok(())
    };
    for points in [check.run(leaks), check.run_in_order(leaks)] {
        let points = points.expect_err("a verdict");
        assert!(100 < points.len(), "{}", points.len());
        assert!(points[1..5].iter().all(|point| matches!(point.fail, Fail::Pair(0, _))));
        let has_report: Vec<_> = points.iter().map(|point| !point.report.is_empty()).collect();
        let count = has_report.iter().filter(|has| **has).count();
        assert!(has_report[..count].iter().all(|has| *has), "{has_report:?}");
        assert!(5 < count && count < 100, "{count}");
        assert!(
            points[4].report.contains("the_first_of_many_points_have_reports"),
            "{}",
            points[4]
        );
    }
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
    // Nothing is asked for after it, so that all later ones failing, too, is the same point.
    let verdicts: Vec<_> = points.iter().map(|point| (point.fail, &point.verdict)).collect();
    assert_eq!(verdicts, [(Fail::Only(1), &Verdict::Swallowed)]);
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
    assert_eq!(points.len(), 1);
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
        if outcome.is_ok() || gpa.create(3).is_ok() || gpa.create(4).is_ok() {
            drop(ManuallyDrop::into_inner(held));
        }
        outcome
    });
    assert_eq!(by_from.iter().map(|point| point.fail).collect::<Vec<_>>(), [Fail::From(1)]);
}

/// A note for want of memory is left when the first two of three attempts failed: not if one did, and
/// not if all did. Pairs alone find it.
#[test]
fn pairs_find_what_neither_mode_does() {
    fn code(gpa: &FailureAllocator) -> Outcome {
        gpa.create(1u8).or_else(|_| gpa.create(2u8)).map(drop).or_else(|error| {
            let note = gpa.dupe_str("out of memory")?;
            Owned::leak(note);
            Err(error)
        })
    }
    let points = AllocFailures::new().may_recover().run(code).expect_err("a leak");
    assert_eq!(points.iter().map(|point| point.fail).collect::<Vec<_>>(), [Fail::Pair(0, 1)]);
    let summary = AllocFailures::new().may_recover().pairs_max(0).run(code).expect("not found");
    assert_eq!((summary.pairs, summary.pairs_possible, summary.points), (0, 1, 2));
}

/// A path that only a refused growth takes has a leak, one that only a granted growth takes another:
/// each pass finds its own. Granted growth is no false alarm: it does not depend on addresses.
#[test]
fn each_rule_of_growth_finds_what_the_other_does_not() {
    fn grow(gpa: &FailureAllocator, leaks: Growth) -> Outcome {
        let mut block = gpa.alloc::<u8>(5)?;
        let grown = match gpa.resize(&mut block, 16) {
            true => Growth::Granted,
            false => Growth::Refused,
        };
        let block = ManuallyDrop::new(block);
        let next = gpa.create(1u8);
        if grown != leaks || next.is_ok() {
            drop(ManuallyDrop::into_inner(block));
        }
        next.map(drop)
    }
    for leaks in [Growth::Refused, Growth::Granted] {
        let points = all_alloc_failures(|gpa| grow(gpa, leaks)).expect_err("a leak");
        let found: Vec<_> = points.iter().map(|point| (point.growth, point.fail)).collect();
        assert_eq!(found, [(leaks, Fail::Only(1))]);
        assert!(matches!(points[0].verdict, Verdict::Leaked(totals) if totals.count == 1));
    }
}

/// Code that needs its block to grow in place may fail where the rule has no room for it, in either pass;
/// where there is room, 8 bytes for a block of 5, an error is its own.
#[test]
fn a_refusal_by_the_rule_is_no_failure_of_the_code() {
    let needs = |gpa: &FailureAllocator, len: usize| -> Outcome {
        let mut block = gpa.alloc::<u8>(len)?;
        if gpa.resize(&mut block, 8) { Ok(()) } else { Err(AllocError) }
    };
    let summary = check_all_alloc_failures(|gpa| needs(gpa, 4));
    assert_eq!(summary.requests_growing, Some(1));
    let points = points(|gpa| needs(gpa, 5).and(Err(AllocError)));
    let bad: Vec<_> = points.iter().map(|point| (point.growth, point.fail)).collect();
    assert_eq!(bad, [(Growth::Granted, Fail::Never)]);
}

/// Lists that grow by turns make fewer requests where growth in place is granted, and the same number
/// in each run. Code that can only grow in place may fail where that is refused.
#[test]
fn growth_in_place_is_a_pass_of_its_own() {
    let summary = check_all_alloc_failures(|gpa| -> Outcome {
        let mut list = gpa.alloc::<u8>(1)?;
        while list.len() < 256 {
            let len = list.len();
            list = gpa.realloc(list, 2 * len).map_err(|(_, error)| error)?;
        }
        Ok(())
    });
    assert_eq!((summary.requests, summary.requests_growing), (9, Some(5)));
    assert_eq!(summary.points, 2 * 9 + 2 * 5);
    check_all_alloc_failures(|gpa| {
        let mut block = gpa.alloc::<u8>(5)?;
        if gpa.resize(&mut block, 9) { Ok(()) } else { Err(AllocError) }
    });
}

/// Code that asks until it is given never ends once memory has run out for good. The check ends it, and
/// says so; where one request alone fails nothing is wrong.
#[test]
fn code_that_asks_for_ever_is_told() {
    let check = AllocFailures::new().may_recover();
    let points = check.run(|gpa| -> Outcome {
        let _kept = gpa.create(1)?;
        while gpa.create(2).is_err() {}
        Ok(())
    });
    let points = points.unwrap_err();
    let found: Vec<_> = points.iter().map(|point| (point.fail, &point.verdict)).collect();
    assert_eq!(found, [(Fail::From(1), &Verdict::Endless(10_020))]);
}

/// The state after an error must be that before the operation; set-up is no point. Both passes of a
/// list's insertion are tried; the verdict names the line of the operation, of the request, and what
/// differs.
#[test]
fn a_state_that_is_not_restored_is_told() {
    let line = Cell::new((0, 0));
    let points = points(|gpa| {
        let mut list = gpa.without_failures(|| gpa.alloc_fill(2, 7u8))?;
        line.set((line!() + 1, line!() + 4));
        gpa.restores(
            &mut list,
            |list| list.to_vec(),
            |list| {
                list[1] = 9;
                drop(gpa.create(0u64)?);
                Ok(())
            },
        )
    });
    assert_eq!(points.len(), 1);
    let Verdict::Unrestored(Unrestored { before, after, site, .. }) = &points[0].verdict else {
        panic!("{}", points[0])
    };
    assert_eq!((&**before, &**after), ("[7, 7]", "[7, 9]"));
    assert_eq!((site.file(), site.line()), (file!(), line.get().0));
    assert_eq!(points[0].induced.unwrap().index, 0, "the set-up is not counted");
    // The same with the change where it cannot be left half done.
    let summary = check_all_alloc_failures(|gpa| {
        let mut list = gpa.without_failures(|| gpa.alloc_fill(2, 7u8))?;
        gpa.restores(
            &mut list,
            |list| list.to_vec(),
            |list| {
                drop(gpa.create(0u64)?);
                list[1] = 9;
                Ok::<(), AllocError>(())
            },
        )
    });
    assert_eq!(summary.requests, 1);
}

/// A block that is freed twice on the way out is told with the stacks of both frees.
#[test]
fn misuse_on_the_way_out_is_told() {
    let points = points(|gpa| {
        let first = ManuallyDrop::new(gpa.alloc_fill(3, 7u8)?);
        let second = gpa.create(5);
        if second.is_err() {
            let (ptr, layout) = ((&raw const **first).cast::<u8>(), Layout::for_value(&**first));
            // SAFETY: none: the block is freed twice on purpose; this heap tells that.
            unsafe { gpa.raw_free(NonNull::new(ptr.cast_mut()).unwrap(), layout) };
        }
        drop(ManuallyDrop::into_inner(first));
        second.map(drop)
    });
    assert_eq!(points.len(), 1);
    assert_eq!(points[0].verdict, Verdict::Misused(1));
    assert!(points[0].report.contains("misuse_on_the_way_out_is_told"), "{}", points[0]);
}

/// Each verdict comes with the stack of the failed request, from the code under test on, and with
/// nothing of the harness.
#[test]
fn a_verdict_has_the_stack_of_the_failure() {
    #[inline(never)]
    fn planted(gpa: &FailureAllocator) -> (u32, bool) {
        let (line, failed) = (line!(), gpa.create(0u64).is_err());
        std::hint::black_box((line, failed))
    }
    let line = AtomicU32::new(0);
    let points = all_alloc_failures(|gpa| -> Outcome {
        line.store(planted(gpa).0, Relaxed);
        Ok(())
    });
    let text = points.expect_err("swallowed")[0].to_string();
    let line = line.into_inner();
    let frames: Vec<&str> = text.lines().filter(|line| line.starts_with("    ")).collect();
    assert!(
        frames[0].contains("planted") && frames[0].ends_with(&format!("failures.rs:{line}")),
        "{text}"
    );
    assert!(frames[1].contains("a_verdict_has_the_stack_of_the_failure"), "{text}");
    assert!(!text.contains("run_once") && !text.contains("catch_unwind"), "{text}");
}

/// On all cores the verdicts are those of one thread, in the same order.
#[test]
fn the_order_of_the_verdicts_is_that_of_the_requests() {
    let code = |gpa: &FailureAllocator| -> Outcome {
        for index in 0..40 {
            let block = gpa.create(index);
            if index % 3 == 0 {
                drop(block?);
            }
        }
        Ok(())
    };
    let fails = |points: Vec<FailurePoint>| -> Vec<_> {
        points.iter().map(|point| (point.fail, point.verdict.to_string())).collect()
    };
    let parallel = fails(AllocFailures::new().run(code).unwrap_err());
    let in_order = fails(AllocFailures::new().run_in_order(code).unwrap_err());
    assert_eq!(parallel, in_order);
    let only: Vec<_> = (0..40).filter(|index| index % 3 != 0).map(Fail::Only).collect();
    let swallowed =
        parallel.iter().map(|(fail, _)| *fail).filter(|fail| matches!(fail, Fail::Only(_)));
    assert_eq!(swallowed.collect::<Vec<_>>(), only);
}

#[test]
fn a_panic_for_lack_of_memory_is_told() {
    let points = points(|gpa| {
        drop(gpa.create(1).expect("there is always memory"));
        Ok(())
    });
    assert_eq!(points.len(), 1);
    let Verdict::Panicked(message) = &points[0].verdict else { panic!("{}", points[0]) };
    assert!(message.contains("there is always memory"), "{message}");
}

/// A panic that leaks is told as a leak, with its stack, and what the panic said beside it.
#[test]
fn a_panic_that_leaks_is_told_as_both() {
    let points = points(|gpa| {
        let first = ManuallyDrop::new(gpa.create(1u32)?);
        drop(gpa.create(2).expect("there is always memory"));
        drop(ManuallyDrop::into_inner(first));
        Ok(())
    });
    assert_eq!(points.len(), 1);
    assert!(matches!(points[0].verdict, Verdict::Leaked(totals) if totals.bytes == 4));
    let text = points[0].to_string();
    assert!(text.contains("beside that: panicked: there is always memory"), "{text}");
    assert!(text.contains("1 leaked, 4 bytes, allocated at"), "{text}");
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

/// Seven levels, each with two arrays, made one inside the other. If the k-th request fails, the levels
/// before it are dropped, the youngest first, each once, and nothing leaks.
#[test]
fn a_cascade_is_undone_in_reverse() {
    struct Level<'a> {
        number: u16,
        _arrays: [Owned<[u16], &'a FailureAllocator>; 2],
        dropped: &'a RefCell<Vec<u16>>,
    }
    impl Drop for Level<'_> {
        fn drop(&mut self) {
            self.dropped.borrow_mut().push(self.number);
        }
    }
    fn levels<'a>(
        gpa: &'a FailureAllocator,
        number: u16,
        dropped: &'a RefCell<Vec<u16>>,
    ) -> Outcome {
        if number == 7 {
            return Ok(());
        }
        let _arrays = [gpa.alloc_fill(3, number)?, gpa.alloc_fill(5, number)?];
        let _level = Level { number, _arrays, dropped };
        levels(gpa, number + 1, dropped)
    }
    let summary = AllocFailures::new().check_in_order(|gpa| {
        let dropped = RefCell::new(Vec::new());
        let outcome = levels(gpa, 0, &dropped);
        let made = gpa.induced_request().map_or(7, |failed| failed.index as u16 / 2);
        assert_eq!(dropped.into_inner(), (0..made).rev().collect::<Vec<_>>());
        outcome
    });
    assert_eq!((summary.requests, summary.points), (14, 28));
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
#[should_panic(expected = "1 point of failure handled wrongly:\n* swallowed: the code returned \
                           Ok\n  when raw_alloc number 0 (1 byte) at ")]
fn the_checking_form_panics() {
    check_all_alloc_failures(|gpa| -> Outcome {
        let _ = gpa.create(0u8);
        Ok(())
    });
}
