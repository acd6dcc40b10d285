//! Small workloads over one allocator, each run a process: alloc-bench's `side` and Zig's `bench.zig`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::bench::median;
use crate::bench::zig::Zig;
use crate::tools::{cargo, output, target_dir};

/// What one contender took for one operation of one workload: medians.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figure {
    /// Processors' time in nanoseconds.
    pub(super) cpu: f64,
    /// The wall's clock in nanoseconds.
    pub(super) wall: f64,
    /// Peak of resident memory in KiB.
    pub(super) peak: f64,
    /// Page tables in KiB at the end; 0 where it is not known.
    pub(super) tables: f64,
}

/// One program that runs workloads.
struct Side {
    name: &'static str,
    program: PathBuf,
    allocator: &'static str,
    /// How many times slower than the fastest it is, about: it makes so many fewer operations.
    slowness: u64,
}

/// The figures by contender and workload.
pub(super) struct Sides {
    /// Contender, workload, figure; contenders in their order.
    pub(super) figures: Vec<(&'static str, &'static str, Figure)>,
    /// Why Zig's rows are missing, if they are.
    pub(super) without_zig: Option<String>,
}

impl Sides {
    pub(super) fn get(&self, side: &str, workload: &str) -> Option<&Figure> {
        let mut figures = self.figures.iter();
        figures.find(|(one, case, _)| *one == side && *case == workload).map(|(.., figure)| figure)
    }
}

/// Workloads that all sides run, and how many operations.
pub(super) const WORKLOADS: [(&str, u64); 4] =
    [("pair", 2_000_000), ("lifo", 2_000_000), ("random", 2_000_000), ("random2", 4_000_000)];
/// What only ours are asked: a million blocks at once, and 10^8 operations in one process.
pub(super) const LIVE: (&str, u64) = ("live", 1_000_000);
const LONG: [(&str, &str, u64); 2] =
    [("10^8", "pair", 100_000_000), ("10^8", "random", 100_000_000)];

pub(super) fn measure(rounds: usize) -> Result<Sides> {
    let mut sides = ours()?;
    let ours_count = sides.len();
    let without_zig = match Zig::find() {
        Ok(zig) => {
            sides.extend(zigs(&zig)?);
            None
        }
        Err(why) => Some(format!("{why:#}")),
    };
    let mut runs = vec![Vec::new(); sides.len() * WORKLOADS.len()];
    for round in 1..=rounds {
        for (case, (workload, count)) in WORKLOADS.iter().enumerate() {
            eprintln!("round {round} of {rounds}: {workload}");
            for (index, side) in sides.iter().enumerate() {
                let figure = run(side, workload, count / side.slowness)?;
                runs[index * WORKLOADS.len() + case].push(figure);
            }
        }
    }
    let mut figures = Vec::new();
    for (index, list) in runs.iter().enumerate() {
        let (side, case) = (&sides[index / WORKLOADS.len()], index % WORKLOADS.len());
        figures.push((side.name, WORKLOADS[case].0, middle(list)));
    }
    for side in &sides[..ours_count] {
        figures.push((side.name, LIVE.0, run(side, LIVE.0, LIVE.1 / side.slowness)?));
    }
    for (name, workload, count) in LONG {
        eprintln!("{count} operations of {workload}");
        figures.push((name, workload, run(&sides[0], workload, count)?));
    }
    Ok(Sides { figures, without_zig })
}

/// What a user's two lines say, `[profile.dev.package."*"]` and `opt-level = 3`: dependencies are
/// optimised, the program is not. In this workspace they are members, which `"*"` leaves out.
const DEV_OVERRIDES: [&str; 2] =
    ["profile.dev.package.alloc-gpa.opt-level=3", "profile.dev.package.alloc-core.opt-level=3"];

