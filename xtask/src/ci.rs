//! `cargo xtask ci JOB`: the jobs of the gate. A workflow step is one line of this, and runs the
//! same at home.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Subcommand;

use crate::steps::Steps;
use crate::test::in_target;
use crate::tools::{
    TARGET, add_flags, cargo, cargo_of, fetch, has_program, has_toolchain, install, metadata,
    missing_tools, output, root, succeeds, target_dir,
};
use crate::{bench, real, test, tidy};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Job {
    /// Everything that `.ci/run` runs, quick jobs first.
    All,
    /// Formatting, lints, tidy, documentation.
    Quick,
    /// The tests, as `cargo xtask test`.
    Test(test::Options),
    /// Real programs with and without the checker; installs what is missing.
    Real(real::Options),
    /// The HTML report in Chromium, and the viewer of DHAT; installs what is missing.
    Browser,
    /// Tests under the address and thread sanitizers (nightly).
    San,
    /// Every case of the benchmark beside peers, a few operations of each: that it runs.
    Benches,
    /// That no operation of the benchmark takes more instructions than recorded; installs valgrind.
    Instructions(bench::InstructionOptions),
    /// The model checker over every crate with `tests/loom.rs`.
    Loom,
    /// The tests of the OS-free crates under Miri (nightly, component miri).
    Miri,
    /// A minute of each fuzz target (nightly, cargo-fuzz).
    Fuzz,
    /// The OS-free crates in a library that has no std.
    NoStd,
    /// The oldest compiler that the manifests allow.
    Msrv,
    /// What would be published.
    Package,
}

pub(crate) fn run(steps: &mut Steps, job: &Job) -> Result<()> {
    match job {
        Job::All => {
            quick(steps);
            package(steps)?;
            no_std(steps);
            msrv(steps)?;
            test::run(steps, &test::Options::default())?;
            loom(steps)?;
            browser(steps);
            benches(steps);
            bench::check_instructions(steps, &bench::InstructionOptions::default());
            real::run(steps, &real::Options::of_gate())?;
        }
        Job::Quick => quick(steps),
        Job::Test(options) => test::run(steps, options)?,
        Job::Real(options) => real::run(steps, options)?,
        Job::Browser => browser(steps),
        Job::Benches => benches(steps),
        Job::Instructions(options) => bench::check_instructions(steps, options),
        Job::San => san(steps)?,
        Job::Loom => loom(steps)?,
        Job::Miri => miri(steps)?,
        Job::Fuzz => fuzz(steps)?,
        Job::NoStd => no_std(steps),
        Job::Msrv => msrv(steps)?,
        Job::Package => package(steps)?,
    }
    Ok(())
}

fn quick(steps: &mut Steps) {
    steps.command("fmt", cargo("fmt --all --check"));
    steps.run("tidy", tidy::run);
    steps.command(
        "clippy",
        cargo("clippy --workspace --all-targets --locked --keep-going -- -D warnings"),
    );
    let mut doc = cargo("doc --workspace --no-deps --locked --keep-going");
    doc.env("RUSTDOCFLAGS", "-D warnings");
    steps.command("documentation", doc);
}

/// What the tests in a browser need, with Debian's packages.
const BROWSER_TOOLS: [(&str, &str); 2] =
    [("chromium", "chromium"), ("/usr/libexec/valgrind/dh_view.html", "valgrind")];

fn browser(steps: &mut Steps) {
    if !cfg!(target_os = "linux") {
        steps.skip("browser", "run on Linux only");
    } else if let Err(error) = install(&missing_tools(BROWSER_TOOLS)) {
        let reason = error.to_string();
        steps.skip("browser", reason.lines().next().unwrap_or("its tools cannot be installed"));
    } else {
        let words = "test --locked --no-fail-fast -p alloc-report --test browser";
        steps.tests("browser", cargo(words));
    }
}

fn benches(steps: &mut Steps) {
    steps.run("benchmarks, each case once", bench::run_each_case_once);
}

