//! The library in real processes: what it tells, that it does what libc does, and that no function is
//! compiled into a call of itself.
//!
//! The programs are in `tests/programs`; the system's compiler compiles them. `ALLOC_PRELOAD_LIB`
//! names the preload library to test with; without it the tests build one.

#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

const SOURCE: &str = include_str!("programs/faults.c");

/// Builds packages into the target folder of this test, and returns one of the files.
fn build(packages: &[&str], profile: &str, file: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let target = test.ancestors().nth(3).expect("a test is in target/PROFILE/deps");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--target-dir"]).arg(target);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    if profile == "release" {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "{packages:?} do not build");
    target.join(profile).join(file)
}

/// The preload library; the one under test is beside it.
fn preload() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| match std::env::var_os("ALLOC_PRELOAD_LIB") {
        Some(path) => PathBuf::from(path).canonicalize().expect("ALLOC_PRELOAD_LIB names a file"),
        None => build(&["alloc-preload", "alloc-intercept"], "release", "liballoc_preload.so"),
    })
}

fn library() -> PathBuf {
    preload().with_file_name("liballoc_intercept.so")
}

fn alloc_check() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| build(&["alloc-report"], "debug", "alloc-check"))
}

/// Compiles a program; every call in it stays one.
fn compile(source: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let program = dir.path().join("program");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let built = Command::new("cc")
        .args(["-g", "-O1", "-w", "-fno-builtin", "-o"])
        .arg(&program)
        .arg(folder.join(source))
        .arg("-ldl")
        .output()
        .unwrap_or_else(|error| panic!("the tests need cc: {error}"));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    (dir, program)
}

/// A command with none of the variables that the libraries read.
fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in ["LD_PRELOAD", "ALLOC_PRELOAD", "ALLOC_GPA", "ALLOC_GPA_RECORDS"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command: its output, its errors, its status.
fn run(command: &mut Command) -> (String, String, Option<i32>) {
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&stdout), text(&stderr), status.code())
}

/// Every name of the program's table, with what is expected of it.
fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    SOURCE.lines().filter_map(|line| {
        let (code, words) = line.split_once("// expect: ")?;
        Some((code.split('"').nth(1).expect("a name"), words))
    })
}

/// Each fault is told once, with its words and its lines.
#[test]
fn each_fault_is_told() {
    let (_dir, program) = compile("faults.c");
    assert_eq!(kinds().count(), 41);
    for (name, words) in kinds() {
        let mut check = bare(alloc_check());
        check.arg("--library").arg(preload()).args(["--intercept", "--"]).arg(&program).arg(name);
        let (out, err, code) = run(&mut check);
        assert_eq!((out.as_str(), code), ("ended\n", Some(23)), "{name}: {err}");
        let total = if words == "1 leak" { "1 block lost" } else { "1 finding," };
        for words in [words, total] {
            assert!(err.contains(words), "{name}: no {words:?} in {err}");
        }
        let mark = format!("// at {name}");
        let lines = SOURCE.lines().zip(1..).filter(|(line, _)| line.ends_with(&mark));
        let places = lines.map(|(_, number)| format!("faults.c:{number}")).collect::<Vec<_>>();
        assert!(!places.is_empty(), "{name} has no lines");
        for place in places {
            assert!(err.contains(&place), "{name}: no {place} in {err}");
        }
    }
}

/// A function that ends the process, because the compiler knows the room, tells of it first.
#[test]
fn what_ends_the_process_is_told() {
    let (_dir, program) = compile("faults.c");
    let mut check = bare(alloc_check());
    check.arg("--library").arg(preload()).args(["--intercept", "--"]).arg(&program);
    let (_, err, code) = run(check.arg("memcpy_chk_fails"));
    assert_eq!(code, None, "it dies by the program's signal: {err}");
    let words =
        "write past the end of a 10-byte block (offset 10): in memcpy: 11 bytes from offset 0";
    assert!(err.contains(words), "{err}");
    assert!(err.contains("buffer overflow detected"), "libc says so, too: {err}");
}

/// With the preload library, under glibc's malloc, and alone: the work is done as libc does it.
#[test]
fn the_work_is_libcs() {
    let (_dir, program) = compile("agrees.c");
    let both = format!("{}:{}", preload().display(), library().display());
    for (libraries, strategy) in
        [(both.as_str(), "gpa"), (&both, "c"), (library().to_str().expect("text"), "gpa")]
    {
        let mut command = bare(&program);
        command.env("LD_PRELOAD", libraries).env("ALLOC_PRELOAD", strategy);
        let done = run(&mut command);
        assert_eq!(done, ("as libc does\n".to_owned(), String::new(), Some(0)), "{libraries}");
    }
}

/// Without `--intercept` the same faults are not looked for in libc.
#[test]
fn it_is_asked_for() {
    let (_dir, program) = compile("faults.c");
    let mut check = bare(alloc_check());
    check.arg("--library").arg(preload()).arg("--").arg(&program).arg("strlen_past");
    let (out, err, code) = run(&mut check);
    assert_eq!((out.as_str(), code), ("ended\n", Some(5)), "{err}");
}

/// No function of the library calls or jumps to a name that the library takes over: not directly, and
/// not through the loader's tables.
#[test]
fn nothing_calls_itself() {
    let library = library();
    let _built = preload();
    let tool = |name: &str, args: &[&str]| {
        let output = Command::new(name).args(args).arg(&library).output();
        let output = output.unwrap_or_else(|error| panic!("the tests need {name}: {error}"));
        assert!(output.status.success(), "{name}");
        String::from_utf8(output.stdout).expect("text")
    };
    let symbols = tool("nm", &["-D", "--defined-only"]);
    let exports = symbols.lines().filter_map(|line| line.split(' ').nth(2)).collect::<HashSet<_>>();
    assert!(50 < exports.len() && exports.contains("memcpy"), "{symbols}");
    let relocations = tool("readelf", &["-rW"]);
    let slots = relocations
        .lines()
        .filter_map(|line| {
            let fields = line.split_whitespace().collect::<Vec<_>>();
            let name = fields.get(4)?.split('@').next()?;
            exports.contains(name).then(|| fields[0].trim_start_matches('0').to_owned())
        })
        .collect::<HashSet<_>>();
    let code = tool("objdump", &["-d", "--no-show-raw-insn"]);
    let (mut inside, mut seen) = (None, 0);
    for line in code.lines() {
        if let Some(name) = line.strip_suffix(">:").and_then(|line| line.split_once(" <")) {
            let is_ours = exports.contains(name.1) || name.1.contains("alloc_intercept");
            inside = is_ours.then_some(name.1);
            seen += usize::from(is_ours);
            continue;
        }
        let Some(function) = inside else { continue };
        let through_table = line
            .rsplit_once("# ")
            .is_some_and(|(_, place)| slots.contains(place.split(' ').next().expect("a field")));
        let leaves = ["call ", "jmp "].iter().any(|jump| line.contains(jump));
        let target = line.rsplit_once('<').map_or("", |(_, name)| name.trim_end_matches('>'));
        let direct = leaves && target != function && exports.contains(target);
        assert!(!through_table && !direct, "{function}: {line}");
    }
    assert!(exports.len() <= seen, "{seen} functions were read");
}
