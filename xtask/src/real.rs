//! Real programs, with and without the checker: the same output, byte for byte, and the same exit
//! status, or the checker's own with a readable summary; no misuse is found in them. What they leak
//! is theirs.

mod fixtures;
mod modes;
mod programs;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::checker::Checker;
use crate::steps::Steps;
use crate::tools::{install, missing_tools, target_dir};
use modes::Mode;
use programs::PROGRAMS;
pub(crate) use programs::{PLAIN, Program};

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Preload this library instead of building ours.
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// Only the programs whose name holds this; may be repeated.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Install nothing: fail if a program is missing.
    #[arg(long)]
    no_install: bool,
    #[command(flatten)]
    modes: modes::Choice,
}

impl Options {
    /// What the gate runs.
    pub(crate) fn of_gate() -> Self {
        Self { modes: modes::Choice::of_gate(), ..Self::default() }
    }
}

/// Returns the program of this name.
pub(crate) fn program(name: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.name == name)
}

/// How long one run may take, in seconds; `timeout` ends it then. The dearest takes a minute on an idle
/// machine: `sqlite3` with two system calls and a mapping for each of three million blocks.
const SECONDS_MAX: &str = "900";

/// The exit status of a checked program in which something was found.
const FOUND: i32 = 23;

pub(crate) fn run(steps: &mut Steps, options: &Options) -> Result<()> {
    let chosen =
        |name: &str| options.only.is_empty() || options.only.iter().any(|text| name.contains(text));
    let programs: Vec<&Program> = PROGRAMS.iter().filter(|program| chosen(program.name)).collect();
    if programs.is_empty() {
        let names: Vec<&str> = PROGRAMS.iter().map(|program| program.name).collect();
        bail!("no such program; there are: {}", names.join(", "));
    }
    if !cfg!(target_os = "linux") {
        steps.skip("real programs", "preloading is for Linux");
        return Ok(());
    }
    steps.run("real programs: tools", || install_missing(&programs, options.no_install));
    let mut checker = None;
    steps.run("real programs: checker", || {
        let mut built = Checker::build()?;
        if let Some(library) = &options.library {
            built.library = fs::canonicalize(library).context("the library")?;
        }
        checker = Some(built);
        Ok(())
    });
    let dir = target_dir()?.join("real");
    let mut table = Vec::new();
    for program in programs {
        let dir = dir.join(slug(program.name));
        // How it ends by itself, once for all modes.
        let mut plain = None;
        for mode in [&modes::DEFAULT].into_iter().chain(options.modes.others(program.name)) {
            let step = match mode.args {
                [] => format!("real: {}", program.name),
                _ => format!("real: {}; {}", program.name, mode.name),
            };
            steps.run(&step, || {
                let checker = checker.as_ref().context("there is no checker to run it under")?;
                if plain.is_none() {
                    fs::create_dir_all(&dir)?;
                    (program.prepare)(&dir).context("preparing its input")?;
                    plain = Some(run_program(program, &[], &dir)?);
                }
                let plain = plain.as_ref().context("it was not run by itself")?;
                let row = compare(program, mode, checker, plain, &dir)?;
                table.push(row.line);
                if row.problems.is_empty() { Ok(()) } else { bail!("{}", row.problems.join("; ")) }
            });
        }
    }
    println!("\nprogram | mode | status | same output | CPU time | what the checker said");
    for line in table {
        println!("{line}");
    }
    println!(
        "CPU time is that with the checker over that without, once each: for information only"
    );
    if let Some(left_out) = options.modes.left_out() {
        println!("not run: {left_out}");
    }
    Ok(())
}

fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// Installs the packages of the programs that are not there, if that is possible here.
fn install_missing(programs: &[&Program], no_install: bool) -> Result<()> {
    let needed = programs.iter().flat_map(|program| program.needs).copied();
    let missing = missing_tools(needed);
    if no_install && !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|(tool, _)| *tool).collect();
        bail!("missing: {}", names.join(", "));
    }
    install(&missing)
}

/// One line of the table, and what is wrong.
struct Row {
    line: String,
    problems: Vec<String>,
}

