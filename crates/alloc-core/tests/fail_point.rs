//! `fail_point!` with the feature `fail-points`: all three forms, the registry, and who is asked. Without
//! the feature there is one test: that nothing happens.
#![forbid(unsafe_code)]

use alloc_core::{AllocError, fail_point};

#[derive(Debug, PartialEq)]
enum Error {
    Memory,
    Short(usize),
}

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Self {
        Self::Memory
    }
}

fn forms(len: usize) -> Result<usize, Error> {
    let mut read = len;
    fail_point!(forms::pages);
    fail_point!(forms::header, Error::Short(len));
    fail_point!(forms::read => read /= 2);
    for _ in 0..3 {
        fail_point!(forms::each => break);
        read += 1;
    }
    fail_point!(last => return Ok(0));
    Ok(read)
}

#[cfg(not(feature = "fail-points"))]
#[test]
fn nothing_happens_without_the_feature() {
    assert_eq!(forms(10), Ok(13));
}

#[cfg(feature = "fail-points")]
mod enabled {
    use alloc_core::{FailPoint, fail_points, set_fail_point_hook};
    use std::cell::Cell;

    use super::{Error, fail_point, forms};

    thread_local! {
        static ARMED: Cell<&'static str> = const { Cell::new("") };
    }

    fn with(armed: &'static str) -> Result<usize, Error> {
        set_fail_point_hook(|point: &FailPoint| point.name() == ARMED.get());
        ARMED.set(armed);
        let result = forms(10);
        ARMED.set("");
        result
    }

    #[test]
    fn each_form_does_its_work_where_it_is_armed() {
        assert_eq!(with(""), Ok(13));
        assert_eq!(with("fail_point::forms::pages"), Err(Error::Memory));
        assert_eq!(with("fail_point::forms::header"), Err(Error::Short(10)));
        assert_eq!(with("fail_point::forms::read"), Ok(8));
        assert_eq!(with("fail_point::forms::each"), Ok(10));
        assert_eq!(with("fail_point::last"), Ok(0));
    }

    /// Never called, and generic: its point is known all the same.
    #[expect(dead_code, reason = "that is what the test is about")]
    fn never<T>() -> Result<T, Error> {
        fail_point!(never);
        Err(Error::Memory)
    }

    #[cfg(all(target_os = "linux", not(miri)))]
    #[test]
    fn all_points_are_known() {
        let mut names: Vec<_> = fail_points().map(FailPoint::name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "fail_point::enabled::never",
                "fail_point::forms::each",
                "fail_point::forms::header",
                "fail_point::forms::pages",
                "fail_point::forms::read",
                "fail_point::last",
            ]
        );
        let never = fail_points().find(|point| point.name().ends_with("never")).unwrap();
        assert!(!never.is_reached() && never.file() == file!() && never.line() < line!());
        never.note_armed();
        assert!(never.is_armed());
    }
}
