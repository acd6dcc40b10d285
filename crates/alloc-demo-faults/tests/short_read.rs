//! The fault that no allocation shows: found by the check that makes fail points fail, too, and by a point
//! that a test arms.

use std::io;

use alloc_demo_faults::short_read::{self, Read};
use alloc_testing::{AllocFailures, FailPoints, FailureAllocator, Verdict, run};

fn reads(read: Read) -> impl Fn(&FailureAllocator) -> io::Result<()> + Sync {
    move |gpa| {
        let record = read(gpa, &mut &b"\x03abcd"[..])?;
        assert_eq!(*record, *b"abc");
        Ok(())
    }
}

/// Making allocations fail finds nothing; the point does, and the report names the planted line.
#[test]
fn the_faulty_twin_leaks_at_its_point() {
    AllocFailures::new().check(reads(short_read::faulty));
    let points = AllocFailures::new().fail_points().run(reads(short_read::faulty)).unwrap_err();
    let [point] = &points[..] else { panic!("{points:#?}") };
    assert!(matches!(point.verdict, Verdict::Leaked(totals) if totals.bytes == 3), "{point}");
    let source = include_str!("../src/short_read.rs");
    let planted = source.lines().position(|line| line.ends_with("// planted")).unwrap() + 1;
    assert!(point.report.contains(&format!("short_read.rs:{planted}\n")), "{point}");
    let tripped = point.tripped.unwrap().point;
    assert_eq!(tripped.name(), "alloc_demo_faults::short_read::faulty::body");
}

#[test]
fn the_corrected_twin_passes() {
    let summary = AllocFailures::new().fail_points().check(reads(short_read::corrected));
    assert_eq!((summary.points, summary.hits), (3, 1));
    run(|gpa| {
        let points = FailPoints::arm("short_read::corrected::body");
        let error = short_read::corrected(gpa, &mut &b"\x01a"[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        points.finish();
    });
}
