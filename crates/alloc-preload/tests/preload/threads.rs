//! Trap "Threads and fork".

use crate::harness::{Bench, command, run, runs_clean};

/// Forks while other threads are inside `malloc`; every child allocates and ends.
#[test]
fn fork_while_threads_allocate() {
    let bench = Bench::new();
    runs_clean(&bench.compile("fork_threads.c", &[]), &[], "30 children\n");
}

/// The same where blocks have pages of their own, which other locks are taken for.
#[test]
fn fork_while_threads_allocate_guarded_blocks() {
    let bench = Bench::new();
    let program = bench.compile("fork_threads.c", &[]);
    for settings in ["guard=every", "guard=every,guard_impl=mprotect", "guard=sampled:2"] {
        println!("{settings}");
        run(command(&program, "gpa").env("ALLOC_GPA", settings).arg("busy")).is("30 children\n");
    }
}

/// A handler that allocates meets a thread that forks, and one that forks a thread that allocates:
/// nobody waits for its own thread. (glibc's own `malloc` gives no such promise.)
#[test]
fn forks_and_signal_handlers() {
    let bench = Bench::new();
    let program = bench.compile("fork_signals.c", &[]);
    for who in ["handler-allocates", "handler-forks"] {
        run(command(&program, "gpa").arg(who)).is("ended\n");
    }
}

/// `vfork` and `posix_spawn` run a child in the parent's memory until it execs.
#[test]
fn vfork_and_posix_spawn() {
    let bench = Bench::new();
    runs_clean(&bench.compile("spawn.c", &[]), &[], "vfork\nspawn\nboth ended\n");
}

/// A thread's last frees come after its thread-local destructors, blocks outlive their threads and
/// are freed by others.
#[test]
fn blocks_outlive_threads() {
    let bench = Bench::new();
    runs_clean(&bench.compile("threads.c", &[]), &[], "400 blocks came back\n");
}

/// `malloc` and `free` are no cancellation points, also when they tell of something.
#[test]
fn findings_of_a_cancelled_thread() {
    let bench = Bench::new();
    let program = bench.compile("cancelled.c", &[]);
    let run = run(command(&program, "gpa").env("ALLOC_GPA", "on_finding=continue"));
    assert_eq!((run.out.as_str(), run.code), ("cancelled\n", Some(0)), "{run:#?}");
    for words in ["write past the end", "double free", "address in cancelled"] {
        assert!(run.err.contains(words), "no {words:?} in {}", run.err);
    }
}
