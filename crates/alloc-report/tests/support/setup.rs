//! `alloc-check` with a program, and a library that records what a test says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{END, address, compile, start};

/// A program, a library that stands in for the real one, and what it is to record.
pub(crate) struct Setup {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) program: PathBuf,
    pub(crate) library: PathBuf,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        let library = dir.path().join("fake.so");
        compile("program.c", &program, &["-g", "-O1"]);
        compile("fake_preload.c", &library, &["-shared", "-fPIC"]);
        fs::create_dir(dir.path().join("tmp")).unwrap();
        let setup = Self { dir, program, library };
        setup.record(&[]);
        setup
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The library shall record these lines, between a start and an end.
    pub(crate) fn record(&self, lines: &[&str]) {
        let mark = address(&self.program, "mark") + 1;
        let module =
            format!(r#"{{"t":"module","id":0,"path":"{}"}}"#, self.program.to_str().unwrap());
        let stack = format!(r#"{{"t":"stack","id":1,"frames":[[0,{mark}]]}}"#);
        let first = [start(7), module, stack].join("\n");
        let all = [&[&*first], lines, &[END, ""]].concat().join("\n");
        fs::write(self.path("template"), all).unwrap();
    }

    /// `alloc-check` with `options`, then the program with `args`.
    pub(crate) fn command(&self, options: &[&str], args: &[&str]) -> Command {
        let mut command = self.bare();
        command.arg("--library").arg(&self.library).args(options).arg("--");
        command.arg(&self.program).args(args);
        command
    }

    /// `alloc-check` in a clean environment.
    pub(crate) fn bare(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alloc-check"));
        for name in ["ALLOC_GPA", "ALLOC_CHECK_LIBRARY", "LD_PRELOAD", "NO_COLOR"] {
            command.env_remove(name);
        }
        command.env("FAKE_RECORD", self.path("template")).env("TMPDIR", self.path("tmp"));
        command.stdin(Stdio::null()).current_dir(self.dir.path());
        command
    }

    pub(crate) fn run(&self, options: &[&str], args: &[&str]) -> Output {
        self.command(options, args).output().unwrap()
    }

    pub(crate) fn no_records_left(&self) {
        assert_eq!(fs::read_dir(self.path("tmp")).unwrap().count(), 0);
    }
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}
