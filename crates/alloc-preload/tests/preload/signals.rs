//! Trap "Faults": a program's own signal handling is undisturbed, and a trapped access is a finding
//! wherever a thread is.

use std::path::{Path, PathBuf};

use crate::harness::{Bench, Run, STRATEGIES, alloc_check, bare, command, library, run};

/// Both means to make a page trap.
const MEANS: [&str; 2] = ["madvise", "mprotect"];

/// Each case of a program that asks about its own signals, faults and handles it: what it prints and
/// how it ends are the same without the library.
#[test]
fn a_program_sees_its_own_signals() {
    let bench = Bench::new();
    let program = bench.compile("handlers.c", &[]);
    let cases = run(bare(&program)).out;
    assert!(30 < cases.lines().count(), "{cases}");
    for case in cases.lines() {
        let alone = run(bare(&program).arg(case));
        assert_ne!(alone.code, Some(77), "{case}");
        for strategy in STRATEGIES {
            let with = run(command(&program, strategy).arg(case));
            let seen = |run: &Run| (run.out.clone(), run.err.clone(), run.code, run.signal);
            assert_eq!(seen(&with), seen(&alone), "{case} with {strategy}");
        }
        // The same with guards, whose pages trap all the time.
        let with = run(command(&program, "gpa").env("ALLOC_GPA", "guard=every").arg(case));
        assert_eq!((with.out, with.code, with.signal), (alone.out, alone.code, alone.signal));
    }
}

/// Line of the first that holds `words`, as `traps.c:LINE`.
fn place(words: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/traps.c");
    let text = std::fs::read_to_string(source).expect("a source");
    let line = text.lines().position(|line| line.contains(words)).expect("the words are in it");
    format!("traps.c:{}", line + 1)
}

fn traps(bench: &Bench) -> PathBuf {
    bench.compile("traps.c", &["-O0"])
}

/// Runs a case with each block between guards, under `alloc-check`.
fn checked(program: &Path, case: &str, means: &str, align: &str) -> Run {
    let options = format!("guard=every,guard_impl={means},guard_align={align}");
    let mut check = bare(alloc_check());
    check.env("ALLOC_GPA", options).arg("--library").arg(library());
    run(check.arg("--").arg(program).arg(case))
}

/// Every kind, with the line of the access, of the allocation and of the free; the program goes on.
#[test]
fn traps_are_findings() {
    let bench = Bench::new();
    let program = traps(&bench);
    for means in MEANS {
        for (case, align, title, label) in [
            ("read_after_free", "right", "read of a freed 100-byte block", "read"),
            ("write_after_free", "right", "write to a freed 100-byte block", "written"),
            ("read_past", "exact", "read past the end of a 100-byte block", "read"),
            ("write_past", "exact", "write past the end of a 100-byte block", "written"),
            ("read_before", "left", "read before the start of a 100-byte block", "read"),
            ("write_before", "left", "write before the start of a 100-byte block", "written"),
            ("jump", "right", "read of a freed 100-byte block", "read"),
        ] {
            let run = checked(&program, case, means, align);
            assert_eq!((run.out.as_str(), run.code), ("done\n", Some(23)), "{case} {run:#?}");
            assert!(run.err.contains(title), "{case}: no {title:?} in {}", run.err);
            assert!(run.err.contains(&format!("\n  {label}\n")), "{case}: {}", run.err);
            for words in [format!("/* {case} */"), "p = malloc(100)".to_owned()] {
                let place = place(&words);
                assert!(run.err.contains(&place), "{case}: no {place} in {}", run.err);
            }
            assert!(run.err.contains("1 finding"), "{case}: told more than once: {}", run.err);
        }
    }
}

