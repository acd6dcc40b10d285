//! Runs named steps one after the other, goes on after a failure, and ends with one summary.
//!
//! Each test that a step ran counts once; a step that runs no tests counts once itself. What the
//! machine lacks is a skipped step with its reason, never silence.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How many tests, or steps without tests, ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

struct Step {
    name: String,
    outcome: Outcome,
    tests: Counts,
    time: Duration,
}

impl Step {
    /// What the step adds to the closing line.
    fn counts(&self) -> Counts {
        let mut counts = self.tests;
        match &self.outcome {
            Outcome::Passed if self.tests == Counts::default() => counts.passed = 1,
            // A step can fail without a failed test: it did not compile, or a test died.
            Outcome::Failed(_) => counts.failed = counts.failed.max(1),
            Outcome::Skipped(_) => counts.skipped += 1,
            Outcome::Passed => {}
        }
        counts
    }
}

/// The steps of one run, in order.
#[derive(Default)]
pub(crate) struct Steps {
    list: Vec<Step>,
    /// Tests that were not run, as libtest names them, with the reason if they give one.
    ignored: BTreeSet<String>,
}

impl Steps {
    /// Runs a step that is a function.
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> Result<()>) {
        self.run_counted(name, || step().map(|()| Counts::default()));
    }

    /// Runs a step that is a command, with its output shown.
    pub(crate) fn command(&mut self, name: &str, command: impl Into<Command>) {
        let mut command = command.into();
        self.run(name, || {
            eprintln!("$ {}", show(&command));
            let status = command.status().with_context(|| format!("starting {command:?}"))?;
            if status.success() { Ok(()) } else { bail!("{status}") }
        });
    }

    /// Runs a step that is a command that runs tests, with its output shown, and counts them.
    pub(crate) fn tests(&mut self, name: &str, command: impl Into<Command>) {
        let mut command = command.into();
        self.begin(name);
        eprintln!("$ {}", show(&command));
        let begin = Instant::now();
        let (tests, outcome) = match run_tests(&mut command) {
            Ok(results) if results.failures.is_empty() => {
                self.ignored.extend(results.ignored);
                (results.counts, Outcome::Passed)
            }
            Ok(results) => {
                self.ignored.extend(results.ignored);
                (results.counts, Outcome::Failed(results.failures.join(", ")))
            }
            Err(error) => (Counts::default(), Outcome::Failed(format!("{error:#}"))),
        };
        self.push(name, outcome, tests, begin.elapsed());
    }

    /// Names a step that this machine cannot run, and why.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        self.push(name, Outcome::Skipped(reason.into()), Counts::default(), Duration::ZERO);
    }

    /// Prints the table of steps and, alone on the last line, the counts. The exit code is 1 if
    /// any step failed.
    pub(crate) fn finish(self) -> ExitCode {
        let width = self.list.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
        let mut total = Counts::default();
        println!("\n== summary ==");
        for step in &self.list {
            total.add(step.counts());
            let (word, detail) = match &step.outcome {
                Outcome::Passed if step.tests == Counts::default() => ("ok", String::new()),
                Outcome::Passed => ("ok", describe(step.tests)),
                Outcome::Failed(why) => ("FAILED", why.clone()),
                Outcome::Skipped(why) => ("skipped", why.clone()),
            };
            let line = format!("{:width$}  {word:7} {:>7.1} s  {detail}", step.name, {
                step.time.as_secs_f64()
            });
            println!("{}", line.lines().next().unwrap_or_default().trim_end());
        }
        for test in &self.ignored {
            println!("not run: {test}");
        }
        println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
        if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn run_counted(&mut self, name: &str, step: impl FnOnce() -> Result<Counts>) {
        self.begin(name);
        let begin = Instant::now();
        let (tests, outcome) = match step() {
            Ok(tests) => (tests, Outcome::Passed),
            Err(error) => (Counts::default(), Outcome::Failed(format!("{error:#}"))),
        };
        if let Outcome::Failed(why) = &outcome {
            eprintln!("{name}: {why}");
        }
        self.push(name, outcome, tests, begin.elapsed());
    }

    fn begin(&self, name: &str) {
        eprintln!("\n== {name} ==");
    }

    fn push(&mut self, name: &str, outcome: Outcome, tests: Counts, time: Duration) {
        self.list.push(Step { name: name.into(), outcome, tests, time });
    }
}

fn describe(tests: Counts) -> String {
    let plural = if tests.passed == 1 { "" } else { "s" };
    match tests.skipped {
        0 => format!("{} test{plural}", tests.passed),
        ignored => format!("{} test{plural}, {ignored} ignored", tests.passed),
    }
}

/// The command as one would type it.
fn show(command: &Command) -> String {
    let mut words: Vec<String> = Vec::new();
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={:?}", key.display(), value));
        }
    }
    words.push(command.get_program().display().to_string());
    words.extend(command.get_args().map(|word| word.display().to_string()));
    words.join(" ")
}

