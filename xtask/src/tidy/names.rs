//! Names in the documents that are no longer in the code.

use std::collections::HashSet;

use super::files::Files;

/// Names that documents may use although our code does not: other projects' and the systems'.
const FOREIGN: &[&str] = &[
    "ArenaAllocator",
    "DebugAllocator",
    "FixedBufferAllocator",
    "GeneralPurposeAllocator",
    "SafeAllocator",
    "StackFallbackAllocator",
    "ThreadSafeAllocator",
];

pub(super) fn check(files: &Files) -> Vec<String> {
    let mut known: HashSet<&str> = FOREIGN.iter().copied().collect();
    // This file's own tests hold names that are nowhere else.
    for file in files.rust().filter(|file| file.path != "xtask/src/tidy/names.rs") {
        known.extend(words(&file.text));
    }
    let is_checked = |path: &str| {
        path == "docs/architecture.md" || path.starts_with("docs/design/") && path.ends_with(".md")
    };
    let mut problems = Vec::new();
    for file in files.0.iter().filter(|file| is_checked(&file.path)) {
        for (number, name) in gone(&file.text, &known) {
            problems.push(format!("{}:{number}: `{name}` is in no source file", file.path));
        }
    }
    problems
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c != '_' && !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Types and functions named in `code marks` that are not known, with their lines. Fenced blocks are
/// drawings or whole examples and are not read.
fn gone<'a>(text: &'a str, known: &HashSet<&str>) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for code in line.split('`').skip(1).step_by(2) {
            let function = code.strip_suffix("()").and_then(|path| path.rsplit([':', '.']).next());
            let names = words(code).filter(|word| is_type(word)).chain(function);
            found.extend(names.filter(|name| !known.contains(name)).map(|name| (index + 1, name)));
        }
    }
    found
}

/// Whether a word is written as types are: `FixedBuffer`, `Owned`, but not `GPA` or `T`.
fn is_type(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.contains(|c: char| c.is_ascii_lowercase())
        && !word.contains('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_gone_are_found() {
        let known = HashSet::from(["Owned", "raw_alloc"]);
        let text = "An `Owned` calls `raw_alloc()`, not `OldName<T>` nor `Heap::old_call()`.\n\
                    ```\nstruct `Drawn` {}\n```\nGone, but no code: OldName. `SIGSEGV`, `T`.\n\
                    `Owned::raw_alloc()` and `Removed`\n";
        let found = gone(text, &known);
        assert_eq!(found, [(1, "OldName"), (1, "Heap"), (1, "old_call"), (6, "Removed")]);
    }
}