/// The handler runs wherever the thread is, and whatever it did with its signals.
#[test]
fn traps_are_found_wherever_a_thread_is() {
    let bench = Bench::new();
    let program = traps(&bench);
    for means in MEANS {
        for case in [
            "blocked",
            "blocked_thread",
            "small_thread",
            "coroutine",
            "in_handler",
            "in_fault_handler",
            "small_alternate",
            "ignored",
            "own_handler",
            "in_libc",
            "in_child",
            "interrupts_malloc",
            "after_sigsetjmp",
            "in_wait",
            "in_context",
            "many_threads",
        ] {
            let run = checked(&program, case, means, "right");
            assert_eq!((run.out.as_str(), run.code), ("done\n", Some(23)), "{case} {run:#?}");
            assert!(run.err.contains("read of a freed 100-byte block"), "{case}: {}", run.err);
            let place = place("/* the access */");
            assert!(run.err.contains(&place), "{case}: no {place} in {}", run.err);
        }
    }
}

/// By hand the report comes first, then what the policy says.
#[test]
fn traps_follow_the_policy() {
    let bench = Bench::new();
    let program = traps(&bench);
    for means in MEANS {
        for (policy, code, signal) in [
            ("abort", None, Some(libc::SIGABRT)),
            ("exit:7", Some(7), None),
            ("continue", Some(0), None),
        ] {
            let options = format!("guard=every,guard_impl={means},on_finding={policy}");
            let mut command = command(&program, "gpa");
            let run = run(command.env("ALLOC_GPA", options).arg("read_after_free"));
            assert_eq!((run.code, run.signal), (code, signal), "{policy} {run:#?}");
            assert_eq!(run.err.matches("read after free").count(), 1, "{policy} {run:#?}");
            let reopened = run.err.contains("open from now on, and no longer watched");
            assert_eq!(reopened, policy == "continue", "{run:#?}");
        }
    }
}

/// With `faults=off` no handler stands before the program's: a trap is its own affair.
#[test]
fn faults_are_left_to_the_program() {
    let bench = Bench::new();
    let program = traps(&bench);
    let settings = "guard=every,on_finding=continue,faults=off";
    let mut dies = command(&program, "gpa");
    let dies = run(dies.env("ALLOC_GPA", settings).arg("read_after_free"));
    assert_eq!((dies.err.as_str(), dies.signal), ("", Some(libc::SIGSEGV)), "{dies:#?}");
    let mut asks = command(&program, "gpa");
    let asks = run(asks.env("ALLOC_GPA", settings).arg("asks_own_handler"));
    assert_eq!((asks.out.as_str(), asks.code), ("mine\ndone\n", Some(0)), "{asks:#?}");
}

/// What dies by its own fault dies by it under `alloc-check` too, after what was found.
#[test]
fn a_fault_of_its_own_kills_after_the_report() {
    let bench = Bench::new();
    let run = checked(&traps(&bench), "then_dies", "madvise", "right");
    assert_eq!(run.signal, Some(libc::SIGSEGV), "{run:#?}");
    assert!(run.err.contains("read of a freed 100-byte block"), "{run:#?}");
}

/// At the exit other threads keep still, so that what only their registers hold is no leak; what a
/// thread hides that cannot be asked is possibly lost; system calls go on.
#[test]
fn threads_keep_still_for_the_search() {
    let bench = Bench::new();
    let program = bench.compile("holders.c", &["-O1"]);
    for case in ["register", "vector", "sleeper", "blocked", "refuses"] {
        let mut check = bare(alloc_check());
        check.arg("--library").arg(library()).arg("--").arg(&program).arg(case);
        let run = run(check);
        assert_eq!(run.out, "done\n", "{case} {run:#?}");
        assert_eq!(run.code, Some(0), "{case} {run:#?}");
        let is_doubted = run.err.contains("a thread did not keep still");
        assert_eq!(is_doubted, case == "refuses", "{case} {run:#?}");
    }
}

/// Threads that wait in a system call at the exit see no interruption by this library, though the
/// program has handlers that run after the search, and takes its time.
#[test]
fn waiting_threads_see_no_interruption() {
    let bench = Bench::new();
    let program = bench.compile("waiters.c", &[]);
    let late = bench.compile_library("late_exit.c", &[]);
    for settings in ["", "stacks=off"] {
        let mut command = command(&program, "gpa");
        command.env("LD_PRELOAD", format!("{}:{}", library().display(), late.display()));
        let run = run(command.env("ALLOC_GPA", settings));
        assert_eq!((run.out.as_str(), run.code), ("exits\nlast\n", Some(0)), "{run:#?}");
    }
}
