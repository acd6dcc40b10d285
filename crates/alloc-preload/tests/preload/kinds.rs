//! One fault for each kind of misuse and each way to it, under `alloc-check`: the fault is named, with
//! the lines that it is about, and nothing else is.

use std::path::Path;

use crate::harness::{Bench, STRATEGIES, alloc_check, bare, command, has_cxx, library, run};

const C: Source = Source { file: "kinds.c", text: include_str!("../programs/kinds.c") };
const CXX: Source =
    Source { file: "mismatches.cpp", text: include_str!("../programs/mismatches.cpp") };

const CALLS: Source = Source { file: "calls.c", text: include_str!("../programs/calls.c") };

/// Sizes around those where blocks are placed in another way.
const SIZES: [usize; 8] = [1, 24, 25, 4088, 4089, (1 << 20) - 24, (1 << 20) - 23, 4 << 20];

/// A program with a table of faults.
struct Source {
    file: &'static str,
    text: &'static str,
}

impl Source {
    /// Every name of the program's table, with what is expected of it.
    fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.text.lines().filter_map(|line| {
            let (code, words) = line.split_once("// expect: ")?;
            Some((code.split('"').nth(1).expect("a name"), words))
        })
    }

    /// Runs one kind: its words and its lines are told, once.
    #[track_caller]
    fn check(&self, program: &Path, name: &str, size: usize, words: &str) {
        let mut command = bare(alloc_check());
        command.arg("--library").arg(library()).arg("--").arg(program).arg(name);
        let run = run(command.arg(size.to_string()));
        // A request that cannot be meant is a remark: the status is the program's own.
        let (code, total) = match words {
            "1 leak" => (23, "1 block lost"),
            _ if name.starts_with("absurd") => (5, "1 absurd request"),
            _ => (23, "1 finding,"),
        };
        assert_eq!(
            (run.out.as_str(), run.code),
            ("ended\n", Some(code)),
            "{name} {size}: {run:#?}"
        );
        for words in [words, total] {
            assert!(run.err.contains(words), "{name} {size}: no {words:?} in {}", run.err);
        }
        let mark = format!("// at {name}");
        let lines = self.text.lines().zip(1..).filter(|(line, _)| line.ends_with(&mark));
        let places = lines.map(|(_, number)| format!("{}:{number}", self.file)).collect::<Vec<_>>();
        assert!(!places.is_empty(), "{name} has no lines");
        for place in places {
            assert!(run.err.contains(&place), "{name} {size}: no {place} in {}", run.err);
        }
    }
}

#[test]
fn each_kind_is_told() {
    let bench = Bench::new();
    let program = bench.compile(C.file, &[]);
    assert_eq!(C.kinds().count(), 40);
    for (name, words) in C.kinds() {
        C.check(&program, name, 100, words);
    }
}

/// What the kernel and stdio read and write for the program, and that what is legal is left alone.
#[test]
fn calls_are_told() {
    let bench = Bench::new();
    let program = bench.compile(CALLS.file, &["-w"]);
    assert_eq!(CALLS.kinds().count(), 20);
    for (name, words) in CALLS.kinds() {
        CALLS.check(&program, name, 100, words);
    }
    for strategy in STRATEGIES {
        let run =
            run(command(&program, strategy).arg("legal").env("ALLOC_GPA", "on_finding=exit:9"));
        assert_eq!(
            (run.out.as_str(), run.code),
            ("ended\n", Some(if strategy == "c" { 5 } else { 9 })),
            "{run:#?}"
        );
    }
}

/// Blocks that another function frees than their family's, and what only C++ can do.
#[test]
fn mismatches_are_told() {
    if has_cxx() {
        let bench = Bench::new();
        let program = bench.compile(CXX.file, &["-std=c++17"]);
        assert_eq!(CXX.kinds().count(), 20);
        for (name, words) in CXX.kinds() {
            CXX.check(&program, name, 100, words);
        }
    }
}

/// One byte past the end or before the start, at sizes around those where the layout changes.
#[test]
fn one_byte_at_many_sizes() {
    let bench = Bench::new();
    let program = bench.compile(C.file, &[]);
    for size in SIZES {
        C.check(&program, "past", size, "write past the end");
        C.check(&program, "before", size, "write before the start");
        C.check(&program, "late", size, "write to a freed");
    }
}
