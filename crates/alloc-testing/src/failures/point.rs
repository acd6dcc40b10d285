//! One run of a check: what fails in it, as text and back.
#![forbid(unsafe_code)]

use core::fmt;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use super::heap::Growth;
use crate::failing::Fail;

/// The environment variable that asks for one point of one check, `CHECK:POINT`, as reports print it; see
/// [`AllocFailures`](crate::AllocFailures).
pub const POINT_VARIABLE: &str = "ALLOC_TESTING_POINT";

/// What fails in one run, and whether blocks grow in place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) growth: Growth,
    pub(super) fail: Fail,
    /// The hit of a fail point that fails, of all of them together; no request fails then.
    pub(super) hit: Option<usize>,
}

impl Point {
    /// A point at which requests fail.
    pub(super) const fn requests(growth: Growth, fail: Fail) -> Self {
        Self { growth, fail, hit: None }
    }

    /// The point at which a fail point fails.
    pub(super) const fn hit(growth: Growth, hit: usize) -> Self {
        Self { growth, fail: Fail::Never, hit: Some(hit) }
    }

    /// Where the point stands in a report: by the first request that fails, the fewer failures first.
    pub(super) fn order(&self) -> (Growth, usize, usize, usize) {
        if let Some(hit) = self.hit {
            return (self.growth, usize::MAX, 0, hit);
        }
        let (first, mode, second) = match self.fail {
            Fail::Only(index) => (index, 1, 0),
            Fail::From(index) => (index, 2, 0),
            Fail::Pair(first, second) => (first, 3, second),
            _ => (0, 0, 0),
        };
        (self.growth, first, mode, second)
    }

