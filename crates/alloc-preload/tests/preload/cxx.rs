//! Trap "C++": every form of `operator new` and `operator delete`, what is thrown, and programs that
//! have operators of their own.

use crate::harness::{Bench, command, has_cxx, run, runs_clean};

/// All forms, aligned and sized and not, of arrays and not; without memory they throw or return
/// null, after the new-handler had its turn.
#[test]
fn operators() {
    if has_cxx() {
        let bench = Bench::new();
        let program = bench.compile("operators.cpp", &["-std=c++17"]);
        runs_clean(&program, &[], "all forms\nhandlers\ncaught\n");
    }
}

/// A program that replaces two operators relies on the other forms to call them.
#[test]
fn replaced_operators() {
    if has_cxx() {
        let bench = Bench::new();
        let program = bench.compile("replaced.cpp", &["-std=c++17"]);
        runs_clean(&program, &[], "11 of its own\n");
    }
}

/// The same where libstdc++ is part of the program: there is no next library to hand them to.
#[test]
fn replaced_operators_without_libstdcxx() {
    if has_cxx() {
        let bench = Bench::new();
        let flags = ["-std=c++17", "-static-libstdc++", "-static-libgcc", "-rdynamic"];
        let program = bench.compile("replaced.cpp", &flags);
        runs_clean(&program, &[], "11 of its own\n");
    }
}

/// A program with its own malloc gets C++'s operators over that one.
#[test]
fn a_program_brings_its_own_malloc() {
    if has_cxx() {
        let bench = Bench::new();
        let program = bench.compile("own_malloc_cxx.cpp", &["-std=c++17", "-rdynamic"]);
        let under_gpa = run(command(&program, "gpa"));
        assert_eq!(
            (under_gpa.out.as_str(), under_gpa.code),
            ("all its own\n", Some(0)),
            "{under_gpa:#?}"
        );
        assert!(under_gpa.err.contains("own-allocator: "), "{under_gpa:#?}");
        run(command(&program, "c")).is("all its own\n");
    }
}

/// A library in C++ that a program in C opens for itself alone: nobody else sees its libstdc++.
#[test]
fn a_library_opened_for_itself_alone() {
    if has_cxx() {
        let bench = Bench::new();
        let plugin = bench.compile_library("plugin_cxx.cpp", &["-std=c++17"]);
        let program = bench.compile("open_plugin.c", &["-ldl"]);
        runs_clean(&program, &[plugin.to_str().expect("a path of text")], "thrown and caught\n");
    }
}

/// `delete` of another size than `new` is told.
#[test]
fn a_wrong_size_is_told() {
    if has_cxx() {
        let bench = Bench::new();
        let program = bench.compile("wrong_size.cpp", &["-std=c++17", "-fsized-deallocation"]);
        let run = run(command(&program, "gpa").env("ALLOC_GPA", "on_finding=exit:77"));
        assert_eq!(run.code, Some(77), "{run:#?}");
        assert!(run.err.contains("wrong size"), "{run:#?}");
    }
}
