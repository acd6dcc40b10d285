//! The tasks of the workspace: one command each, with one summary and a status that says whether
//! everything passed.
//!
//! * `cargo xtask test` runs every test that this machine can run.
//! * `cargo xtask check -- PROGRAM` runs a program under the checking allocator.
//! * `cargo xtask ci JOB` runs a step of the gate, the same at home as in a workflow.
//!
//! A step is a function or a command with a name (`steps`); what the machine lacks is named as
//! skipped. Nothing here needs more than rustup's toolchain and a C compiler, except the jobs of
//! `ci` that say so.

mod steps;
mod tools;
mod checker;
mod test;
mod selective_use;
mod tidy;
mod fail_points;
mod ci;
mod real;
mod bench;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use checker::Checker;
use steps::Steps;

/// The tasks of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every test: unit, integration, conformance, doc, compile-fail, preload.
    Test(test::Options),
    /// Run a program under the checking allocator: `check [OPTIONS] -- PROGRAM [ARGS]`.
    ///
    /// The options are those of `alloc-check`: `cargo xtask check --help` lists them.
    #[command(disable_help_flag = true)]
    Check {
        /// Passed to `alloc-check` as they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Compare the allocators with their peers, and say which goals they reach.
    Bench(bench::Options),
    /// Run a job of the gate, the same here as in the workflow.
    Ci {
        #[command(subcommand)]
        job: ci::Job,
    },
    /// Put `alloc-check` into DIR/bin and the library it preloads into DIR/lib.
    Install {
        /// Where to; cargo's install root by default.
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
    },
    /// Check what no compiler checks: imports, docs, banned calls, names that are gone.
    Tidy,
    /// Run the tests, and name the fail points that none of them arms.
    FailPoints(fail_points::Options),
    /// Compare what each crate brings along with the recorded lists.
    SelectiveUse(selective_use::Options),
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    // Before clap sees it: a `--` among the arguments belongs to `alloc-check`.
    let result = match args.next() {
        Some(word) if word == "check" => check(&args.collect::<Vec<_>>()),
        _ => run(Cli::parse().task),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(task: Task) -> Result<ExitCode> {
    let mut steps = Steps::default();
    match task {
        Task::Test(options) => test::run(&mut steps, &options)?,
        Task::Check { args } => return check(&args),
        Task::Bench(options) => return bench::run(&options),
        Task::Ci { job } => ci::run(&mut steps, &job)?,
        Task::Install { root } => return install(root),
        Task::Tidy => steps.run("tidy", tidy::run),
        Task::FailPoints(options) => fail_points::run(&mut steps, &options)?,
        Task::SelectiveUse(options) => selective_use::run(&mut steps, &options)?,
    }
    Ok(steps.finish())
}

fn check(args: &[OsString]) -> Result<ExitCode> {
    Err(Checker::build()?.exec(args))
}

fn install(root: Option<PathBuf>) -> Result<ExitCode> {
    let root = root.map_or_else(checker::default_root, Ok)?;
    for file in Checker::build()?.install(&std::path::absolute(root)?)? {
        println!("installed {}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
