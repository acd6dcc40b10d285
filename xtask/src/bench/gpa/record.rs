//! The record of a run: tables, goals, and the picture.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::programs::{DEFAULT, GLIBC, Programs, SAMPLED, STRATEGY_C, WAYS};
use super::sides::{LIVE, Sides, WORKLOADS};
use super::{geometric_mean, picture};
use crate::bench::machine;
use crate::tools::root;

const RECORD: &str = "docs/bench/gpa.md";
const PICTURE: &str = "docs/bench/gpa.svg";

/// A figure to reach.
struct Goal {
    what: String,
    measured: f64,
    bound: f64,
    is_minimum: bool,
}

impl Goal {
    fn line(&self) -> String {
        let Self { what, measured, bound, is_minimum } = self;
        let reached = if *is_minimum { measured >= bound } else { measured <= bound };
        let word = if *is_minimum { "at least" } else { "at most" };
        let verdict = if reached { "reached" } else { "**missed**" };
        format!("| {what} | {word} {bound} | {measured:.2} | {verdict} |")
    }
}

pub(super) fn write(sides: &Sides, programs: &Programs) -> Result<()> {
    let mut text = format!(
        "# What checking costs\n\n\
         Written by `cargo xtask bench gpa`: medians of interleaved runs, each a process of its own; \
         time is the processors', user and system. Read ratios: the machine is shared.\n\n{}\n\
         ![Time for one operation](gpa.svg)\n",
        machine()?
    );
    goals_table(&mut text, &goals(sides, programs));
    workloads_table(&mut text, sides);
    programs_table(&mut text, programs);
    let record = root().join(RECORD);
    std::fs::create_dir_all(record.parent().context("no parent folder")?)?;
    std::fs::write(&record, &text)?;
    picture::draw(sides, &root().join(PICTURE))?;
    println!("{text}\nrecorded in {RECORD} and {PICTURE}");
    Ok(())
}

fn goals(sides: &Sides, programs: &Programs) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut ratio = |slow: &str, fast: &str, bound: f64| {
        for (workload, _) in &WORKLOADS[..3] {
            if let (Some(slow_one), Some(fast_one)) =
                (sides.get(slow, workload), sides.get(fast, workload))
            {
                goals.push(Goal {
                    what: format!("{workload}: {slow} to {fast}"),
                    measured: slow_one.cpu / fast_one.cpu,
                    bound,
                    is_minimum: true,
                });
            }
        }
    };
    ratio("Zig SafeAllocator, 7 frames", "gpa, 8 frames, frame pointers", 8.0);
    ratio("Zig SafeAllocator, no traces", "gpa, 8 frames, frame pointers", 1.0);
    ratio("Zig SafeAllocator, 7 frames", "gpa, 8 frames", 6.0);
    ratio("Zig SafeAllocator, Debug build", "gpa, dev profile, two lines", 20.0);
    ratio("Zig SafeAllocator, no traces", "gpa, stacks=off", 4.0);
    for name in ["gpa", "gpa, stacks=off"] {
        if let (Some(one), Some(two)) = (sides.get(name, "random"), sides.get(name, "random2")) {
            goals.push(Goal {
                what: format!("random: throughput of two threads to one, {name}"),
                measured: one.wall / two.wall,
                bound: 1.8,
                is_minimum: true,
            });
        }
    }
    let mean = |way: usize, base: usize, field: fn(&super::programs::Cost) -> f64| {
        let ratios: Vec<f64> = programs
            .rows
            .iter()
            .map(|(_, costs)| field(&costs[way]) / field(&costs[base]))
            .collect();
        geometric_mean(&ratios)
    };
    if !programs.rows.is_empty() {
        for (what, measured, bound) in [
            ("programs: CPU time, default mode to glibc", mean(DEFAULT, GLIBC, |c| c.cpu), 1.5),
            ("programs: peak memory, default mode to glibc", mean(DEFAULT, GLIBC, |c| c.peak), 2.5),
            (
                "programs: CPU time, `guard=sampled:1000` to `ALLOC_PRELOAD=c`",
                mean(SAMPLED, STRATEGY_C, |c| c.cpu),
                1.05,
            ),
        ] {
            goals.push(Goal { what: what.into(), measured, bound, is_minimum: false });
        }
    }
    if let (Some(ours), Some(theirs)) =
        (sides.get("gpa", LIVE.0), sides.get("system malloc", LIVE.0))
    {
        // Both keep the same list of blocks; malloc takes 112 bytes for 100, a slot of ours is 112.
        goals.push(Goal {
            what: "bytes for a live block of 100 with its stack, above malloc's".into(),
            measured: (ours.peak - theirs.peak) * 1024.0 / LIVE.1 as f64,
            bound: 48.0,
            is_minimum: false,
        });
    }
    goals
}

