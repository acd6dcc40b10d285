//! What each mode finds in a C program, and that it finds nothing in one without a fault.

use std::path::Path;

use crate::harness::{
    Bench, Run, alloc_check, bare, command, library, mappings_are_fewer_than, run,
};

const SOURCE: &str = include_str!("../programs/modes.c");

/// Modes in which every block is guarded.
const EVERY: [&str; 4] = [
    "guard=every",
    "guard=every,guard_align=left",
    "guard=every,guard_align=exact",
    "guard=every,guard_impl=mprotect",
];

fn checked(settings: &str, program: &Path, args: &[&str]) -> Run {
    let mut check = bare(alloc_check());
    check.arg("--library").arg(library()).args(["--gpa", settings, "--"]).arg(program);
    run(check.args(args))
}

/// Line of the first that ends with a comment, as `modes.c:LINE`.
fn place(comment: &str) -> String {
    let comment = format!("// {comment} here");
    let line = SOURCE.lines().position(|line| line.ends_with(&comment)).expect("a line");
    format!("modes.c:{}", line + 1)
}

/// Each access that traps is told as what it is, with its line, those of the block, and their number.
#[test]
fn accesses_that_trap() {
    let bench = Bench::new();
    let program = bench.compile("modes.c", &[]);
    for (settings, what, size, words, places, count) in [
        ("guard=every", "read_past_end", "48", "read past the end", "read", "3,000"),
        ("guard=every", "read_past_end", "70000", "read past the end", "read", "3,000"),
        ("guard=every", "read_after_free", "13", "read of a freed", "read", "3,000"),
        ("guard=every", "write_past_end", "4096", "write past the end", "written", "3,000"),
        (EVERY[1], "read_before_start", "13", "read before the start", "read", "3,000"),
        (EVERY[2], "read_past_end", "13", "read past the end", "read", "3,000"),
        (EVERY[3], "read_past_end", "16", "read past the end", "read", "3,000"),
        (EVERY[3], "read_after_free", "16", "read of a freed", "read", "3,000"),
        // The kernel gets no signal, and answers EFAULT.
        ("guard=every", "fill_past_end", "48", "in read(2): 56 bytes", "filled", "3,000"),
        (EVERY[2], "fill_past_end", "13", "in read(2): 21 bytes", "filled", "3,000"),
        // What the alignment leaves behind a block holds the canary: found when the block is freed.
        ("guard=every", "write_past_end", "13", "write past the end", "freed", "3,000"),
        (EVERY[1], "write_past_end", "13", "write past the end", "freed", "3,000"),
        ("guard=sampled:100,guard_seed=1", "read_past_end", "48", "read past the end", "read", "3"),
        ("guard=sampled:100,guard_seed=1", "read_after_free", "48", "read of a freed", "read", ""),
        ("guard=sampled:1", "double_free", "48", "double free", "freed", "1 finding,"),
        ("quarantine=100K", "double_free", "48", "double free", "freed", "1 finding,"),
        ("quarantine=100K", "write_after_free", "48", "write to a freed", "freed", "1 finding,"),
    ] {
        let run = checked(settings, &program, &[what, size]);
        assert_eq!(
            (run.out.as_str(), run.code),
            ("done\n", Some(23)),
            "{settings} {what} {run:#?}"
        );
        for words in [words, &place(places), &place("allocated"), count] {
            assert!(
                run.err.contains(words),
                "{settings} {what} {size}: no {words:?} in {}",
                run.err
            );
        }
    }
}

/// Without `alloc-check` the first finding ends the process, after it was told.
#[test]
fn accesses_that_trap_by_hand() {
    let bench = Bench::new();
    let program = bench.compile("modes.c", &[]);
    for (settings, words) in [
        ("guard=every", "alloc-gpa: read past the end: a block of 48 bytes"),
        ("guard=sampled:100", "alloc-gpa: read past the end: a block of 48 bytes"),
    ] {
        let mut command = command(&program, "gpa");
        let run = run(command.env("ALLOC_GPA", settings).args(["read_past_end", "48"]));
        assert_eq!((run.out.as_str(), run.signal), ("", Some(libc::SIGABRT)), "{run:#?}");
        assert!(run.err.starts_with(words), "{run:#?}");
        assert_eq!(run.err.matches("read past the end").count(), 1, "{run:#?}");
    }
}

