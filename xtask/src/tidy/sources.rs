//! Rules about the text of source files.

use super::files::{File, Files};

/// Lines of a file, its tests not counted, above which it wants to be two files.
const FILE_LINES_MAX: usize = 600;

/// Files that may be longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// A call that is not wanted, where, and what to write instead.
struct Ban {
    call: &'static str,
    applies: fn(&File) -> bool,
    instead: &'static str,
}

// The words are put together here, so that this file does not hold them itself.
const BANS: &[Ban] = &[
    Ban {
        call: concat!(".unw", "rap()"),
        applies: is_allocator_source,
        instead: "an error, a `let else`, or an `expect` that says which invariant makes it sure",
    },
    Ban {
        call: concat!("std::sync::", "Mutex"),
        applies: is_malloc_source,
        instead: "the crate's own futex lock: a std mutex may allocate or unwind in a malloc",
    },
    Ban {
        call: concat!("parking_", "lot"),
        applies: is_malloc_source,
        instead: "the crate's own futex lock: parking allocates",
    },
    Ban {
        call: concat!("println", "!("),
        applies: is_library_source,
        instead: "a return value, a sink, or a direct write to the descriptor",
    },
    Ban { call: concat!("todo", "!("), applies: |_| true, instead: "the code" },
    Ban {
        call: concat!("unimplemented", "!("),
        applies: |_| true,
        instead: "the code, or an error",
    },
    Ban { call: concat!("dbg", "!("), applies: |_| true, instead: "nothing" },
    Ban {
        call: concat!("static ", "mut "),
        applies: |_| true,
        instead: "an atomic, or a cell in a `Sync` type that says why",
    },
];

/// Words that leave no finished work behind, or that name a place on somebody's machine.
const WORDS: &[(&str, &str)] = &[
    (concat!("FIX", "ME"), "mend it, or file an issue"),
    (concat!("XX", "X"), "mend it, or file an issue"),
    (concat!("TO", "DO"), "do it, or file an issue"),
    (concat!("/ro", "ot/"), "a path on somebody's machine"),
    (concat!("/wo", "rk/"), "a path on somebody's machine"),
];

/// Crates whose code may run inside a malloc.
const MALLOC_CRATES: &[&str] = &["alloc-gpa", "alloc-intercept", "alloc-preload", "alloc-smp"];

/// Crates that are allocators, or the contract: nothing in them may panic for lack of care.
const ALLOCATOR_CRATES: &[&str] = &[
    "alloc-core",
    "alloc-page",
    "alloc-c",
    "alloc-fixed",
    "alloc-arena",
    "alloc-pool",
    "alloc-gpa",
    "alloc-smp",
    "alloc-preload",
    "alloc-intercept",
];

/// Crates that print, because a person started them or a test of theirs.
const PROGRAM_CRATES: &[&str] =
    &["alloc-report", "alloc-testing", "alloc-bench", "alloc-examples", "xtask"];

fn is_allocator_source(file: &File) -> bool {
    file.is_source() && ALLOCATOR_CRATES.contains(&file.krate())
}

fn is_malloc_source(file: &File) -> bool {
    file.is_source() && MALLOC_CRATES.contains(&file.krate())
}

fn is_library_source(file: &File) -> bool {
    file.is_source() && !PROGRAM_CRATES.contains(&file.krate())
}

pub(super) fn check(files: &Files) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.rust() {
        problems.extend(check_docs(file));
        problems.extend(check_length(file));
        problems.extend(check_bans(file));
    }
    for file in &files.0 {
        problems.extend(check_words(file));
    }
    for (path, _) in LONG_FILES {
        if files.get(path).is_none_or(|file| check_length_of(file).is_none()) {
            problems.push(format!("{path}: listed as too long, but is not"));
        }
    }
    problems
}

/// Every file of a crate, and every test and bench, says first what it is for. Programs that a test
/// compiles to see them refused do not.
fn check_docs(file: &File) -> Option<String> {
    let is_top =
        file.is_source() || file.path.split('/').nth(3).is_some_and(|name| name.ends_with(".rs"));
    let is_remark = |line: &str| line.starts_with("//") && !line.starts_with("//!");
    let is_before = |line: &str| line.is_empty() || line.starts_with("#!") || is_remark(line);
    let first = file.text.lines().map(str::trim).find(|line| !is_before(line));
    let missing = is_top && !first.is_some_and(|line| line.starts_with("//!"));
    missing.then(|| format!("{}: does not begin with module docs (//!)", file.path))
}

