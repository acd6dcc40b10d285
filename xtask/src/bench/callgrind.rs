//! Instructions for one operation, counted by callgrind.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};

use crate::tools::{install, missing_tools, succeeds, target_dir};

/// Two runs: what starting, preparing and ending cost is in both.
const COUNTS: [u64; 2] = [20_000, 60_000];

/// The two counts for a case; whole rounds where a round is something else than 1000 operations.
pub(super) fn counts_of(case: &str) -> [u64; 2] {
    match case {
        // One round each.
        "fixed/two-threads" => [8_000, 28_000],
        "arena/dyn-grow" => [1_000_000, 3_000_000],
        _ if case.starts_with("pool/") => [20 * 1024, 60 * 1024],
        _ => COUNTS,
    }
}

/// Instructions, of a run or of one operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Instructions {
    /// All in user space.
    pub(super) all: f64,
    /// Those in the program's own code: without the C library's, which has several `memcpy` and chooses
    /// one by the processor.
    pub(super) own: f64,
}

/// valgrind, which is installed.
pub(super) struct Callgrind {
    dir: PathBuf,
}

impl Callgrind {
    /// Installs valgrind where it is missing and that is possible.
    pub(super) fn find() -> Result<Self> {
        install(&missing_tools([("valgrind", "valgrind")]))?;
        let mut probe = Command::new("valgrind");
        probe.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "true"]);
        ensure!(succeeds(&mut probe), "valgrind is there, but runs no program here");
        let dir = target_dir()?.join("bench-callgrind");
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// Instructions for one operation. `command` makes the command that runs this many.
    pub(super) fn per_operation(
        &self,
        counts: [u64; 2],
        command: impl Fn(u64) -> Command,
    ) -> Result<Instructions> {
        let (few, many) = (self.run(&command(counts[0]))?, self.run(&command(counts[1]))?);
        let each = |few: f64, many: f64| (many - few) / (counts[1] - counts[0]) as f64;
        Ok(Instructions { all: each(few.all, many.all), own: each(few.own, many.own) })
    }

    fn run(&self, command: &Command) -> Result<Instructions> {
        /// Several runs at once have a file each.
        static RUN: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only that the numbers differ matters.
        let number = RUN.fetch_add(1, Ordering::Relaxed);
        let file = self.dir.join(format!("{}-{number}.out", std::process::id()));
        let mut valgrind = Command::new("valgrind");
        valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", file.display()));
        // Threads take turns, where that is known.
        valgrind.arg("--fair-sched=try").arg(command.get_program()).args(command.get_args());
        let output = valgrind.output().context("starting valgrind")?;
        let log = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {}", output.status, log.trim_end());
        let text = std::fs::read_to_string(&file).context("reading what callgrind counted")?;
        // A file that stays is overwritten or does no harm.
        let _ = std::fs::remove_file(&file);
        let name = Path::new(command.get_program()).file_name().context("a program has a name")?;
        let counts = parse(&text, &name.to_string_lossy());
        counts.context("callgrind's file says nothing of the program")
    }
}

/// Adds up callgrind's file: `ob=(3) FILE` names the object that the lines of costs below are in (the
/// name stands there once, then only its number), `LINE COST` is a cost, and the line after `calls=` is
/// the cost of a call, which is counted where it arises.
fn parse(text: &str, program: &str) -> Option<Instructions> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut counts = Instructions { all: 0.0, own: 0.0 };
    let (mut object, mut is_call) = ("", false);
    for line in text.lines() {
        if let Some((key, rest)) = line.split_once("ob=")
            && (key.is_empty() || key == "c")
        {
            let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
            if !name.is_empty() {
                names.insert(number, name);
            }
            if key.is_empty() {
                object = number;
            }
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if let Some(cost) = cost(line)
            && !std::mem::take(&mut is_call)
        {
            counts.all += cost;
            if names.get(object).is_some_and(|file| file.rsplit('/').next() == Some(program)) {
                counts.own += cost;
            }
        }
    }
    (0.0 < counts.own).then_some(counts)
}

/// The cost in `+3 17`, `* 17` or `211 17`.
fn cost(line: &str) -> Option<f64> {
    let (position, cost) = line.split_once(' ')?;
    let is_position =
        position.trim_start_matches(['+', '-', '*']).bytes().all(|b| b.is_ascii_digit());
    is_position.then(|| cost.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_added_by_object_and_calls_are_not_counted_twice() {
        let text = "version: 1\nsummary: 17\nob=(1) /bin/us\nfl=(2) a.rs\nfn=(3) f\n10 5\n\
                    cob=(2) /lib/libc.so\ncfn=(4) memcpy\ncalls=2 0 \n* 8\n+1 1\n\n\
                    ob=(2)\nfn=(4)\n-3 8\nob=(1)\n* 3\n";
        assert_eq!(parse(text, "us"), Some(Instructions { all: 17.0, own: 9.0 }));
        assert_eq!(parse(text, "them"), None);
    }
}
