//! What a user of one crate gets: a three-line crate outside the workspace depends on it alone,
//! builds with and without default features, and its tree of crates equals a recorded list.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::steps::Steps;
use crate::test::in_target;
use crate::tools::{TARGET, cargo, fetch, metadata, output, root, target_dir};

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Write the lists anew instead of comparing.
    #[arg(long)]
    pub(crate) record: bool,
    /// Only this package; may be repeated.
    #[arg(long = "package", short = 'p', value_name = "NAME")]
    pub(crate) packages: Vec<String>,
}

/// One step for each crate that is published.
pub(crate) fn run(steps: &mut Steps, options: &Options) -> Result<()> {
    steps.run("selective use: fetch", fetch);
    let metadata = metadata()?;
    for package in metadata["packages"].as_array().context("no packages in metadata")? {
        let name = package["name"].as_str().context("a package without a name")?;
        let published = package["publish"].is_null();
        let chosen = options.packages.is_empty() || options.packages.iter().any(|one| one == name);
        if published && chosen {
            steps.run(&format!("selective use, {name}"), || check(name, package, options.record));
        }
    }
    Ok(())
}

fn check(name: &str, package: &Value, record: bool) -> Result<()> {
    let linkable = is_linkable(package);
    let mut list = format!("# What a crate that depends on {name} alone builds, with features.\n");
    for (label, features) in
        [("default features", ""), ("no default features", ", default-features = false")]
    {
        let user = write_user(name, features, linkable)?;
        let target = target_dir()?.join("selective-use/target");
        // Named as well, since cargo builds no crate for a user that cannot link it.
        let mut build = cargo(&format!("check --quiet --offline -p user -p {name}"));
        in_target(&mut build, &target);
        output(build.current_dir(&user)).with_context(|| format!("with {label}"))?;
        let tree =
            format!("tree --offline --quiet --edges normal --target {TARGET} --prefix depth");
        let mut tree = cargo(&tree);
        let tree = output(tree.args(["--format", " {p} [{f}]"]).current_dir(&user))?;
        list += &format!("\n## {label}\n\n{}", normalise(&tree)?);
    }
    let recorded = root().join("xtask/selective-use").join(format!("{name}.txt"));
    if record {
        std::fs::create_dir_all(recorded.parent().context("no parent folder")?)?;
        return Ok(std::fs::write(&recorded, list)?);
    }
    let expected = std::fs::read_to_string(&recorded)
        .with_context(|| format!("{}: record it with --record", recorded.display()))?;
    let differences = differences(&expected, &list);
    if !differences.is_empty() {
        bail!("differs from {}:\n{differences}", recorded.display());
    }
    Ok(())
}

