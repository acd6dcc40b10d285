//! Trap "Addresses", and what else a system may withhold: address space, locked memory, stack.

use std::path::Path;

use crate::harness::{Bench, STRATEGIES, command, run};

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
