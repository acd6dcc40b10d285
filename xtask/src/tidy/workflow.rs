//! The workflow: every step is a job of ours, and the job `all-green` needs every other.

use clap::Parser;

use super::files::Files;
use crate::Cli;

pub(super) fn check(files: &Files) -> Vec<String> {
    let workflow = ".github/workflows/ci.yml";
    match files.get(workflow) {
        Some(file) => {
            check_text(&file.text).into_iter().map(|one| format!("{workflow}: {one}")).collect()
        }
        None => vec![format!("{workflow}: missing")],
    }
}

/// Reads just the shape that our workflow has: jobs at two spaces, `needs: [a, b]` on one line.
fn check_text(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut jobs: Vec<&str> = Vec::new();
    let mut needed: Vec<&str> = Vec::new();
    let after = text.split_once("\njobs:\n").map_or("", |(_, after)| after);
    for line in after.lines() {
        let trimmed = line.trim();
        let depth = line.len() - line.trim_start().len();
        if depth == 2 && !trimmed.starts_with('#') {
            jobs.extend(trimmed.split(':').next());
        }
        if jobs.last() == Some(&"all-green") {
            if let Some(list) = trimmed.strip_prefix("needs:") {
                let list = list.trim().trim_start_matches('[').trim_end_matches(']');
                needed = list.split(',').map(str::trim).collect();
            }
        } else if let Some(run) = trimmed.trim_start_matches("- ").strip_prefix("run:") {
            problems.extend(check_step(run.trim()));
        }
    }
    if jobs.is_empty() {
        problems.push("no jobs found".into());
    }
    for job in jobs.iter().filter(|job| **job != "all-green" && !needed.contains(job)) {
        problems.push(format!("all-green does not need the job {job}"));
    }
    for job in needed.iter().filter(|job| !jobs.contains(job)) {
        problems.push(format!("all-green needs {job}, which is no job"));
    }
    problems
}

/// Whether a step is a `cargo xtask ci` that our own command line understands.
fn check_step(run: &str) -> Option<String> {
    let filled = run
        .replace("${{ matrix.mode }}", "fast")
        .replace("${{ matrix.allocator }}", "alloc-core")
        .replace("${{ matrix.job }}", "quick");
    let Some(job) = filled.strip_prefix("cargo xtask ci ") else {
        return Some(format!("the step {run:?} is not `cargo xtask ci JOB`"));
    };
    let words = ["cargo xtask", "ci"].into_iter().chain(job.split_whitespace());
    let error = Cli::try_parse_from(words).err()?;
    Some(format!("the step {run:?} is refused: {}", error.to_string().lines().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name: ci\njobs:\n  quick:\n    steps:\n      - run: cargo xtask ci quick\n\
                        \x20 # a comment\n  test:\n    steps:\n      - run: cargo xtask ci test \
                        --mode ${{ matrix.mode }} --package ${{ matrix.allocator }}\n\
                        \x20 all-green:\n    needs: [quick, test]\n    steps:\n      - run: exit 1\n";

    #[test]
    fn a_good_workflow_passes() {
        assert_eq!(check_text(GOOD), Vec::<String>::new());
    }

    #[test]
    fn a_forgotten_job_is_named() {
        let text = GOOD.replace("[quick, test]", "[quick]");
        assert_eq!(check_text(&text), ["all-green does not need the job test"]);
        let text = GOOD.replace("[quick, test]", "[quick, test, gone]");
        assert_eq!(check_text(&text), ["all-green needs gone, which is no job"]);
        assert_eq!(check_text("name: ci\n"), ["no jobs found"]);
    }

    #[test]
    fn a_step_that_is_not_ours_is_named() {
        let text = GOOD.replace("cargo xtask ci quick", "cargo test");
        assert!(check_text(&text)[0].contains("is not `cargo xtask ci JOB`"));
        let text = GOOD.replace("ci quick", "ci quickly");
        assert!(check_text(&text)[0].contains("is refused"));
    }
}
