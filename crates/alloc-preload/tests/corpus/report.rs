//! One case under the checker, and its report.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use alloc_report::Symboliser;
use serde_json::Value;

use crate::harness::{Run, alloc_check, bare, command, intercept_library, library, run};
use crate::modes::Mode;

/// How a case ended, and what was said about it.
pub(crate) struct Report {
    pub(crate) run: Run,
    json: Value,
}

/// Which lines of a stack are meant, and how.
#[derive(Clone, Copy)]
pub(crate) struct Stack<'r> {
    report: &'r Report,
    index: Option<u64>,
}

impl Report {
    /// Runs a program under `alloc-check`, in the default mode.
    pub(crate) fn checked(program: &Path, args: &[&str]) -> Self {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut command = bare(alloc_check());
        command.arg("--library").arg(library()).arg("--json").arg(file.path());
        command.arg("--").arg(program).args(args);
        let run = run(&mut command);
        let text = std::fs::read_to_string(file.path()).expect("the report");
        let json = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{command:?}: {error} in {text:?}: {run:#?}"));
        Self { run, json }
    }

    /// Does what `alloc-check` does, but with symbols that are read once for all runs.
    pub(crate) fn recorded(
        program: &Path,
        args: &[&str],
        mode: Mode,
        symboliser: &Mutex<Symboliser>,
    ) -> Self {
        let records = tempfile::tempdir().expect("a temporary folder");
        let settings = format!("on_finding=continue,{}", mode.settings);
        let mut command = command(program, "gpa");
        if mode.intercepts {
            let mut both = library().as_os_str().to_owned();
            both.push(":");
            both.push(intercept_library());
            command.env("LD_PRELOAD", both);
        }
        command.args(args).env("ALLOC_GPA", settings).env("ALLOC_GPA_RECORDS", records.path());
        let run = run(&mut command);
        let mut report = alloc_report::Report::read(records.path()).expect("the records");
        let mut symboliser = symboliser.lock().unwrap_or_else(PoisonError::into_inner);
        report.symbolise(&mut symboliser, |_, _| ());
        let mut text = Vec::new();
        report.render_json(&mut text, &alloc_report::Run::default()).expect("JSON");
        Self { run, json: serde_json::from_slice(&text).expect("JSON") }
    }

    /// Findings that count.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Value> {
        let all = self.json["findings"].as_array().expect("an array");
        all.iter().filter(|finding| finding["fault"] == true)
    }

    /// Notes about requests that cannot be meant.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Value> {
        let all = self.json["findings"].as_array().expect("an array");
        all.iter().filter(|finding| finding["kind"] == "invalid_request")
    }

    /// Leaks of this kind: `lost`, `indirect`, `possible`, `reachable`.
    pub(crate) fn leaks(&self, kind: &str) -> impl Iterator<Item = &Value> {
        let all = self.json["leaks"].as_array().expect("an array");
        all.iter().filter(move |leak| leak["kind"] == kind)
    }

    /// Blocks and bytes of a kind of leak.
    pub(crate) fn total(&self, kind: &str) -> (u64, u64) {
        let total = &self.json["totals"][kind];
        (total["blocks"].as_u64().expect("a number"), total["bytes"].as_u64().expect("a number"))
    }

    /// The stack that a finding or a leak names as `here`, `allocated`, `freed` or `stack`.
    pub(crate) fn stack<'r>(&'r self, of: &Value, name: &str) -> Stack<'r> {
        Stack { report: self, index: of[name].as_u64() }
    }
}

impl Stack<'_> {
    /// Whether there is none.
    pub(crate) fn is_none(self) -> bool {
        self.index.is_none()
    }

    /// Whether one of these lines of a file is among the frames.
    pub(crate) fn has(self, file: &str, lines: &[u64]) -> bool {
        let Some(index) = self.index else { return false };
        let stack = &self.report.json["stacks"][index as usize]["frames"];
        stack.as_array().expect("an array").iter().any(|frame| {
            let frame = &self.report.json["frames"][frame.as_u64().expect("an index") as usize];
            let is_file = frame["file"].as_str().is_some_and(|path| path.ends_with(file));
            is_file && frame["line"].as_u64().is_some_and(|line| lines.contains(&line))
        })
    }

    /// Whether a frame of the allocator's own is shown.
    pub(crate) fn shows_allocator(self) -> bool {
        let Some(index) = self.index else { return false };
        let stack = &self.report.json["stacks"][index as usize];
        let shown = |end: usize| stack["shown"][end].as_u64().expect("an index") as usize;
        stack["frames"].as_array().expect("an array")[shown(0)..shown(1)].iter().any(|frame| {
            let frame = &self.report.json["frames"][frame.as_u64().expect("an index") as usize];
            frame["module"].as_str().is_some_and(|module| module.ends_with("liballoc_preload.so"))
        })
    }
}
