//! Zig's compiler, and the programs of `crates/alloc-bench/zig`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tools::{has_program, output, root, target_dir};

/// The version whose allocators ours are compared with.
const VERSION: &str = "0.17.1";

/// A compiler of that version.
pub(super) struct Zig {
    words: Vec<String>,
    /// Where Python finds it.
    python_path: Option<PathBuf>,
    dir: PathBuf,
}

impl Zig {
    /// Takes the compiler in PATH or in Python's packages, or else installs it from PyPI below the target
    /// folder.
    ///
    /// # Errors
    ///
    /// Says why there is none.
    pub(super) fn find() -> Result<Self> {
        let dir = target_dir()?.join("bench-zig");
        std::fs::create_dir_all(&dir)?;
        let zig = |words: &[&str], python_path: Option<&Path>| Self {
            words: words.iter().map(|word| (*word).into()).collect(),
            python_path: python_path.map(Into::into),
            dir: dir.clone(),
        };
        let packages = dir.join("python");
        let python = ["python3", "-m", "ziglang"];
        let known = [zig(&["zig"], None), zig(&python, None), zig(&python, Some(&packages))];
        let mut known = known.into_iter();
        if let Some(found) = known.find(|one| one.is_wanted()) {
            return Ok(found);
        }
        if !has_program("python3") {
            bail!("no zig {VERSION} in PATH, and no python3 to install it with");
        }
        eprintln!("installing ziglang {VERSION} below the target folder");
        let mut install = Command::new("python3");
        install.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--upgrade",
        ]);
        install.arg("--target").arg(&packages).arg(format!("ziglang=={VERSION}"));
        if let Err(error) = output(&mut install) {
            let text = error.to_string();
            let reason = text.lines().rev().find(|line| !line.trim().is_empty());
            bail!(
                "no zig {VERSION} in PATH, and `pip install ziglang=={VERSION}` failed: {}",
                reason.unwrap_or("no reason given")
            );
        }
        let installed = zig(&python, Some(&packages));
        if !installed.is_wanted() {
            bail!("the package ziglang {VERSION} does not run here");
        }
        Ok(installed)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        if let Some(path) = &self.python_path {
            command.env("PYTHONPATH", path);
        }
        command
    }

    fn is_wanted(&self) -> bool {
        output(self.command().arg("version")).is_ok_and(|version| version.trim() == VERSION)
    }

    /// Builds `zig/NAME.zig`, for the given processor or this one, and returns the program.
    pub(super) fn build(&self, name: &str, mode: &str, cpu: Option<&str>) -> Result<PathBuf> {
        eprintln!("building {name}.zig: {mode}");
        let program = self.dir.join(format!("{name}-{mode}"));
        let mut command = self.command();
        command.arg("build-exe").arg(root().join(format!("crates/alloc-bench/zig/{name}.zig")));
        command.args(["-O", mode, "-lc", "--cache-dir"]).arg(self.dir.join("cache"));
        command.arg("--global-cache-dir").arg(self.dir.join("global"));
        command.arg(format!("-femit-bin={}", program.display()));
        command.args(cpu.map(|cpu| format!("-mcpu={cpu}")));
        output(&mut command).with_context(|| format!("building {name}.zig"))?;
        Ok(program)
    }
}
