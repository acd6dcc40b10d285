//! Trap "Addresses", and what else a system may withhold: address space, locked memory, stack.

use std::path::Path;

use crate::harness::{Bench, STRATEGIES, command, mappings_are_fewer_than, run};

/// Runs a program under a shell that sets a limit first.
fn limited(program: &Path, strategy: &str, limit: &str) -> crate::harness::Run {
    let script = format!("ulimit {limit}; exec \"$0\"");
    run(command("/bin/sh", strategy).args(["-c", &script]).arg(program))
}

/// With little address space a huge reservation fails; allocation goes on until nothing is left, and
/// then fails as C says.
#[test]
fn little_address_space() {
    let bench = Bench::new();
    let program = bench.compile("exhaust.c", &[]);
    for strategy in STRATEGIES {
        for limit in ["-v 200000", "-v 500000"] {
            let run = limited(&program, strategy, limit);
            assert_eq!(
                (run.out.as_str(), run.code),
                ("exhausted, and alive\n", Some(0)),
                "{run:#?}"
            );
            // The search for leaks needs memory too.
            assert!(run.err.is_empty() || run.err.contains("leaks: not counted"), "{run:#?}");
        }
    }
}

/// A process that locks all its future memory pays for what it maps; it works all the same.
#[test]
fn all_future_memory_is_locked() {
    let bench = Bench::new();
    let program = bench.compile("locked.c", &[]);
    for strategy in STRATEGIES {
        let run = run(&mut command(&program, strategy));
        run.is_clean();
        assert!(["locked\n", "may not lock\n"].contains(&run.out.as_str()), "{run:#?}");
    }
}

/// Little stack: in the main thread, and in threads of the least size.
#[test]
fn little_stack() {
    let bench = Bench::new();
    let program = bench.compile("small_stack.c", &[]);
    for strategy in STRATEGIES {
        limited(&program, strategy, "-s 128").is("small stacks\n");
    }
}

/// Runs `degrade.c` after a limit of the shell; it shall keep what it was given. Returns what was said.
#[track_caller]
fn degraded(settings: &str, limit: &str, arguments: &[&str], kept: &[&str]) -> String {
    let bench = Bench::new();
    let program = bench.compile("degrade.c", &[]);
    let script = format!("ulimit {limit}; exec \"$0\" \"$@\"");
    let mut command = command("/bin/sh", "gpa");
    command.args(["-c", &script]).arg(&program).args(arguments);
    let run = run(command.env("ALLOC_GPA", format!("on_finding=continue,{settings}")));
    assert_eq!(run.code, Some(0), "{settings} {limit} {run:#?}");
    assert!(kept.contains(&run.out.trim_end()), "{settings} {limit} {run:#?}");
    for line in run.err.lines() {
        let is_note = ["alloc-gpa: degraded: ", "alloc-gpa: limit: ", "alloc-gpa: leaks: "];
        assert!(is_note.iter().any(|note| line.starts_with(note)), "{settings} {limit} {run:#?}");
        assert_eq!(run.err.matches(line).count(), 1, "said more than once: {run:#?}");
    }
    run.err
}

/// More blocks than the process may have mappings: those beyond are not guarded, which is said once, and
/// nothing of the program's is lost.
#[test]
fn mappings_run_out() {
    degraded("guard=every", "-v unlimited", &["40000"], &["kept all"]);
    let said =
        degraded("guard=every,guard_impl=mprotect", "-v unlimited", &["100000"], &["kept all"]);
    if mappings_are_fewer_than(100_000) {
        assert_eq!(said.matches("not every block is guarded").count(), 1, "{said}");
    }
}

/// Little address space, from the start or on the way: requests fail as C says, and what was handed out
/// stays as it was written, whatever the mode.
#[test]
fn address_space_runs_out() {
    for settings in ["stacks=16", "guard=every", "guard=every,guard_impl=mprotect", "quarantine=1M"]
    {
        let any = ["kept all", "kept some"];
        degraded(settings, "-v 150000", &["30000", "3000"], &any);
        degraded(settings, "-v 300000", &["200", "2000000"], &["kept some"]);
        // A limit that the process is above already.
        degraded(settings, "-v unlimited", &["30000", "3000", "100"], &any);
    }
}

/// Beyond `memory_limit` requests fail, which is said once.
#[test]
fn the_memory_limit_is_reached() {
    for settings in ["memory_limit=1M", "guard=every,memory_limit=1M"] {
        let said = degraded(settings, "-v unlimited", &["3000", "1000"], &["kept some"]);
        assert!(
            said.contains("limit: allocations failed because memory_limit was reached"),
            "{said}"
        );
    }
}