// Writing to a string does not fail: the results of `writeln!` below are dropped.

fn goals_table(text: &mut String, goals: &[Goal]) {
    text.push_str("\n## Goals\n\nThe geometric mean is over the programs below.\n\n");
    text.push_str("| goal | to reach | measured | |\n| --- | ---: | ---: | --- |\n");
    for goal in goals {
        let _ = writeln!(text, "{}", goal.line());
    }
}

fn workloads_table(text: &mut String, sides: &Sides) {
    text.push_str("\n## Workloads: nanoseconds for one operation, and peak memory of `random`\n\n");
    text.push_str(
        "What an operation is stands in `crates/alloc-bench/src/bin/side.rs`. `random2` is the \
         wall's time for a step of either of two threads, the others are the processors'.\n\n\
         | | pair | lifo | random | random2 | peak MiB |\n| --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let mut names: Vec<&str> = sides.figures.iter().map(|(name, ..)| *name).collect();
    names.dedup();
    let mut seen = Vec::new();
    for name in names {
        if name == "10^8" || seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let cell = |workload: &str| match sides.get(name, workload) {
            Some(figure) if workload == "random2" => format!("{:.1}", figure.wall),
            Some(figure) => format!("{:.1}", figure.cpu),
            None => "-".into(),
        };
        let peak = sides.get(name, "random").map_or(0.0, |figure| figure.peak / 1024.0);
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {peak:.1} |",
            cell("pair"),
            cell("lifo"),
            cell("random"),
            cell("random2")
        );
    }
    if let Some(why) = sides.without_zig {
        let _ = writeln!(text, "\nZig's rows were not run: {why}.");
    }
    text.push('\n');
    for (name, workload, figure) in sides.figures.iter().filter(|(name, ..)| *name == "10^8") {
        let _ = writeln!(
            text,
            "* {name} operations of `{workload}` in one process, default mode: {:.1} ns each, peak \
             {:.1} MiB, page tables {:.1} MiB",
            figure.cpu,
            figure.peak / 1024.0,
            figure.tables / 1024.0
        );
    }
}

fn programs_table(text: &mut String, programs: &Programs) {
    text.push_str("\n## Real programs: CPU seconds and peak MiB, with the ratio to glibc\n\n|");
    for way in [""].into_iter().chain(WAYS.iter().map(|way| way.name)) {
        let _ = write!(text, " {way} |");
    }
    text.push_str("\n| --- |");
    text.push_str(&" ---: |".repeat(WAYS.len()));
    text.push('\n');
    for (name, costs) in &programs.rows {
        let base = costs[GLIBC];
        let _ = write!(text, "| {name} |");
        for (index, cost) in costs.iter().enumerate() {
            let (cpu, peak) = (cost.cpu, cost.peak / 1024.0);
            let _ = match index {
                GLIBC => write!(text, " {cpu:.2} s, {peak:.0} MiB |"),
                _ => write!(
                    text,
                    " {cpu:.2} s ({:.2}), {peak:.0} MiB ({:.2}) |",
                    cost.cpu / base.cpu,
                    cost.peak / base.peak
                ),
            };
        }
        text.push('\n');
    }
    for name in &programs.missing {
        let _ = writeln!(text, "\n{name} was not run: it is not here.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_says_whether_it_is_reached() {
        let goal =
            |measured, is_minimum| Goal { what: "x".into(), measured, bound: 2.0, is_minimum };
        assert_eq!(goal(2.0, true).line(), "| x | at least 2 | 2.00 | reached |");
        assert_eq!(goal(1.5, true).line(), "| x | at least 2 | 1.50 | **missed** |");
        assert_eq!(goal(2.5, false).line(), "| x | at most 2 | 2.50 | **missed** |");
    }
}
