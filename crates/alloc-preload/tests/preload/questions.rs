//! What a C program can ask through `include/alloc_preload.h`: with the library, under `alloc-check`, and
//! without.

use std::path::PathBuf;
use std::process::Stdio;

use crate::harness::{Bench, TIME_MAX, alloc_check, bare, command, library, run};

const UNCHECKED: &str = "active 0\nstats -1\nlost -1\nsnapshot 0\nlost -1\ngrowth -1 -1\nmore 1\n";
const CHECKED: &str = "active 1\nstats 0\nlost 0\nsnapshot 1\nlost 1\ngrowth 0 -1\nmore 1\n";

fn programs(bench: &Bench) -> [PathBuf; 2] {
    // With and without position-independent code: weak symbols would not do in the latter.
    let moved = bench.compile("questions.c", &["-O1", "-g"]);
    let fixed = bench.path().join("questions-fixed");
    std::fs::rename(moved, &fixed).expect("it is renamed");
    [bench.compile("questions.c", &["-O1", "-g", "-no-pie", "-fno-pie"]), fixed]
}

/// Nobody checks: every question has an answer that says so, and nothing is printed.
#[test]
fn nobody_answers_without_a_heap() {
    let bench = Bench::new();
    for program in programs(&bench) {
        for answer in [run(bare(&program)), run(command(&program, "c"))] {
            assert_eq!((answer.out.as_str(), answer.err.as_str()), (UNCHECKED, ""));
            assert_eq!(answer.code, Some(0));
        }
    }
}

/// The answers, and what is printed: the leak and what grew, each with its stack.
#[test]
fn a_program_asks() {
    let bench = Bench::new();
    for program in programs(&bench) {
        let answer = run(command(&program, "gpa").env("ALLOC_GPA", "on_finding=continue"));
        assert_eq!((answer.out.as_str(), answer.code), (CHECKED, Some(0)), "{answer:#?}");
        let lost = "alloc-gpa: 1 block lost, 123 bytes, allocated at\n";
        assert_eq!(answer.err.matches(lost).count(), 2, "asked, and at the end: {answer:#?}");
        assert!(
            answer.err.contains("alloc-gpa: +77777 bytes, +1 block (now 77777 bytes, 1 block)"),
            "{answer:#?}"
        );
    }
}

/// Under `alloc-check` the leak is in the report once.
#[test]
fn the_report_has_it_too() {
    let bench = Bench::new();
    let [program, _] = programs(&bench);
    let mut check = bare(alloc_check());
    let answer = run(check.arg("--library").arg(library()).arg("--").arg(&program));
    assert_eq!((answer.out.as_str(), answer.code), (CHECKED, Some(23)), "{answer:#?}");
    assert!(answer.err.contains("1 leak, 123 bytes"), "{answer:#?}");
    assert!(answer.err.contains("questions.c:12"), "{answer:#?}");
}

/// Damage is told before a process ends by force.
#[test]
fn damage_is_told_on_request() {
    let bench = Bench::new();
    let [program, _] = programs(&bench);
    let answer = run(command(&program, "gpa").arg("flush").env("ALLOC_GPA", "on_finding=continue"));
    assert!(answer.err.contains("write past the end"), "{answer:#?}");
    assert!(answer.err.contains("offset 10"), "{answer:#?}");
}

/// A running process can be asked to report, and one that does not wait for the signal is left alone.
#[test]
fn a_process_is_asked_from_outside() {
    let dir = tempfile::tempdir().unwrap();
    let records = dir.path().join("records");
    let mut check = bare(alloc_check());
    check.arg("--library").arg(library()).arg("--records").arg(&records);
    check.args(["--gpa", "report_on=SIGUSR2", "--", "/bin/cat"]);
    let mut check = check.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let ask = |pid: u32| run(bare(alloc_check()).arg("ask").arg(pid.to_string()));
    let started = std::time::Instant::now();
    let pid = loop {
        let mut files = std::fs::read_dir(&records).into_iter().flatten().flatten();
        let name = files.next().map(|file| file.file_name().into_string().unwrap());
        match name.and_then(|name| name.split('-').next()?.parse().ok()) {
            Some(pid) if ask(pid).code == Some(0) => break pid,
            _ => assert!(started.elapsed() < TIME_MAX, "it does not start"),
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    let asked = ask(pid);
    assert!(asked.out.contains(records.to_str().unwrap()), "{asked:#?}");
    let not = ask(check.id());
    assert_eq!((not.code, not.err.lines().count()), (Some(2), 1), "{not:#?}");
    assert!(not.err.contains("report_on=SIGNAL"), "{not:#?}");
    drop(check.stdin.take());
    assert_eq!(check.wait().unwrap().code(), Some(0));
}
