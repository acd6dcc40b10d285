//! Builds the preload library and `alloc-check`, runs and installs them.

use std::ffi::OsString;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::tools::{cargo, library_name, target_dir};

/// The files that checking a program needs.
pub(crate) struct Checker {
    /// The program `alloc-check`.
    pub(crate) program: PathBuf,
    /// The library that it preloads.
    pub(crate) library: PathBuf,
    /// The library that it preloads with `--intercept`, in the same folder.
    pub(crate) intercept: PathBuf,
}

/// How long a build may take before it says so.
const PATIENCE: Duration = Duration::from_secs(2);

impl Checker {
    /// Builds them in release. Says nothing unless it takes long or fails.
    pub(crate) fn build() -> Result<Self> {
        build_quietly("alloc-preload")?;
        build_quietly("alloc-intercept")?;
        build_quietly("alloc-report")?;
        let dir = target_dir()?.join("release");
        let suffix = std::env::consts::EXE_SUFFIX;
        let checker = Self {
            program: dir.join(format!("alloc-check{suffix}")),
            library: dir.join(library_name("alloc_preload")),
            intercept: dir.join(library_name("alloc_intercept")),
        };
        for file in [&checker.program, &checker.library, &checker.intercept] {
            if !file.is_file() {
                bail!("the build did not make {}", file.display());
            }
        }
        Ok(checker)
    }

    /// Becomes `alloc-check` with these arguments, so that its exit status, or the signal that it
    /// dies by, is ours. Returns only if that fails.
    pub(crate) fn exec(&self, args: &[OsString]) -> anyhow::Error {
        let mut command = Command::new(&self.program);
        // Its subcommands run no program and take no library.
        let subcommands = ["resolve", "render", "ask", "help"];
        if !args.first().is_some_and(|word| subcommands.iter().any(|name| word == name)) {
            command.arg("--library").arg(&self.library);
        }
        command.args(args);
        anyhow::Error::new(become_command(&mut command))
            .context(format!("running {}", self.program.display()))
    }

    /// Copies them below `root`, as `bin/` and `lib/`; returns where they are.
    pub(crate) fn install(&self, root: &Path) -> Result<[PathBuf; 3]> {
        let program = root.join("bin").join(file_name(&self.program));
        let library = root.join("lib").join(file_name(&self.library));
        let intercept = root.join("lib").join(file_name(&self.intercept));
        replace(&self.program, &program)?;
        replace(&self.library, &library)?;
        replace(&self.intercept, &intercept)?;
        Ok([program, library, intercept])
    }
}

#[cfg(unix)]
fn become_command(command: &mut Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(command)
}

#[cfg(not(unix))]
fn become_command(command: &mut Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}

fn file_name(path: &Path) -> &std::ffi::OsStr {
    path.file_name().expect("a built file has a name")
}

/// Copies a file beside its destination and renames it: a process that has the old one mapped or
/// running keeps it.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let dir = to.parent().context("no parent folder")?;
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let fresh = to.with_extension(format!("new-{}", std::process::id()));
    std::fs::copy(from, &fresh).with_context(|| format!("writing {}", fresh.display()))?;
    std::fs::rename(&fresh, to).with_context(|| format!("replacing {}", to.display()))
}

fn build_quietly(package: &str) -> Result<()> {
    let mut command = cargo(&format!("build --quiet --release --package {package}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().context("starting cargo")?;
    let (done, waiting) = channel::<()>();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                eprintln!("building {package} in release ...");
            }
        });
        let output = child.wait_with_output();
        drop(done);
        output
    })?;
    if !output.status.success() {
        stderr().write_all(&output.stderr)?;
        bail!("{package} does not build");
    }
    Ok(())
}

/// Where `install` puts things by default: cargo's own install root.
pub(crate) fn default_root() -> Result<PathBuf> {
    for key in ["CARGO_INSTALL_ROOT", "CARGO_HOME"] {
        if let Some(dir) = std::env::var_os(key).filter(|dir| !dir.is_empty()) {
            return Ok(dir.into());
        }
    }
    let home = std::env::home_dir().context("no home folder: name one with --root")?;
    Ok(home.join(".cargo"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader of the old file keeps its content: the new one takes the name only.
    #[test]
    fn install_replaces_by_rename() {
        let dir = std::env::temp_dir().join(format!("xtask-install-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("root/bin")).unwrap();
        let program = dir.join("alloc-check");
        let library = dir.join("liballoc_preload.so");
        let intercept = dir.join("liballoc_intercept.so");
        std::fs::write(&program, "new").unwrap();
        std::fs::write(&library, "library").unwrap();
        std::fs::write(&intercept, "second").unwrap();
        std::fs::write(dir.join("root/bin/alloc-check"), "old").unwrap();
        let mut old = std::fs::File::open(dir.join("root/bin/alloc-check")).unwrap();

        let checker = Checker { program, library, intercept };
        let [program, library, intercept] = checker.install(&dir.join("root")).unwrap();

        assert_eq!(program, dir.join("root/bin/alloc-check"));
        assert_eq!(library, dir.join("root/lib/liballoc_preload.so"));
        assert_eq!(std::fs::read(&program).unwrap(), b"new");
        assert_eq!(std::fs::read(&library).unwrap(), b"library");
        assert_eq!(intercept, dir.join("root/lib/liballoc_intercept.so"));
        assert_eq!(std::fs::read(&intercept).unwrap(), b"second");
        let mut seen = String::new();
        std::io::Read::read_to_string(&mut old, &mut seen).unwrap();
        assert_eq!(seen, "old");
        assert_eq!(std::fs::read_dir(dir.join("root/bin")).unwrap().count(), 1);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
