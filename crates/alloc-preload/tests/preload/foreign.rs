//! Trap "Foreign blocks": programs with a malloc of their own, blocks of the loader, any address.

use crate::harness::{Bench, command, run, runs_clean};

/// A program that exports `malloc` runs over it, and is told of in one line; the names that it does
/// not export reach glibc, as they do without the library.
#[test]
fn a_program_brings_its_own_malloc() {
    let bench = Bench::new();
    let program = bench.compile("own_malloc.c", &["-rdynamic"]);
    let under_gpa = run(command(&program, "gpa"));
    assert_eq!((under_gpa.out.as_str(), under_gpa.code), ("its own\n", Some(0)), "{under_gpa:#?}");
    assert_eq!(under_gpa.err.lines().count(), 1, "{under_gpa:#?}");
    assert!(under_gpa.err.contains("own-allocator: "), "{under_gpa:#?}");
    // Who asks for glibc has no checks to lose.
    run(command(&program, "c")).is("its own\n");
}

/// A program at a fixed address that takes the address of `free` has a stub for it, which is not a
/// `free` of its own: it is checked.
#[test]
fn a_stub_is_no_malloc_of_its_own() {
    let bench = Bench::new();
    let program = bench.compile("stub.c", &["-no-pie", "-fno-pie"]);
    run(command(&program, "c")).is("freed\n");
    run(command(&program, "gpa")).is("freed\n");
    let twice = run(command(&program, "gpa").arg("twice").env("ALLOC_GPA", "on_finding=exit:77"));
    assert_eq!(twice.code, Some(77), "{twice:#?}");
    assert!(twice.err.contains("double free"), "{twice:#?}");
}

/// Blocks that the loader handed out before `malloc` could be called are freed and reallocated in
/// silence. (glibc's own `free` would abort.)
#[test]
fn blocks_of_the_loader() {
    let bench = Bench::new();
    run(command(bench.compile("loader_blocks.c", &[]), "gpa")).is("kept\n");
}

/// Addresses that are no blocks are told, each by its kind, and nothing breaks.
#[test]
fn any_address_is_told() {
    let bench = Bench::new();
    let program = bench.compile("any_address.c", &[]);
    let run = run(command(&program, "gpa").env("ALLOC_GPA", "on_finding=continue"));
    assert_eq!((run.out.as_str(), run.code), ("alive\n", Some(0)), "{run:#?}");
    let count = run.err.matches("invalid free").count();
    assert_eq!(count, 9, "{run:#?}");
    for words in [
        "interior pointer",
        "stack address",
        "address in any_address",
        "not mapped",
        "foreign block",
    ] {
        assert!(run.err.contains(words), "no {words:?} in {run:#?}");
    }
    // The program's zero data follows its file, in a mapping of no file.
    assert_eq!(run.err.matches("address in any_address").count(), 2, "{run:#?}");
    assert_eq!(run.err.matches("foreign block").count(), 2, "{run:#?}");
}

/// A library with its own names for everything keeps its blocks to itself.
#[test]
fn names_of_all_the_family_are_taken_over() {
    let bench = Bench::new();
    runs_clean(&bench.compile("all_names.c", &["-ldl"]), &[], "one library\n");
}
