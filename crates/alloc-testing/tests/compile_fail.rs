//! What must not compile, and its twin that must: `tests/ui/fail/NAME.rs` and `tests/ui/pass/NAME.rs`.
//!
//! A line of a failing file ends in `//~ CODE`: the compiler must report that code (or lint) with its
//! primary span on that line, and nothing else. Codes and lines are compared, not texts: those change
//! between versions of the compiler. The twin differs by a line or two and must compile, so that a
//! file cannot fail for the wrong reason.

#[path = "common/turn.rs"]
mod turn;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An error: file stem, line, code.
type Expected = BTreeSet<(String, u64, String)>;

/// Lays the cases out as a crate of their own beside the workspace's crates, one example a case.
fn write_crate(root: &Path, crates: &Path, ui: &Path) {
    let dependencies =
        ["alloc-arena", "alloc-c", "alloc-fixed", "alloc-gpa", "alloc-page", "alloc-pool"]
            .map(|name| format!("{name} = {{ path = {:?} }}\n", crates.join(name)))
            .concat();
    let manifest = format!(
        "[package]\nname = \"ui\"\nedition = \"2024\"\n[workspace]\n[lib]\npath = \"lib.rs\"\n\
         [dependencies]\n{dependencies}alloc-core = {{ path = {:?} }}\n\
         allocator-api2-02 = {{ package = \"allocator-api2\", version = \"0.2.21\", features = [\"alloc\"], default-features = false }}\n",
        crates.join("alloc-core")
    );
    let _ = fs::remove_dir_all(root.join("examples"));
    fs::create_dir_all(root.join("examples")).unwrap();
    fs::write(root.join("Cargo.toml"), manifest).unwrap();
    fs::write(root.join("lib.rs"), "").unwrap();
    fs::copy(crates.join("../Cargo.lock"), root.join("Cargo.lock")).unwrap();
    for kind in ["fail", "pass"] {
        for case in cases(&ui.join(kind)) {
            let name = format!("{kind}_{}", case.file_name().unwrap().to_str().unwrap());
            fs::copy(&case, root.join("examples").join(name)).unwrap();
        }
    }
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut cases =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    cases.sort();
    cases
}

/// The `//~ CODE` marks of all failing cases.
fn expected(ui: &Path) -> Expected {
    let mut expected = Expected::new();
    for case in cases(&ui.join("fail")) {
        let stem = format!("fail_{}", case.file_stem().unwrap().to_str().unwrap());
        for (index, line) in fs::read_to_string(&case).unwrap().lines().enumerate() {
            if let Some((_, code)) = line.split_once("//~ ") {
                expected.insert((stem.clone(), index as u64 + 1, code.to_string()));
            }
        }
        assert!(expected.iter().any(|(name, ..)| *name == stem), "{stem} expects nothing");
    }
    expected
}

/// The errors that cargo's JSON messages tell, and the cases that compiled.
fn reported(messages: &str) -> (Expected, BTreeSet<String>) {
    let (mut errors, mut compiled) = (Expected::new(), BTreeSet::new());
    for line in messages.lines() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        let target = message["target"]["name"].as_str().unwrap_or_default().to_string();
        match message["reason"].as_str() {
            Some("compiler-artifact") => {
                compiled.insert(target);
            }
            Some("compiler-message") if message["message"]["level"] == "error" => {
                let spans = message["message"]["spans"].as_array().unwrap();
                let Some(span) = spans.iter().find(|span| span["is_primary"] == true) else {
                    continue; // "aborting due to ...".
                };
                // Where a macro was called that the span may lie in.
                let mut span = span;
                while span["expansion"].is_object() {
                    span = &span["expansion"]["span"];
                }
                let code = message["message"]["code"]["code"].as_str().unwrap_or("no code");
                errors.insert((target, span["line_start"].as_u64().unwrap(), code.to_string()));
            }
            _ => {}
        }
    }
    (errors, compiled)
}

#[test]
fn misuse_does_not_compile_and_its_twin_does() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ui = package.join("tests/ui");
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui");
    let _turn = turn::turn(&root);
    write_crate(&root, package.parent().unwrap(), &ui);
    let output = Command::new(env!("CARGO"))
        .args(["check", "--examples", "--keep-going", "--offline", "--message-format=json"])
        .current_dir(&root)
        .env("CARGO_TARGET_DIR", root.join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let (errors, compiled) = reported(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(errors, expected(&ui), "{stderr}");
    for case in cases(&ui.join("fail")) {
        let stem = case.file_stem().unwrap().to_str().unwrap();
        assert!(!compiled.contains(&format!("fail_{stem}")), "{stem} compiles");
        assert!(compiled.contains(&format!("pass_{stem}")), "{stem}: the twin fails\n{stderr}");
    }
    assert_eq!(
        cases(&ui.join("fail")).len(),
        cases(&ui.join("pass")).len(),
        "every case has a twin"
    );
}

/// `docs/compile-fail.md` has a line for each case, with the error that the case expects.
#[test]
fn the_table_is_that_of_the_cases() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(package.join("../../docs/compile-fail.md")).unwrap();
    let told: BTreeSet<(String, String)> = table
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, _, case, error, _] = cells[..] else { return None };
            let case = case.strip_prefix('`')?.strip_suffix('`')?;
            (!case.contains("::")).then(|| (format!("fail_{case}"), error.to_owned()))
        })
        .collect();
    let expected = expected(&package.join("tests/ui"));
    assert_eq!(told, expected.into_iter().map(|(case, _, error)| (case, error)).collect());
}
