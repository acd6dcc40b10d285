//! A run in the words of the table.

use serde_json::Value;

use crate::modes::Mode;
use crate::report::Report;
use crate::source::Case;

/// What was found, in the words of the table: kinds, each with the place where it was told, and a
/// signal if the program died by one. `-` is nothing.
pub(crate) fn of(report: &Report, file: &str, case: &Case) -> String {
    let mut words = Vec::new();
    for finding in report.findings() {
        let kind = finding["kind"].as_str().expect("text");
        words.push(format!("{kind} {}", place(report, finding, file, case)));
    }
    words.extend(report.requests().map(|_| "invalid_request".to_owned()));
    for kind in ["lost", "possible"] {
        if report.total(kind).0 > 0 {
            words.push(kind.to_owned());
        }
    }
    if let Some(signal) = report.run.signal {
        words.push(format!("signal {signal}"));
    }
    words.sort();
    words.dedup();
    if words.is_empty() { "-".into() } else { words.join(", ") }
}

/// Where a finding was told: `at` the misuse, `later` at a line that the source marks, or `exit`.
fn place(report: &Report, finding: &Value, file: &str, case: &Case) -> &'static str {
    let here = report.stack(finding, "here");
    if here.has(file, case.lines("at")) {
        "at"
    } else if here.has(file, case.lines("told")) {
        "later"
    } else {
        "exit"
    }
}

/// What is wrong with a report, apart from what is found: the block, the stacks, the status.
pub(crate) fn problems(report: &Report, file: &str, case: &Case, mode: Mode) -> Vec<String> {
    let has_stacks = mode.has_stacks();
    let mut problems = Vec::new();
    let mut check = |is_right: bool, what: String| {
        if !is_right {
            problems.push(what);
        }
    };
    for finding in report.findings() {
        let kind = finding["kind"].as_str().expect("text");
        let block = &finding["block"];
        if let Some(size) = case.number("block") {
            let is_right = block["size"].as_i64().map(i128::from) == Some(size);
            check(is_right, format!("{kind}: the block is {block}, not of {size} bytes"));
        }
        let offsets = case.numbers("offset");
        let told = finding["offset"].as_i64().expect("a number");
        let is_right = offsets.is_empty() || offsets.contains(&told.into());
        check(is_right, format!("{kind}: the offset is {told}, not {offsets:?}"));
        for words in case.words() {
            let texts = ["text", "detail"].map(|name| finding[name].as_str().expect("text"));
            let is_said = texts.iter().any(|text| text.contains(words));
            check(is_said, format!("{kind}: no {words:?} in {texts:?}"));
        }
        for (name, role) in [("allocated", "alloc"), ("freed", "free"), ("here", "")] {
            let stack = report.stack(finding, name);
            // A block of another instance has its own settings.
            let is_unwanted = !has_stacks && name == "here" && !stack.is_none();
            check(!is_unwanted, format!("{kind}: a stack, {name}, without stacks"));
            // A call that was watched begins its own stack.
            let is_shown = name != "here" && stack.shows_allocator();
            check(!is_shown, format!("{kind}: {name} shows the allocator"));
            let lines = case.lines(role);
            // Of two threads that free a block at once, the first may not have entered its stack yet.
            let is_unfinished = name == "freed"
                && stack.is_none()
                && finding["detail"]
                    .as_str()
                    .is_some_and(|detail| detail.contains("freeing it now"));
            if has_stacks && !lines.is_empty() && !is_unfinished {
                check(stack.has(file, lines), format!("{kind}: {name} has none of {lines:?}"));
            }
        }
    }
    for leak in report.leaks("lost") {
        let (stack, lines) = (report.stack(leak, "stack"), case.lines("alloc"));
        check(!stack.shows_allocator(), "a leak shows the allocator".into());
        if has_stacks {
            check(stack.has(file, lines), format!("a leak has none of {lines:?}"));
        }
    }
    for kind in ["lost", "indirect", "reachable"] {
        if let Some(bytes) = case.number(kind).filter(|_| mode.looks_for_leaks()) {
            let (_, told) = report.total(kind);
            check(i128::from(told) == bytes, format!("{told} bytes {kind}, not {bytes}"));
        }
    }
    if let Some(size) = case.number("request") {
        for request in report.requests() {
            let is_right = request["size"].as_u64().map(i128::from) == Some(size);
            check(is_right, format!("the request is {}", request["size"]));
        }
    }
    problems
}

/// What is wrong with the exit status of `alloc-check`.
pub(crate) fn wrong_status(report: &Report) -> Option<String> {
    let found = report.findings().next().is_some() || report.total("lost").0 > 0;
    let (run, status) = (&report.run, if found { 23 } else { 0 });
    let is_right = run.code == Some(status) || run.signal.is_some();
    (!is_right).then(|| format!("the status is {:?}, not {status}", run.code))
}
