//! What the page allocators ask of the kernel, as strace sees it: alloc-bench's example `page_calls`.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::goals::Goal;
use crate::tools::{cargo, install, missing_tools, output, target_dir};

/// How the example marks where an operation begins: a call that fails, with a path that says the most
/// calls that the operation may make, and what it is.
const MARK: &str = "/page_calls/";

/// One operation.
#[derive(Debug, PartialEq)]
struct Operation {
    name: String,
    bound: usize,
    calls: Vec<String>,
}

/// The section of the page.
pub(super) fn section() -> String {
    let mut text = String::from(
        "\n## System calls\n\nAs strace sees them (`crates/alloc-bench/examples/page_calls.rs`).\n\n",
    );
    match run() {
        Ok((operations, facts)) => {
            // Writing to a string does not fail.
            text.push_str("| operation | calls | to reach | measured | |\n");
            text.push_str("| --- | --- | ---: | ---: | --- |\n");
            for Operation { name, bound, calls } in operations {
                let goal = Goal::at_most("", calls.len() as f64, bound as f64);
                let list = if calls.is_empty() { "none".into() } else { calls.join(", ") };
                let (reach, verdict) = (goal.to_reach(), goal.verdict());
                let _ =
                    writeln!(text, "| {name} | {list} | {reach} | {} | {verdict} |", calls.len());
            }
            text.push_str("\n| | to reach | measured | |\n| --- | ---: | ---: | --- |\n");
            for (name, measured, bound) in facts {
                let _ = writeln!(text, "{}", Goal::at_most(name, measured, bound).line());
            }
        }
        Err(why) => text.push_str(&format!("Not run: {why:#}.\n")),
    }
    text
}

type Fact = (String, f64, f64);

fn run() -> Result<(Vec<Operation>, Vec<Fact>)> {
    install(&missing_tools([("strace", "strace")]))?;
    output(&mut cargo("build --release --quiet --locked -p alloc-bench --example page_calls"))?;
    let target = target_dir()?;
    let log = target.join("page_calls.strace");
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(&log).arg(target.join("release/examples/page_calls"));
    let said = output(&mut strace)?;
    let text = std::fs::read_to_string(&log).context("reading what strace saw")?;
    let mut operations = parse(&text);
    operations.retain(|one| one.name != "between");
    ensure!(!operations.is_empty(), "strace saw none of the marks");
    let facts: Option<Vec<Fact>> = said.lines().map(fact).collect();
    Ok((operations, facts.context("page_calls wrote something else than facts")?))
}

/// Reads `NAME|MEASURED|BOUND`.
fn fact(line: &str) -> Option<Fact> {
    let mut fields = line.split('|');
    Some((fields.next()?.into(), fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The calls between two marks are those of the first one's operation; the last mark only ends.
fn parse(log: &str) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    for line in log.lines() {
        let mark = line.split_once(MARK).and_then(|(_, rest)| rest.split_once('"'));
        if let Some((mark, _)) = mark {
            let (bound, name) = mark.split_once('/').unwrap_or(("", mark));
            let bound = bound.parse().unwrap_or_default();
            operations.push(Operation { name: name.into(), bound, calls: Vec::new() });
        } else if let (Some(last), Some((call, _))) = (operations.last_mut(), line.split_once('('))
        {
            last.calls.push(call.into());
        }
    }
    operations.pop();
    operations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_belong_to_the_mark_before_them() {
        let log = "brk(NULL) = 0x5\naccess(\"/page_calls/1/taken\", F_OK) = -1 ENOENT (No such file)\n\
                   mmap(NULL, 100) = 0x7f\naccess(\"/page_calls/0/same\", F_OK) = -1 ENOENT (No)\n\
                   access(\"/page_calls/0/end\", F_OK) = -1 ENOENT (No)\nexit_group(0) = ?\n";
        let one = |name: &str, bound, calls: &[&str]| Operation {
            name: name.into(),
            bound,
            calls: calls.iter().map(|call| (*call).into()).collect(),
        };
        assert_eq!(parse(log), [one("taken", 1, &["mmap"]), one("same", 0, &[])]);
        assert_eq!(fact("a|1|2.5"), Some(("a".into(), 1.0, 2.5)));
        assert_eq!(fact("a|x|2"), None);
    }
}