/// A program without a fault has none in any mode; where blocks are sampled, the report says so.
#[test]
fn programs_without_a_fault() {
    let bench = Bench::new();
    let program = bench.compile("modes.c", &[]);
    let sampled = ["guard=sampled:1", "guard=sampled:10", "guard=sampled:1,guard_align=left"];
    let quarantine = ["quarantine=0", "quarantine=100K"];
    for settings in EVERY.iter().chain(&sampled).chain(&quarantine) {
        for (args, out) in [(["churn", "3000"], "churned\n"), (["many", "5000"], "freed\n")] {
            let run = checked(settings, &program, &args);
            assert_eq!((run.out.as_str(), run.code), (out, Some(0)), "{settings} {run:#?}");
            assert!(run.err.contains("no findings, "), "{settings} {run:#?}");
            let is_sampled = settings.contains("sampled");
            let note = "note: sampled: only the blocks that guard=sampled picked were checked";
            assert_eq!(run.err.contains(note), is_sampled, "{run:#?}");
            assert_eq!(run.err.contains("leaks not counted"), is_sampled, "{run:#?}");
        }
    }
}

/// More blocks than the system grants mappings: all are guarded by markers, some by protection, which a
/// note says once, and the program lives on in both cases.
#[test]
fn more_blocks_than_mappings() {
    let bench = Bench::new();
    let program = bench.compile("modes.c", &[]);
    for (settings, degrades) in [(EVERY[0], false), (EVERY[3], true)] {
        let settings = format!("{settings},stacks=off");
        let run = checked(&settings, &program, &["many", "80000"]);
        assert_eq!((run.out.as_str(), run.code), ("freed\n", Some(0)), "{run:#?}");
        let note = "degraded: not every block is guarded: the system grants no more mappings";
        let has_markers = !run.err.contains("degraded: guards by mprotect");
        let count = run.err.matches(note).count();
        let expected = usize::from(degrades || !has_markers);
        assert!(count <= expected, "{run:#?}");
        if mappings_are_fewer_than(80_000) {
            assert_eq!(count, expected, "{run:#?}");
        }
    }
}

/// A limit is an ENOMEM, and a note.
#[test]
fn a_limit_of_memory() {
    let bench = Bench::new();
    let program = bench.compile("modes.c", &[]);
    let run = checked("memory_limit=10M", &program, &["limit"]);
    assert_eq!(run.out, "Cannot allocate memory after 10\n");
    let note = "note: limit: allocations failed because memory_limit was reached";
    assert_eq!(run.err.matches(note).count(), 1, "{run:#?}");
}

/// Settings that cannot be are one line and status 2, also where they are read before the heap begins.
#[test]
fn wrong_settings() {
    let bench = Bench::new();
    let program = bench.compile("modes.c", &[]);
    for (settings, line) in [
        ("guard=sampled", "`sampled` is no value of `guard`; it takes off, every, sampled:1 to "),
        (
            "guard=every,quarantine=1M",
            "`a number of bytes` is no value of `quarantine`; it takes off while blocks are guarded",
        ),
        (
            "guard=sampled:9,memory_limit=1M",
            "`a limit` is no value of `memory_limit`; it takes off",
        ),
        ("guard_align=top", "`top` is no value of `guard_align`; it takes right, left, exact"),
    ] {
        let mut command = command(&program, "gpa");
        let run = run(command.env("ALLOC_GPA", settings).args(["many", "1"]));
        assert_eq!((run.out.as_str(), run.code), ("", Some(2)), "{run:#?}");
        let start = format!("alloc-gpa: ALLOC_GPA: {line}");
        assert!(run.err.starts_with(&start) && run.err.lines().count() == 1, "{run:#?}");
    }
}
