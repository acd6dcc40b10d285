//! `fail_point!` and `FailPoints`: who sees what is armed, what fails the test that armed it, what is
//! listed, and the check of every failure with those that come from no allocator.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use alloc_core::{AllocError, AllocatorExt, fail_point};
use alloc_testing::{
    AllocFailures, FAIL_POINTS_VARIABLE, Fail, FailPoints, FailureAllocator, Verdict, carried,
};

#[derive(Debug, PartialEq)]
enum Error {
    Memory,
    Header,
    Body(usize),
}

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Self {
        Self::Memory
    }
}

/// The code under test: reads a header and three parts of a body.
mod load {
    use super::{Error, fail_point};

    pub(super) fn load() -> Result<usize, Error> {
        fail_point!(load::header, Error::Header);
        let mut read = 0;
        for part in 0..3 {
            fail_point!(load::body, Error::Body(part));
            read += 1;
        }
        fail_point!(load::short => read -= 1);
        Ok(read)
    }
}

/// Another point of the same short name, and one that no test of this file arms.
mod store {
    use super::{Error, fail_point};

    pub(super) fn store() -> Result<(), Error> {
        fail_point!(store::header, Error::Header);
        fail_point!(store::forgotten);
        Ok(())
    }
}

use load::load;

fn message(code: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(code)).expect_err("a panic");
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap()
}

#[test]
fn a_point_fails_while_it_is_armed() {
    assert_eq!(load(), Ok(3));
    let points = FailPoints::arm("load::header");
    assert_eq!(load(), Err(Error::Header));
    assert_eq!(load(), Err(Error::Header));
    assert_eq!(points.tripped_count(), 2);
    let tripped = points.tripped().unwrap();
    assert_eq!(tripped.point.name(), "fail_points::load::load::header");
    let stack = tripped.stack_text();
    assert!(stack.starts_with("    fail_points::load::load at "), "{stack}");
    assert!(stack.contains("a_point_fails_while_it_is_armed"), "{stack}");
    points.finish();
    assert_eq!(load(), Ok(3));
}

/// By rule, several at once, one armed inside another.
#[test]
fn rules_say_which_hits_fail() {
    let points = FailPoints::arm_with("load::body", Fail::Only(4)).and("load::short");
    assert_eq!([load(), load(), load()], [Ok(2), Err(Error::Body(1)), Ok(2)]);
    {
        let _inner = FailPoints::arm_with("load::header", Fail::Only(1));
        assert_eq!([load(), load()], [Ok(2), Err(Error::Header)]);
    }
    assert_eq!(load(), Ok(2));
    points.finish();
}

/// Threads see what is armed on them, and on the thread that their code was carried from.
#[test]
fn threads_do_not_mix() {
    let together = Barrier::new(16);
    thread::scope(|scope| {
        for index in 0..16 {
            let together = &together;
            scope.spawn(move || {
                let armed = index % 2 == 0;
                let points = armed.then(|| FailPoints::arm_with("load::body", Fail::Only(1)));
                together.wait();
                for run in 0..50 {
                    let expected = if armed && run == 0 { Err(Error::Body(1)) } else { Ok(3) };
                    assert_eq!(load(), expected);
                }
                drop(points);
            });
        }
    });
    let points = FailPoints::arm_with("load::body", Fail::Only(3));
    assert_eq!(load(), Ok(3));
    assert_eq!(thread::spawn(load).join().unwrap(), Ok(3), "not carried");
    assert_eq!(thread::spawn(carried(load)).join().unwrap(), Err(Error::Body(0)));
    assert_eq!(points.tripped_count(), 1);
}

/// What was armed and never failed fails the test, and says why; but not on top of another panic.
#[test]
fn an_idle_point_fails_the_test() {
    let never = message(|| drop(FailPoints::arm("load::header")));
    assert_eq!(never, "fail point load::header was armed and never reached");
    let idle = message(|| {
        let points = FailPoints::arm("load::header").and_with("load::body", Fail::From(9));
        let _ = load();
        drop(
            FailPoints::arm_with("load::header", Fail::From(0))
                .and_with("load::short", Fail::Only(7)),
        );
        drop(points);
    });
    assert_eq!(idle, "fail point load::header was armed and never reached");
    let late = message(|| {
        let points = FailPoints::arm_with("load::body", Fail::Only(3));
        assert_eq!(load(), Ok(3));
        points.finish();
    });
    assert_eq!(late, "fail point load::body was reached 3 times and never failed (only 3)");
    let first = message(|| {
        let _points = FailPoints::arm("load::header");
        panic!("the test's own");
    });
    assert_eq!(first, "the test's own");
    assert_eq!(load(), Ok(3), "nothing stays armed");
}

/// A name must be that of a point, and of one alone.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn a_name_is_that_of_one_point() {
    let unknown = message(|| {
        let _points = FailPoints::arm("load::body").and("load::heder");
    });
    assert!(unknown.starts_with("no fail point is called load::heder; there are: "), "{unknown}");
    assert!(unknown.contains("fail_points::load::load::header, "), "{unknown}");
    assert_eq!(
        message(|| drop(FailPoints::arm("header"))),
        "fail point header: it may be any of fail_points::load::load::header, \
         fail_points::store::store::header"
    );
    // A part of a word is no name.
    assert!(
        message(|| drop(FailPoints::arm("eader"))).starts_with("no fail point is called eader")
    );
    assert!(message(|| drop(FailPoints::arm_with("header", Fail::Size(1)))).contains("no bytes"));
    assert_eq!(load(), Ok(3), "nothing stays armed");
    let _points = FailPoints::arm("store::header");
    assert_eq!(store::store(), Err(Error::Header));
}

