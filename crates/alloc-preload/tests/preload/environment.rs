//! Traps "Security" and "Where findings go": variables, descriptors, and chains of programs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Bench, Run, STRATEGIES, bare, command, library, run};

/// An unknown strategy ends the program before it begins: one line that names it and the valid ones.
#[test]
fn unknown_strategy() {
    for (value, shown) in [("smp", "`smp`"), ("Gpa", "`Gpa`"), ("a\nb\u{1b}", "`a\\nb\\x1b`")] {
        let run = run(command("/bin/ls", value).arg("/"));
        assert_eq!((run.out.as_str(), run.code), ("", Some(2)), "{run:#?}");
        assert_eq!(run.err.lines().count(), 1, "{run:#?}");
        for words in ["ALLOC_PRELOAD", shown, "gpa or c"] {
            assert!(run.err.contains(words), "no {words} in {run:#?}");
        }
    }
    let run = run(command("/bin/ls", &"x".repeat(100_000)));
    assert_eq!((run.err.lines().count(), run.code), (1, Some(2)));
}

/// Unset and empty mean `gpa`.
#[test]
fn no_strategy_is_gpa() {
    let bench = Bench::new();
    let program = bench.compile("stub.c", &[]);
    let twice = |change: &dyn Fn(&mut Command)| {
        let mut command = command(&program, "");
        change(command.arg("twice").env("ALLOC_GPA", "on_finding=exit:77"));
        run(&mut command).code
    };
    assert_eq!(twice(&|_| {}), Some(77));
    let unset = |command: &mut Command| {
        command.env_remove("ALLOC_PRELOAD");
    };
    assert_eq!(twice(&unset), Some(77));
}

/// Settings that cannot be are refused too.
#[test]
fn unknown_settings() {
    let run = run(command("/bin/ls", "gpa").env("ALLOC_GPA", "no_such_key=1"));
    assert_eq!((run.out.as_str(), run.code, run.err.lines().count()), ("", Some(2), 1), "{run:#?}");
    assert!(run.err.contains("no_such_key"), "{run:#?}");
}

/// Entries that are no assignments, names without values, bytes that are no text, and very much.
#[test]
fn junk_in_the_environment() {
    for strategy in STRATEGIES {
        let mut command = command("/bin/echo", strategy);
        command.arg("fine");
        command
            .env("ALLOC_PRELOAD_", "smp")
            .env("ALLOC_PRELOA", "smp")
            .env("XALLOC_PRELOAD", "smp");
        command.env(OsStr::from_bytes(b"\xff\xfe"), OsStr::from_bytes(b"\x80="));
        command.env("LONG", "x".repeat(100_000));
        for index in 0..2000 {
            command.env(format!("VARIABLE_{index}"), "");
        }
        run(&mut command).is("fine\n");
    }
}

/// A program whose standard error, or all descriptors, are closed.
#[test]
fn closed_descriptors() {
    let bench = Bench::new();
    let program = bench.compile("stub.c", &[]);
    for (script, code) in [
        ("exec \"$0\" 2>&-", 0),
        ("exec \"$0\" twice 2>&-", 77),
        ("exec \"$0\" twice 0<&- 1>&- 2>&-", 77),
    ] {
        let mut command = command("/bin/sh", "gpa");
        command.args(["-c", script]).arg(&program).env("ALLOC_GPA", "on_finding=exit:77");
        assert_eq!(run(&mut command).code, Some(code), "{script}");
    }
}

/// Runs a command that writes records; returns the one file of them.
fn recorded(bench: &Bench, command: &mut Command) -> (Run, PathBuf) {
    let records = bench.path().join("records");
    std::fs::create_dir(&records).expect("a folder");
    std::fs::set_permissions(&records, std::fs::Permissions::from_mode(0o700)).expect("a mode");
    let run = run(command.env("ALLOC_GPA_RECORDS", &records));
    let files: Vec<_> = std::fs::read_dir(&records).expect("a folder").collect();
    assert_eq!(files.len(), 1);
    (run, files[0].as_ref().expect("an entry").path())
}

/// So does a program with its own malloc: its record says so.
#[test]
fn an_own_malloc_is_noted_in_the_records() {
    let bench = Bench::new();
    let program = bench.compile("own_malloc.c", &["-rdynamic"]);
    let (run, path) = recorded(&bench, &mut command(&program, "gpa"));
    run.is("its own\n");
    let text = std::fs::read_to_string(path).expect("a file of text");
    for words in ["\"strategy\":\"c\"", "own-allocator: ", "/own_malloc brings", "\"none\""] {
        assert!(text.contains(words), "no {words} in {text}");
    }
}