    /// The number of requests that the code must make for the last failure to be reached.
    pub(super) fn requests_min(&self) -> usize {
        match self.fail {
            Fail::Only(index) | Fail::From(index) => index.saturating_add(1),
            Fail::Pair(first, _) => first.saturating_add(1),
            _ => 0,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (growth, text) = match text.strip_prefix("growing ") {
            Some(rest) => (Growth::Granted, rest),
            None => (Growth::Refused, text),
        };
        if let Some(hit) = text.strip_prefix("hit ") {
            return Some(Self::hit(growth, hit.parse().ok()?));
        }
        let words: Vec<&str> = text.split(' ').collect();
        let fail = match words[..] {
            ["never"] => Fail::Never,
            ["only", index] => Fail::Only(index.parse().ok()?),
            ["from", index] => Fail::From(index.parse().ok()?),
            ["pair", first, second] => {
                let (first, second) = (first.parse().ok()?, second.parse().ok()?);
                (first < second).then_some(Fail::Pair(first, second))?
            }
            _ => return None,
        };
        Some(Self::requests(growth, fail))
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.growth == Growth::Granted {
            f.write_str("growing ")?;
        }
        if let Some(hit) = self.hit {
            return write!(f, "hit {hit}");
        }
        match self.fail {
            Fail::Only(index) => write!(f, "only {index}"),
            Fail::From(index) => write!(f, "from {index}"),
            Fail::Pair(first, second) => write!(f, "pair {first} {second}"),
            _ => f.write_str("never"),
        }
    }
}

/// The name of a check and the point that is asked for: `CHECK:POINT`. Names hold colons themselves: the
/// last one decides.
fn parse_wanted(text: &str) -> Option<(&str, Point)> {
    let (check, point) = text.rsplit_once(':')?;
    Some((check, Point::parse(point)?)).filter(|(check, _)| !check.is_empty())
}

/// What the program's checks had to do with the point that was asked for, if one was. Relaxed: words
/// that publish nothing, read at the end.
static HAS_PASSED_OVER: AtomicBool = AtomicBool::new(false);
static IS_MET: AtomicBool = AtomicBool::new(false);

/// Returns the point that the environment asks for, if it asks for one of this check.
///
/// # Panics
///
/// If the variable holds something else than a check and a point.
pub(super) fn wanted(is_this: impl Fn(&str) -> bool) -> Option<Point> {
    let text = std::env::var_os(POINT_VARIABLE)?;
    let text = text.to_string_lossy();
    let Some((check, point)) = parse_wanted(&text) else {
        panic!(
            "{POINT_VARIABLE}={text}: no point; `CHECK:POINT`, where POINT is `never`, `only 17`, \
             `from 17`, `pair 3 17` or `hit 17`, or one of these behind `growing `"
        )
    };
    let is_met = is_this(check);
    if is_met { &IS_MET } else { &HAS_PASSED_OVER }.store(true, Relaxed);
    is_met.then_some(point)
}

/// Tells, at the end of the program, that a point was asked for of a check that there was not: all that
/// ran did so in full.
pub(crate) fn tell_unmet() {
    if HAS_PASSED_OVER.load(Relaxed) && !IS_MET.load(Relaxed) {
        let text = std::env::var_os(POINT_VARIABLE).unwrap_or_default();
        crate::report::print(format_args!(
            "{POINT_VARIABLE}={}: no check that ran has this name, so each ran all of its points\n",
            text.display()
        ));
    }
}

/// The command that runs this point alone.
pub(super) fn command(check: &str, test: Option<&str>, point: Point) -> String {
    // Cargo tells tests of which package they are.
    let package = std::env::var("CARGO_PKG_NAME").map(|name| format!(" -p {name}"));
    let package = package.unwrap_or_default();
    let test = test.map(|test| format!(" {test} -- --exact")).unwrap_or_default();
    // As a shell reads it: a quote cannot stand inside quotes.
    let check = check.replace('\'', r"'\''");
    format!("{POINT_VARIABLE}='{check}:{point}' cargo test{package}{test}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a report prints can be given back; what means nothing is refused.
    #[test]
    fn points_are_read_as_they_are_written() {
        let fails = [Fail::Never, Fail::Only(0), Fail::From(17), Fail::Pair(3, 17)];
        for growth in [Growth::Refused, Growth::Granted] {
            let points = fails.map(|fail| Point::requests(growth, fail));
            for point in points.into_iter().chain([Point::hit(growth, 5)]) {
                for check in ["parses", "a::tests::parses@tests/a.rs:31", "tests/a.rs:31"] {
                    let text = format!("{check}:{point}");
                    assert_eq!(parse_wanted(&text), Some((check, point)), "{text}");
                }
            }
        }
        for text in
            ["", "only 1", "a:", ":only 1", "a:only", "a:only x", "a:only 1 2", "a:pair 2 1"]
        {
            assert_eq!(parse_wanted(text), None, "{text}");
        }
    }

    /// A name may hold what a shell would take for the end of it.
    #[test]
    fn the_command_is_one_for_a_shell() {
        let point = Point::requests(Growth::Granted, Fail::Pair(1, 4));
        let text = command("Ada's list", Some("lists"), point);
        assert!(
            text.starts_with(r"ALLOC_TESTING_POINT='Ada'\''s list:growing pair 1 4' cargo test"),
            "{text}"
        );
        assert!(text.ends_with(" lists -- --exact"), "{text}");
    }

    #[test]
    fn points_are_told_in_the_order_of_their_requests() {
        let point = Point::requests;
        let mut points = [
            Point::hit(Growth::Refused, 0),
            point(Growth::Granted, Fail::Only(0)),
            point(Growth::Refused, Fail::Pair(0, 2)),
            point(Growth::Refused, Fail::Only(1)),
            point(Growth::Refused, Fail::From(0)),
            point(Growth::Refused, Fail::Only(0)),
            point(Growth::Refused, Fail::Never),
        ];
        points.sort_by_key(Point::order);
        let texts: Vec<_> = points.iter().map(Point::to_string).collect();
        assert_eq!(
            texts,
            ["never", "only 0", "from 0", "pair 0 2", "only 1", "hit 0", "growing only 0"]
        );
    }
}
