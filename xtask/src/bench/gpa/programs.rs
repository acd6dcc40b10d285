//! Real programs, plain and with the preloaded library in its modes: processors' time and peak memory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::bench::median;
use crate::bench::process::{Cost, wait};
use crate::checker::Checker;
use crate::real::{ENVIRONMENT, PLAIN, Program, program};
use crate::tools::{has_program, target_dir};

/// A way to run a program.
pub(super) struct Way {
    pub(super) name: &'static str,
    /// Value of `ALLOC_PRELOAD`; empty: nothing is preloaded.
    strategy: &'static str,
    options: &'static str,
}

pub(super) const GLIBC: usize = 0;
pub(super) const STRATEGY_C: usize = 1;
pub(super) const DEFAULT: usize = 2;
pub(super) const SAMPLED: usize = 5;
pub(super) const WAYS: [Way; 6] = [
    Way { name: "glibc", strategy: "", options: "" },
    Way { name: "`ALLOC_PRELOAD=c`", strategy: "c", options: "" },
    Way { name: "default mode", strategy: "gpa", options: "on_finding=continue" },
    Way { name: "stacks=8", strategy: "gpa", options: "on_finding=continue,stacks=8" },
    Way { name: "stacks=off", strategy: "gpa", options: "on_finding=continue,stacks=off" },
    Way {
        name: "guard=sampled:1000",
        strategy: "gpa",
        options: "on_finding=continue,guard=sampled:1000",
    },
];

/// Those of `xtask ci real` whose malloc is busy, idle, and busy with large pieces; and perl, for longer.
fn chosen() -> Result<Vec<&'static Program>> {
    let real = |name| program(name).with_context(|| format!("no program {name}"));
    Ok(vec![real("sqlite3")?, &PERL, real("python3, json")?, real("gcc")?])
}

const PERL: Program = Program {
    name: "perl",
    needs: &[("perl", "perl")],
    command: &["perl", "-e", PERL_TEXT],
    ..PLAIN
};

/// Words counted, sorted and replaced, nested lists and hashes, twelve times.
const PERL_TEXT: &str = r#"
use strict;
for my $round (1 .. 12) {
    my %count;
    my $text = join " ", map { chr(97 + $_ * 7 % 26) x (1 + $_ % 9) . $_ % 5000 } 1 .. 100000;
    $count{$_}++ for split / /, $text;
    my @lines = map { sprintf "%-12s %d", $_, $count{$_} } sort keys %count;
    (my $upper = $text) =~ s/([aeiou]+)/uc $1/ge;
    my @nested = map { { id => $_, list => [ 1 .. $_ % 20 ] } } 1 .. 20000;
    my $sum = 0;
    $sum += scalar @{ $_->{list} } for @nested;
    print scalar(@lines), " ", length($upper), " $sum\n";
}
"#;

pub(super) struct Programs {
    /// By program; the medians of costs in the order of `WAYS`.
    pub(super) rows: Vec<(&'static str, Vec<Cost>)>,
    /// Programs that are not here.
    pub(super) missing: Vec<&'static str>,
}

pub(super) fn measure(rounds: usize) -> Result<Programs> {
    let library = Checker::build()?.library;
    let mut programs = Programs { rows: Vec::new(), missing: Vec::new() };
    for program in chosen()? {
        if !has_program(program.command[0]) {
            programs.missing.push(program.name);
            continue;
        }
        programs.rows.push((program.name, compare(program, &library, rounds)?));
    }
    Ok(programs)
}

fn compare(program: &Program, library: &Path, rounds: usize) -> Result<Vec<Cost>> {
    let slug: String =
        program.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let dir = target_dir()?.join("bench-real").join(slug);
    fs::create_dir_all(&dir)?;
    (program.prepare)(&dir).context("preparing its input")?;
    let mut runs = vec![Vec::new(); WAYS.len()];
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}: {}", program.name);
        for (way, list) in WAYS.iter().zip(&mut runs) {
            list.push(run(program, way, library, &dir)?);
        }
    }
    let middle = |list: &Vec<Cost>| Cost {
        cpu: median(list.iter().map(|cost| cost.cpu).collect()),
        peak: median(list.iter().map(|cost| cost.peak).collect()),
    };
    Ok(runs.iter().map(middle).collect())
}

fn run(program: &Program, way: &Way, library: &Path, dir: &Path) -> Result<Cost> {
    let area: PathBuf = dir.join("run");
    if area.exists() {
        fs::remove_dir_all(&area)?;
    }
    fs::create_dir(&area)?;
    (program.before)(dir, &area).context("preparing the run")?;
    let input = match program.stdin {
        Some(name) => Stdio::from(File::open(dir.join(name))?),
        None => Stdio::null(),
    };
    let mut command = Command::new(program.command[0]);
    command.args(&program.command[1..]).current_dir(&area).envs(ENVIRONMENT);
    let errors = dir.join("stderr");
    command.stdin(input).stdout(Stdio::null()).stderr(File::create(&errors)?);
    for key in ["LD_PRELOAD", "ALLOC_PRELOAD", "ALLOC_GPA", "ALLOC_GPA_RECORDS"] {
        command.env_remove(key);
    }
    if !way.strategy.is_empty() {
        command.env("LD_PRELOAD", library).env("ALLOC_PRELOAD", way.strategy);
        command.env("ALLOC_GPA", way.options);
    }
    let (status, cost) = wait(&mut command)?;
    // Leaks are told on standard error, and change no status under `continue`.
    let said = fs::read_to_string(&errors).unwrap_or_default();
    ensure!(status == 0, "{}, {}: wait status {status:#x}: {said}", program.name, way.name);
    Ok(cost)
}
