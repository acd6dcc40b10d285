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
alloc-check too. A program that is called `resolve`, `render`, `ask` or `help` is checked with \
`alloc-check -- resolve`. A FILE that is `-` means standard output; the program then writes to \
standard error instead.

Environment:
  ALLOC_CHECK_LIBRARY  the preload library, if not --library
  ALLOC_GPA            key=value,... for the allocator, beside --gpa (on_finding is always continue)
  LD_PRELOAD           is kept, after the preload library
  TMPDIR               where the records are kept until the report is printed, if not --records
  NO_COLOR             no colours
  CLICOLOR_FORCE       colours in a pipe, too";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Renders records that `--records DIR` kept, once more
    Render(Render),
    /// Has a running process report what it lost and what it holds, if `report_on` names a signal for it
    Ask {
        /// The process
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        pid: i32,
    },
    /// Copies text and replaces /path/module+0xOFFSET by function and file:line
    Resolve {
        /// Show the frames of the allocator, of standard libraries and before `main`, too
        #[arg(long)]
        full_stacks: bool,
        /// The text; standard input if absent
        file: Option<PathBuf>,
    },
}

/// What is reported, and where to.
#[derive(Debug, Args)]
pub(crate) struct Reporting {
    /// How much to say about leaks; `off`: leaks are no fault either
    #[arg(long, value_enum, default_value_t = Leaks::Full, value_name = "HOW")]
    pub(crate) leaks: Leaks,
    /// How many findings, and how many leaks, to show in full as text
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) max_stacks: usize,
    /// Show the frames of the allocator, of standard libraries and before `main`, too
    #[arg(long)]
    pub(crate) full_stacks: bool,
    /// Say where the memory of each process went: size classes, tags, what is kept
    #[arg(long)]
    pub(crate) stats: bool,
    /// A file of suppressions, one a line: PATTERN or KIND:PATTERN for function or module names
    #[arg(long, value_name = "FILE")]
    pub(crate) suppress: Option<PathBuf>,
    /// The exit status when something was found
    #[arg(long, default_value_t = 23, value_name = "N")]
    pub(crate) exit_code: u8,
    /// Write the text to a file instead of standard error
    #[arg(long, value_name = "FILE", help_heading = "Formats")]
    pub(crate) output: Option<PathBuf>,
    /// Write one self-contained web page, too
    #[arg(long, value_name = "FILE", help_heading = "Formats")]
    pub(crate) html: Option<PathBuf>,
    /// Write JSON, too
    #[arg(long, value_name = "FILE", help_heading = "Formats")]
    pub(crate) json: Option<PathBuf>,
    /// Write what was not freed as a heap profile of pprof, too (gzip)
    #[arg(long, value_name = "FILE", help_heading = "Formats")]
    pub(crate) pprof: Option<PathBuf>,
    /// Write what was not freed for DHAT's viewer, too
    #[arg(long, value_name = "FILE", help_heading = "Formats")]
    pub(crate) dhat: Option<PathBuf>,
    /// Quote no source lines in the web page
    #[arg(long, help_heading = "Formats")]
    pub(crate) no_source: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    /// Keep the records in this directory, which is made if it is not there, for `render`
    #[arg(long, value_name = "DIR")]
    pub(crate) records: Option<PathBuf>,
    /// Look at libc's memcpy, strlen and their like, too: every such call gets slower
    #[arg(long)]
    pub(crate) intercept: bool,
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

#[derive(Debug, Args)]
pub(crate) struct Render {
    #[command(flatten)]
    pub(crate) reporting: Reporting,
    /// Directories of records; several become one report
    #[arg(required = true, value_name = "DIR")]
    pub(crate) dirs: Vec<PathBuf>,
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
