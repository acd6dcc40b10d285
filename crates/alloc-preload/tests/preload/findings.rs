//! What is found in C programs, and where: by hand, through `alloc-check resolve`, and under
//! `alloc-check`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Bench, Run, alloc_check, bare, command, library, run};

/// Line of the first that holds `words`, as `faults.c:LINE`.
fn place(words: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/faults.c");
    let text = fs::read_to_string(source).expect("a source");
    let line = text.lines().position(|line| line.contains(words)).expect("the words are in it");
    format!("faults.c:{}", line + 1)
}

/// Passes a text through `alloc-check resolve`.
fn resolved(text: &str) -> String {
    let mut child = Command::new(alloc_check())
        .arg("resolve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("alloc-check runs");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8(output.stdout).expect("text")
}

/// The paragraph that begins with these words.
#[track_caller]
fn paragraph<'t>(text: &'t str, words: &str) -> &'t str {
    let start = text.find(words).unwrap_or_else(|| panic!("no {words:?} in {text}"));
    let rest = &text[start..];
    let next = rest[1..].find("\nalloc-gpa: ").map_or(rest.len(), |end| end + 1);
    &rest[..next]
}

fn checked(program: &Path) -> Run {
    let mut check = bare(alloc_check());
    run(check.arg("--library").arg(library()).arg("--").arg(program))
}

fn faults(bench: &Bench) -> PathBuf {
    bench.compile("faults.c", &["-O0"])
}

/// Twelve lines of C that leak three blocks, free one twice and write to one after its free: each is
/// named with its place.
#[test]
fn twelve_lines_of_c_under_alloc_check() {
    let bench = Bench::new();
    let run = checked(&faults(&bench));
    assert_eq!((run.out.as_str(), run.code), ("done\n", Some(23)), "{run:#?}");
    for words in ["double free", "write to a freed", "3 leaks, 300 bytes"] {
        assert!(run.err.contains(words), "no {words:?} in {}", run.err);
    }
    for words in
        ["free(twice); /*", "twice = malloc", "late = malloc", "free(late)", "leaked = malloc"]
    {
        let place = place(words);
        assert!(run.err.contains(&place), "no {place} in {}", run.err);
    }
}

/// By hand the same is text on standard error, with addresses that `alloc-check resolve` and
/// addr2line understand.
#[test]
fn twelve_lines_of_c_by_hand() {
    let bench = Bench::new();
    let program = faults(&bench);
    let run = run(command(&program, "gpa").env("ALLOC_GPA", "on_finding=continue"));
    assert_eq!((run.out.as_str(), run.code), ("done\n", Some(0)), "{run:#?}");
    assert!(
        run.err.contains(&format!("{}+0x", program.canonicalize().expect("a path").display())),
        "{run:#?}"
    );
    let text = resolved(&run.err);
    let double = paragraph(&text, "double free");
    for words in ["free(twice); /*", "free(twice);", "twice = malloc"] {
        assert!(double.contains(&place(words)), "no {words:?} in {double}");
    }
    let late = paragraph(&text, "write after free");
    for words in ["late = malloc", "free(late)"] {
        assert!(late.contains(&place(words)), "no {words:?} in {late}");
    }
    let lost = paragraph(&text, "3 blocks lost");
    assert!(lost.contains(&place("leaked = malloc")), "{lost}");
}

/// By hand a cycle, and who holds what, are stacks like all others: resolved, they begin with the user's.
#[test]
fn a_cycle_by_hand() {
    let bench = Bench::new();
    let program = bench.compile("corpus/leaks.c", &[]);
    let run =
        run(command(&program, "gpa").arg("lost_cycle").env("ALLOC_GPA", "on_finding=continue"));
    let text = resolved(&run.err);
    let lost = paragraph(&text, "1 block lost");
    let way = "  in a cycle: it leads back to itself by way of what is from\n    person ";
    assert!(lost.contains(way), "{lost}");
    let held = paragraph(&text, "1 block held by lost ones only");
    assert!(held.contains("  held by what is from\n    person "), "{held}");
    assert_eq!(text.matches("    main ").count(), 4, "{text}");
}

/// By hand a corruption aborts, and leaks alone are status 23.
#[test]
fn policies() {
    let bench = Bench::new();
    let program = faults(&bench);
    let corrupt = run(&mut command(&program, "gpa"));
    assert_eq!(corrupt.signal, Some(libc::SIGABRT), "{corrupt:#?}");
    assert!(corrupt.err.contains("double free"), "{corrupt:#?}");
    let leaky = bench.compile("leaky.c", &["-O0"]);
    let leaks = run(&mut command(&leaky, "gpa"));
    assert_eq!((leaks.out.as_str(), leaks.code), ("done\n", Some(23)), "{leaks:#?}");
    run(&mut command(&leaky, "c")).is("done\n");
    run(command(&leaky, "gpa").env("ALLOC_GPA", "on_finding=exit:9")).err.contains("lost");
}
