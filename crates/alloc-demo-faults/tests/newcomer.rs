//! What `docs/testing.md` has its reader write is compiled and run, and what it has him type makes his package.
//!
//! Not here: the test with tokio, for which the reader takes a package that this workspace has not, with its
//! attribute. `newcomer_suite.rs` and `newcomer_process.rs` are the test targets of sections 6 and 7.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const PAGE: &str = include_str!("../../../docs/testing.md");

/// The reader's library.
pub mod words {
    include!(concat!(env!("OUT_DIR"), "/src_lib.rs"));
}

/// The reader's tests.
mod tests {
    use super::words;

    include!(concat!(env!("OUT_DIR"), "/tests_words.rs"));
}

/// The test that leaks, which the reader takes out again.
#[expect(clippy::mem_forget, reason = "it leaks")]
mod taken_out {
    use alloc_testing::{TestAllocator, alloc_test};

    use super::words;

    include!(concat!(env!("OUT_DIR"), "/taken_out.rs"));
}

/// The blocks of the page of one kind.
fn blocks(kind: &str) -> impl Iterator<Item = &'static str> {
    let start = format!("\n```{kind}\n");
    let parts: Vec<_> = PAGE.split(start.as_str()).skip(1).collect();
    parts.into_iter().map(|part| part.split_once("\n```").expect("a block ends").0)
}

/// The report of the leak is the one on the page, but for names and lines, which are shortened there.
#[test]
fn the_leak_is_told_as_the_page_says() {
    let output = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "--ignored", "--nocapture", "taken_out::forgets_one"])
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("it can be run");
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(!output.status.success(), "{told}");
    let page = blocks("console").find(|block| block.contains("---- forgets_one")).expect("a block");
    let (_, report) = page.split_once("panicked at").expect("the panic");
    let lines: Vec<_> = report.lines().skip(1).collect();
    assert_eq!(lines.len(), 5, "{report}");
    for line in lines {
        match line.split_once(" at src") {
            // `words::ranked at src/lib.rs:10`: the line of the page's file is that of ours.
            Some((function, place)) => {
                let line = place.rsplit(':').next().expect("a line");
                let expected = format!("src_lib.rs:{}", line.parse::<u32>().expect("a number") - 1);
                assert!(told.contains(function.trim()) && told.contains(&expected), "{told}");
            }
            None if line.starts_with("    ") => assert!(told.contains("forgets_one at "), "{told}"),
            None => assert!(told.contains(line), "{line:?} is not in {told}"),
        }
    }
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The commands of the page that make a package, and the lines for its manifest, make one that cargo reads, with
/// the dependencies that the code needs.
#[test]
fn the_commands_make_a_package() {
    let folder = Folder(env::temp_dir().join(format!("alloc-newcomer-{}", std::process::id())));
    // Of a process of the same number that was killed.
    let _ = fs::remove_dir_all(&folder.0);
    fs::create_dir_all(&folder.0).expect("a folder for the package");
    // `cargo new` enters a package into the workspace around it: this one, and not that of the folder for
    // temporary files, should that lie in a checkout.
    fs::write(folder.0.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\n").expect("ours");
    let package = folder.0.join("words");
    let commands =
        blocks("console").flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "));
    let in_text = PAGE.split('`').filter(|text| text.starts_with("cargo add "));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut count = 0;
    for command in commands.chain(in_text) {
        let Some(arguments) = command.strip_prefix("cargo ") else { continue };
        // Of tokio nobody here has the features.
        let makes = arguments.starts_with("new ") || arguments.starts_with("add ");
        if !makes || arguments.contains("tokio") {
            continue;
        }
        count += 1;
        let output = Command::new("sh")
            .args(["-c", &format!("\"$CARGO\" {arguments}")])
            .current_dir(if package.is_dir() { &package } else { &folder.0 })
            .env("CARGO", env!("CARGO"))
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_CARGO_NEW_VCS", "none")
            .env("ALLOC", &workspace)
            .output()
            .expect("a shell");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(count, 4, "one package is made, and three are added");
    let path = package.join("Cargo.toml");
    let mut manifest = fs::read_to_string(&path).expect("a manifest");
    for block in blocks("toml") {
        manifest.push_str(block.strip_prefix("# Cargo.toml").expect("the name of its file"));
        manifest.push('\n');
    }
    fs::write(&path, &manifest).expect("the manifest is ours");
    fs::create_dir_all(package.join("tests")).expect("the package is ours");
    fs::write(package.join("tests/suite.rs"), "fn main() {}").expect("the package is ours");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(&package)
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{manifest}\n{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let read = &metadata["packages"][0];
    let kinds: Vec<_> = read["dependencies"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["name"].as_str().expect("a name"), one["kind"].as_str()))
        .collect();
    let dev = Some("dev");
    assert_eq!(kinds, [("alloc-core", None), ("alloc-gpa", dev), ("alloc-testing", dev)]);
    let targets = read["targets"].as_array().expect("a list");
    assert!(targets.iter().any(|target| target["name"] == "suite" && target["kind"][0] == "test"));
}