/// Crates that hold no call of the operating system: what Miri and a library without std can take.
const OS_FREE: [&str; 4] = ["alloc-core", "alloc-fixed", "alloc-arena", "alloc-pool"];

/// What the sanitizers run: their lock-free parts and their threads are what is of interest.
const SANITIZED: [&str; 6] =
    ["alloc-core", "alloc-fixed", "alloc-arena", "alloc-page", "alloc-pool", "alloc-c"];

/// The conformance kit itself: its own tests, the broken allocators, and the seeds of the fuzz targets.
const KIT: &str = "-p alloc-testing --test kit --test oracle --test corpus";

/// What threads share, without the parts of `std` that only an instrumented one shows to the thread sanitizer.
const RACES: &str = "-p alloc-testing --test races";

fn san(steps: &mut Steps) -> Result<()> {
    let packages: String = SANITIZED.iter().map(|name| format!(" -p {name}")).collect();
    let packages = format!("--lib --tests{packages}");
    sanitized(steps, "address", "", &packages)?;
    sanitized(steps, "address", ", the conformance kit", KIT)?;
    sanitized(steps, "thread", ", what threads share", RACES)?;
    sanitized(steps, "thread", "", &packages)
}

/// Runs tests under a sanitizer.
fn sanitized(steps: &mut Steps, sanitizer: &str, what: &str, tests: &str) -> Result<()> {
    let name = format!("{sanitizer} sanitizer{what}");
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        steps.skip(&name, "run on x86-64 Linux only");
        return Ok(());
    }
    if !has_toolchain("nightly") {
        steps.skip(&name, "no nightly toolchain");
        return Ok(());
    }
    let mut words = format!("test --locked --no-fail-fast --target {TARGET} {tests}");
    let mut flags =
        format!("-Zsanitizer={sanitizer} --cfg sanitized --cfg sanitized=\"{sanitizer}\"");
    if has_std_source("nightly") {
        words.push_str(" -Zbuild-std");
    } else if sanitizer == "thread" && tests != RACES {
        steps.skip(&name, "no component rust-src: std without it makes false reports");
        return Ok(());
    } else {
        // std itself is not instrumented then, so the ABI marker of the two differs.
        flags.push_str(" -Cunsafe-allow-abi-mismatch=sanitizer");
    }
    let mut command = cargo_of("nightly", &words);
    add_flags(&mut command, &flags);
    // The tests ask for sizes that must fail; the runtimes abort there unless told.
    for options in ["ASAN_OPTIONS", "TSAN_OPTIONS"] {
        command.env(options, "allocator_may_return_null=1");
    }
    in_target(&mut command, &target_dir()?.join(format!("san-{sanitizer}")));
    steps.tests(&name, command);
    Ok(())
}

/// Whether a toolchain can build std itself.
fn has_std_source(toolchain: &str) -> bool {
    let mut sysroot = Command::new("rustup");
    sysroot.args(["run", toolchain, "rustc", "--print", "sysroot"]);
    output(&mut sysroot)
        .is_ok_and(|dir| Path::new(dir.trim()).join("lib/rustlib/src/rust/library").is_dir())
}

fn loom(steps: &mut Steps) -> Result<()> {
    let crates = crates_with("tests/loom.rs")?;
    if crates.is_empty() {
        steps.skip("loom", "no crate has tests/loom.rs");
    }
    for name in crates {
        // The models of `tests/loom.rs`, and those beside private code, in modules `loom_tests`.
        for (what, words) in [("shared", "--test loom"), ("private", "--lib loom_tests")] {
            let mut command = cargo(&format!("test --locked --release -p {name} {words}"));
            add_flags(&mut command, "--cfg loom");
            command.env("LOOM_MAX_PREEMPTIONS", "3");
            in_target(&mut command, &target_dir()?.join("loom"));
            steps.tests(&format!("loom, {name}, {what} models"), command);
        }
    }
    Ok(())
}

