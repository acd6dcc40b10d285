//! `cargo xtask ci instructions`: no operation of ours may take more instructions than recorded.
//!
//! The instructions in our own code are counted, by callgrind, in two runs of each case that differ in the
//! number of operations alone. They are the same on every machine and under any load: which `memcpy` the
//! C library chooses for a processor is not counted, and another compiler than that of the record turns
//! what is found into a warning.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use super::callgrind::Callgrind;
use super::measure::count;
use super::plan::SUBJECTS;
use super::tapes::contenders;
use crate::steps::Steps;
use crate::tools::root;

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Write docs/bench/instructions.json anew.
    #[arg(long)]
    record: bool,
}

const RECORD: &str = "docs/bench/instructions.json";
const STEP: &str = "instructions";

/// Cases in which threads meet: how often one has to try again depends on their order.
const THREADED: [&str; 2] = ["arena/threads", "fixed/two-threads"];

/// By case and contender, instructions for one operation.
type Counts = BTreeMap<String, f64>;

/// Adds the step.
pub(crate) fn check(steps: &mut Steps, options: &Options) {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return steps.skip(STEP, "recorded on x86-64 Linux only");
    }
    let callgrind = match Callgrind::find() {
        Ok(callgrind) => callgrind,
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.lines().next().unwrap_or("valgrind cannot be installed");
            return steps.skip(STEP, reason);
        }
    };
    if options.record {
        return steps.run(STEP, || record(&callgrind));
    }
    let mut warning = None;
    steps.run(STEP, || {
        warning = compare(&callgrind)?;
        Ok(())
    });
    if let Some(warning) = warning {
        steps.skip("instructions, to the record", &warning);
    }
}

fn counted(callgrind: &Callgrind) -> Result<Counts> {
    let mut list = contenders()?;
    list.retain(|one| {
        let of_subject = SUBJECTS.iter().any(|subject| subject.has(&one.case));
        one.is_ours() && of_subject && !THREADED.contains(&one.case.as_str())
    });
    let counts = count(callgrind, STEP, &list)?;
    let key = |index: usize| format!("{}, {}", list[index].case, list[index].name);
    // The third digit is that of a round's beginning and end.
    let rounded = |own: f64| (own * 100.0).round() / 100.0;
    Ok(counts.iter().enumerate().map(|(index, one)| (key(index), rounded(one.own))).collect())
}

fn record(callgrind: &Callgrind) -> Result<()> {
    let record = json!({ "compiler": super::rustc()?, "instructions": counted(callgrind)? });
    std::fs::write(root().join(RECORD), format!("{record:#}\n"))?;
    println!("recorded in {RECORD}");
    Ok(())
}

/// Fails if a count grew; returns what to warn of if the record is another compiler's.
fn compare(callgrind: &Callgrind) -> Result<Option<String>> {
    let text = std::fs::read_to_string(root().join(RECORD)).context(RECORD)?;
    let (compiler, old) = parse(&text).with_context(|| format!("reading {RECORD}"))?;
    let (lines, hints) = differences(&old, &counted(callgrind)?);
    let compared = format!("{} counts", old.len());
    for hint in hints {
        println!("{hint}");
    }
    let now = super::rustc()?;
    if compiler != now {
        for line in &lines {
            println!("warning: {line}");
        }
        let count = lines.len();
        return Ok(Some(format!("{compared} are of {compiler}, this is {now}: {count} differ")));
    }
    for line in &lines {
        eprintln!("{line}");
    }
    let advice = "if that is meant: cargo xtask ci instructions --record";
    anyhow::ensure!(
        lines.is_empty(),
        "{} of {compared}: {}; {advice}",
        lines.len(),
        lines.join("; ")
    );
    println!("{compared}: none grew");
    Ok(None)
}

fn parse(text: &str) -> Result<(String, Counts)> {
    let record: Value = serde_json::from_str(text)?;
    let compiler = record["compiler"].as_str().context("no compiler")?;
    let counts = record["instructions"].as_object().context("no instructions")?;
    let one = |(case, count): (&String, &Value)| {
        Ok((case.clone(), count.as_f64().with_context(|| format!("{case}: no number"))?))
    };
    Ok((compiler.into(), counts.iter().map(one).collect::<Result<_>>()?))
}

/// What may be added to a recorded count: 1 %, or less than half an instruction; the counts repeat, but what
/// happens once in a process is shared out over the operations.
fn allowed(old: f64) -> f64 {
    old + (old * 0.01).max(0.4)
}

/// What is wrong, and what is only worth knowing.
fn differences(old: &Counts, new: &Counts) -> (Vec<String>, Vec<String>) {
    let (mut wrong, mut hints) = (Vec::new(), Vec::new());
    for (case, old) in old {
        match new.get(case) {
            None => wrong.push(format!("{case}: recorded, but there is no such case")),
            Some(new) if allowed(*old) < *new => {
                wrong.push(format!("{case}: {new:.2} instructions, recorded are {old:.2}"));
            }
            Some(new) if allowed(*new) < *old => {
                hints.push(format!("{case}: {new:.2} instructions only, recorded are {old:.2}"));
            }
            Some(_) => {}
        }
    }
    let unknown = new.keys().filter(|case| !old.contains_key(*case));
    wrong.extend(unknown.map(|case| format!("{case}: not recorded")));
    (wrong, hints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(list: &[(&str, f64)]) -> Counts {
        list.iter().map(|(case, count)| ((*case).into(), *count)).collect()
    }

    #[test]
    fn what_grew_is_gone_or_new_is_wrong() {
        let old = counts(&[("a", 10.0), ("b", 10.0), ("c", 200.0), ("d", 200.0), ("e", 5.0)]);
        let new = counts(&[("a", 10.3), ("b", 10.5), ("c", 202.0), ("d", 190.0), ("f", 1.0)]);
        let (wrong, hints) = differences(&old, &new);
        assert_eq!(
            wrong,
            [
                "b: 10.50 instructions, recorded are 10.00",
                "e: recorded, but there is no such case",
                "f: not recorded"
            ]
        );
        assert_eq!(hints, ["d: 190.00 instructions only, recorded are 200.00"]);
    }

    #[test]
    fn a_record_is_read() {
        let text = "{\"compiler\": \"rustc 1\", \"instructions\": {\"a, ours\": 1.5}}";
        let read = parse(text).expect("a record");
        assert_eq!(read, ("rustc 1".into(), counts(&[("a, ours", 1.5)])));
        assert!(parse("{}").is_err());
    }
}