/// What one run left behind.
struct Run {
    status: Option<i32>,
    cpu: Duration,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The content of the file that the program was asked to write, if any.
    file: Option<Vec<u8>>,
}

/// Runs a program in a mode, and holds that against its run without the checker.
fn compare(
    program: &Program,
    mode: &Mode,
    checker: &Checker,
    plain: &Run,
    dir: &Path,
) -> Result<Row> {
    let [text, json] = ["report.txt", "report.json"].map(|name| dir.join(name));
    for file in [&text, &json] {
        let _ = fs::remove_file(file);
    }
    let mut wrapper: Vec<&std::ffi::OsStr> = vec![
        checker.program.as_os_str(),
        "--library".as_ref(),
        checker.library.as_os_str(),
        "--output".as_ref(),
        text.as_os_str(),
        "--json".as_ref(),
        json.as_os_str(),
    ];
    for arg in mode.args {
        wrapper.push(arg.as_ref());
    }
    wrapper.push("--".as_ref());
    let checked = run_program(program, &wrapper, dir)?;
    let text = fs::read(&text).unwrap_or_default();
    let mut row = judge(program.name, mode.name, plain, &checked, &String::from_utf8_lossy(&text));
    match fs::read(&json) {
        Ok(json) => row.problems.extend(misuse(&serde_json::from_slice(&json)?)),
        Err(_) => row.problems.push("there is no report".into()),
    }
    Ok(row)
}

/// The findings of misuse in a report. Leaks are not among them.
fn misuse(report: &Value) -> Vec<String> {
    let Some(findings) = report["findings"].as_array() else {
        return vec!["the report has no list of findings".into()];
    };
    let faults = findings.iter().filter(|finding| finding["fault"] != false);
    faults
        .map(|finding| {
            let line = finding["text"].as_str().and_then(|text| text.lines().next());
            format!("found: {}", line.unwrap_or("a finding without a text"))
        })
        .collect()
}

/// Holds the two runs against each other.
fn judge(name: &str, mode: &str, plain: &Run, checked: &Run, report: &str) -> Row {
    let mut problems = Vec::new();
    if plain.status != Some(0) {
        problems.push(format!("without the checker its status is {}", describe(plain.status)));
    }
    let summary = report.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
    let found = checked.status == Some(FOUND) && plain.status != checked.status;
    if found && summary.is_empty() {
        problems.push(format!("exit status {FOUND} without a report"));
    } else if !found && plain.status != checked.status {
        let status = describe(checked.status);
        let said = if summary.is_empty() { tail(&checked.stderr) } else { summary.into() };
        problems.push(format!("the status is {status}: {said}"));
    }
    let same = [
        ("standard output", plain.stdout == checked.stdout),
        ("standard error", plain.stderr == checked.stderr),
        ("the file it writes", plain.file == checked.file),
    ];
    let differ: Vec<&str> = same.iter().filter(|one| !one.1).map(|one| one.0).collect();
    problems.extend(differ.iter().map(|what| format!("{what} differs")));
    let output =
        if differ.is_empty() { "yes".into() } else { format!("NO: {}", differ.join(", ")) };
    let ratio = checked.cpu.as_secs_f64() / plain.cpu.as_secs_f64().max(0.01);
    let status = describe(checked.status);
    let line = format!("{name} | {mode} | {status} | {output} | {ratio:.1}x | {summary}");
    Row { line, problems }
}

fn describe(status: Option<i32>) -> String {
    status.map_or_else(|| "a signal".into(), |code| code.to_string())
}

/// The end of an output, for a message.
fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" / ")
}

