//! The run of a program that a report is about.

use serde::{Deserialize, Serialize};

use crate::Report;
use crate::model::Outcome;

/// What was run, when, and how it ended; what is not known is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its exit status, unless a signal ended it.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// When it began: milliseconds since 1970, UTC.
    pub began_ms: Option<u64>,
    /// How long it ran, in milliseconds.
    pub ran_ms: Option<u64>,
}

impl Run {
    /// As much as the records themselves tell: of the first process that no other one started.
    #[must_use]
    pub fn from_records(report: &Report) -> Self {
        let processes = report.processes();
        let is_child = |ppid| processes.iter().any(|process| process.pid == ppid);
        let Some(first) = processes.iter().find(|process| !is_child(process.ppid)) else {
            return Self::default();
        };
        let status = match &first.outcome {
            Outcome::Ended(end) => end.status,
            _ => None,
        };
        Self { command: first.argv.clone(), status, ..Self::default() }
    }
}