/// Under `alloc-check` nothing is written to the program's descriptors, and its status is its own.
#[test]
fn findings_go_to_the_records() {
    let bench = Bench::new();
    let program = bench.compile("stub.c", &[]);
    let (run, path) = recorded(&bench, command(&program, "gpa").arg("twice"));
    run.is("freed\n");
    let text = std::fs::read_to_string(&path).expect("a file of text");
    assert!(text.contains("\"double_free\""), "{text}");
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Where no record file can be made, one line says so, and findings go to standard error; the program
/// goes on as it would.
#[test]
fn records_that_cannot_be_written_are_no_silence() {
    let bench = Bench::new();
    let program = bench.compile("stub.c", &[]);
    let file = bench.path().join("a file");
    std::fs::write(&file, "").expect("a file");
    let long = "/x".repeat(3000);
    let missing = bench.path().join("missing");
    for (records, why) in [
        (missing.to_str().expect("text"), "there is no such folder"),
        (file.to_str().expect("text"), "it is no folder"),
        (long.as_str(), "too long"),
    ] {
        let clean = run(command(&program, "gpa").env("ALLOC_GPA_RECORDS", records));
        assert_eq!((clean.out.as_str(), clean.code), ("freed\n", Some(0)), "{clean:#?}");
        assert_eq!(clean.err.lines().count(), 1, "{clean:#?}");
        let mut command = command(&program, "gpa");
        command.arg("twice").env("ALLOC_GPA", "on_finding=continue");
        let run = run(command.env("ALLOC_GPA_RECORDS", records));
        assert_eq!((run.out.as_str(), run.code), ("freed\n", Some(0)), "{run:#?}");
        let (first, rest) = run.err.split_once('\n').expect("a line");
        assert!(first.contains("ALLOC_GPA_RECORDS") && first.contains(why), "{run:#?}");
        assert!(rest.contains("double free"), "{run:#?}");
        assert_eq!(run.err.matches("ALLOC_GPA_RECORDS").count(), 1, "{run:#?}");
    }
}

/// A child that may no longer write where its parent does tells of its own findings, and of no others.
#[test]
fn a_child_without_records_is_heard() {
    let bench = Bench::new();
    let program = bench.compile("unreachable.c", &[]);
    for how in ["fork", "vfork"] {
        let bench = Bench::new();
        let (run, path) = recorded(&bench, command(&program, "gpa").arg(how));
        if run.out == "no rights\n" {
            println!("skipped: the test may not change its root");
            return;
        }
        assert_eq!((run.out.as_str(), run.code), ("done\n", Some(0)), "{run:#?}");
        assert_eq!(run.err.matches("ALLOC_GPA_RECORDS").count(), 1, "{run:#?}");
        assert_eq!(run.err.matches("double free").count(), 1, "{run:#?}");
        let text = std::fs::read_to_string(path).expect("a file of text");
        assert_eq!(text.matches("\"double_free\"").count(), 1, "{text}");
        assert!(text.contains("\"t\":\"end\""), "{text}");
    }
}

/// Nobody reads standard error any more, or it is a file at its limit: the report is lost, the program
/// is not. Its own `SIGPIPE` is as it left it.
#[test]
fn standard_error_without_a_reader() {
    let bench = Bench::new();
    let program = bench.compile("no_reader.c", &[]);
    let cases = ["pipe", "limit", "blocked", "pending", "full"];
    for case in cases {
        let mut command = command(&program, "gpa");
        let run = run(command.env("ALLOC_GPA", "on_finding=continue").arg(case));
        assert_eq!((run.out.as_str(), run.code), ("alive\n", Some(0)), "{case} {run:#?}");
    }
    // The policy holds all the same.
    for (policy, code, signal) in [("exit:9", Some(9), None), ("abort", None, Some(libc::SIGABRT))]
    {
        let mut command = command(&program, "gpa");
        let run = run(command.env("ALLOC_GPA", format!("on_finding={policy}")).arg("pipe"));
        assert_eq!((run.code, run.signal), (code, signal), "{run:#?}");
    }
}

/// Each program of a chain of execs gets the library, and a wrapper's own `LD_PRELOAD` is kept.
#[test]
fn chains_of_programs() {
    for strategy in STRATEGIES {
        let script = "sh -c 'exec sh -c \"exec /bin/echo \\$LD_PRELOAD\"'";
        let run = run(command("/bin/sh", strategy).args(["-c", script]));
        run.is(&format!("{}\n", library().display()));
    }
}

/// A program that gains rights is not touched: the loader itself drops the library there. (What the
/// library would do is `at_secure_ignores_the_variable` in `src/strategy.rs`.)
#[test]
fn at_secure() {
    let bench = Bench::new();
    let copy = bench.path().join("echo");
    // By another process: a child that another test starts while this one writes would keep the file open, which
    // then cannot be run.
    let copied = std::process::Command::new("cp").arg("/bin/echo").arg(&copy).status();
    assert!(copied.expect("cp").success());
    // SAFETY: a C string; only root may do it.
    let nobody = unsafe {
        let path = std::ffi::CString::new(copy.as_os_str().as_bytes()).expect("no zero byte");
        libc::chown(path.as_ptr(), 65534, 65534)
    };
    if nobody != 0 {
        println!("skipped: only root can make a program of another user's");
        return;
    }
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o4755)).expect("a mode");
    let mut folder = std::fs::metadata(bench.path()).expect("a folder").permissions();
    folder.set_mode(0o755);
    std::fs::set_permissions(bench.path(), folder).expect("a mode");
    let run = run(command(&copy, "no such strategy").arg("unharmed"));
    assert_eq!((run.out.as_str(), run.code), ("unharmed\n", Some(0)), "{run:#?}");
    assert!(!run.err.contains("alloc-preload"), "{run:#?}");
}

/// A program without a loader never sees the library.
#[test]
fn static_programs() {
    let bench = Bench::new();
    let program = bench.compile("stub.c", &["-static"]);
    let with = run(&mut command(&program, "gpa"));
    let without = run(&mut bare(&program));
    assert_eq!((with.out, with.err, with.code), (without.out, without.err, without.code));
}