/// Ours, built as users build: release, with frame pointers, and plain dev.
fn ours() -> Result<Vec<Side>> {
    let target = target_dir()?;
    let build = |flags: &str, profile: &str, dir: &str, config: &[&str]| -> Result<PathBuf> {
        eprintln!("building `side`: profile {profile} {flags} {}", config.join(" "));
        let mut command = cargo("build --quiet --locked --package alloc-bench --bin side");
        command.args(["--profile", profile, "--target-dir"]).arg(target.join(dir));
        command.args(config.iter().flat_map(|one| ["--config", *one]));
        command.env("RUSTFLAGS", flags);
        output(&mut command)?;
        let folder = if profile == "dev" { "debug" } else { profile };
        Ok(target.join(dir).join(folder).join("side"))
    };
    let release = build("", "release", "bench-plain", &[])?;
    let framed = build("-C force-frame-pointers=yes", "release", "bench-framed", &[])?;
    let dev = build("", "dev", "bench-plain", &[])?;
    let two_lines = build("", "dev", "bench-two-lines", &DEV_OVERRIDES)?;
    let side = |name, program: &Path, allocator, slowness| Side {
        name,
        program: program.into(),
        allocator,
        slowness,
    };
    Ok(vec![
        side("gpa", &release, "gpa", 1),
        side("gpa, 8 frames", &release, "gpa8", 1),
        side("gpa, 8 frames, frame pointers", &framed, "gpa8", 1),
        side("gpa, stacks=off", &release, "gpa0", 1),
        side("gpa, dev profile", &dev, "gpa", 10),
        side("gpa, dev profile, two lines", &two_lines, "gpa", 2),
        side("system malloc", &release, "system", 1),
    ])
}

/// Zig's.
fn zigs(zig: &Zig) -> Result<Vec<Side>> {
    let build = |mode| zig.build("bench", mode, None);
    let (fast, debug) = (build("ReleaseFast")?, build("Debug")?);
    let side = |name, program: &Path, allocator, slowness| Side {
        name,
        program: program.into(),
        allocator,
        slowness,
    };
    Ok(vec![
        side("Zig SafeAllocator, 7 frames", &fast, "safe_tr7", 4),
        side("Zig SafeAllocator, no traces", &fast, "safe_tr0", 1),
        side("Zig SafeAllocator, Debug build", &debug, "safe_default", 20),
    ])
}

fn run(side: &Side, workload: &str, count: u64) -> Result<Figure> {
    let mut command = Command::new(&side.program);
    command.args([workload, side.allocator, &count.to_string()]);
    let result = command.output().with_context(|| format!("starting {command:?}"))?;
    let text = [result.stdout, result.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    ensure!(result.status.success(), "{command:?}: {}: {text}", result.status);
    parse(&text).with_context(|| format!("no figures from {command:?}: {text}"))
}

/// Reads the line `RAW,…`. Zig's has the build mode before the workload, and no page tables but
/// whether it was built without frame pointers.
fn parse(text: &str) -> Option<Figure> {
    let line = text.lines().find_map(|line| line.strip_prefix("RAW,"))?;
    let fields: Vec<&str> = line.split(',').collect();
    let is_workload = WORKLOADS.iter().chain([&LIVE]).any(|(name, _)| *name == fields[0]);
    let fields = if is_workload { &fields[..] } else { &fields[1..] };
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    let tables = number(7).unwrap_or(0.0);
    Some(Figure { wall: number(3)?, cpu: number(4)?, peak: number(6)?, tables })
}

fn middle(list: &[Figure]) -> Figure {
    let of = |field: fn(&Figure) -> f64| median(list.iter().map(field).collect());
    Figure {
        cpu: of(|one| one.cpu),
        wall: of(|one| one.wall),
        peak: of(|one| one.peak),
        tables: of(|one| one.tables),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_are_read() {
        let ours = parse("RAW,pair,gpa,1,10.50,9.25,1000,300,40\n").expect("a line");
        assert_eq!((ours.wall, ours.cpu, ours.peak, ours.tables), (10.5, 9.25, 300.0, 40.0));
        let zig = parse("pair,c,1,3,4\nRAW,fast,pair,c,1,10.50,9.25,1000,300,true\n");
        let zig = zig.expect("a line");
        assert_eq!((zig.wall, zig.cpu, zig.peak, zig.tables), (10.5, 9.25, 300.0, 0.0));
        assert!(parse("nothing\n").is_none());
        assert!(parse("RAW,pair,gpa,1,x,9,1,3\n").is_none());
    }
}
