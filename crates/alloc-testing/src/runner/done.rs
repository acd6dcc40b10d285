//! What became of a test, and of all.
#![forbid(unsafe_code)]

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use super::{Test, watch};
use crate::outcome::{Failure, Outcome};
use alloc_gpa::counted;

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed,
    Ignored,
}

/// A test that is done.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) test: &'static Test,
    pub(super) verdict: Verdict,
    pub(super) time: Duration,
    /// Names of what is wrong, each once.
    pub(super) kinds: Vec<&'static str>,
    pub(super) leaked_blocks: u64,
    pub(super) leaked_bytes: u64,
    pub(super) findings: u64,
    pub(super) logged_errors: u64,
    /// All that there is to say.
    pub(super) text: String,
}

impl Done {
    /// A test that was not to run.
    pub(super) fn ignored(test: &'static Test) -> Self {
        Self {
            test,
            verdict: Verdict::Ignored,
            time: Duration::ZERO,
            kinds: Vec::new(),
            leaked_blocks: 0,
            leaked_bytes: 0,
            findings: 0,
            logged_errors: 0,
            text: String::new(),
        }
    }

    /// Runs a test. Nothing is allocated before its first line.
    pub(super) fn by_running(test: &'static Test) -> Self {
        let mut done = Self::ignored(test);
        let start = Instant::now();
        let (Outcome { failure, report }, seen) = watch::during(test.run);
        done.time = start.elapsed();
        match failure {
            None => {}
            Some(Failure::Panic(payload)) => {
                done.kinds.push("panic");
                done.text += &match seen.panics.is_empty() {
                    false => seen.panics,
                    // No hook of the runner's saw it: `resume_unwind` calls none, and a test may set another.
                    true => crate::panics::told(&*payload),
                };
                crate::panics::drop_payload(payload);
            }
            Some(Failure::Words(words)) => {
                done.kinds.push("error");
                done.text += &words;
                done.text.push('\n');
            }
        }
        if let Some(report) = report {
            (done.leaked_blocks, done.leaked_bytes) = (report.leaks.count, report.leaks.bytes);
            done.findings = report.findings;
            done.kinds.extend(report.kinds);
            done.text += &report.text;
        }
        if seen.errors != 0 {
            done.logged_errors = seen.errors;
            done.kinds.push("logged_error");
            done.text += &seen.lines;
        }
        done.verdict = if done.kinds.is_empty() { Verdict::Passed } else { Verdict::Failed };
        done
    }
}

/// All tests together.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) ignored: usize,
    pub(super) filtered_out: usize,
    /// Tests that leaked.
    pub(super) leaking: usize,
    pub(super) leaked_blocks: u64,
    pub(super) leaked_bytes: u64,
    pub(super) findings: u64,
    pub(super) logged_errors: u64,
    /// Errors that threads logged which run no test.
    pub(super) stray_errors: u64,
    pub(super) seed: u64,
    pub(super) time: Duration,
}

impl Tally {
    pub(super) fn add(&mut self, done: &Done) {
        match done.verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Ignored => self.ignored += 1,
        }
        self.leaking += usize::from(done.leaked_blocks != 0);
        self.leaked_blocks += done.leaked_blocks;
        self.leaked_bytes += done.leaked_bytes;
        self.findings += done.findings;
        self.logged_errors += done.logged_errors;
    }

    /// Whether the run as a whole has passed.
    pub(super) fn is_good(&self) -> bool {
        self.failed == 0 && self.stray_errors == 0
    }

    pub(super) fn word(&self) -> &'static str {
        if self.is_good() { "ok" } else { "FAILED" }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, ignored, filtered_out, leaking, findings, .. } = self;
        write!(
            f,
            "{}. {passed} passed; {failed} failed; {ignored} ignored; {filtered_out} filtered out; \
             {leaking} leaked, {}, {} logged",
            self.word(),
            counted(*findings, "finding"),
            counted(self.logged_errors + self.stray_errors, "error"),
        )
    }
}
