//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use alloc_report::LeakDetail;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs a program under the checking allocator and reports its heap errors and leaks
#[derive(Debug, Parser)]
#[command(name = "alloc-check", version, args_conflicts_with_subcommands = true)]
#[command(subcommand_negates_reqs = true, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) check: Check,
}

const AFTER_HELP: &str = "\
The report follows the program's own output. The exit status is the program's own if nothing was \
found, else 23, and 2 if the program could not be checked; if a signal ended the program, it ends \
alloc-check too. A program that is called `resolve` or `help` is checked with `alloc-check -- resolve`.

Environment:
  ALLOC_CHECK_LIBRARY  the preload library, if not --library
  ALLOC_GPA            key=value,... for the allocator, beside --gpa (on_finding is always continue)
  LD_PRELOAD           is kept, after the preload library
  TMPDIR               where the records are kept until the report is printed
  NO_COLOR             no colours";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Copies text and replaces /path/module+0xOFFSET by function and file:line
    Resolve {
        /// The text; standard input if absent
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// How much to say about leaks; `off`: leaks are no fault either
    #[arg(long, value_enum, default_value_t = Leaks::Full, value_name = "HOW")]
    pub(crate) leaks: Leaks,
    /// How many findings, and how many leaks, to show in full
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) max_stacks: usize,
    /// A file of suppressions, one a line: PATTERN or KIND:PATTERN for function or module names
    #[arg(long, value_name = "FILE")]
    pub(crate) suppress: Option<PathBuf>,
    /// Write the report as JSON, too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report to a file instead of standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The exit status when something was found
    #[arg(long, default_value_t = 23, value_name = "N")]
    pub(crate) exit_code: u8,
    /// The preload library, liballoc_preload.so
    #[arg(long, value_name = "PATH")]
    pub(crate) library: Option<PathBuf>,
    /// Settings of the allocator, over those of ALLOC_GPA, such as `stacks=8,memory_limit=64M`
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub(crate) gpa: Vec<String>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM [ARGS]")]
    pub(crate) command_line: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Leaks {
    /// Every place that leaks, with its stack
    Full,
    /// Only totals
    Summary,
    /// Nothing
    Off,
}

impl From<Leaks> for LeakDetail {
    fn from(leaks: Leaks) -> Self {
        match leaks {
            Leaks::Full => Self::Full,
            Leaks::Summary => Self::Summary,
            Leaks::Off => Self::Off,
        }
    }
}
