//! What is told at the end of a test program: on request, which points no test has armed.

use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;

/// The environment variable that asks a test program for its fail points at exit: `list` prints them to
/// standard error; anything else is a file, to which a line is appended for each. On Linux: elsewhere no
/// program knows its points.
pub const FAIL_POINTS_VARIABLE: &str = "ALLOC_TESTING_FAIL_POINTS";

/// Runs when the program ends, after the tests.
// SAFETY: the section holds addresses of functions of this type, which are called without arguments when
// the program ends; `at_exit` unwinds into nobody, as it is no function that may unwind.
#[cfg(all(target_os = "linux", not(miri)))]
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = {
    extern "C" fn at_exit() {
        crate::failures::tell_unmet();
        if let Some(asked) = std::env::var_os(FAIL_POINTS_VARIABLE) {
            tell(&asked);
        }
    }
    at_exit
};

/// One line for each point, to where it is asked for.
fn tell(asked: &std::ffi::OsStr) {
    let states = states();
    let written = if asked == "list" {
        std::io::stderr().lock().write_all(listing(&states).as_bytes())
    } else {
        let file = OpenOptions::new().append(true).create(true).open(asked);
        // One write, as other test programs may append at the same time.
        file.and_then(|mut file| file.write_all(lines(&states).as_bytes()))
    };
    if let Err(error) = written {
        crate::report::print(format_args!("{FAIL_POINTS_VARIABLE}={}: {error}\n", asked.display()));
    }
}

/// What is known of the points of one name, by name, file and line of the first.
type States = BTreeMap<&'static str, State>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    file: &'static str,
    line: u32,
    is_armed: bool,
    is_reached: bool,
}

fn states() -> States {
    let mut states = States::new();
    for point in alloc_core::fail_points() {
        let (file, line) = (point.file(), point.line());
        let state =
            State { file, line, is_armed: point.is_armed(), is_reached: point.is_reached() };
        let known = states.entry(point.name()).or_insert(state);
        known.is_armed |= state.is_armed;
        known.is_reached |= state.is_reached;
        known.line = known.line.min(state.line);
    }
    states
}

/// For people: how many, and which no test has armed.
fn listing(states: &States) -> String {
    let armed = states.values().filter(|state| state.is_armed).count();
    let mut text = format!("{} fail points, {armed} armed by a test\n", states.len());
    for (name, State { file, line, is_reached, .. }) in
        states.iter().filter(|(_, state)| !state.is_armed)
    {
        let reached = if *is_reached { "reached" } else { "never reached" };
        // A `String` takes all that is written to it.
        let _ = writeln!(text, "  no test arms {name} at {file}:{line} ({reached})");
    }
    text
}

/// For programs: name, place, and the words that hold, between tabs.
fn lines(states: &States) -> String {
    let mut text = String::new();
    for (name, State { file, line, is_armed, is_reached }) in states {
        let armed = if *is_armed { "armed" } else { "unarmed" };
        let reached = if *is_reached { "reached" } else { "unreached" };
        // As above.
        let _ = writeln!(text, "{name}\t{file}:{line}\t{armed}\t{reached}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_no_test_arms_are_listed() {
        let state = |line, is_armed, is_reached| State { file: "a.rs", line, is_armed, is_reached };
        let states = States::from([
            ("a::armed", state(1, true, true)),
            ("a::missed", state(2, false, true)),
            ("a::unknown", state(3, false, false)),
        ]);
        let expected = "3 fail points, 1 armed by a test\n  \
                        no test arms a::missed at a.rs:2 (reached)\n  \
                        no test arms a::unknown at a.rs:3 (never reached)\n";
        assert_eq!(listing(&states), expected);
        let lines = lines(&states);
        assert!(lines.starts_with("a::armed\ta.rs:1\tarmed\treached\n"), "{lines}");
        assert!(lines.ends_with("a::unknown\ta.rs:3\tunarmed\tunreached\n"), "{lines}");
    }
}
