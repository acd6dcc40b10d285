//! Where the workspace is, and what is installed on this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// cargo, run in the workspace's root with the words given, split at spaces.
pub(crate) fn cargo(words: &str) -> Command {
    in_root("cargo", words)
}

/// cargo of another toolchain, as rustup names it.
pub(crate) fn cargo_of(toolchain: &str, words: &str) -> Command {
    in_root("rustup", &format!("run {toolchain} cargo {words}"))
}

fn in_root(program: &str, words: &str) -> Command {
    let mut command = Command::new(program);
    command.args(words.split_whitespace()).current_dir(root());
    command
}

/// Adds to RUSTFLAGS and RUSTDOCFLAGS what the caller's environment does not have yet.
pub(crate) fn add_flags(command: &mut Command, flags: &str) {
    for key in ["RUSTFLAGS", "RUSTDOCFLAGS"] {
        let inherited = std::env::var(key).unwrap_or_default();
        command.env(key, format!("{inherited} {flags}").trim());
    }
}

/// What `cargo metadata` tells about the workspace's own packages.
pub(crate) fn metadata() -> Result<Value> {
    let text = output(&mut cargo("metadata --no-deps --offline --format-version 1"))?;
    serde_json::from_str(&text).context("reading cargo metadata")
}

/// The folder that cargo builds into.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = metadata()?;
    let dir = metadata["target_directory"].as_str().context("no target_directory in metadata")?;
    Ok(dir.into())
}

/// The names of the workspace's packages, in order.
pub(crate) fn packages(metadata: &Value) -> Vec<&str> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut names: Vec<&str> = packages.iter().filter_map(|one| one["name"].as_str()).collect();
    names.sort_unstable();
    names
}

/// Standard output of a command that succeeds; else an error with what it wrote.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}\n{}", output.status, stderr.trim_end());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Downloads what the workspace needs on the target `TARGET`, so that crates outside the workspace
/// can be built offline, with the workspace's versions.
pub(crate) fn fetch() -> Result<()> {
    output(&mut cargo(&format!("fetch --quiet --locked --target {TARGET}"))).map(drop)
}

/// What is compared between machines is that of one system.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Whether a program can be found in PATH.
pub(crate) fn has_program(name: &str) -> bool {
    find_program(name).is_some()
}

/// The first file of this name in PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Those of `needed`, tools with the packages that hold them, that are not there. A tool is a program in
/// PATH, or a file if it is a path.
pub(crate) fn missing_tools<'a>(
    needed: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<(&'a str, &'a str)> {
    let is_missing = |(tool, _): &(&str, &str)| !is_present(tool);
    let mut missing: Vec<_> = needed.into_iter().filter(is_missing).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

fn is_present(tool: &str) -> bool {
    if tool.starts_with('/') { Path::new(tool).exists() } else { has_program(tool) }
}

/// Installs the packages of `missing` tools, if that is possible here.
pub(crate) fn install(missing: &[(&str, &str)]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|(tool, _)| *tool).collect();
    let names = names.join(", ");
    let is_superuser = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_superuser || !has_program("apt-get") {
        bail!("missing: {names} (installed by itself only where apt-get is and the user is root)");
    }
    eprintln!("installing {names}");
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "--no-install-recommends"]);
    install.args(missing.iter().map(|(_, package)| package));
    for command in [Command::new("apt-get").arg("update"), &mut install] {
        let command = command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        output(command)?;
    }
    match missing.iter().find(|(tool, _)| !is_present(tool)) {
        Some((tool, package)) => bail!("{tool} is still missing after installing {package}"),
        None => Ok(()),
    }
}

/// Whether rustup has this toolchain.
pub(crate) fn has_toolchain(name: &str) -> bool {
    succeeds(Command::new("rustup").args(["run", name, "rustc", "--version"]))
}

/// Whether a command starts and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The file name of a dynamic library on this system.
pub(crate) fn library_name(stem: &str) -> String {
    format!("{}{stem}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}