/// What test programs said about themselves.
#[derive(Debug, Default, PartialEq, Eq)]
struct Results {
    counts: Counts,
    /// The names of the tests that failed, or else how the command did.
    failures: Vec<String>,
    /// The names of the tests that were not run, with their reasons.
    ignored: Vec<String>,
}

/// Runs `command`, shows its standard output, and reads the tests' results from it. There are
/// failures if and only if the command failed.
fn run_tests(command: &mut Command) -> Result<Results> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("starting the tests")?;
    let output = child.stdout.take().context("the tests' standard output")?;
    let mut results = read_results(output, &mut std::io::stdout().lock())?;
    let status = child.wait()?;
    if status.success() {
        results.failures.clear();
    } else if results.failures.is_empty() {
        results.failures.push(format!("{status}"));
    }
    Ok(results)
}

/// Copies the output of test programs line by line, adds up their results, and collects the names
/// of failed and of ignored tests.
fn read_results(output: impl Read, copy: &mut impl Write) -> Result<Results> {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    let mut results = Results::default();
    while reader.read_until(b'\n', &mut line)? != 0 {
        copy.write_all(&line)?;
        let text = String::from_utf8_lossy(&line);
        if let Some(counts) = parse_result(&text) {
            results.counts.add(counts);
        } else if let Some((name, outcome)) = parse_test(&text) {
            if outcome == "FAILED" {
                results.failures.push(name.into());
            } else if let Some(reason) = outcome.strip_prefix("ignored") {
                results.ignored.push(format!("{name}{reason}"));
            }
        }
        line.clear();
    }
    Ok(results)
}

/// Reads the closing line of a test program: cargo's `test result: ok. 3 passed; 0 failed; ...`, or
/// the plain `3 passed, 0 failed, 1 skipped`.
fn parse_result(line: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    let list = match line.trim().strip_prefix("test result: ") {
        Some(rest) => rest.split_once(". ")?.1,
        None => line.trim(),
    };
    let mut fields = 0;
    for field in list.split([';', ',']) {
        match field.trim().split_once(' ') {
            Some((count, "passed")) => counts.passed = count.parse().ok()?,
            Some((count, "failed")) => counts.failed = count.parse().ok()?,
            Some((count, "ignored" | "skipped")) => counts.skipped = count.parse().ok()?,
            _ if line.starts_with("test result: ") => continue,
            _ => return None,
        }
        fields += 1;
    }
    (2 <= fields).then_some(counts)
}

/// The name and the outcome in `test NAME ... OUTCOME`.
fn parse_test(line: &str) -> Option<(&str, &str)> {
    line.trim().strip_prefix("test ")?.rsplit_once(" ... ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_read() {
        let counts = |passed, failed, skipped| Some(Counts { passed, failed, skipped });
        let line = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; \
                    finished in 0.00s\n";
        assert_eq!(parse_result(line), counts(3, 0, 1));
        let line = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(parse_result(line), counts(3, 2, 0));
        assert_eq!(parse_result("7 passed, 1 failed, 2 skipped"), counts(7, 1, 2));
        assert_eq!(parse_result("7 passed, 1 failed"), counts(7, 1, 0));
        assert_eq!(parse_result("the rest passed, none failed"), None);
        assert_eq!(parse_result("test a::b ... ok"), None);
        assert_eq!(parse_result("7 passed"), None);
    }

    #[test]
    fn results_add_up_and_failures_are_named() {
        let output = "test a ... ok\ntest b::c ... FAILED\n\
                      test d ... ignored\ntest e ... ignored, needs a day\n\
                      test result: FAILED. 1 passed; 1 failed; 0 ignored\n\
                      test result: ok. 5 passed; 0 failed; 2 ignored\n";
        let mut copy = Vec::new();
        let results = read_results(output.as_bytes(), &mut copy).unwrap();
        assert_eq!(results.counts, Counts { passed: 6, failed: 1, skipped: 2 });
        assert_eq!(results.failures, ["b::c"]);
        assert_eq!(results.ignored, ["d", "e, needs a day"]);
        assert_eq!(copy, output.as_bytes());
    }

    #[test]
    fn a_step_that_fails_without_a_failed_test_counts_as_one_failure() {
        let step = |outcome, tests| Step { name: "s".into(), outcome, tests, time: Duration::ZERO };
        let none = Counts::default();
        let three = Counts { passed: 3, ..none };
        assert_eq!(step(Outcome::Passed, none).counts(), Counts { passed: 1, ..none });
        assert_eq!(step(Outcome::Passed, three).counts(), three);
        let failed = step(Outcome::Failed("did not compile".into()), three);
        assert_eq!(failed.counts(), Counts { failed: 1, ..three });
        let skipped = step(Outcome::Skipped("no nightly".into()), none);
        assert_eq!(skipped.counts(), Counts { skipped: 1, ..none });
    }
}