/// Points by hand, one of whose full names is the end of the other's.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn a_full_name_means_itself_alone() {
    use alloc_core::FailPoint;
    static SHORT: FailPoint = FailPoint::new("parts::read", "", 1);
    static LONG: FailPoint = FailPoint::new("whole::parts::read", "", 2);
    // SAFETY: the section holds references of this type.
    #[used]
    #[unsafe(link_section = "alloc_fail_points")]
    static ENTRIES: [&FailPoint; 2] = [&SHORT, &LONG];
    let hits = || ENTRIES.map(FailPoint::hit);
    let points = FailPoints::arm("parts::read");
    assert_eq!(hits(), [true, false]);
    points.finish();
    assert!(
        message(|| drop(FailPoints::arm("read"))).contains("it may be any of parts::read, whole")
    );
}

/// Code that leaks if a fail point fails, and if nothing else does.
fn leaks_at_a_point(gpa: &FailureAllocator) -> Result<(), Error> {
    let buffer = ManuallyDrop::new(gpa.alloc_fill(16, 0u8)?);
    load()?;
    drop(ManuallyDrop::into_inner(buffer));
    Ok(())
}

/// The check takes fail points in: each hit fails once, and the leak there is told with the point's line
/// and stack. Without them it finds nothing.
#[test]
fn every_hit_of_a_point_fails_once() {
    let check = AllocFailures::new();
    assert!(check.run(leaks_at_a_point).is_ok(), "no request's failure shows it");
    let points = check.clone().fail_points().run(leaks_at_a_point).unwrap_err();
    let names: Vec<_> = points.iter().map(|point| point.tripped.unwrap().point.name()).collect();
    let name = |end: &str| format!("fail_points::load::load::{end}");
    // The last hit is that of `short`, whose failure is no error: swallowed.
    assert_eq!(names, ["header", "body", "body", "body", "short"].map(name));
    for point in &points[..4] {
        assert!(matches!(point.verdict, Verdict::Leaked(totals) if totals.bytes == 16), "{point}");
    }
    assert_eq!(points[4].verdict, Verdict::Swallowed);
    let text = points[1].to_string();
    assert!(text.contains("when fail point fail_points::load::load::body at "), "{text}");
    assert!(text.contains("leaks_at_a_point"), "{text}");
    assert!(points[1].again.contains(":hit 1' cargo test"), "{text}");
}

/// As above, mended: every point passes, on all cores as on one.
#[test]
fn mended_code_passes_at_every_hit() {
    let code = |gpa: &FailureAllocator| {
        let _buffer = gpa.alloc_fill(16, 0u8)?;
        load().map(drop)
    };
    let summary = AllocFailures::new().fail_points().may_recover().check(code);
    assert_eq!((summary.requests, summary.points, summary.hits), (1, 7, 5));
    assert_eq!(AllocFailures::new().fail_points().may_recover().check_in_order(code), summary);
}

/// What a test has armed is armed for the runs of a check, too, on all cores.
#[test]
fn what_is_armed_is_so_in_all_runs() {
    let points = FailPoints::arm("load::header");
    let failed = AllocFailures::new().run(|gpa| {
        for index in 0..20 {
            drop(gpa.create(index)?);
        }
        assert_eq!(load(), Err(Error::Header));
        Ok::<(), Error>(())
    });
    assert_eq!(failed.unwrap().requests, 20);
    // The run that counts, the one that counts again; in the others a request fails first.
    assert_eq!(points.tripped_count(), 2);
}

/// The listing at exit: this program run for one test alone names the points which that does not arm.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn points_that_no_test_arms_are_listed_at_exit() {
    let run = |asked: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["rules_say_which_hits_fail", "--exact", "--test-threads=1"]);
        let output = command.env(FAIL_POINTS_VARIABLE, asked).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let text = run("list");
    assert!(text.contains("7 fail points, 3 armed by a test\n"), "{text}");
    assert!(text.contains("no test arms fail_points::store::store::forgotten at "), "{text}");
    assert!(text.contains("fail_points.rs:") && text.contains("(never reached)\n"), "{text}");
    assert!(!text.contains("no test arms fail_points::load"), "{text}");

    let name = format!("fail_points-{}.txt", std::process::id());
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&file);
    assert_eq!(run(file.to_str().unwrap()), "");
    run(file.to_str().unwrap());
    let lines = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(lines.lines().count(), 14, "appended: {lines}");
    let armed = lines.lines().find(|line| line.starts_with("fail_points::load::load::body\t"));
    assert!(armed.is_some_and(|line| line.ends_with("\tarmed\treached")), "{lines}");
    assert!(lines.contains("store::forgotten\t") && lines.contains("\tunarmed\tunreached\n"));
}
