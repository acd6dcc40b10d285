//! `cargo xtask fail-points`: which fail points no test arms, over all test programs of the workspace. A
//! point may be armed by the test program of another crate, so each appends what it knows to one file.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::steps::Steps;
use crate::tools::{cargo, target_dir};

/// What test programs are asked by; `alloc_testing::FAIL_POINTS_VARIABLE`.
const VARIABLE: &str = "ALLOC_TESTING_FAIL_POINTS";

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Only the tests of this package; may be repeated.
    #[arg(long = "package", short = 'p', value_name = "NAME")]
    packages: Vec<String>,
}

/// Runs the tests, and fails if a point of a program, not of a test, was armed by none of them.
pub(crate) fn run(steps: &mut Steps, options: &Options) -> Result<()> {
    let file = target_dir()?.join("fail-points.txt");
    let _ = std::fs::remove_file(&file);
    let packages: Vec<String> = options.packages.iter().map(|name| format!("-p {name}")).collect();
    let select = if packages.is_empty() { "--workspace".to_owned() } else { packages.join(" ") };
    let mut tests = cargo(&format!("test --locked --no-fail-fast {select} --lib --bins --tests"));
    tests.env(VARIABLE, &file);
    steps.tests("tests, with their fail points", tests);
    steps.run("fail points", || {
        // No test program had `alloc-testing` in it: no points.
        let text = if file.exists() { std::fs::read_to_string(&file)? } else { String::new() };
        let points = merge(&text)?;
        let unarmed: Vec<_> = points.iter().filter(|(_, point)| !point.is_armed).collect();
        println!("{} fail points in programs, {} armed by no test", points.len(), unarmed.len());
        for (name, Point { place, is_reached, .. }) in &unarmed {
            let reached = if *is_reached { "reached" } else { "never reached" };
            println!("  {name} at {place} ({reached})");
        }
        if !unarmed.is_empty() {
            bail!("{} fail points are armed by no test", unarmed.len());
        }
        Ok(())
    });
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Point {
    place: String,
    is_armed: bool,
    is_reached: bool,
}

/// What all test programs together know of the points in sources: those that tests define for themselves
/// are left out.
fn merge(text: &str) -> Result<BTreeMap<&str, Point>> {
    let mut points = BTreeMap::<&str, Point>::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let [name, place, armed, reached] = words[..] else { bail!("no fail point: {line:?}") };
        let (file, _) = place.rsplit_once(':').context("a place without a line")?;
        if !file.starts_with("src/") && !file.contains("/src/") {
            continue;
        }
        let none = Point { place: place.to_owned(), is_armed: false, is_reached: false };
        let point = points.entry(name).or_insert(none);
        point.is_armed |= armed == "armed";
        point.is_reached |= reached == "reached";
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A point counts as armed if any program armed it; those of tests do not count.
    #[test]
    fn programs_know_more_together() {
        let text = "a::open\tcrates/a/src/lib.rs:3\tunarmed\treached\n\
                    a::read\tcrates/a/src/lib.rs:9\tunarmed\tunreached\n\
                    t::own\tcrates/a/tests/t.rs:1\tunarmed\tunreached\n\
                    a::open\tcrates/a/src/lib.rs:3\tarmed\treached\n";
        let points = merge(text).unwrap();
        let state = |name| points.get(name).map(|point: &Point| (point.is_armed, point.is_reached));
        assert_eq!(state("a::open"), Some((true, true)));
        assert_eq!(state("a::read"), Some((false, false)));
        assert_eq!(state("t::own"), None);
        assert!(merge("a::open\n").is_err());
    }
}
