//! Trap "Exit": whatever way a process ends, it ends as it does without the library.

use crate::harness::{Bench, STRATEGIES, command, run};

/// Handlers, destructors and thread-locals free after `main`; the status is the program's.
#[test]
fn frees_after_main() {
    let bench = Bench::new();
    let program = bench.compile("exits.c", &[]);
    for strategy in STRATEGIES {
        for (how, out, code) in [
            ("return", "handler\ndestructor\n", 3),
            ("exit", "handler\ndestructor\n", 4),
            ("thread", "handler\ndestructor\n", 8),
            ("_exit", "", 5),
            ("quick", "quick handler\n", 6),
            ("exec", "destructor\n", 7),
        ] {
            let run = run(command(&program, strategy).arg(how));
            assert_eq!(
                (run.out.as_str(), run.err.as_str(), run.code),
                (out, "", Some(code)),
                "{how}"
            );
        }
    }
}

/// A process that is killed by a signal dies by it.
#[test]
fn signals_kill() {
    let bench = Bench::new();
    let program = bench.compile("exits.c", &[]);
    for strategy in STRATEGIES {
        for (how, signal) in
            [("segv", libc::SIGSEGV), ("abort", libc::SIGABRT), ("kill", libc::SIGKILL)]
        {
            let run = run(command(&program, strategy).arg(how));
            assert_eq!(
                (run.out.as_str(), run.err.as_str(), run.signal),
                ("", "", Some(signal)),
                "{how}"
            );
        }
    }
}
