//! The seeds of the fuzz targets, replayed through the targets' own functions on every compiler: a
//! target that no longer builds, or that fails for a seed, is seen here. What a fuzzer found goes to
//! `fuzz/seeds` under a name of its own, and stays.

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a library there, a module here")]
mod fuzz;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}

fn replay(target: &str) {
    let Some(&(.., run)) = fuzz::TARGETS.iter().find(|(name, ..)| *name == target) else {
        panic!("no target {target}")
    };
    let mut names: Vec<_> =
        fs::read_dir(folder().join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(!names.is_empty());
    for name in names {
        println!("{}", name.display()); // Shown if it fails.
        run(&fs::read(&name).unwrap());
    }
}

#[test]
fn arena() {
    replay("arena");
}

#[test]
fn fixed() {
    replay("fixed");
}

#[test]
fn gpa() {
    replay("gpa");
}

#[test]
fn page() {
    replay("page");
}

#[test]
fn pool() {
    replay("pool");
}

/// The seeds are those that the generator makes; with `ALLOC_TESTING_WRITE_SEEDS=1` they are written.
#[test]
fn the_seeds_are_the_generators() {
    if std::env::var_os("ALLOC_TESTING_WRITE_SEEDS").is_some() {
        fuzz::seeds::write(&folder()).unwrap();
    }
    for (target, name, bytes) in fuzz::seeds::all() {
        let path = folder().join(target).join(name);
        assert_eq!(fs::read(&path).ok(), Some(bytes), "{}", path.display());
    }
}

/// Each target has a program, and a line in the manifest.
#[test]
fn every_target_is_built() {
    let fuzz = folder().join("..");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (target, ..) in fuzz::TARGETS {
        let program = fs::read_to_string(fuzz.join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(program.contains(&format!("alloc_testing_fuzz::{target}::run(data)")));
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")));
    }
    assert_eq!(manifest.matches("[[bin]]").count(), fuzz::TARGETS.len());
}