fn miri(steps: &mut Steps) -> Result<()> {
    let mut probe = Command::new("rustup");
    let present = succeeds(probe.args(["run", "nightly", "cargo", "miri", "--version"]));
    for (borrows, flag) in [("stacked", ""), ("tree", " -Zmiri-tree-borrows")] {
        // Of the kit its own tests: what it is put over is in memory of the system.
        let kit = [("alloc-testing", " --test kit")];
        for (name, tests) in OS_FREE.map(|name| (name, "")).into_iter().chain(kit) {
            let step = format!("miri, {name}, {borrows} borrows");
            if present {
                let words = format!("miri test --locked --no-fail-fast -p {name}{tests}");
                let mut command = cargo_of("nightly", &words);
                command.env("MIRIFLAGS", format!("-Zmiri-strict-provenance{flag}"));
                in_target(&mut command, &target_dir()?.join("miri"));
                steps.tests(&step, command);
            } else {
                steps.skip(&step, "no nightly toolchain with the component miri");
            }
        }
    }
    Ok(())
}

fn fuzz(steps: &mut Steps) -> Result<()> {
    let crates = crates_with("fuzz/Cargo.toml")?;
    if crates.is_empty() {
        steps.skip("fuzz", "no crate has fuzz targets");
        return Ok(());
    }
    let missing = if !has_toolchain("nightly") {
        Some("no nightly toolchain")
    } else if !has_program("cargo-fuzz") {
        Some("no cargo-fuzz")
    } else {
        None
    };
    for name in crates {
        let dir = root().join("crates").join(&name);
        if let Some(reason) = missing {
            steps.skip(&format!("fuzz, {name}"), reason);
            continue;
        }
        let list = output(cargo_of("nightly", "fuzz list").current_dir(&dir))?;
        for target in list.split_whitespace() {
            // What is found goes to the first folder; the second holds the seeds, which git has.
            std::fs::create_dir_all(dir.join("fuzz/corpus").join(target))?;
            let folders = format!("fuzz/corpus/{target} fuzz/seeds/{target}");
            let words = format!("fuzz run {target} {folders} -- -max_total_time=60 -max_len=1024");
            let mut command = cargo_of("nightly", &words);
            command.current_dir(&dir).env("ASAN_OPTIONS", "allocator_may_return_null=1");
            steps.command(&format!("fuzz, {name}, {target}"), command);
        }
    }
    Ok(())
}

/// No target without an OS is installed with rustup's default, so this is done on the host: a
/// static library without std that brings its own panic handler does not build if any crate in it
/// pulls std in, for then there are two handlers.
fn no_std(steps: &mut Steps) {
    steps.run("no std", || {
        fetch()?;
        let dir = target_dir()?.join("no-std");
        std::fs::create_dir_all(dir.join("src"))?;
        let path = |name: &str| root().join("crates").join(name);
        let dependencies: String = OS_FREE
            .iter()
            .map(|name| {
                format!("{name} = {{ path = {:?}, default-features = false }}\n", path(name))
            })
            .collect();
        let uses: String = OS_FREE
            .iter()
            .map(|name| format!("pub use {} as _;\n", name.replace('-', "_")))
            .collect();
        std::fs::write(
            dir.join("Cargo.toml"),
            format!(
                "[package]\nname = \"bare\"\nedition = \"2024\"\n\n[workspace]\n\n\
                 [lib]\ncrate-type = [\"staticlib\"]\n\n[profile.dev]\npanic = \"abort\"\n\n\
                 [dependencies]\n{dependencies}"
            ),
        )?;
        std::fs::write(
            dir.join("src/lib.rs"),
            format!(
                "//! Everything that needs no OS, with a panic handler of its own.\n#![no_std]\n\
                 {uses}#[panic_handler]\n\
                 fn panic(_: &core::panic::PanicInfo<'_>) -> ! {{\n    loop {{}}\n}}\n"
            ),
        )?;
        std::fs::copy(root().join("Cargo.lock"), dir.join("Cargo.lock"))?;
        let mut build = cargo("build --offline --quiet");
        in_target(&mut build, &dir.join("target"));
        output(build.current_dir(&dir)).map(drop)
    });
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        steps.run("no std, programs", no_std_programs);
    } else {
        steps.skip("no std, programs", "they are linked for Linux with glibc only");
    }
}

