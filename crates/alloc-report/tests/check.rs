//! `alloc-check` from outside, with a library that writes what the tests say.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use support::setup::{Setup, stderr};
use support::{END, address, compile};

const DOUBLE_FREE: &str = r#"{"t":"finding","kind":"double_free","offset":0,"block":{"addr":64,"size":100,"align":16},"here":1,"allocated":1,"freed":1}"#;
const LOST: &str = r#"{"t":"leak","kind":"lost","stack":1,"count":3,"bytes":4128,"min":1,"max":9}"#;
const ABSURD: &str = r#"{"t":"finding","kind":"invalid_request","size":7,"align":8}"#;

const CLEAN: &str = "no findings, 12,406 allocations, peak 1.8 MiB\n";

/// Without findings the program's own status; with some, 23 or what was asked for.
#[test]
fn exit_status() {
    let setup = Setup::new();
    for status in [0, 7, 255] {
        let output = setup.run(&[], &["exit", &status.to_string()]);
        assert_eq!((output.status.code(), &*stderr(&output)), (Some(status), CLEAN));
    }
    let cases: [(&[&str], &[&str], i32); 9] = [
        (&[DOUBLE_FREE], &[], 23),
        (&[DOUBLE_FREE], &["--exit-code", "99"], 99),
        (&[DOUBLE_FREE], &["--exit-code=0"], 0),
        (&[LOST], &[], 23),
        (&[LOST], &["--leaks=summary"], 23),
        (&[LOST], &["--leaks=off"], 7),
        (&[LOST, DOUBLE_FREE], &["--leaks=off"], 23),
        (&[ABSURD], &[], 7),
        (&[r#"{"t":"leak","kind":"indirect","stack":1,"count":3,"bytes":9}"#], &[], 7),
    ];
    for (lines, options, status) in cases {
        setup.record(lines);
        let output = setup.run(options, &["exit", "7"]);
        assert_eq!(output.status.code(), Some(status), "{lines:?} {options:?}");
    }
    setup.no_records_left();
}

/// Findings come with function, file and line, after the program's output, which is untouched.
#[test]
fn report_follows_the_output() {
    let setup = Setup::new();
    setup.record(&[DOUBLE_FREE, LOST]);
    let mut child = setup
        .command(&[], &["echo"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn({
        let input = input.clone();
        move || stdin.write_all(&input).unwrap()
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert_eq!(output.stdout, input);
    let text = stderr(&output);
    let source = support::fixture("program.c");
    let source = source.to_str().unwrap();
    let frames = format!("    inner  {source}:11  (inlined)\n    outer  {source}:15\n");
    let first = "to standard error\ndouble free of a 100-byte block (offset 0)\n  here\n";
    assert!(text.starts_with(&format!("{first}{frames}")), "{text}");
    let last = "1 finding, 3 blocks lost (4,128 bytes), 12,406 allocations, peak 1.8 MiB\n";
    assert!(text.ends_with(last), "{text}");
}

/// Dies by the signal that ended the program, after the report.
#[test]
fn signals_end_both() {
    let setup = Setup::new();
    setup.record(&[DOUBLE_FREE]);
    for signal in [6, 9, 11, 15] {
        let output = setup.run(&[], &["raise", &signal.to_string()]);
        assert_eq!(output.status.signal(), Some(signal));
        assert!(!output.status.core_dumped());
        assert!(stderr(&output).ends_with("1 finding, 12,406 allocations, peak 1.8 MiB\n"));
    }
    setup.no_records_left();
}

/// A signal that asks alloc-check to end reaches the program, which decides; then the report comes.
#[test]
fn signals_are_forwarded() {
    let setup = Setup::new();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let mut child = setup
            .command(&[], &["wait"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // SAFETY: kill(2) has no contract; the child was not waited for, so the id is its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.signal(), &*stderr(&output)), (Some(signal), CLEAN));
    }
    setup.no_records_left();
}

/// The environment that the library reads: ours first, the user's kept.
#[test]
fn environment() {
    let setup = Setup::new();
    let said = setup.path("said");
    let library = setup.library.canonicalize().unwrap();
    let library = library.to_str().unwrap();
    let run = |variables: &[(&str, &str)]| {
        let mut command = setup.command(&[], &[]);
        command.env("FAKE_ENVIRONMENT", &said).envs(variables.iter().copied());
        assert!(command.output().unwrap().status.success());
        let text = fs::read_to_string(&said).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let plain = run(&[]);
    assert_eq!(plain[..3], [library, "gpa", "on_finding=continue"]);
    assert!(plain[3].starts_with(setup.path("tmp").to_str().unwrap()), "{}", plain[3]);
    let user = run(&[
        ("LD_PRELOAD", "libm.so.6"),
        ("ALLOC_PRELOAD", "c"),
        ("ALLOC_GPA", "stacks=4,on_finding=abort"),
    ]);
    let preload = format!("{library}:libm.so.6");
    assert_eq!(user[..3], [&*preload, "gpa", "on_finding=continue,stacks=4"]);
}

/// Settings for the allocator are handed on, those of the command line last; wrong ones are refused in
/// one line before the program starts.
#[test]
fn settings_of_the_allocator() {
    let setup = Setup::new();
    let said = setup.path("said");
    let run = |options: &[&str], inherited: &str| {
        let _ = fs::remove_file(&said);
        let mut command = setup.command(options, &["exit", "0"]);
        command.env("FAKE_ENVIRONMENT", &said).env("ALLOC_GPA", inherited);
        let output = command.output().unwrap();
        (output.status.code(), stderr(&output), fs::read_to_string(&said).unwrap_or_default())
    };
    let options = ["--gpa", "stacks=4,junk=0x11", "--gpa=history=1M"];
    let (status, _, said) = run(&options, "stacks=8");
    assert_eq!(status, Some(0));
    let expected = "on_finding=continue,stacks=8,stacks=4,junk=0x11,history=1M";
    assert_eq!(said.lines().nth(2), Some(expected));
    for (options, inherited, line) in [
        (&["--gpa", "stack=1"][..], "", "--gpa: unknown key `stack`; the keys are stacks, "),
        (&["--gpa", "junk=a\nb"], "", "--gpa: `a\\nb` is no value of `junk`; it takes a byte"),
        (&["--gpa", "on_finding=abort"], "", "--gpa: `on_finding` is always continue here"),
        (&[], "stacks=x", "ALLOC_GPA: `x` is no value of `stacks`; it takes off, or 1 to 32"),
    ] {
        let (status, text, said) = run(options, inherited);
        assert_eq!((status, said.as_str(), text.lines().count()), (Some(2), "", 1), "{text}");
        assert!(text.starts_with(&format!("alloc-check: {line}")), "{text}");
    }
}

/// The program starts as it would without us: dispositions, mask, closed descriptors.
#[test]
fn what_is_inherited() {
    let setup = Setup::new();
    let said = |command: &mut Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
    let plain = said(&mut setup.command(&[], &["inherited"]));
    assert_eq!(plain, "SIGPIPE default, SIGTERM open, 0 open, 2 open\n");
    let mut command = setup.command(&["--output", "r.txt"], &["inherited"]);
    let prepare = || {
        // SAFETY: SIG_IGN is a valid disposition.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        for descriptor in [0, 2] {
            // SAFETY: the child uses neither before exec.
            unsafe { libc::close(descriptor) };
        }
        Ok(())
    };
    // SAFETY: signal(2) and close(2) are async-signal-safe.
    unsafe { command.pre_exec(prepare) };
    assert_eq!(said(&mut command), "SIGPIPE ignored, SIGTERM open, 0 closed, 2 closed\n");
}

/// The program sees the name that it was called by, also when it was looked up in PATH.
#[test]
fn program_is_looked_up() {
    let setup = Setup::new();
    let mut command = setup.bare();
    command.env("PATH", setup.dir.path()).args(["--library", "fake.so", "program", "name"]);
    let output = command.output().unwrap();
    assert_eq!(output.stdout, b"program\n", "{}", stderr(&output));
}

/// Options after the program are the program's.
#[test]
fn options_of_the_program() {
    let setup = Setup::new();
    let mut command = setup.bare();
    command.arg("--library").arg(&setup.library).args(["/bin/echo", "--json", "--leaks=x", "--"]);
    assert_eq!(command.output().unwrap().stdout, b"--json --leaks=x --\n");
}

/// Every child writes its own file; one that still runs is named; exec is told from a sudden end.
#[test]
fn several_processes() {
    let setup = Setup::new();
    let output = setup.run(&[], &["exec", "3"]);
    assert_eq!(output.status.code(), Some(3));
    // Both ended, as two heaps in one process do.
    let two = "no findings, 24,812 allocations, peak 1.8 MiB\n";
    assert_eq!(stderr(&output), two);
    let template = fs::read_to_string(setup.path("template")).unwrap();
    fs::write(setup.path("template"), template.replace(&format!("{END}\n"), "")).unwrap();
    let output = setup.run(&[], &["exec", "0"]);
    let text = stderr(&output);
    assert!(text.contains("1 process called exec"), "{text}");
    assert!(text.contains("1 process ended without exit handlers"), "{text}");
    let output = setup.run(&[], &["daemon"]);
    let text = stderr(&output);
    assert!(text.contains("1 process still running: read as far as written\n"), "{text}");
    assert!(text.contains("1 process ended without exit handlers"), "{text}");
}

/// `--json` and `--output` files are written; those that cannot be are named before the program runs.
#[test]
fn files() {
    let setup = Setup::new();
    setup.record(&[DOUBLE_FREE]);
    let output = setup.run(&["--json", "r.json", "--output", "r.txt"], &["exit", "3"]);
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(23), ""));
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(setup.path("r.json")).unwrap()).unwrap();
    assert_eq!(json["run"]["status"], 3);
    assert_eq!(json["findings"][0]["here"], 0);
    assert_eq!(json["stacks"][0]["frames"], serde_json::json!([0, 1]));
    assert_eq!(json["frames"][0]["function"], "inner");
    assert_eq!(json["frames"][1]["line"], 15);
    let text = fs::read_to_string(setup.path("r.txt")).unwrap();
    assert!(text.starts_with("double free") && !text.contains('\u{1b}'));
    for option in ["--json", "--output"] {
        let output = setup.run(&[option, "/missing/file"], &["name"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty(), "the program ran");
        let text = stderr(&output);
        assert!(text.starts_with("alloc-check: cannot write /missing/file: "), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
    // A full disk is noticed when the report is written.
    let output = setup.run(&["--output", "/dev/full"], &["exit", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot write the report"));
}

/// Each format goes to the file that is named for it, several at once, or to standard output; one file
/// takes one format.
#[test]
fn formats() {
    let setup = Setup::new();
    setup.record(&[DOUBLE_FREE, LOST]);
    let files = ["--html", "r.html", "--pprof", "r.pb.gz", "--dhat", "r.dhat", "--json", "r.json"];
    let output = setup.run(&files, &["exit", "0"]);
    assert_eq!(output.status.code(), Some(23));
    assert!(stderr(&output).starts_with("double free"), "text comes all the same");
    let begins = |name: &str, bytes: &[u8]| {
        let content = fs::read(setup.path(name)).unwrap();
        assert!(content.starts_with(bytes), "{name}: {:?}", content.get(..20));
        content
    };
    begins("r.pb.gz", &[0x1f, 0x8b]);
    begins("r.json", b"{\"schema\":\"alloc-report\"");
    begins("r.dhat", b"{\"dhatFileVersion\":2");
    let page = String::from_utf8(begins("r.html", b"<!DOCTYPE html>")).unwrap();
    let quoted = "<span class=\"now\"><i>15</i>    inner(); /* line 15 */</span>";
    assert!(page.contains(quoted) && page.contains("<span class=\"fn\">outer</span>"));
    setup.run(&["--html", "r.html", "--no-source"], &[]);
    let page = fs::read_to_string(setup.path("r.html")).unwrap();
    assert!(!page.contains("/* line 15 */") && page.contains("<span class=\"fn\">outer</span>"));

    let output = setup.run(&["--dhat=-", "--output=r.txt"], &["name"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.starts_with("{\"dhatFileVersion\":2"), "{stdout}");
    let output = setup.run(&["--json=x", "--html=x"], &["name"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert_eq!(stderr(&output), "alloc-check: x is named for two formats\n");
    for option in ["--html", "--pprof", "--dhat"] {
        let output = setup.run(&[option, "/dev/full"], &["exit", "0"]);
        assert_eq!(output.status.code(), Some(2), "{option}");
        assert!(stderr(&output).contains("alloc-check: cannot write the report as "));
    }
}

/// Records that were kept are rendered again, as often as one likes, with what was run.
#[test]
fn kept_records_are_rendered() {
    let setup = Setup::new();
    setup.record(&[DOUBLE_FREE, LOST]);
    let first = setup.run(&["--records", "kept", "--json", "1.json"], &["exit", "3"]);
    assert_eq!(first.status.code(), Some(23));
    setup.no_records_left();
    assert_eq!(fs::metadata(setup.path("kept")).unwrap().permissions().mode() & 0o777, 0o700);
    for _ in 0..2 {
        let again = setup.bare().args(["render", "--json", "2.json", "kept"]).output().unwrap();
        assert_eq!((again.status.code(), stderr(&again)), (Some(23), stderr(&first)));
        assert_eq!(
            fs::read(setup.path("1.json")).unwrap(),
            fs::read(setup.path("2.json")).unwrap()
        );
    }
    // Two runs as one report: what is the same in both is one finding, seen twice.
    setup.run(&["--records", "other"], &["exit", "3"]);
    let both = setup.bare().args(["render", "kept", "other"]).output().unwrap();
    let text = stderr(&both);
    assert!(
        text.starts_with("double free of a 100-byte block (offset 0), 2 times  [app 7]\n"),
        "{text}"
    );
    // Without the note of what was run the records themselves tell.
    fs::remove_file(setup.path("kept/run.json")).unwrap();
    let again = setup.bare().args(["render", "--json", "2.json", "kept"]).output().unwrap();
    assert_eq!(again.status.code(), Some(23));
    let json = fs::read(setup.path("2.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["run"]["command"], serde_json::json!(["app"]));
    setup.record(&[]);
    setup.run(&["--records", "clean"], &["exit", "3"]);
    let clean = setup.bare().args(["render", "clean"]).output().unwrap();
    assert_eq!((clean.status.code(), &*stderr(&clean)), (Some(0), CLEAN));
}

/// What cannot be kept or rendered is one line, before anything runs.
#[test]
fn records_that_cannot_be_used() {
    let setup = Setup::new();
    fs::create_dir(setup.path("full")).unwrap();
    fs::write(setup.path("full/7-0.jsonl"), r#"{"t":"start","v":2,"pid":7}"#).unwrap();
    fs::write(setup.path("file"), "").unwrap();
    fs::create_dir(setup.path("empty")).unwrap();
    for (dir, words) in
        [("full", "it is not empty"), ("file", "Not a directory"), ("a/b", "No such")]
    {
        let output = setup.run(&["--records", dir], &["name"]);
        let text = stderr(&output);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{text}");
        assert!(
            text.starts_with(&format!("alloc-check: cannot keep records in {dir}: {words}")),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }
    for (dir, words) in [
        ("missing", "cannot read missing: No such file"),
        ("file", "cannot read file: Not a directory"),
        ("empty", "no records in empty"),
        ("full", "version 2 of the records; this reader knows version 1"),
    ] {
        let output = setup.bare().args(["render", "--json", "r.json", dir]).output().unwrap();
        let text = stderr(&output);
        assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{text}");
        assert!(text.contains(words), "{text}");
        assert!(!setup.path("r.json").exists());
    }
}

/// On request frames of the libraries and of what runs before `main` are shown, and tell leaks apart.
#[test]
fn full_stacks() {
    let setup = Setup::new();
    let mark = address(&setup.program, "mark") + 1;
    let modules = [
        format!(r#"{{"t":"module","id":0,"path":"{}"}}"#, setup.program.to_str().unwrap()),
        r#"{"t":"module","id":1,"path":"/gone/liballoc_preload.so"}"#.to_owned(),
    ];
    let stack = |id: u32, inner: u32| {
        format!(r#"{{"t":"stack","id":{id},"frames":[[1,{inner}],[0,{mark}]]}}"#)
    };
    let leak =
        |id: u32| format!(r#"{{"t":"leak","kind":"lost","stack":{id},"count":1,"bytes":8}}"#);
    let lines = [&modules[0], &modules[1], &stack(2, 16), &stack(3, 32), &leak(2), &leak(3)];
    setup.record(&lines.map(String::as_str));
    let text = stderr(&setup.run(&[], &[]));
    assert!(text.contains("from 1 place") && !text.contains("liballoc_preload.so"), "{text}");
    let text = stderr(&setup.run(&["--full-stacks"], &[]));
    assert!(text.contains("from 2 places") && text.contains("liballoc_preload.so+0x10"), "{text}");
}

/// Colours in a pipe only when they are asked for, and never against `NO_COLOR`.
#[test]
fn colours() {
    let setup = Setup::new();
    setup.record(&[DOUBLE_FREE]);
    for (variables, colored) in [
        (&[][..], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        (&[("NO_COLOR", "1")], false),
    ] {
        let mut command = setup.command(&[], &[]);
        command.env_remove("CLICOLOR_FORCE").env_remove("CLICOLOR").env("TERM", "xterm");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert_eq!(stderr(&output).contains("\u{1b}["), colored, "{variables:?}");
    }
}

/// Suppressed findings do not fail the run; a malformed file is refused before it.
#[test]
fn suppression_files() {
    let setup = Setup::new();
    setup.record(&[DOUBLE_FREE, LOST]);
    fs::write(setup.path("known"), "double_free:inner\nleak:out?r\n").unwrap();
    let output = setup.run(&["--suppress", "known"], &["exit", "4"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("suppressed: 1 finding, 3 blocks not freed (4,128 bytes)"));
    fs::write(setup.path("known"), "fine\ndoublefree:inner\n").unwrap();
    for file in ["known", "missing"] {
        let output = setup.run(&["--suppress", file], &["name"]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
        assert_eq!(stderr(&output).lines().count(), 1);
    }
    let text = stderr(&setup.run(&["--suppress", "known"], &[]));
    assert!(text.starts_with("alloc-check: known: line 2: unknown kind \"doublefree\""), "{text}");
}

/// What cannot be checked is refused in one line, with status 2, and not run.
#[test]
fn bad_input() {
    let setup = Setup::new();
    let refused = |command: &mut Command, words: &str| {
        let output = command.output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(words), "{text:?} does not say {words:?}");
        assert!(output.stdout.is_empty());
        text
    };
    let library = setup.library.to_str().unwrap();
    let one_line = |args: &[&str], words: &str| {
        let mut command = setup.bare();
        let text = refused(command.args(["--library", library]).args(args), words);
        assert_eq!(text.lines().count(), 1, "{text}");
    };
    one_line(&["no-such-program"], "cannot check no-such-program: not found in PATH");
    one_line(&["./missing"], "cannot check ./missing: no such file");
    one_line(&["/tmp"], "it is a directory");
    one_line(&["--", ""], "its name is empty");
    let set_uid = setup.path("set-uid");
    fs::copy(&setup.program, &set_uid).unwrap();
    fs::set_permissions(&set_uid, fs::Permissions::from_mode(0o4755)).unwrap();
    one_line(&["./set-uid"], "set-uid");
    for (args, words) in [
        (&["--bogus", "true"][..], "'--bogus'"),
        (&["--leaks=some", "true"], "[possible values: full, summary, off]"),
        (&["--exit-code=256", "true"], "256"),
        (&["--max-stacks=-1", "true"], "--max-stacks"),
        (&[], "PROGRAM"),
    ] {
        let text = refused(setup.bare().args(args), words);
        assert!(text.starts_with("alloc-check: ") && text.lines().count() == 1, "{text:?}");
    }
    refused(setup.bare().args(["resolve", "/missing"]), "cannot read /missing");
    refused(setup.bare().args(["resolve", "/tmp"]), "cannot resolve /tmp: Is a directory");
}

/// A report on standard output is alone there: the program's own output goes to standard error.
#[test]
fn a_report_on_standard_output_is_alone() {
    let setup = Setup::new();
    let output = setup.run(&["--json", "-", "--output", "r.txt"], &["name"]);
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["schema"], "alloc-report");
    assert_eq!(stderr(&output), format!("{}\n", setup.program.display()));
}

/// The library is found by option and by variable, and its absence is one clear line.
#[test]
fn library_is_found() {
    let setup = Setup::new();
    let run = |command: &mut Command| {
        let output = command.arg(&setup.program).output().unwrap();
        (output.status.code(), stderr(&output))
    };
    let by_variable = run(setup.bare().env("ALLOC_CHECK_LIBRARY", &setup.library));
    assert_eq!(by_variable, (Some(0), CLEAN.to_owned()));
    let (status, text) = run(setup.bare().args(["--library", "/missing.so"]));
    assert_eq!((status, text.lines().count()), (Some(2), 1));
    assert!(text.contains("--library: cannot use /missing.so"), "{text}");

    // Beside the program, or in ../lib as an installation has it.
    let bin = setup.path("bin");
    fs::create_dir(&bin).unwrap();
    // By another process: a child that another test starts while this one writes would keep the file open, which
    // then cannot be run.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_alloc-check")).arg(&bin).status();
    assert!(copied.unwrap().success());
    let installed = || {
        let mut command = Command::new(bin.join("alloc-check"));
        command.env("FAKE_RECORD", setup.path("template"));
        command.env_remove("ALLOC_CHECK_LIBRARY").arg(&setup.program);
        let output = command.output().unwrap();
        (output.status.code(), stderr(&output))
    };
    let (status, text) = installed();
    assert_eq!(status, Some(2));
    assert!(text.contains("no liballoc_preload.so beside"), "{text}");
    let lib = setup.path("lib");
    fs::create_dir(&lib).unwrap();
    fs::copy(&setup.library, lib.join("liballoc_preload.so")).unwrap();
    assert_eq!(installed(), (Some(0), CLEAN.to_owned()));

    let spaced = setup.path("with space.so");
    fs::copy(&setup.library, &spaced).unwrap();
    let (status, text) = run(setup.bare().arg("--library").arg(&spaced));
    assert_eq!(status, Some(2));
    assert!(text.contains("no path with a space or a colon"), "{text}");
}

/// A run that recorded nothing is not called clean.
#[test]
fn nothing_recorded() {
    let setup = Setup::new();
    let output = setup.command(&[], &["exit", "0"]).env_remove("FAKE_RECORD").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("not checked: the program recorded nothing"));
}

/// A program that defines `malloc` itself is run, and the report says what that means.
#[test]
fn own_allocator() {
    let setup = Setup::new();
    let own = setup.path("own");
    compile("own_malloc.c", &own, &["-rdynamic"]);
    let mut command = setup.bare();
    let output = command.arg("--library").arg(&setup.library).arg(&own).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = stderr(&output);
    assert!(text.contains("note: own-allocator: ") && text.contains("brings its own malloc"));
    assert!(text.ends_with(CLEAN));
}

/// A static program, and one with another loader, are refused.
#[test]
fn programs_without_glibcs_loader() {
    let setup = Setup::new();
    // No C library is needed for a program without one.
    let musl = "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1";
    let cases: [(&[&str], &str); 2] = [
        (&["-static", "-nostdlib"], "it is statically linked: nothing can be preloaded"),
        (&["-nostdlib", "-pie", "-fPIE", musl], "its loader is musl's"),
    ];
    for (flags, words) in cases {
        let program = setup.path("no_libc");
        compile("no_libc.c", &program, flags);
        let mut command = setup.bare();
        let output = command.arg("--library").arg(&setup.library).arg(&program).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}
