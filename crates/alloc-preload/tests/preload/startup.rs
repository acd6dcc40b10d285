//! Traps "Start-up", "Stacks" and "Who allocates for the allocator".

use crate::harness::{Bench, STRATEGIES, bare, command, run, runs_clean};

/// `ls` hangs if the library's own code allocates from itself.
#[test]
fn who_allocates_for_the_allocator() {
    for strategy in STRATEGIES {
        let with = run(command("/bin/ls", strategy).arg("/usr"));
        assert_eq!(with.out, run(bare("/bin/ls").arg("/usr")).out);
        assert_eq!((with.err.as_str(), with.code), ("", Some(0)), "{with:#?}");
    }
}

/// Constructors of libraries allocate before `main`, also of those that are opened later.
#[test]
fn constructors_allocate() {
    let bench = Bench::new();
    let plugin = bench.compile_library("plugin.c", &[]);
    let program = bench.compile("constructors.c", &["-ldl"]);
    let plugin = plugin.to_str().expect("a path of text");
    runs_clean(
        &program,
        &[plugin],
        "before main\nplugin open\n1000 1000 1000 1000\nplugin closed\nafter main\n",
    );
}

/// The first use of a thread-local of an opened library asks for memory from inside the loader;
/// each of four threads does that while others open and close the library.
#[test]
fn first_use_of_thread_locals() {
    let bench = Bench::new();
    let plugin = bench.compile_library("plugin.c", &["-DQUIET"]);
    let program = bench.compile("dlopen_threads.c", &["-ldl"]);
    runs_clean(&program, &[plugin.to_str().expect("a path of text")], "opened and closed\n");
}

/// A handler allocates while it interrupts `malloc`, some thousand times.
#[test]
fn signal_handlers_allocate() {
    let bench = Bench::new();
    runs_clean(&bench.compile("signals.c", &[]), &[], "interrupted\n");
}

/// A library is closed and another one is mapped in its place: stacks name the right one.
#[test]
fn a_library_takes_anothers_place() {
    let bench = Bench::new();
    let program = bench.compile("places.c", &["-ldl"]);
    let [first, second] = ["FIRST", "SECOND"].map(|name| {
        let copy = bench.path().join(format!("lib{name}.so"));
        let library = bench.compile_library("twice.c", &[&format!("-D{name}")]);
        std::fs::rename(library, &copy).expect("a new name");
        copy.to_str().expect("a path of text").to_owned()
    });
    // Where a library is mapped is the kernel's choice, and random: another place is tried again.
    let mut runs = (0..50).map(|_| {
        run(command(&program, "gpa")
            .args([&first, &second])
            .env("ALLOC_GPA", "on_finding=continue"))
    });
    let run = runs.find(|run| run.out != "another place\n").expect("the same place, once");
    assert_eq!((run.out.as_str(), run.code), ("the same place\n", Some(0)), "{run:#?}");
    let findings: Vec<_> = run.err.split("double free").collect();
    assert_eq!(findings.len(), 3, "{run:#?}");
    for (finding, [own, other]) in
        [(findings[1], [&first, &second]), (findings[2], [&second, &first])]
    {
        assert!(finding.contains(&format!("{own}+0x")), "no {own} in {finding}");
        assert!(!finding.contains(&format!("{other}+0x")), "{other} in {finding}");
    }
}
