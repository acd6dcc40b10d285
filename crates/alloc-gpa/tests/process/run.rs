//! Runs one case as a child, and reads what it left.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A case to run.
pub(crate) struct Run {
    command: Command,
    name: String,
}

/// What it left.
pub(crate) struct Done {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) records: Vec<Records>,
}

/// One record file.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) lines: Vec<Value>,
}

impl Run {
    pub(crate) fn new(name: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("child").arg(name).stdin(Stdio::null());
        command.env_remove("ALLOC_GPA").env_remove("ALLOC_GPA_RECORDS");
        Self { command, name: name.to_owned() }
    }

    pub(crate) fn options(mut self, value: &str) -> Self {
        self.command.env("ALLOC_GPA", value);
        self
    }

    pub(crate) fn argument(mut self, argument: &OsStr) -> Self {
        self.command.arg(argument);
        self
    }

    /// Runs it; it reports in text.
    pub(crate) fn text(mut self) -> Done {
        let output = self.command.output().unwrap();
        Done {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            records: Vec::new(),
        }
    }

    /// Runs it; it writes records.
    pub(crate) fn records(mut self) -> Done {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "{}-{}",
            self.name,
            std::process::id()
        ));
        std::fs::create_dir_all(&dir).unwrap();
        self.command.env("ALLOC_GPA_RECORDS", &dir);
        let mut done = self.text();
        let mut paths =
            std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        paths.sort();
        done.records = paths.iter().map(Records::read).collect();
        std::fs::remove_dir_all(&dir).unwrap();
        done
    }
}

impl Records {
    fn read(path: &PathBuf) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(path).unwrap();
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Self { lines: text.lines().map(parse).collect() }
    }

    /// The lines of a type.
    pub(crate) fn of(&self, kind: &'static str) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(move |line| line["t"] == kind)
    }

    /// The one line of a type.
    pub(crate) fn only(&self, kind: &'static str) -> &Value {
        let mut lines = self.of(kind);
        let line = lines.next().unwrap_or_else(|| panic!("no {kind} in {self:?}"));
        assert!(lines.next().is_none(), "more than one {kind} in {self:?}");
        line
    }

    /// The frames of a stack.
    pub(crate) fn stack(&self, id: &Value) -> &Vec<Value> {
        let mut stacks = self.of("stack").filter(|line| &line["id"] == id);
        let stack = stacks.next().unwrap_or_else(|| panic!("no stack {id} in {self:?}"));
        assert!(stacks.next().is_none(), "stack {id} twice");
        stack["frames"].as_array().unwrap()
    }

    /// Kind, count and bytes of each leak.
    pub(crate) fn leaks(&self) -> Vec<(String, u64, u64)> {
        let leak = |line: &Value| {
            let number = |key| line[key].as_u64().unwrap();
            (line["kind"].as_str().unwrap().to_owned(), number("count"), number("bytes"))
        };
        self.of("leak").map(leak).collect()
    }
}

/// The number of the line that holds a mark.
pub(crate) fn line_of(source: &str, mark: &str) -> usize {
    1 + source.lines().position(|line| line.contains(mark)).unwrap()
}
