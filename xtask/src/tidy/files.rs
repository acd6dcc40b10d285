//! The text files of the workspace that git knows.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::tools::{output, root};

/// One text file.
pub(super) struct File {
    /// Relative to the root, with `/` between the parts.
    pub(super) path: String,
    pub(super) text: String,
}

pub(super) struct Files(pub(super) Vec<File>);

impl Files {
    /// Every file that is tracked or new and not ignored, if it is text.
    pub(super) fn of_workspace() -> Result<Self> {
        let mut list = Command::new("git");
        list.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root());
        let paths = output(&mut list)?;
        let mut paths: Vec<&str> = paths.lines().collect();
        paths.sort_unstable();
        paths.dedup();
        let files = paths.into_iter().filter_map(|path| {
            // A file that was removed and not yet committed, or is not text.
            let text = std::fs::read_to_string(root().join(Path::new(path))).ok()?;
            Some(File { path: path.into(), text })
        });
        Ok(Self(files.collect()))
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.0.iter().filter(|file| file.path.ends_with(".rs"))
    }

    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.0.iter().find(|file| file.path == path)
    }
}

impl File {
    /// The name of the crate that the file belongs to.
    pub(super) fn krate(&self) -> &str {
        self.path.strip_prefix("crates/").and_then(|rest| rest.split('/').next()).unwrap_or("xtask")
    }

    /// Whether the file is compiled into the crate itself, not into its tests or benches; a module of
    /// unit tests in a file of its own is called `tests`.
    pub(super) fn is_source(&self) -> bool {
        let inside = match self.path.strip_prefix("crates/") {
            Some(rest) => rest.split_once('/').map_or("", |(_, inside)| inside),
            None => self.path.strip_prefix("xtask/").unwrap_or(""),
        };
        let is_tests = inside.ends_with("/tests.rs") || inside.contains("/tests/");
        inside.starts_with("src/") && inside.ends_with(".rs") && !is_tests
    }
}