fn check_length(file: &File) -> Option<String> {
    if LONG_FILES.iter().any(|(path, _)| *path == file.path) {
        return None;
    }
    check_length_of(file)
}

fn check_length_of(file: &File) -> Option<String> {
    let count = code(&file.text).count();
    let long = file.is_source() && FILE_LINES_MAX < count;
    long.then(|| {
        format!("{}: {count} lines without its tests; {FILE_LINES_MAX} are the aim", file.path)
    })
}

/// The numbered lines of a file, without the module of tests at its end.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let is_tests = |index: usize| {
        lines[index] == "#[cfg(test)]"
            && lines
                .get(index + 1)
                .is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'))
    };
    let end = (0..lines.len()).find(|index| is_tests(*index)).unwrap_or(lines.len());
    lines.into_iter().take(end).enumerate().map(|(index, line)| (index + 1, line))
}

fn check_bans(file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    for ban in BANS.iter().filter(|ban| (ban.applies)(file)) {
        for (number, line) in code(&file.text) {
            // A lifetime is no item.
            let statement = line.split("//").next().unwrap_or_default().replace("'static ", "'_ ");
            if statement.contains(ban.call) {
                let Ban { call, instead, .. } = ban;
                problems.push(format!("{}:{number}: `{call}`; instead: {instead}", file.path));
            }
        }
    }
    problems
}

fn check_words(file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for (word, why) in WORDS.iter().filter(|(word, _)| line.contains(word)) {
            problems.push(format!("{}:{}: {word}: {why}", file.path, number + 1));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn sources_begin_with_docs() {
        let path = "crates/alloc-c/src/lib.rs";
        assert_eq!(check_docs(&file(path, "//! C.\n")), None);
        assert_eq!(check_docs(&file(path, "\n#![no_std]\n//! C.\n")), None);
        assert!(check_docs(&file(path, "use core::ptr;\n//! C.\n")).is_some());
        assert!(check_docs(&file(path, "// A remark.\n")).is_some());
        assert!(check_docs(&file("crates/alloc-c/tests/a.rs", "fn main() {}\n")).is_some());
        assert_eq!(check_docs(&file("crates/alloc-c/tests/refused/a.rs", "fn main() {}\n")), None);
    }

    #[test]
    fn length_is_counted_without_tests() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(FILE_LINES_MAX));
        let path = "crates/alloc-c/src/lib.rs";
        assert_eq!(check_length(&file(path, &tests)), None);
        let long = "\n".repeat(FILE_LINES_MAX + 1);
        assert!(check_length(&file(path, &long)).unwrap().contains("601 lines"));
        assert_eq!(check_length(&file("crates/alloc-c/tests/a.rs", &long)), None);
    }

    #[test]
    fn banned_calls_are_found_where_they_are_banned() {
        let line = format!("let a = b{};\n", BANS[0].call);
        let found = check_bans(&file("crates/alloc-c/src/lib.rs", &line));
        assert!(found[0].starts_with("crates/alloc-c/src/lib.rs:1: `"), "{found:?}");
        assert!(check_bans(&file("xtask/src/main.rs", &line)).is_empty());
        assert!(check_bans(&file("crates/alloc-c/tests/a.rs", &line)).is_empty());
        assert!(check_bans(&file("crates/alloc-c/src/a/tests.rs", &line)).is_empty());
        let tested = format!("#[cfg(test)]\nmod tests {{\n{line}}}\n");
        assert!(check_bans(&file("crates/alloc-c/src/lib.rs", &tested)).is_empty());
        let remark = format!("/// Like `{}`.\n", BANS[0].call);
        assert!(check_bans(&file("crates/alloc-c/src/lib.rs", &remark)).is_empty());

        let place = format!("{}COUNT: u32 = 0;\n", BANS[7].call);
        assert_eq!(check_bans(&file("crates/alloc-c/src/lib.rs", &place)).len(), 1);
        let borrow = format!("fn f(_: &'{}[u8]) {{}}\n", BANS[7].call);
        assert!(check_bans(&file("crates/alloc-c/src/lib.rs", &borrow)).is_empty());

        let mutex = format!("use {};\n", BANS[1].call);
        assert_eq!(check_bans(&file("crates/alloc-gpa/src/lib.rs", &mutex)).len(), 1);
        assert!(check_bans(&file("crates/alloc-testing/src/lib.rs", &mutex)).is_empty());
    }

    #[test]
    fn leftovers_are_found_in_any_file() {
        let text = format!("fine\n{} later\n", WORDS[0].0);
        let problems = check_words(&file("docs/a.md", &text));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("docs/a.md:2: "));
    }
}
