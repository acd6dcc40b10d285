//! The directory into which the program and its children write.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;

/// How many names are tried.
const ATTEMPTS: u32 = 100;

/// A directory that only this user can enter, removed at the end.
pub(crate) struct RecordDir(PathBuf);

impl RecordDir {
    /// Creates one in `TMPDIR`.
    pub(crate) fn create() -> anyhow::Result<Self> {
        let parent = std::env::temp_dir();
        let parent = std::path::absolute(&parent).unwrap_or(parent);
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = nanos.map_or(0, |since| since.subsec_nanos());
        let mut failed = io::Error::from(io::ErrorKind::AlreadyExists);
        for attempt in 0..ATTEMPTS {
            let name = format!("alloc-check-{}-{nanos}-{attempt}", std::process::id());
            let path = parent.join(name);
            // mkdir(2) follows no link and takes nothing over that is there.
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => failed = error,
                Err(error) => {
                    failed = error;
                    break;
                }
            }
        }
        Err(failed).with_context(|| format!("cannot make a directory in {}", parent.display()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for RecordDir {
    fn drop(&mut self) {
        // A child that still runs may be writing a new file: what it leaves is its own.
        let _ = fs::remove_dir_all(&self.0);
    }
}
