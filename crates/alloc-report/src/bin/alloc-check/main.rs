//! `alloc-check PROGRAM [ARGS]`: runs a program under the preload library, then reports; `alloc-check
//! render DIR` reports once more, `alloc-check ask PID` has a running process report.

mod args;
mod ask;
mod inherited;
mod library;
mod outputs;
mod program;
mod records;
mod resolve;
mod run;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{self, Command, ExitCode};
use std::time::{Duration, Instant, SystemTime};

use alloc_report::{Report, Run, Suppressions, Symboliser};
use anyhow::{Context, bail};
use clap::Parser;

use crate::args::{Check, Cli, Leaks, Render, Reporting};
use crate::outputs::Outputs;
use crate::records::RecordDir;

/// The exit status when nothing could be checked.
const NOT_CHECKED: u8 = 2;
/// Symbols are resolved in silence for this long.
const SILENT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| refuse(&error));
    let done = match &cli.command {
        Some(args::Command::Render(args)) => render(args),
        Some(args::Command::Ask { pid }) => ask::run(*pid),
        Some(args::Command::Resolve { full_stacks, file }) => {
            resolve::run(file.as_deref(), *full_stacks)
        }
        None => check(&cli.check),
    };
    done.unwrap_or_else(|error| {
        eprintln!("alloc-check: {error:#}");
        ExitCode::from(NOT_CHECKED)
    })
}

/// Says in one line what is wrong with the arguments, and exits. (Help, when asked for, is printed whole.)
fn refuse(error: &clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit();
    }
    let text = error.to_string();
    // The rest, after an empty line, is usage.
    let what: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let what = what.join(" ");
    eprintln!("alloc-check: {}; see --help", what.strip_prefix("error: ").unwrap_or(&what));
    process::exit(NOT_CHECKED.into())
}

fn check(args: &Check) -> anyhow::Result<ExitCode> {
    let reporting = &args.reporting;
    let suppressions = read_suppressions(reporting.suppress.as_deref())?;
    let name = &args.command_line[0];
    let program = match program::inspect(name) {
        Ok(program) => program,
        Err(refusal) => bail!("{refusal}"),
    };
    let settings = run::settings(&args.gpa)?;
    let mut libraries = vec![library::find(args.library.as_deref())?];
    if args.intercept {
        libraries.push(library::find_intercept(&libraries[0])?);
    }
    let outputs = Outputs::open(reporting)?;
    let records = match &args.records {
        Some(path) => RecordDir::keep(path)?,
        None => RecordDir::create()?,
    };
    let (began, began_at) = (Instant::now(), SystemTime::now());
    let mut command = Command::new(&program.path);
    command.arg0(name).args(&args.command_line[1..]);
    command.envs(run::environment(&libraries, records.path(), settings));
    if Outputs::takes_stdout(reporting) {
        // What reads the report there shall find nothing else.
        command.stdout(io::stderr());
    }
    let status =
        run::run(&mut command).with_context(|| format!("cannot run {}", program.path.display()))?;
    let run = Run {
        command: args.command_line.iter().map(|arg| arg.to_string_lossy().into()).collect(),
        status: status.code(),
        signal: status.signal(),
        began_ms: began_at.duration_since(SystemTime::UNIX_EPOCH).ok().map(millis),
        ran_ms: Some(millis(began.elapsed())),
    };
    let done = records.note(&run).and_then(|()| {
        let mut report = Report::read(records.path()).context("cannot read the records")?;
        drop(records);
        if program.has_own_malloc {
            report.add_note(format!(
                "own-allocator: {} brings its own malloc; what that hands out was not checked",
                program.path.display()
            ));
        }
        print(reporting, &mut report, suppressions, outputs, &run)
    });
    let failed = done.unwrap_or_else(|error| {
        // The program's end must not be hidden by a full disk.
        eprintln!("alloc-check: {error:#}");
        Failed::Unchecked
    });
    run::die_by_same_signal(status);
    Ok(ExitCode::from(match failed {
        Failed::Unchecked => NOT_CHECKED,
        Failed::Yes => reporting.exit_code,
        Failed::No => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_CHECKED),
    }))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn render(args: &Render) -> anyhow::Result<ExitCode> {
    let suppressions = read_suppressions(args.reporting.suppress.as_deref())?;
    let mut dirs: Vec<&Path> = Vec::new();
    for dir in &args.dirs {
        std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
        dirs.push(dir);
    }
    let mut report = Report::read_all(&dirs).context("cannot read the records")?;
    if report.processes().is_empty() {
        let names: Vec<_> = dirs.iter().map(|dir| dir.display().to_string()).collect();
        bail!("no records in {}", names.join(", "));
    }
    let outputs = Outputs::open(&args.reporting)?;
    let run = match dirs[..] {
        [dir] => records::noted_run(dir),
        _ => None,
    };
    let run = run.unwrap_or_else(|| Run::from_records(&report));
    let failed = print(&args.reporting, &mut report, suppressions, outputs, &run)?;
    Ok(ExitCode::from(match failed {
        Failed::Unchecked => NOT_CHECKED,
        Failed::Yes => args.reporting.exit_code,
        Failed::No => 0,
    }))
}

/// What the report means for the exit status.
enum Failed {
    No,
    Yes,
    Unchecked,
}

fn print(
    args: &Reporting,
    report: &mut Report,
    suppressions: Suppressions,
    mut outputs: Outputs,
    run: &Run,
) -> anyhow::Result<Failed> {
    let mut symboliser = Symboliser::new();
    let mut progress = Progress::new();
    if args.full_stacks {
        report.show_all_frames();
    }
    report.symbolise(&mut symboliser, |done, total| progress.show(done, total));
    report.suppress(suppressions);
    if !outputs.has_text() {
        let stderr = io::stderr().lock();
        let color = anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never;
        let mut stderr = BufWriter::new(stderr);
        // Who closed standard error does not want the report.
        let _ = outputs::render_text(report, args, &mut stderr, color);
        let _ = stderr.flush();
    }
    outputs.write(report, args, run)?;
    let totals = report.totals();
    let leaks = args.leaks != Leaks::Off && totals.lost.blocks > 0;
    Ok(match report.processes().is_empty() {
        true => Failed::Unchecked,
        false if totals.findings > 0 || leaks => Failed::Yes,
        false => Failed::No,
    })
}

fn read_suppressions(path: Option<&Path>) -> anyhow::Result<Suppressions> {
    let Some(path) = path else { return Ok(Suppressions::default()) };
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Suppressions::parse(&text).with_context(|| path.display().to_string())
}

/// One line on a terminal that says how far it is, once it takes long.
struct Progress {
    begun: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { begun: Instant::now(), shown: None, is_terminal: io::stderr().is_terminal() }
    }

    fn show(&mut self, done: usize, total: usize) {
        if !self.is_terminal {
            return;
        }
        if done == total {
            if self.shown.is_some() {
                eprint!("\r\x1b[K");
            }
        } else if self.begun.elapsed() > SILENT
            && self.shown.is_none_or(|shown| shown.elapsed() > SILENT / 10)
        {
            eprint!("\rresolving symbols: {done} of {total} addresses");
            self.shown = Some(Instant::now());
        }
    }
}
