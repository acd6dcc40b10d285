//! What may fail does not panic: seen in the code that the compiler emits.
//!
//! Each file of `tests/no_panic` calls the fallible paths of one crate from functions that are not inlined.
//! They are compiled with optimisation, and the assembly, that of the crates themselves included, must not
//! name core's panicking functions. `control.rs` panics, so that a test which finds nothing fails;
//! `contract.rs` is no probe, but has what the probes of several crates share.
#![cfg(not(miri))]

#[path = "common/turn.rs"]
mod turn;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a name of a function that panics has in it.
const PANICS: [&str; 5] =
    ["panicking", "unwrap_failed", "expect_failed", "index_fail", "handle_alloc_error"];

/// What ends the process instead of unwinding, on purpose.
const ABORTS: [&str; 3] = ["panic_cannot_unwind", "panic_in_cleanup", "panic_nounwind"];

/// Functions that may panic, each with its reason. Who else calls one of them counts as panicking.
const ALLOWED: [(&str, &str); 5] = [
    ("out_of_memory", "where the arena's `.._or_panic` end: their names say it"),
    (
        "panic_on_stale",
        "where indexing a slot map by a handle ends, as any indexing; `get` does not",
    ),
    ("check_invariants", "documented: it is for tests"),
    ("check_links", "a part of it"),
    ("assert_failed", "core's own, of which each type has a copy"),
];

/// What is no probe: the macro that several of them call.
const SHARED: &str = "contract";

/// The probes, in the order of their names.
fn probes(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != SHARED)
        .collect();
    names.sort();
    names
}

/// Writes a library of the probes beside the crates that they call: `page.rs` calls `alloc-page`.
fn write_crate(root: &Path, crates: &Path, folder: &Path, names: &[String]) {
    let _ = fs::remove_dir_all(root.join("src"));
    fs::create_dir_all(root.join("src")).unwrap();
    let dependency = |name: &str| {
        format!(
            "alloc-{name} = {{ path = {:?}, default-features = false }}\n",
            crates.join(format!("alloc-{name}"))
        )
    };
    let dependencies: String =
        names.iter().filter(|name| *name != "control").map(|name| dependency(name)).collect();
    let manifest = format!(
        "[package]\nname = \"probes\"\nedition = \"2024\"\n[workspace]\n[profile.release]\n\
         codegen-units = 1\n[dependencies]\n{dependencies}{}",
        dependency("core")
    );
    fs::write(root.join("Cargo.toml"), manifest).unwrap();
    fs::copy(crates.join("../Cargo.lock"), root.join("Cargo.lock")).unwrap();
    let modules: String = names.iter().map(|name| format!("pub mod {name};\n")).collect();
    let library = format!("#[macro_use]\nmod {SHARED};\n{modules}");
    fs::write(root.join("src/lib.rs"), library).unwrap();
    for name in names.iter().map(String::as_str).chain([SHARED]) {
        let file = format!("{name}.rs");
        fs::copy(folder.join(&file), root.join("src").join(file)).unwrap();
    }
}

/// The functions of an assembly file that name one which panics, as `function -> callee`.
fn panics_in(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut function = "";
    for line in text.lines() {
        if let Some(label) = line.strip_suffix(':')
            && !label.starts_with(['.', '\t', ' '])
        {
            function = label;
        }
        let is_code = line.starts_with('\t') && !line.trim_start().starts_with('.');
        let mut words = PANICS.iter().chain(ALLOWED.iter().map(|(name, _)| name));
        let panics = is_code && words.any(|word| line.contains(word));
        if panics && !ABORTS.iter().any(|word| line.contains(word)) {
            found.insert(format!("{function} -> {}", line.trim()));
        }
    }
    found
}

/// The assembly of the probes and of the crates they call.
fn assembly(deps: &Path, names: &[String]) -> Vec<PathBuf> {
    let is_ours = |file: &str| {
        let of = |stem: &str| file.starts_with(&format!("{stem}-")) && file.ends_with(".s");
        of("probes") || names.iter().any(|name| of(&format!("alloc_{name}")))
    };
    let files = fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| is_ours(path.file_name().unwrap().to_str().unwrap())).collect()
}

#[test]
fn fallible_paths_do_not_panic() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = package.join("tests/no_panic");
    let names = probes(&folder);
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no_panic");
    let _turn = turn::turn(&root);
    write_crate(&root, package.parent().unwrap(), &folder, &names);
    // What older runs left there would be read as well.
    let target = root.join("target");
    let _ = fs::remove_dir_all(&target);
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--offline"])
        .current_dir(&root)
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", "--emit=asm")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = assembly(&target.join("release/deps"), &names);
    assert_eq!(
        files.len(),
        names.len(),
        "a file for each crate, and one for the probes: {files:?}"
    );
    let mut found: BTreeSet<String> =
        files.iter().flat_map(|file| panics_in(&fs::read_to_string(file).unwrap())).collect();
    for control in ["control_that_panics", "control_that_calls_what_panics"] {
        let before = found.len();
        found.retain(|one| !one.contains(control));
        assert!(found.len() < before, "{control} was not found: nothing can be concluded");
    }
    found.retain(|one| {
        let (caller, _) = one.split_once(" -> ").unwrap();
        !ALLOWED.iter().any(|(function, _)| caller.contains(function))
    });
    assert!(found.is_empty(), "{found:#?}");
}
