//! The benches of alloc-bench: which cases and contenders there are, and their times.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::tools::{cargo, output, target_dir};

/// One contender of one case, and the program that runs it.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    /// As `arena/values`.
    pub(super) case: String,
    pub(super) name: String,
    pub(super) program: PathBuf,
    /// What the program is told before the count.
    pub(super) words: Vec<String>,
}

impl Contender {
    /// The command that makes about so many operations.
    pub(super) fn command(&self, count: u64) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.words).arg(count.to_string());
        command
    }

    /// Whether it is one of the workspace's allocators.
    pub(super) fn is_ours(&self) -> bool {
        self.name.starts_with("alloc-")
    }
}

/// All contenders there are; the first one of a case is ours.
pub(super) fn contenders() -> Result<Vec<Contender>> {
    let program = build("tapes")?;
    let list = output(&mut Command::new(&program))?;
    let one = |(case, name): (&str, &str)| Contender {
        case: case.into(),
        name: name.into(),
        program: program.clone(),
        words: ["--workload", case, "--allocator", name, "--count"].map(Into::into).into(),
    };
    let list: Vec<_> = list.lines().filter_map(|line| line.split_once(' ')).map(one).collect();
    ensure!(!list.is_empty(), "the bench has no case");
    Ok(list)
}

/// Builds one bench of alloc-bench, without flags of the caller's, and returns the program.
pub(super) fn build(name: &str) -> Result<PathBuf> {
    let words = format!(
        "bench --quiet --locked --no-run --package alloc-bench --bench {name} --message-format=json"
    );
    let mut command = cargo(&words);
    for key in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_INCREMENTAL"] {
        command.env_remove(key);
    }
    let messages = output(&mut command)?;
    let mut program = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"].as_str() == Some(name);
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    program.next_back().with_context(|| format!("cargo built no program for the bench {name}"))
}

/// Criterion, which measures one contender at a time.
pub(super) struct Criterion {
    program: PathBuf,
    home: PathBuf,
    seconds: f64,
}

impl Criterion {
    /// Each measurement takes about `seconds`, and a third of that before it.
    pub(super) fn build(seconds: f64) -> Result<Self> {
        let home = target_dir()?.join("criterion");
        Ok(Self { program: build("peers")?, home, seconds })
    }

    /// Nanoseconds for one operation: the median of criterion's samples.
    pub(super) fn measure(&self, Contender { case, name, .. }: &Contender) -> Result<f64> {
        let mut run = Command::new(&self.program);
        run.args(["--bench", "--noplot", "--exact", &format!("{case}/{name}")]);
        run.args(["--sample-size", "10", "--nresamples", "1000"]);
        run.args(["--measurement-time", &self.seconds.to_string()]);
        run.args(["--warm-up-time", &(self.seconds / 3.0).to_string()]);
        let dir = self.home.join(case.replace('/', "_")).join(name);
        // What an earlier run found shall not be taken for what this one finds.
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        output(run.env("CRITERION_HOME", &self.home)).context("running criterion")?;
        let file = dir.join("new/estimates.json");
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let estimates: Value = serde_json::from_str(&text)?;
        estimates["median"]["point_estimate"].as_f64().context("no median in criterion's estimates")
    }
}
