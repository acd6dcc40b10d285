//! The clean programs: in no mode is anything found, and output and status are what they are without
//! the library.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use alloc_report::Symboliser;

use crate::harness::{Bench, Run, bare, run};
use crate::modes::{DEFAULT, MODES, Mode, SMALL_QUARANTINE};
use crate::report::Report;

/// Ten microseconds for each of its blocks are too many for a test.
const SLOW: &str = "a_million_times";

/// Cases that leave no way to write records; that is said on standard error.
const UNHEARD: [&str; 2] = ["another_user", "no_descriptors_left"];

/// What is said then.
const NO_RECORDS: [&str; 2] =
    ["alloc-gpa: ALLOC_GPA_RECORDS: no file can be made", "alloc-gpa: leaks: not counted: "];

/// A compiled source, and how each of its cases ends without the library.
struct Source {
    program: PathBuf,
    cases: Vec<(String, Run)>,
    symboliser: Mutex<Symboliser>,
}

impl Source {
    fn build(bench: &Bench, file: &str) -> Self {
        // Coroutines came with that standard.
        let flags: &[&str] = if file.ends_with(".cpp") { &["-std=c++20"] } else { &[] };
        let program = bench.compile(&format!("corpus/{file}"), flags);
        let names = Command::new(&program).output().expect("the program runs").stdout;
        let names = String::from_utf8(names).expect("names");
        let plain = |name: &str| (name.to_owned(), run(bare(&program).arg(name)));
        let cases = names.lines().map(plain).collect();
        Self { program, cases, symboliser: Mutex::new(Symboliser::new()) }
    }

    /// Runs all cases in a mode; returns all that is not as it should be.
    fn check(&self, mode: Mode) -> Option<String> {
        let mut wrong = Vec::new();
        for (name, plain) in &self.cases {
            if name == SLOW && mode.guards_every() {
                continue;
            }
            assert!(!plain.out.contains("line "), "{name} fails by itself: {plain:?}");
            let mut report = Report::recorded(&self.program, &[name], mode, &self.symboliser);
            let found =
                report.findings().chain(report.leaks("lost")).chain(report.leaks("possible"));
            let mut problems: Vec<String> = found.map(ToString::to_string).collect();
            if report.total("lost").0 + report.total("possible").0 > 0 {
                problems.push("blocks are lost".into());
            }
            let checked = &mut report.run;
            if UNHEARD.contains(&name.as_str()) {
                let is_said = |line: &&str| !NO_RECORDS.iter().any(|start| line.starts_with(start));
                checked.err = checked.err.lines().filter(is_said).collect();
            }
            let checked = &*checked;
            let ends = |run: &Run| (run.code, run.signal, run.out.clone(), run.err.clone());
            if ends(plain) != ends(checked) {
                problems.push(format!("it ended otherwise: {checked:?}, not {plain:?}"));
            }
            if !problems.is_empty() {
                wrong.push(format!("{name}: {}", problems.join("\n    ")));
            }
        }
        (!wrong.is_empty()).then(|| format!("{mode:?}:\n{}", wrong.join("\n")))
    }
}

/// One test for each source.
macro_rules! tests {
    ($($name:ident: $file:literal),+ $(,)?) => {$(
        mod $name {
            use super::*;

            fn source() -> &'static Source {
                static BUILT: OnceLock<(Bench, Source)> = OnceLock::new();
                let build = || {
                    let bench = Bench::new();
                    let source = Source::build(&bench, $file);
                    (bench, source)
                };
                &BUILT.get_or_init(build).1
            }

            #[test]
            fn nothing_is_found() {
                assert_eq!(source().check(DEFAULT).unwrap_or_default(), "");
            }

            #[test]
            fn nothing_is_found_in_any_mode() {
                // Blocks that end at a page's end, whatever their alignment, break what relies on it.
                let modes = MODES.into_iter().filter(|mode| mode.column != "exact");
                let modes = modes.chain([SMALL_QUARANTINE]);
                let wrong = modes.filter_map(|mode| source().check(mode));
                let wrong = wrong.collect::<Vec<_>>();
                assert!(wrong.is_empty(), "{}", wrong.join("\n"));
            }
        }
    )+};
}

tests! {
    memory: "clean.c", signals: "signals.c", libc: "libc.c", odd: "odd.c", cxx: "clean.cpp",
    odd_cxx: "odd.cpp", odd_rust: "odd.rs",
}
