//! `cargo xtask bench [SUBJECT...]`: the allocators beside their peers in one run, by time and by
//! instructions, what they have to reach, and the record of it under `docs/bench`.
//!
//! * `plan`: what each crate has to reach, beside whom.
//! * `tapes`: the contenders of alloc-bench, and criterion; `zig`: Zig's.
//! * `measure`: runs them; `process` and `callgrind` count.
//! * `report`: tables, goals, and by `picture` the bars; `worst` and `kernel` add what only one crate has.
//! * `instructions`: the step of the gate that lets no count of ours grow.
//! * `gpa`: what checking costs.

mod plan;
mod tapes;
mod zig;
mod process;
mod callgrind;
mod progress;
mod measure;
mod goals;
mod picture;
mod report;
mod worst;
mod kernel;
mod instructions;
mod gpa;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};

use crate::tools::{output, root};
use measure::{Effort, Tools};
use plan::{SUBJECTS, Subject};

pub(crate) use instructions::{Options as InstructionOptions, check as check_instructions};

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// What to measure: all of it if none is named.
    #[arg(value_enum, value_name = "SUBJECT")]
    names: Vec<Name>,
    /// Only the cases whose name holds this; nothing is recorded.
    #[arg(long, value_name = "TEXT", conflicts_with = "record")]
    case: Option<String>,
    /// Shorter runs and fewer of them.
    #[arg(long)]
    quick: bool,
    /// Write docs/bench/SUBJECT.md and SUBJECT.svg.
    #[arg(long)]
    record: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    Arena,
    Fixed,
    Pool,
    Page,
    C,
    /// What checking costs, beside Zig's checking allocators and on real programs.
    Gpa,
}

impl Name {
    /// `None` for `gpa`, which is measured in a way of its own.
    fn subject(self) -> Option<&'static Subject> {
        let name = self.to_possible_value()?;
        SUBJECTS.iter().find(|subject| subject.name == name.get_name())
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let names = match options.names[..] {
        [] => Name::value_variants(),
        ref names => names,
    };
    let effort = match options.quick {
        true => Effort { rounds: 3, seconds: 0.1 },
        false => Effort { rounds: 5, seconds: 0.3 },
    };
    let subjects: Vec<&Subject> = names.iter().filter_map(|name| name.subject()).collect();
    if !subjects.is_empty() {
        let tools = Tools::find(effort)?;
        eprintln!("this takes about {:.0} minutes", tools.minutes(&subjects).ceil());
        for subject in subjects {
            run_subject(&tools, subject, options)?;
        }
    }
    if names.contains(&Name::Gpa) && options.case.is_none() {
        let rounds = if options.quick { 1 } else { 5 };
        eprintln!("gpa: this takes about {} minutes", 3 + 2 * rounds);
        gpa::run(rounds, options.record)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn run_subject(tools: &Tools, subject: &Subject, options: &Options) -> Result<()> {
    let wanted = |case: &str| options.case.as_ref().is_none_or(|text| case.contains(text));
    let results = measure::measure(tools, subject, wanted)?;
    if results.list.is_empty() {
        bail!("no case of {} holds {:?}", subject.name, options.case);
    }
    let more = match subject.name {
        "fixed" => worst::section(),
        "page" => kernel::section(),
        _ => String::new(),
    };
    let page = report::page(subject, &results, &more)?;
    println!("\n{page}");
    if options.record {
        write_record(subject.name, &page, |file| report::picture(subject, &results, file))?;
    }
    Ok(())
}

/// Writes a page and its picture under `docs/bench`.
fn write_record(name: &str, page: &str, draw: impl Fn(&Path) -> Result<()>) -> Result<()> {
    let file = root().join("docs/bench").join(name);
    std::fs::create_dir_all(file.parent().context("no parent folder")?)?;
    std::fs::write(file.with_extension("md"), page)?;
    draw(&file.with_extension("svg"))?;
    println!("recorded in docs/bench/{name}.md and docs/bench/{name}.svg");
    Ok(())
}

/// Runs a few operations of each contender of each case: none of them may end otherwise than well, and none
/// that the plan names may be missing.
pub(crate) fn run_each_case_once() -> Result<()> {
    let contenders = tapes::contenders()?;
    let unknown = plan::unknown(|case, name| {
        contenders.iter().any(|one| one.case == case && one.name == name)
    });
    ensure!(unknown.is_empty(), "the plan names what there is not: {}", unknown.join(", "));
    for one in contenders {
        output(&mut one.command(2000)).with_context(|| format!("{} of {}", one.case, one.name))?;
    }
    Ok(())
}

/// The middle one of some values, of which there is at least one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What a record says about the machine: a list.
fn machine() -> Result<String> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cpu = cpu.map_or("unknown", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Ok(format!(
        "* CPU: {cpu}, {cores} cores, shared with other work: a difference below 20 % says nothing\n\
         * kernel: {}\n* compiler: {}\n",
        kernel.trim(),
        rustc()?
    ))
}

/// The compiler that builds what is measured, as it names itself.
fn rustc() -> Result<String> {
    Ok(output(Command::new("rustc").arg("--version"))?.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_names() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        let subjects = Name::value_variants().iter().filter_map(|name| name.subject());
        assert_eq!(subjects.count(), SUBJECTS.len());
    }
}
