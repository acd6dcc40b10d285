//! The faulty programs: every case in every mode, held against the table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use alloc_report::Symboliser;

use crate::cell;
use crate::harness::{Bench, build_example};
use crate::modes::{DEFAULT, MODES, Mode};
use crate::report::Report;
use crate::source::{self, Case};
use crate::table::{Table, reasons};

/// A compiled source.
struct Source {
    file: &'static str,
    program: PathBuf,
    cases: BTreeMap<String, Case>,
    table: Table,
    symboliser: Mutex<Symboliser>,
}

impl Source {
    fn build(bench: &Bench, file: &'static str, text: &str) -> Self {
        let program = match file {
            "faults.rs" => build_example("faults"),
            _ => bench.compile(&format!("corpus/{file}"), &[]),
        };
        if text.contains("libplugin.so") {
            bench.compile_library("corpus/plugin.c", &[]);
        }
        let names = Command::new(&program).output().expect("the program runs").stdout;
        let names = String::from_utf8(names).expect("names");
        let names: BTreeSet<String> = names.lines().map(str::to_owned).collect();
        let cases = source::read(text);
        assert!(cases.keys().eq(&names), "{file}: cases that are not read: {names:?}");
        let table = Table::of(file);
        let unused = table.unused(&names).collect::<Vec<_>>();
        assert!(unused.is_empty(), "{file}: rows without a case: {unused:?}");
        let symboliser = Mutex::new(Symboliser::new());
        Self { file, program, cases, table, symboliser }
    }

    /// Runs all cases in a mode; returns all that is not as the table says.
    fn check(&self, mode: Mode) -> Option<String> {
        self.check_each(mode, self.cases.iter(), |name| {
            Report::recorded(&self.program, &[name], mode, &self.symboliser)
        })
    }

    /// Runs every fourth case under `alloc-check` itself, which reads all symbols for each.
    fn check_under_alloc_check(&self) -> Option<String> {
        self.check_each(DEFAULT, self.cases.iter().step_by(4), |name| {
            let report = Report::checked(&self.program, &[name]);
            assert_eq!(cell::wrong_status(&report), None, "{name}");
            report
        })
    }

    fn check_each<'s>(
        &self,
        mode: Mode,
        cases: impl Iterator<Item = (&'s String, &'s Case)>,
        run: impl Fn(&str) -> Report,
    ) -> Option<String> {
        let has_stacks = mode.has_stacks();
        let mut wrong = Vec::new();
        for (name, case) in cases {
            let report = run(name);
            let found = cell::of(&report, self.file, case);
            let expected = self.table.cell(name, mode.column);
            let mut problems = cell::problems(&report, self.file, case, mode);
            if !agrees(expected, &found, has_stacks) {
                problems.push(format!("found: {found}; expected: {expected}"));
            }
            if !problems.is_empty() {
                wrong.push(format!("{name}: {}", problems.join("\n    ")));
            }
        }
        let head = format!("{}, {mode:?}:", self.file);
        (!wrong.is_empty()).then(|| format!("{head}\n{}", wrong.join("\n")))
    }
}

/// Whether a run is as a cell says. What is not found has the number of a reason behind it; without
/// stacks no place is known.
fn agrees(expected: &str, found: &str, has_stacks: bool) -> bool {
    if expected.starts_with('-') {
        return found == "-";
    }
    // libc's own malloc got a pointer that is not its own: it ends the process, by the bytes it finds there.
    if expected == "signal" {
        let signals = [libc::SIGABRT, libc::SIGBUS, libc::SIGSEGV];
        return signals.iter().any(|signal| found == format!("signal {signal}"));
    }
    let kinds = |cell: &str| {
        let places = [" at", " later", " exit"];
        let kind = |words: &str| {
            let kind = places.iter().find_map(|place| words.strip_suffix(place));
            kind.unwrap_or(words).to_owned()
        };
        cell.split(", ").map(kind).collect::<Vec<_>>()
    };
    if has_stacks { expected == found } else { kinds(expected) == kinds(found) }
}

/// Fails with what is wrong, line by line.
#[track_caller]
fn is_none(wrong: Option<String>) {
    if let Some(wrong) = wrong {
        panic!("{wrong}");
    }
}

/// Makes the tests of a source: one for each mode, which share one compilation.
macro_rules! tests {
    ($name:ident, $file:literal) => {
        tests!($name, $file, concat!("../programs/corpus/", $file));
    };
    ($name:ident, $file:literal, $path:expr) => {
        mod $name {
            use super::*;

            fn source() -> &'static Source {
                static BUILT: OnceLock<(Bench, Source)> = OnceLock::new();
                let build = || {
                    let bench = Bench::new();
                    let text = include_str!($path);
                    let source = Source::build(&bench, $file, text);
                    (bench, source)
                };
                &BUILT.get_or_init(build).1
            }

            #[test]
            fn under_alloc_check() {
                is_none(source().check_under_alloc_check());
            }

            #[test]
            fn in_the_default_mode() {
                is_none(source().check(DEFAULT));
            }

            #[test]
            fn in_the_other_modes() {
                let checks = MODES.map(|mode| source().check(mode));
                let wrong = checks.into_iter().flatten().collect::<Vec<_>>();
                is_none((!wrong.is_empty()).then(|| wrong.join("\n")));
            }

            /// Every cell that says that nothing is found gives a reason that the page knows.
            #[test]
            fn what_is_not_found_has_a_reason() {
                for cell in source().table.all_cells() {
                    let reason = cell.strip_prefix('-').map(str::trim);
                    assert!(reason.is_none_or(|reason| reasons().contains(reason)), "{cell:?}");
                }
            }
        }
    };
}

tests!(leaks, "leaks.c");
tests!(frees, "frees.c");
tests!(late, "late.c");
tests!(past, "past.c");
tests!(requests, "requests.c");
tests!(cxx, "cxx.cpp");
tests!(bounds, "bounds.c");
tests!(lifetimes, "lifetimes.c");
tests!(objects, "objects.cpp");
tests!(raw, "raw.rs");
tests!(rust, "faults.rs", "../../../alloc-gpa/examples/faults.rs");
