//! `alloc-check PROGRAM [ARGS]`: runs a program under the preload library, then reports.

mod args;
mod inherited;
mod library;
mod program;
mod records;
mod run;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use alloc_report::{LeakDetail, Report, Run, Suppressions, Symboliser, TextOptions};
use anyhow::{Context, bail};
use clap::Parser;

use crate::args::{Check, Cli, Leaks};
use crate::records::RecordDir;

/// The exit status when nothing could be checked.
const NOT_CHECKED: u8 = 2;
/// Symbols are resolved in silence for this long.
const SILENT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(args::Command::Resolve { file }) => resolve(file.as_deref()),
        None => check(&cli.check),
    };
    done.unwrap_or_else(|error| {
        eprintln!("alloc-check: {error:#}");
        ExitCode::from(NOT_CHECKED)
    })
}

fn resolve(file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut symboliser = Symboliser::new();
    let done = match file {
        Some(path) => {
            let file =
                File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            alloc_report::resolve_text(&mut BufReader::new(file), &mut out, &mut symboliser)
        }
        None => alloc_report::resolve_text(&mut io::stdin().lock(), &mut out, &mut symboliser),
    };
    match done {
        // The reader of our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        done => Ok(done.map(|()| ExitCode::SUCCESS)?),
    }
}

/// Where the report goes; opened before the program runs.
struct Outputs {
    text: Option<File>,
    json: Option<File>,
}

fn check(args: &Check) -> anyhow::Result<ExitCode> {
    let suppressions = read_suppressions(args.suppress.as_deref())?;
    let name = &args.command_line[0];
    let program = match program::inspect(name) {
        Ok(program) => program,
        Err(refusal) => bail!("{refusal}"),
    };
    let settings = run::settings(&args.gpa)?;
    let library = library::find(args.library.as_deref())?;
    let mut outputs =
        Outputs { text: create(args.output.as_deref())?, json: create(args.json.as_deref())? };
    let records = RecordDir::create()?;
    let status = run::run(
        Command::new(&program.path)
            .arg0(name)
            .args(&args.command_line[1..])
            .envs(run::environment(&library, records.path(), settings)),
    )
    .with_context(|| format!("cannot run {}", program.path.display()))?;
    let mut report = Report::read(records.path()).context("cannot read the records")?;
    drop(records);
    if program.has_own_malloc {
        report.add_note(format!(
            "own-allocator: {} brings its own malloc; what that hands out was not checked",
            program.path.display()
        ));
    }
    let failed = match print(args, &mut report, suppressions, &mut outputs, status) {
        Ok(failed) => failed,
        // The program's end must not be hidden by a full disk.
        Err(error) => {
            eprintln!("alloc-check: {error:#}");
            run::die_by_same_signal(status);
            return Ok(ExitCode::from(NOT_CHECKED));
        }
    };
    run::die_by_same_signal(status);
    Ok(ExitCode::from(match failed {
        Failed::Unchecked => NOT_CHECKED,
        Failed::Yes => args.exit_code,
        Failed::No => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_CHECKED),
    }))
}

/// What the report means for the exit status.
enum Failed {
    No,
    Yes,
    Unchecked,
}

fn print(
    args: &Check,
    report: &mut Report,
    suppressions: Suppressions,
    outputs: &mut Outputs,
    status: ExitStatus,
) -> anyhow::Result<Failed> {
    let mut symboliser = Symboliser::new();
    let mut progress = Progress::new();
    report.symbolise(&mut symboliser, |done, total| progress.show(done, total));
    report.suppress(suppressions);
    let unchecked = report.processes().is_empty();
    match &mut outputs.text {
        Some(file) => render(report, args, file, false).context("cannot write the report")?,
        None => {
            let stderr = io::stderr().lock();
            let choice = anstream::AutoStream::choice(&stderr);
            // Who closed standard error does not want the report.
            let _ = render(report, args, stderr, choice != anstream::ColorChoice::Never);
        }
    }
    if let Some(file) = &mut outputs.json {
        let run = Run {
            command: args.command_line.iter().map(|arg| arg.to_string_lossy().into()).collect(),
            status: status.code(),
            signal: status.signal(),
        };
        let mut file = BufWriter::new(file);
        report.render_json(&mut file, &run).context("cannot write the JSON report")?;
        file.flush().context("cannot write the JSON report")?;
    }
    let totals = report.totals();
    let leaks = args.leaks != Leaks::Off && totals.lost.blocks > 0;
    Ok(match unchecked {
        true => Failed::Unchecked,
        false if totals.findings > 0 || leaks => Failed::Yes,
        false => Failed::No,
    })
}

fn render(report: &Report, args: &Check, out: impl Write, color: bool) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    if report.processes().is_empty() {
        writeln!(
            out,
            "alloc-check: not checked: the program recorded nothing, so the preload library was \
             not loaded into it"
        )?;
        return out.flush();
    }
    let here = std::env::current_dir().ok();
    let options = TextOptions {
        leaks: LeakDetail::from(args.leaks),
        stacks_max: args.max_stacks,
        color,
        here: here.and_then(|here| here.to_str().map(str::to_owned)),
    };
    report.render_text(&mut out, &options)?;
    out.flush()
}

fn read_suppressions(path: Option<&Path>) -> anyhow::Result<Suppressions> {
    let Some(path) = path else { return Ok(Suppressions::default()) };
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Suppressions::parse(&text).with_context(|| path.display().to_string())
}

fn create(path: Option<&Path>) -> anyhow::Result<Option<File>> {
    let Some(path) = path else { return Ok(None) };
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Some(file))
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
