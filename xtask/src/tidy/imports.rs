//! Who may import whom: the table of `docs/architecture.md`, against the manifests.

use anyhow::{Context, Result};
use serde_json::Value;

use super::files::Files;

/// A crate, what it may import of ours, and what from outside; `None` where outside is free.
struct Row {
    krate: &'static str,
    ours: &'static [&'static str],
    outside: Option<&'static [&'static str]>,
}

const fn row(
    krate: &'static str,
    ours: &'static [&'static str],
    outside: &'static [&'static str],
) -> Row {
    Row { krate, ours, outside: Some(outside) }
}

const fn free_row(krate: &'static str, ours: &'static [&'static str]) -> Row {
    Row { krate, ours, outside: None }
}

const TABLE: &[Row] = &[
    row("alloc-core", &[], &["allocator-api2", "lock_api", "loom"]),
    row("alloc-page", &["alloc-core"], &["libc", "memmap2"]),
    row("alloc-c", &["alloc-core"], &["libc"]),
    row("alloc-fixed", &["alloc-core"], &[]),
    row("alloc-arena", &["alloc-core"], &[]),
    row("alloc-pool", &["alloc-core"], &[]),
    row("alloc-gpa", &["alloc-core", "alloc-page"], &["libc", "gimli", "backtrace", "loom"]),
    free_row("alloc-report", &["alloc-core", "alloc-gpa"]),
    row("alloc-smp", &["alloc-core", "alloc-page"], &["libc"]),
    row(
        "alloc-testing",
        &["alloc-core", "alloc-fixed", "alloc-gpa", "alloc-testing-macros"],
        &["libc", "log", "parking_lot", "proptest"],
    ),
    row("alloc-testing-macros", &[], &["proc-macro2", "quote", "syn"]),
    row("alloc-collections", &["alloc-core"], &["hashbrown"]),
    row("alloc-preload", &["alloc-core", "alloc-gpa", "alloc-smp", "alloc-c"], &["libc"]),
    row("alloc-intercept", &[], &["libc"]),
    free_row("alloc-bench", &[ANY]),
    row("alloc-demo-faults", &["alloc-core"], &[]),
    free_row("alloc-examples", &[ANY]),
    free_row("xtask", &["alloc-report"]),
];

const ANY: &str = "*";

/// One dependency of a crate.
struct Import<'a> {
    krate: &'a str,
    import: &'a str,
    is_dev: bool,
}

pub(super) fn check(metadata: &Value) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let packages = metadata["packages"].as_array().context("no packages in metadata")?;
    for package in packages {
        let krate = package["name"].as_str().context("a package without a name")?;
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let import = dependency["name"].as_str().context("a dependency without a name")?;
            let is_dev = dependency["kind"].as_str() == Some("dev");
            problems.extend(check_import(&Import { krate, import, is_dev }));
            let published = package["publish"].is_null();
            if published && is_dev && is_ours(import) && dependency["req"] != "*" {
                problems.push(format!(
                    "{krate}: the dev-dependency {import} has a version, so neither of the two could \
                     be published first; instead: a path alone"
                ));
            }
        }
        problems.extend(check_fields(krate, package));
    }
    Ok(problems)
}

fn is_ours(name: &str) -> bool {
    TABLE.iter().any(|row| row.krate == name)
}

fn check_import(Import { krate, import, is_dev }: &Import<'_>) -> Option<String> {
    let Some(row) = TABLE.iter().find(|row| row.krate == *krate) else {
        return Some(format!("{krate}: not in the table of crates (docs/architecture.md, tidy)"));
    };
    if *is_dev {
        return None; // Tests may use anything.
    }
    if is_ours(import) {
        let allowed = row.ours.contains(import) || row.ours.contains(&ANY);
        let why = match *import {
            "alloc-testing" => "is only ever a dev-dependency",
            _ => "is not among the crates of ours that it may import",
        };
        return (!allowed).then(|| format!("{krate}: {import} {why}"));
    }
    let outside = row.outside?;
    (!outside.contains(import)).then(|| {
        format!("{krate}: {import} is not in the table of imports; from outside: {outside:?}")
    })
}

/// The fields that publishing needs.
fn check_fields(krate: &str, package: &Value) -> Vec<String> {
    let filled = |field: &str| match &package[field] {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    let mut fields = vec!["description", "license", "rust_version"];
    let published = package["publish"].is_null();
    if published {
        fields.extend(["keywords", "categories", "readme"]);
    }
    let mut problems: Vec<String> = fields
        .into_iter()
        .filter(|field| !filled(field))
        .map(|field| format!("{krate}: the manifest has no {field}"))
        .collect();
    if published && package["metadata"]["docs"]["rs"].is_null() {
        problems.push(format!("{krate}: the manifest has no [package.metadata.docs.rs]"));
    }
    problems
}

/// What metadata does not show: the shared lints, and a README beside each manifest.
pub(super) fn check_manifests(files: &Files) -> Vec<String> {
    let mut problems = Vec::new();
    for file in &files.0 {
        let Some(dir) = file.path.strip_suffix("/Cargo.toml") else { continue };
        let member =
            dir == "xtask" || (dir.starts_with("crates/") && dir.matches('/').count() == 1);
        if !member {
            continue;
        }
        if !file.text.contains("[lints]\nworkspace = true") {
            problems.push(format!("{}: no `[lints] workspace = true`", file.path));
        }
        if dir.starts_with("crates/") && files.get(&format!("{dir}/README.md")).is_none() {
            problems.push(format!("{dir}: no README.md"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(krate: &str, import: &str, is_dev: bool) -> Option<String> {
        check_import(&Import { krate, import, is_dev })
    }

    #[test]
    fn the_table_is_kept() {
        assert_eq!(import("alloc-gpa", "alloc-page", false), None);
        assert_eq!(import("alloc-gpa", "libc", false), None);
        assert_eq!(import("alloc-bench", "alloc-gpa", false), None);
        assert_eq!(import("alloc-fixed", "proptest", true), None);
        assert_eq!(import("alloc-fixed", "alloc-testing", true), None);

        assert!(import("alloc-fixed", "libc", false).unwrap().contains("libc"));
        assert!(import("alloc-arena", "alloc-page", false).unwrap().contains("alloc-page"));
        assert!(import("alloc-gpa", "alloc-testing", false).unwrap().contains("dev-dependency"));
        assert!(import("alloc-new", "alloc-core", false).unwrap().contains("not in the table"));
    }

    #[test]
    fn manifests_are_complete() {
        let package = serde_json::json!({
            "description": "d", "license": "l", "rust_version": "1.95", "keywords": ["k"],
            "categories": ["c"], "readme": "README.md", "metadata": {"docs": {"rs": {}}},
            "publish": null,
        });
        assert_eq!(check_fields("a", &package), Vec::<String>::new());
        let package = serde_json::json!({
            "description": "", "license": "l", "rust_version": "1.95", "keywords": [],
            "categories": ["c"], "readme": "README.md", "metadata": null, "publish": null,
        });
        assert_eq!(check_fields("a", &package).len(), 3);
    }
}