/// Whether other crates can name this one: a cdylib alone they cannot.
fn is_linkable(package: &Value) -> bool {
    let targets = package["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
    targets
        .iter()
        .flat_map(|target| target["kind"].as_array().into_iter().flatten())
        .any(|kind| ["lib", "rlib", "proc-macro"].map(Some).contains(&kind.as_str()))
}

/// Writes the three-line crate; returns its folder. It starts from the workspace's lock file, so
/// that it needs no network and gets the same versions.
fn write_user(name: &str, features: &str, linkable: bool) -> Result<PathBuf> {
    let label = if features.is_empty() { "default" } else { "no-default" };
    let dir = target_dir()?.join("selective-use").join(format!("{name}-{label}"));
    std::fs::create_dir_all(dir.join("src"))?;
    let path = root().join("crates").join(name);
    let path = path.to_str().context("the workspace's path is not UTF-8")?;
    let manifest = format!(
        "[package]\nname = \"user\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\n{name} = {{ path = {path:?}{features} }}\n"
    );
    let krate = name.replace('-', "_");
    let code = match linkable {
        true => format!("//! Uses {name} alone.\n#![no_std]\npub use {krate} as used;\n"),
        false => format!("//! Builds beside {name}, which exports C functions only.\n"),
    };
    write_if_changed(&dir.join("Cargo.toml"), &manifest)?;
    write_if_changed(&dir.join("src/lib.rs"), &code)?;
    std::fs::copy(root().join("Cargo.lock"), dir.join("Cargo.lock"))?;
    Ok(dir)
}

/// Leaves the time stamp alone where nothing changes, so that cargo does not build again.
fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// The lines of `cargo tree` without the user itself, without paths, with the part of each version
/// that says what is compatible, and each crate's own tree once.
fn normalise(tree: &str) -> Result<String> {
    let mut list = String::new();
    for line in tree.lines() {
        // "1 alloc-core v0.1.0 (/path) [feature,feature] (*)"
        let (depth, rest) = line.split_once(' ').with_context(|| format!("odd line {line:?}"))?;
        let depth: usize = depth.parse().with_context(|| format!("odd line {line:?}"))?;
        if depth == 0 {
            continue;
        }
        let (package, features) =
            rest.rsplit_once(" [").with_context(|| format!("odd line {line:?}"))?;
        let mut words = package.split(' ');
        let name = words.next().unwrap_or_default();
        let version = compatible(words.next().unwrap_or_default());
        let (features, again) = match features.split_once("] ") {
            Some((features, _)) => (features, " (as above)"),
            None => (features.trim_end_matches(']'), ""),
        };
        let indent = "  ".repeat(depth - 1);
        let features = if features.is_empty() { String::new() } else { format!(" [{features}]") };
        list += &format!("{indent}{name} {version}{features}{again}\n");
    }
    Ok(list)
}

/// "v1.2.3" is "1", "v0.2.3" is "0.2", "v0.0.3" is "0.0.3".
fn compatible(version: &str) -> String {
    let parts: Vec<&str> = version.trim_start_matches('v').split('.').collect();
    let end = parts.iter().position(|part| *part != "0").map_or(parts.len(), |zeros| zeros + 1);
    parts[..end].join(".")
}

/// The lines that only one of the two lists has, in order: `-` recorded, `+` found.
fn differences(expected: &str, found: &str) -> String {
    let only = |sign: char, these: &str, those: &str| -> String {
        let those: Vec<&str> = those.lines().collect();
        let lone = these.lines().filter(|line| !those.contains(line));
        lone.map(|line| format!("{sign} {line}\n")).collect()
    };
    let lone = only('-', expected, found) + &only('+', found, expected);
    match lone.is_empty() && expected != found {
        true => "the same lines in another order or number\n".into(),
        false => lone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_lose_what_differs_between_machines() {
        let tree = "0 user v0.0.0 (/somewhere/user) []\n\
                    1 alloc-arena v0.1.0 (/somewhere/alloc-arena) [default,allocator-api2-02]\n\
                    2 alloc-core v0.1.0 (/somewhere/alloc-core) []\n\
                    1 libc v0.2.99 [std] (*)\n\
                    1 serde v1.0.3 []\n";
        let list = "alloc-arena 0.1 [default,allocator-api2-02]\n  alloc-core 0.1\n\
                    libc 0.2 [std] (as above)\nserde 1\n";
        assert_eq!(normalise(tree).unwrap(), list);
    }

    #[test]
    fn the_compatible_part_of_a_version() {
        assert_eq!(compatible("v1.2.3"), "1");
        assert_eq!(compatible("v0.2.3"), "0.2");
        assert_eq!(compatible("v0.0.3"), "0.0.3");
        assert_eq!(compatible("v0.0.0"), "0.0.0");
    }

    #[test]
    fn differences_are_shown_by_side() {
        assert_eq!(differences("a\nb\n", "a\nb\n"), "");
        assert_eq!(differences("a\nb\n", "a\nc\n"), "- b\n+ c\n");
        assert_ne!(differences("a\nb\n", "b\na\n"), "");
    }
}