/// Programs without std, one of them without any heap, and what each depends on beside the OS-free
/// crates. They are linked to libc for its start and its `memcpy` alone.
const BARE_PROGRAMS: [(&str, &str); 2] =
    [("bare", ""), ("heap", "lock_api = { version = \"0.5\", default-features = false }\n")];

fn no_std_programs() -> Result<()> {
    fetch()?;
    for (name, more) in BARE_PROGRAMS {
        let dir = target_dir()?.join("no-std-programs").join(name);
        std::fs::create_dir_all(&dir)?;
        let dependencies: String = OS_FREE
            .iter()
            .map(|krate| {
                let path = root().join("crates").join(krate);
                let features =
                    if *krate == "alloc-core" && !more.is_empty() { "\"lock_api\"" } else { "" };
                format!(
                    "{krate} = {{ path = {path:?}, default-features = false, features = [{features}] }}\n"
                )
            })
            .collect();
        let source = root().join("xtask/no-std").join(format!("{name}.rs"));
        std::fs::write(
            dir.join("Cargo.toml"),
            format!(
                "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n[workspace]\n\n\
                 [[bin]]\nname = \"{name}\"\npath = {source:?}\ntest = false\n\n\
                 [profile.release]\npanic = \"abort\"\nlto = true\n\n\
                 [dependencies]\n{dependencies}{more}"
            ),
        )?;
        std::fs::copy(root().join("Cargo.lock"), dir.join("Cargo.lock"))?;
        let target = dir.join("target");
        let mut build = cargo("build --release --offline --quiet");
        in_target(&mut build, &target);
        output(build.current_dir(&dir))?;
        let status = Command::new(target.join("release").join(name)).status()?;
        if !status.success() {
            bail!("the program {name}: {status}; its number says which check failed");
        }
    }
    Ok(())
}

fn msrv(steps: &mut Steps) -> Result<()> {
    let metadata = metadata()?;
    let oldest = metadata["packages"][0]["rust_version"].as_str().context("no rust-version")?;
    let active = output(Command::new("rustc").arg("--version"))?;
    let step = format!("msrv {oldest}");
    let words = "check --workspace --locked";
    if is_release(&active, oldest) {
        steps.command(&step, cargo(words));
    } else if has_toolchain(oldest) {
        let mut command = cargo_of(oldest, words);
        in_target(&mut command, &target_dir()?.join("msrv"));
        steps.command(&step, command);
    } else {
        steps.skip(&step, &format!("no toolchain {oldest}, and the default is {}", active.trim()));
    }
    Ok(())
}

/// Whether `rustc 1.95.2 (...)` is a release of `1.95`.
fn is_release(version: &str, wanted: &str) -> bool {
    let number = version.split(' ').nth(1).unwrap_or_default();
    number == wanted || number.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
}

fn package(steps: &mut Steps) -> Result<()> {
    let target = target_dir()?.join("package-check");
    let words = "package --workspace --no-verify --allow-dirty --offline --locked --quiet \
                 --exclude xtask --exclude alloc-bench";
    let mut command = cargo(words);
    in_target(&mut command, &target);
    steps.command("package", command);
    Ok(())
}

/// The crates that have this file, by name.
fn crates_with(file: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("crates"))? {
        let dir: PathBuf = entry?.path();
        if dir.join(file).is_file() {
            let Some(name) = dir.file_name().and_then(|name| name.to_str()) else {
                bail!("a crate's folder has an odd name: {}", dir.display());
            };
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_match_their_minor_version() {
        assert!(is_release("rustc 1.95.0 (abc 2026-03-21)", "1.95"));
        assert!(is_release("rustc 1.95.2", "1.95"));
        assert!(!is_release("rustc 1.96.0", "1.95"));
        assert!(!is_release("rustc 1.950.0", "1.95"));
    }
}
