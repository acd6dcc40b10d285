//! `cargo xtask test`: every test, in both modes, with nothing but rustup's toolchain and a C
//! compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::steps::Steps;
use crate::tools::{
    add_flags, cargo, cargo_of, has_program, has_toolchain, library_name, metadata, packages,
    target_dir,
};
use crate::{selective_use, tidy};

/// How the internal checks are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// As users get it: without the internal checks.
    Fast,
    /// With `--cfg alloc_check`: the internal checks abort.
    Check,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Only this mode; both by default.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Only the tests of this package; may be repeated.
    #[arg(long = "package", short = 'p', value_name = "NAME")]
    packages: Vec<String>,
}

/// Tools and programs: they hold no internal checks of their own.
const WITHOUT_CHECKS: [&str; 3] = ["alloc-bench", "alloc-report", "xtask"];

/// Tests that pass without a tool that they would use: the package, the tool, and what is not tested then.
const ASKED_TOOLS: [(&str, &str, &str); 3] = [
    ("alloc-c", "c++", "the header as C++"),
    ("alloc-c", "valgrind", "instructions of a request beside malloc's"),
    ("alloc-preload", "c++", "programs in C++"),
];

/// Those of [`ASKED_TOOLS`] of these packages whose tool this machine has not; all of them are for Linux.
fn without_tools(
    wanted: &[&str],
    has: impl Fn(&str) -> bool,
) -> Vec<(&'static str, &'static str, &'static str)> {
    let tools = ASKED_TOOLS.into_iter().filter(|_| cfg!(target_os = "linux"));
    tools.filter(|(package, tool, _)| wanted.contains(package) && !has(tool)).collect()
}

/// The features of alloc-core that build on every compiler.
const CORE_FEATURES: &str = "std,lock_api,allocator-api2-04";

pub(crate) fn run(steps: &mut Steps, options: &Options) -> Result<()> {
    let metadata = metadata()?;
    let all = packages(&metadata);
    for name in &options.packages {
        if !all.contains(&name.as_str()) {
            anyhow::bail!("no package {name:?}; there are: {}", all.join(", "));
        }
    }
    let chosen = |name: &str| {
        options.packages.is_empty() || options.packages.iter().any(|package| package == name)
    };
    let wanted: Vec<&str> = all.iter().copied().filter(|name| chosen(name)).collect();

    for (package, tool, what) in without_tools(&wanted, has_program) {
        steps.skip(&format!("{package}: {what}"), &format!("no {tool}"));
    }
    if options.packages.is_empty() {
        steps.run("tidy", tidy::run);
    }
    if options.mode != Some(Mode::Check) {
        mode_tests(steps, Mode::Fast, &wanted, options)?;
    }
    if options.mode != Some(Mode::Fast) {
        let checked: Vec<&str> =
            wanted.into_iter().filter(|name| !WITHOUT_CHECKS.contains(name)).collect();
        mode_tests(steps, Mode::Check, &checked, options)?;
    }
    if options.mode != Some(Mode::Check) {
        if chosen("alloc-core") {
            feature_tests(steps)?;
        }
        let names = options.packages.clone();
        selective_use::run(steps, &selective_use::Options { record: false, packages: names })?;
    }
    Ok(())
}

/// Packages whose tests preload the libraries.
const LIBRARY_USERS: [&str; 3] = ["alloc-preload", "alloc-intercept", "alloc-report"];

/// Unit, integration and doc tests of `packages` in one mode.
fn mode_tests(steps: &mut Steps, mode: Mode, packages: &[&str], options: &Options) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let label = match mode {
        Mode::Fast => "fast",
        Mode::Check => "check",
    };
    let needs_library = packages.iter().any(|name| LIBRARY_USERS.contains(name));
    let library = match needs_library {
        true if !cfg!(target_os = "linux") => {
            steps.skip(&format!("preload library, {label}"), "preloading is for Linux");
            None
        }
        true if !has_program("cc") => {
            steps.skip(&format!("preload library, {label}"), "no C compiler `cc` for its tests");
            None
        }
        true => Some(build_library(steps, mode, label)?),
        false => None,
    };
    let select = match (mode, options.packages.is_empty()) {
        (Mode::Fast, true) => "--workspace".to_owned(),
        _ => packages.iter().map(|name| format!(" -p {name}")).collect(),
    };
    let kinds =
        [("unit and integration tests", "--lib --bins --tests --examples"), ("doc tests", "--doc")];
    for (name, kind) in kinds {
        let mut command = cargo(&format!("test --locked --no-fail-fast {select} {kind}"));
        in_mode(&mut command, mode)?;
        if let Some(library) = &library {
            command.env("ALLOC_PRELOAD_LIB", library);
        }
        steps.tests(&format!("{name}, {label}"), command);
    }
    Ok(())
}

/// Builds the libraries that the preload tests load, and returns where the first will be; the other is
/// beside it.
fn build_library(steps: &mut Steps, mode: Mode, label: &str) -> Result<PathBuf> {
    let packages = "--package alloc-preload --package alloc-intercept";
    let mut build = cargo(&format!("build --locked --release {packages}"));
    let target = in_mode(&mut build, mode)?;
    steps.command(&format!("preload library, {label}"), build);
    Ok(target.join("release").join(library_name("alloc_preload")))
}

/// Sets the flags of a mode, and a target folder of its own where they differ from the default, so
/// that the modes do not rebuild each other. Returns the target folder.
fn in_mode(command: &mut Command, mode: Mode) -> Result<PathBuf> {
    let target = target_dir()?;
    Ok(match mode {
        Mode::Fast => target,
        Mode::Check => {
            add_flags(command, "--cfg alloc_check");
            in_target(command, &target.join("check"))
        }
    })
}

/// Lets cargo build into this folder.
pub(crate) fn in_target(command: &mut Command, target: &Path) -> PathBuf {
    command.env("CARGO_TARGET_DIR", target);
    target.into()
}

/// alloc-core once more with its optional features, which no other crate turns on together.
fn feature_tests(steps: &mut Steps) -> Result<()> {
    let test = format!("test --locked --no-fail-fast -p alloc-core --features {CORE_FEATURES}");
    steps.tests("alloc-core, every stable feature", cargo(&test));
    let name = "alloc-core, feature nightly";
    if has_toolchain("nightly") {
        let mut command = cargo_of("nightly", &format!("{test},nightly"));
        in_target(&mut command, &target_dir()?.join("nightly"));
        steps.tests(name, command);
    } else {
        steps.skip(name, "no nightly toolchain");
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_not_there_is_named_for_the_packages_that_are_tested() {
        let named = |wanted: &[&str], there: &str| -> Vec<_> {
            let named = without_tools(wanted, |tool| tool == there).into_iter();
            named.map(|(package, tool, _)| (package, tool)).collect()
        };
        assert_eq!(named(&["alloc-c", "alloc-core"], "c++"), [("alloc-c", "valgrind")]);
        assert_eq!(named(&["alloc-preload"], "valgrind"), [("alloc-preload", "c++")]);
        assert_eq!(named(&["alloc-core"], "cc"), []);
    }
}
