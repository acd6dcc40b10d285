//! What the tests share: record files by hand, and C programs.

#![allow(dead_code, reason = "each test program uses a part")]

#[cfg(feature = "program")]
pub(crate) mod setup;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use alloc_report::{Report, TextOptions};
use object::{Object, ObjectSymbol};

/// A directory of record files.
pub(crate) struct Records(tempfile::TempDir);

impl Records {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Adds a file of these lines, the first of which is a start if `name` says a pid.
    pub(crate) fn file(&self, name: &str, lines: &[&str]) -> &Self {
        let mut text = lines.join("\n");
        text.push('\n');
        self.bytes(name, text.as_bytes())
    }

    pub(crate) fn bytes(&self, name: &str, bytes: &[u8]) -> &Self {
        fs::write(self.path().join(name), bytes).unwrap();
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn read(&self) -> Report {
        Report::read(self.path()).unwrap()
    }
}

/// A start line.
pub(crate) fn start(pid: i32) -> String {
    format!(
        r#"{{"t":"start","v":1,"pid":{pid},"ppid":1,"exe":"/bin/app","argv":["app"],"strategy":"gpa","forked":false}}"#
    )
}

pub(crate) const END: &str = r#"{"t":"end","allocations":12406,"frees":12403,"live_blocks":3,"live_bytes":4128,"peak_bytes":1900000,"findings":1,"leaks_counted":"scan","status":0}"#;

pub(crate) fn text(report: &Report, options: &TextOptions) -> String {
    let mut text = Vec::new();
    report.render_text(&mut text, options).unwrap();
    String::from_utf8(text).unwrap()
}

pub(crate) fn plain(report: &Report) -> String {
    text(report, &TextOptions::default())
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Runs a tool of the system; its failure is the test's.
pub(crate) fn tool(name: &str, args: &[&str]) {
    let done = Command::new(name).args(args).output().unwrap_or_else(|error| {
        panic!("{name}: {error}");
    });
    assert!(done.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Compiles a fixture with the system's C compiler.
pub(crate) fn compile(source: &str, to: &Path, flags: &[&str]) {
    let source = fixture(source);
    let files = ["-o", to.to_str().unwrap(), source.to_str().unwrap()];
    tool("cc", &[flags, &files].concat());
}

/// The address of a symbol in a file.
pub(crate) fn address(file: &Path, symbol: &str) -> u64 {
    let bytes = fs::read(file).unwrap();
    let object = object::File::parse(&*bytes).unwrap();
    let mut symbols = object.symbols().chain(object.dynamic_symbols());
    symbols.find(|found| found.name() == Ok(symbol)).unwrap().address()
}

/// The build id of a file in hexadecimal.
pub(crate) fn build_id(file: &Path) -> String {
    let bytes = fs::read(file).unwrap();
    let object = object::File::parse(&*bytes).unwrap();
    let id = object.build_id().unwrap().expect("the linker writes a build id");
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
