//! The clean programs: in no mode is anything found, and output and status are what they are without
//! the library.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use alloc_report::Symboliser;

use crate::harness::{Bench, Run, bare, run};
use crate::modes::MODES;
use crate::report::Report;

/// Ten microseconds for each of its blocks are too many for a test.
const SLOW: &str = "a_million_times";

/// A compiled source, and how each of its cases ends without the library.
struct Source {
    program: PathBuf,
    cases: Vec<(String, Run)>,
    symboliser: Mutex<Symboliser>,
}

impl Source {
    fn build(bench: &Bench, file: &str) -> Self {
        let program = bench.compile(&format!("corpus/{file}"), &[]);
        let names = Command::new(&program).output().expect("the program runs").stdout;
        let names = String::from_utf8(names).expect("names");
        let plain = |name: &str| (name.to_owned(), run(bare(&program).arg(name)));
        let cases = names.lines().map(plain).collect();
        Self { program, cases, symboliser: Mutex::new(Symboliser::new()) }
    }

    /// Runs all cases in a mode; returns all that is not as it should be.
    fn check(&self, settings: &str) -> Option<String> {
        let mut wrong = Vec::new();
        for (name, plain) in &self.cases {
            if name == SLOW && settings.contains("guard=every") {
                continue;
            }
            assert!(!plain.out.contains("line "), "{name} fails by itself: {plain:?}");
            let report = Report::recorded(&self.program, &[name], settings, &self.symboliser);
            let found =
                report.findings().chain(report.leaks("lost")).chain(report.leaks("possible"));
            let mut problems: Vec<String> = found.map(ToString::to_string).collect();
            if report.total("lost").0 + report.total("possible").0 > 0 {
                problems.push("blocks are lost".into());
            }
            let checked = &report.run;
            let ends = |run: &Run| (run.code, run.signal, run.out.clone(), run.err.clone());
            if ends(plain) != ends(checked) {
                problems.push(format!("it ended otherwise: {checked:?}, not {plain:?}"));
            }
            if !problems.is_empty() {
                wrong.push(format!("{name}: {}", problems.join("\n    ")));
            }
        }
        (!wrong.is_empty()).then(|| format!("{settings:?}:\n{}", wrong.join("\n")))
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
                assert_eq!(source().check("").unwrap_or_default(), "");
            }

            #[test]
            fn nothing_is_found_in_any_mode() {
                // Blocks that end at a page's end, whatever their alignment, break what relies on it.
                let modes = MODES.iter().filter(|(_, column)| *column != "exact");
                let wrong = modes.filter_map(|(settings, _)| source().check(settings));
                let wrong = wrong.collect::<Vec<_>>();
                assert!(wrong.is_empty(), "{}", wrong.join("\n"));
            }
        }
    )+};
}

tests! { memory: "clean.c", signals: "signals.c", libc: "libc.c", cxx: "clean.cpp" }
