//! The directory into which the program and its children write.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use alloc_report::Run;
use anyhow::{Context, bail};

/// How many names are tried.
const ATTEMPTS: u32 = 100;

/// The file beside the records that says what was run.
const RUN_FILE: &str = "run.json";
/// A longer one is not ours.
const RUN_LEN_MAX: u64 = 1 << 20;

/// A directory that only this user can enter.
pub(crate) struct RecordDir {
    path: PathBuf,
    /// Whether it stays when the report is printed.
    kept: bool,
}

impl RecordDir {
    /// Makes `path`, or takes it over if it is an empty directory. It stays.
    pub(crate) fn keep(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot keep records in {}", path.display());
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(cannot);
            }
            _ => {}
        }
        // What is there belongs to another run, and would be taken for a part of this one.
        if fs::read_dir(path).with_context(cannot)?.next().is_some() {
            bail!("{}: it is not empty", cannot());
        }
        let path = path.canonicalize().with_context(cannot)?;
        Ok(Self { path, kept: true })
    }

    /// Makes one in `TMPDIR`, which is removed at the end.
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
                Ok(()) => return Ok(Self { path, kept: false }),
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
        &self.path
    }

    /// Notes beside the records what was run, if they stay.
    pub(crate) fn note(&self, run: &Run) -> anyhow::Result<()> {
        if self.kept {
            let path = self.path.join(RUN_FILE);
            let text = serde_json::to_vec(run)?;
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

impl Drop for RecordDir {
    fn drop(&mut self) {
        // A child that still runs may be writing a new file: what it leaves is its own.
        if !self.kept {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// What was run, if it is noted in `dir`.
pub(crate) fn noted_run(dir: &Path) -> Option<Run> {
    let path = dir.join(RUN_FILE);
    let is_ours = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
    let file = fs::File::open(path).ok().filter(|_| is_ours)?;
    serde_json::from_reader(file.take(RUN_LEN_MAX)).ok()
}
