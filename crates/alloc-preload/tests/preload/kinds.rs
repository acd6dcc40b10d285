//! One fault for each kind of misuse and each way to it, under `alloc-check`: the fault is named, with
//! the lines that it is about, and nothing else is.

use std::path::Path;

use crate::harness::{Bench, alloc_check, bare, library, run};

const SOURCE: &str = include_str!("../programs/kinds.c");

/// Sizes around those where blocks are placed in another way.
const SIZES: [usize; 8] = [1, 24, 25, 4088, 4089, (1 << 20) - 24, (1 << 20) - 23, 4 << 20];

/// Runs one kind: its words and its lines are told, once.
#[track_caller]
fn check(program: &Path, name: &str, size: usize, words: &str) {
    let mut command = bare(alloc_check());
    command.arg("--library").arg(library()).arg("--").arg(program).arg(name);
    let run = run(command.arg(size.to_string()));
    assert_eq!((run.out.as_str(), run.code), ("ended\n", Some(23)), "{name} {size}: {run:#?}");
    assert!(run.err.contains(words), "{name} {size}: no {words:?} in {}", run.err);
    let total = if words == "1 leak" { "no findings" } else { "1 finding," };
    assert!(run.err.contains(total), "{name} {size}: no {total:?} in {}", run.err);
    let mark = format!("// at {name}");
    let lines = SOURCE.lines().zip(1..).filter(|(line, _)| line.ends_with(&mark));
    let places = lines.map(|(_, number)| format!("kinds.c:{number}")).collect::<Vec<_>>();
    assert!(!places.is_empty(), "{name} has no lines");
    for place in places {
        assert!(run.err.contains(&place), "{name} {size}: no {place} in {}", run.err);
    }
}

/// Every name of the program's table, with what is expected of it.
fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    SOURCE.lines().filter_map(|line| {
        let (code, words) = line.split_once("// expect: ")?;
        Some((code.split('"').nth(1).expect("a name"), words))
    })
}

#[test]
fn each_kind_is_told() {
    let bench = Bench::new();
    let program = bench.compile("kinds.c", &[]);
    assert_eq!(kinds().count(), 29);
    for (name, words) in kinds() {
        check(&program, name, 100, words);
    }
}

/// One byte past the end or before the start, at sizes around those where the layout changes.
#[test]
fn one_byte_at_many_sizes() {
    let bench = Bench::new();
    let program = bench.compile("kinds.c", &[]);
    for size in SIZES {
        check(&program, "past", size, "write past the end");
        check(&program, "before", size, "write before the start");
        check(&program, "late", size, "write to a freed");
    }
}
