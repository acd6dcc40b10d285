//! `cargo xtask bench`: the allocators beside their peers in one run, by time and by instructions,
//! and the record of it under `docs/bench`.

mod gpa;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::tools::{cargo, has_program, output, root, target_dir};

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Only the cases whose name holds one of these, as `arena` or `gpa/pair`; `gpa` alone measures what
    /// checking costs, beside Zig's allocators and on real programs, and records docs/bench/gpa.md.
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// How often each contender of `bench gpa` runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
}

/// One contender of one case.
struct Measured {
    case: String,
    contender: String,
    /// Nanoseconds for one operation, median.
    time: f64,
    /// Instructions for one operation, if they could be counted.
    instructions: Option<f64>,
}

/// Where the record goes.
const RECORD: &str = "docs/bench/allocators.md";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.filters == ["gpa"] {
        return gpa::run(options.rounds.into());
    }
    let tapes = build("tapes")?;
    let peers = build("peers")?;
    let all = output(&mut Command::new(&tapes))?;
    let wanted = |case: &str| {
        options.filters.is_empty() || options.filters.iter().any(|filter| case.contains(filter))
    };
    let chosen: Vec<(&str, &str)> = all
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(case, _)| wanted(case))
        .collect();
    if chosen.is_empty() {
        bail!("no case holds {}; there are:\n{all}", options.filters.join(" or "));
    }
    measure_times(&peers, &chosen)?;
    let counts = has_program("valgrind");
    let mut list = Vec::new();
    for (case, contender) in chosen {
        let time = read_time(case, contender)?;
        let instructions = match counts {
            true => {
                eprintln!("counting the instructions of {case} {contender}");
                count_instructions(&tapes, case, contender)
            }
            false => None,
        };
        list.push(Measured { case: case.into(), contender: contender.into(), time, instructions });
    }
    let table = render(&list);
    println!("\n{table}");
    if !counts {
        println!("instructions: not counted, valgrind is missing");
    }
    if options.filters.is_empty() {
        let record = root().join(RECORD);
        std::fs::create_dir_all(record.parent().context("no parent folder")?)?;
        std::fs::write(&record, format!("{}{table}", heading()?))?;
        println!("recorded in {RECORD}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a few operations of each contender of each case: none of them may end otherwise than well.
pub(crate) fn run_each_case_once() -> Result<()> {
    let tapes = build("tapes")?;
    let all = output(&mut Command::new(&tapes))?;
    let cases = all.lines().filter_map(|line| line.split_once(' '));
    let mut count = 0;
    for (case, contender) in cases {
        let mut run = Command::new(&tapes);
        run.args(["--workload", case, "--allocator", contender, "--count", "2000"]);
        output(&mut run).with_context(|| format!("{case} of {contender}"))?;
        count += 1;
    }
    ensure!(count != 0, "the bench has no case");
    Ok(())
}

/// Builds one bench of alloc-bench, and returns the program.
fn build(name: &str) -> Result<PathBuf> {
    let words = format!(
        "bench --quiet --locked --no-run --package alloc-bench --bench {name} --message-format=json"
    );
    let messages = output(&mut cargo(&words))?;
    let mut program = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"].as_str() == Some(name);
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    program.next_back().with_context(|| format!("cargo built no program for the bench {name}"))
}

/// Lets criterion run the chosen cases; what it finds it leaves in files.
fn measure_times(peers: &Path, chosen: &[(&str, &str)]) -> Result<()> {
    let mut cases: Vec<&str> = chosen.iter().map(|(case, _)| *case).collect();
    cases.dedup();
    for case in cases {
        let mut run = Command::new(peers);
        run.args(["--bench", "--noplot", &format!("^{case}/")]);
        let status = run.env("CRITERION_HOME", home()?).status().context("starting criterion")?;
        ensure!(status.success(), "criterion, {case}: {status}");
    }
    Ok(())
}

fn home() -> Result<PathBuf> {
    Ok(target_dir()?.join("criterion"))
}

/// The median that criterion found, in nanoseconds.
fn read_time(case: &str, contender: &str) -> Result<f64> {
    let file = home()?.join(case.replace('/', "_")).join(contender).join("new/estimates.json");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let estimates: Value = serde_json::from_str(&text)?;
    estimates["median"]["point_estimate"].as_f64().context("no median in criterion's estimates")
}

/// Two runs: what starting, preparing and ending cost is in both.
const COUNTS: [u64; 2] = [20_000, 60_000];

/// Instructions for one operation; `None` if the program does not run under valgrind, which is said.
fn count_instructions(tapes: &Path, case: &str, contender: &str) -> Option<f64> {
    let [few, many] = COUNTS.map(|count| callgrind(tapes, case, contender, count));
    match (few, many) {
        (Ok(few), Ok(many)) => {
            Some(many.saturating_sub(few) as f64 / (COUNTS[1] - COUNTS[0]) as f64)
        }
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("{case} {contender}: {error:#}");
            None
        }
    }
}

fn callgrind(tapes: &Path, case: &str, contender: &str, count: u64) -> Result<u64> {
    let mut run = Command::new("valgrind");
    run.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(tapes);
    run.args(["--workload", case, "--allocator", contender, "--count", &count.to_string()]);
    let output = run.output().context("starting valgrind")?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", output.status, log.trim_end());
    collected(&log).context("valgrind did not say how many instructions it collected")
}

/// The number in callgrind's `==123== Collected : 4567`.
fn collected(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

/// The table. The first contender of a case is ours, the second its plainest peer, to which all are
/// compared.
fn render(list: &[Measured]) -> String {
    let mut table = String::from(
        "| case | allocator | ns | to the peer | instructions | to the peer |\n\
         | --- | --- | ---: | ---: | ---: | ---: |\n",
    );
    for one in list {
        let peer = list.iter().filter(|other| other.case == one.case).nth(1).unwrap_or(one);
        let is_peer = peer.contender == one.contender;
        let ratio = |ours: f64, theirs: f64| match is_peer {
            true => "peer".to_owned(),
            // Not worse in the digits shown.
            false if ours < theirs * 1.005 => format!("{:.2}", ours / theirs),
            false => format!("{:.2}, lost", ours / theirs),
        };
        let (instructions, to_peer) = match (one.instructions, peer.instructions) {
            (Some(ours), Some(theirs)) => (format!("{ours:.1}"), ratio(ours, theirs)),
            (Some(ours), None) => (format!("{ours:.1}"), "-".into()),
            _ => ("-".into(), "-".into()),
        };
        let Measured { case, contender, time, .. } = one;
        let time_to_peer = ratio(*time, peer.time);
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "| {case} | {contender} | {time:.1} | {time_to_peer} | {instructions} | {to_peer} |"
        );
    }
    table
}

/// What the record says about itself.
fn heading() -> Result<String> {
    Ok(format!(
        "# Allocators beside their peers\n\n\
         Written by `cargo xtask bench`. What these numbers do not show stands first in \
         `crates/alloc-bench/README.md`; what a case does, there too.\n\n{}\n\
         Time is the median for one operation; a ratio above 1 is lost to the peer. Instructions are \
         callgrind's, without those of the kernel.\n\n",
        machine()?
    ))
}

/// What a record says about the machine: a list.
fn machine() -> Result<String> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cpu = cpu.map_or("unknown", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = output(Command::new("rustc").arg("--version"))?;
    Ok(format!(
        "* CPU: {cpu}, {cores} cores, shared with other work: a difference below 20 % says nothing\n\
         * kernel: {}\n* compiler: {}\n",
        kernel.trim(),
        rustc.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_second_contender_and_lost_rows_say_so() {
        let row = |case: &str, contender: &str, time, instructions| Measured {
            case: case.into(),
            contender: contender.into(),
            time,
            instructions,
        };
        let list = [
            row("a/x", "ours", 3.0, Some(10.0)),
            row("a/x", "peer", 2.0, Some(20.0)),
            row("a/x", "ours plain", 1.0, None),
            row("b/x", "ours", 1.0, None),
            row("b/x", "peer", 1.0, None),
        ];
        let table = render(&list);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(rows[0], "| a/x | ours | 3.0 | 1.50, lost | 10.0 | 0.50 |");
        assert_eq!(rows[1], "| a/x | peer | 2.0 | peer | 20.0 | peer |");
        assert_eq!(rows[2], "| a/x | ours plain | 1.0 | 0.50 | - | - |");
        assert_eq!(rows[3], "| b/x | ours | 1.0 | 1.00 | - | - |");
    }

    #[test]
    fn callgrinds_count_is_read() {
        let log = "==7== Events    : Ir\n==7== Collected : 341180\n==7==\n";
        assert_eq!(collected(log), Some(341_180));
        assert_eq!(collected("==7== Segmentation fault\n"), None);
    }
}
