//! Reports: printing from drops, and stacks without the frames that every test has.

use core::fmt;

use alloc_gpa::{Gpa, StackId};

/// Prints to standard error, where the test harness collects it with the test's other output.
///
/// It does not unwind: `eprint!` panics if standard error is closed, and this is called by the drops
/// of allocators and while a test is panicking.
pub(crate) fn print(text: fmt::Arguments<'_>) {
    // The message of that panic would go to standard error too, so there is nowhere to tell it.
    let _ = std::panic::catch_unwind(|| eprint!("{text}"));
}

/// What a checking heap found and what is live in it, with the frames of the code under test.
pub(crate) fn of(gpa: &Gpa) -> String {
    let mut report = String::new();
    // A `String` takes all that is written to it.
    let _ = gpa.report(&mut report);
    trimmed(&report)
}

/// A stack as text, with the frames of the code under test.
pub(crate) fn of_stack(stack: StackId) -> String {
    let mut text = String::new();
    // A `String` takes all that is written to it.
    let _ = stack.write(&mut text);
    // A fail point asks through the standard library: what is inside that is no news.
    let is_point =
        |line: &str| line.trim_start_matches([' ', '<']).starts_with("alloc_core::fail_point");
    let inside = text.lines().collect::<Vec<_>>().into_iter().rposition(is_point);
    let lines = text.split_inclusive('\n').skip(inside.map_or(0, |last| last + 1));
    trimmed(&lines.collect::<String>())
}

/// Functions of ours that call the code under test: they and their callers are no news.
const CALLERS: [&str; 7] = [
    "alloc_testing::test_allocator::run",
    "alloc_testing::outcome::",
    "alloc_testing::failures::run::Setting",
    "alloc_testing::sentinel::leaks::call",
    "alloc_testing::sentinel::inherit::begin",
    "alloc_testing::sentinel::scope::",
    "alloc_testing::sentinel::count",
];

/// Those that are called with a closure which a macro wrote.
const WRITTEN: &str = "alloc_testing::outcome::";

/// Takes the last line back if it is a closure.
fn drop_closure(kept: &mut String) {
    let start = kept.trim_end().rfind('\n').map_or(0, |end| end + 1);
    if kept[start..].contains("::{{closure}} at ") {
        kept.truncate(start);
    }
}

/// Leaves out of each stack the way into the allocator and the way from the harness to the test.
/// Frames are the indented lines; all others stay.
pub(crate) fn trimmed(report: &str) -> String {
    let mut kept = String::new();
    let mut ended = false;
    for line in report.lines() {
        let frame = line.strip_prefix("    ");
        ended &= frame.is_some();
        let path = frame.unwrap_or_default().trim_start_matches('<');
        if !ended && CALLERS.iter().any(|name| path.starts_with(name)) {
            ended = true;
            if path.starts_with(WRITTEN) {
                drop_closure(&mut kept);
            }
        }
        if !ended && !frame.is_some_and(is_machinery) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Whether a frame belongs to the verbs, the wrappers of this crate, or the calling of closures.
fn is_machinery(frame: &str) -> bool {
    let name = frame.split(" at ").next().unwrap_or_default();
    // `<Type>::method`: the type decides.
    let path = name.trim_start_matches(['<', '&']);
    ["alloc_core::", "alloc_testing::", "core::ops::function::"]
        .iter()
        .any(|prefix| path.starts_with(prefix))
        || name.contains(" as alloc_core::")
}

#[cfg(test)]
mod tests {
    use super::trimmed;

    /// Headings and the test's own frames stay; each stack ends where this crate called the test.
    #[test]
    fn a_stack_is_that_of_the_code_under_test() {
        let report = "\
2 leaked, 8 bytes, allocated at
    <&A as alloc_core::allocator::Allocator>::raw_alloc at core/forward.rs:63
    alloc_core::ext::AllocatorExt::create at core/ext.rs:32
    parser::parse at parser.rs:5
    core::ops::function::FnOnce::call_once at function.rs:250
    parser::tests::parses at parser.rs:9
    alloc_testing::test_allocator::run at test_allocator.rs:154
    parser::tests::parses at parser.rs:8
    std::panic::catch_unwind at panic.rs:359
1 leaked, 4 bytes, allocated at
    parser::worker at parser.rs:20
    std::thread::spawn at thread.rs:1
1 leaked, 2 bytes, allocated at
    parser::tests::written at parser.rs:30
    parser::tests::written::{{closure}} at parser.rs:29
    alloc_testing::outcome::outcome at outcome.rs:60
0 findings, 3 blocks leaked (12 bytes)
";
        let expected = "\
2 leaked, 8 bytes, allocated at
    parser::parse at parser.rs:5
    parser::tests::parses at parser.rs:9
1 leaked, 4 bytes, allocated at
    parser::worker at parser.rs:20
    std::thread::spawn at thread.rs:1
1 leaked, 2 bytes, allocated at
    parser::tests::written at parser.rs:30
0 findings, 3 blocks leaked (12 bytes)
";
        assert_eq!(trimmed(report), expected);
        assert_eq!(trimmed(""), "");
    }
}
