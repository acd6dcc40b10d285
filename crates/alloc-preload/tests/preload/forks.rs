//! Trap "Threads and fork": what a forked child says at its end.

use crate::harness::{Bench, Run, command, run};

fn child(bench: &Bench, what: &str) -> Run {
    let program = bench.path().join("family");
    let run = run(command(program, "gpa").env("ALLOC_GPA", "on_finding=continue").arg(what));
    assert_eq!((run.out.as_str(), run.code), ("child 0\n", Some(0)), "{what} {run:#?}");
    run
}

/// A child tells of what it lost, and not of what its parent's blocks, or its own, lead to; whether it
/// has all its memory to itself or shares it with a child of its own.
#[test]
fn a_child_tells_its_own_leaks() {
    let bench = Bench::new();
    bench.compile("family.c", &["-O1"]);
    for what in ["nothing", "keeps", "grandchild", "frees", "chain"] {
        assert_eq!(child(&bench, what).err, "", "{what}");
    }
    let run = child(&bench, "loses");
    assert!(run.err.contains("blocks lost: 1 (777 bytes)"), "{run:#?}");
    assert_eq!(run.err.matches("blocks lost").count(), 1, "{run:#?}");
}

/// Damage is told once: by the child that did it, or by the parent that did it before.
#[test]
fn damage_is_told_by_one_process() {
    let bench = Bench::new();
    bench.compile("family.c", &["-O1"]);
    for what in ["damages", "parents"] {
        let run = child(&bench, what);
        assert_eq!(run.err.matches("write past the end").count(), 1, "{what} {run:#?}");
        let lost = run.err.matches("blocks lost: 1 (333 bytes)").count();
        assert_eq!(lost, usize::from(what == "parents"), "{run:#?}");
    }
}
