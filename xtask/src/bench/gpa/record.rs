//! The record of a run: tables, goals, and the picture.

use std::fmt::Write as _;

use anyhow::Result;

use super::programs::{DEFAULT, GLIBC, Programs, SAMPLED, STRATEGY_C, WAYS};
use super::sides::{LIVE, Sides, WORKLOADS};
use super::{geometric_mean, picture};
use crate::bench::goals::Goal;
use crate::bench::process::Cost;
use crate::bench::{machine, write_record};

pub(super) fn report(sides: &Sides, programs: &Programs, is_recorded: bool) -> Result<()> {
    let mut text = format!(
        "# What checking costs\n\n\
         Written by `cargo xtask bench gpa --record`: medians of interleaved runs, each a process of its own; \
         time is the processors', user and system. Read ratios: the machine is shared.\n\n{}\n\
         ![Time for one operation](gpa.svg)\n",
        machine()?
    );
    goals_table(&mut text, &goals(sides, programs));
    workloads_table(&mut text, sides);
    programs_table(&mut text, programs);
    println!("{text}");
    if is_recorded {
        write_record("gpa", &text, |file| picture::draw(sides, file))?;
    }
    Ok(())
}

fn goals(sides: &Sides, programs: &Programs) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut ratio = |slow: &str, fast: &str, bound: f64| {
        for (workload, _) in &WORKLOADS[..3] {
            if let (Some(slow_one), Some(fast_one)) =
                (sides.get(slow, workload), sides.get(fast, workload))
            {
                let what = format!("{workload}: {slow} to {fast}");
                goals.push(Goal::at_least(what, slow_one.cpu / fast_one.cpu, bound));
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
            let what = format!("random: throughput of two threads to one, {name}");
            goals.push(Goal::at_least(what, one.wall / two.wall, 1.8));
        }
    }
    let mean = |way: usize, base: usize, field: fn(&Cost) -> f64| {
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
            goals.push(Goal::at_most(what, measured, bound));
        }
    }
    if let (Some(ours), Some(theirs)) =
        (sides.get("gpa", LIVE.0), sides.get("system malloc", LIVE.0))
    {
        // Both keep the same list of blocks; malloc takes 112 bytes for 100, a slot of ours is 112.
        let bytes = (ours.peak - theirs.peak) * 1024.0 / LIVE.1 as f64;
        let what = "bytes for a live block of 100 with its stack, above malloc's";
        goals.push(Goal::at_most(what, bytes, 48.0));
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
    if let Some(why) = &sides.without_zig {
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