fn run_program(program: &Program, wrapper: &[&std::ffi::OsStr], dir: &Path) -> Result<Run> {
    let area = dir.join("run");
    if area.exists() {
        fs::remove_dir_all(&area)?;
    }
    fs::create_dir(&area)?;
    (program.before)(dir, &area).context("preparing the run")?;
    let [out, err] = ["stdout", "stderr"].map(|name| dir.join(name));
    let input = match program.stdin {
        Some(name) => Stdio::from(File::open(dir.join(name))?),
        None => Stdio::null(),
    };
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", SECONDS_MAX]).args(wrapper).args(program.command);
    command.stdin(input).stdout(File::create(&out)?).stderr(File::create(&err)?);
    command.current_dir(&area).envs(ENVIRONMENT);
    // The shell's own settings must not reach the programs.
    for key in
        ["LD_PRELOAD", "ALLOC_GPA", "RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_MANIFEST_DIR", "CARGO"]
    {
        command.env_remove(key);
    }
    let (cpu, begin) = (cpu_of_children()?, Instant::now());
    let status = command.status().context("starting `timeout`")?;
    let cpu = cpu_of_children()?.saturating_sub(cpu);
    eprintln!(
        "{:6.1} s: {}",
        begin.elapsed().as_secs_f64(),
        match wrapper {
            [] => "without the checker",
            _ => "with it",
        }
    );
    let file = match program.writes {
        Some(name) => fs::read(area.join(name)).ok(),
        None => None,
    };
    Ok(Run { status: status.code(), cpu, stdout: fs::read(out)?, stderr: fs::read(err)?, file })
}

/// What makes outputs the same on every run.
pub(crate) const ENVIRONMENT: [(&str, &str); 8] = [
    ("LC_ALL", "C"),
    ("TZ", "UTC"),
    ("PYTHONHASHSEED", "0"),
    ("PERL_HASH_SEED", "0"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_PAGER", "cat"),
    ("CARGO_NET_OFFLINE", "true"),
];

/// The CPU time, user and system, of all ended children of this process.
fn cpu_of_children() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // proc(5): the fields after the name, which may hold spaces, begin with number 3; 16 and 17 are
    // the children's ticks, of which Linux has 100 a second for every user program on x86-64.
    let fields = stat.rsplit_once(") ").context("odd /proc/self/stat")?.1;
    let ticks: Vec<u64> =
        fields.split(' ').skip(13).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(Duration::from_millis(ticks.iter().sum::<u64>() * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: Option<i32>, stdout: &str) -> Run {
        let cpu = Duration::from_secs(1);
        Run { status, cpu, stdout: stdout.into(), stderr: Vec::new(), file: None }
    }

    #[test]
    fn the_same_output_and_status_pass() {
        let row = judge("a", "b", &ended(Some(0), "x"), &ended(Some(0), "x"), "0 findings\n");
        assert!(row.problems.is_empty(), "{:?}", row.problems);
        assert_eq!(row.line, "a | b | 0 | yes | 1.0x | 0 findings");
        let row =
            judge("a", "b", &ended(Some(0), "x"), &ended(Some(FOUND), "x"), "leak\n1 leak\n\n");
        assert!(row.problems.is_empty(), "{:?}", row.problems);
    }

    #[test]
    fn misuse_is_a_problem_and_a_note_is_none() {
        let report = serde_json::json!({"findings": [
            {"fault": true, "text": "double free: a block\nmore"},
            {"fault": false, "text": "a huge request"},
        ]});
        assert_eq!(misuse(&report), ["found: double free: a block"]);
        assert_eq!(misuse(&serde_json::json!({"findings": []})), [""; 0]);
        assert_eq!(misuse(&serde_json::json!({})), ["the report has no list of findings"]);
    }

    #[test]
    fn a_difference_is_a_problem() {
        let plain = ended(Some(0), "x");
        let problems =
            |checked: Run, report: &str| judge("a", "b", &plain, &checked, report).problems;
        assert_eq!(problems(ended(Some(0), "y"), "ok"), ["standard output differs"]);
        assert_eq!(problems(ended(Some(1), "x"), "ok"), ["the status is 1: ok"]);
        assert_eq!(problems(ended(None, "x"), "ok"), ["the status is a signal: ok"]);
        assert_eq!(problems(ended(Some(FOUND), "x"), ""), ["exit status 23 without a report"]);
        let broken = judge("a", "b", &ended(Some(2), ""), &ended(Some(2), ""), "ok").problems;
        assert_eq!(broken, ["without the checker its status is 2"]);
    }
}
