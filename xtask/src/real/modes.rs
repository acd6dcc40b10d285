//! The modes of the checker that the programs are run in.

use clap::Args;

/// How the checker is told to check.
pub(super) struct Mode {
    /// What the table calls it.
    pub(super) name: &'static str,
    /// Arguments of `alloc-check`.
    pub(super) args: &'static [&'static str],
}

/// The mode that every program is run in.
pub(super) const DEFAULT: Mode = Mode { name: "default", args: &[] };

/// The others.
const OTHERS: [Mode; 8] = [
    Mode { name: "stacks=off", args: &["--gpa", "stacks=off"] },
    Mode { name: "guard=every", args: &["--gpa", "guard=every"] },
    Mode { name: "guard_align=left", args: &["--gpa", "guard=every,guard_align=left"] },
    Mode { name: "guard=sampled", args: &["--gpa", "guard=sampled:100,guard_seed=1"] },
    Mode { name: "quarantine", args: &["--gpa", "quarantine=1048576"] },
    Mode { name: "guard_impl=mprotect", args: &["--gpa", "guard_impl=mprotect"] },
    Mode {
        name: "guard=every,guard_impl=mprotect",
        args: &["--gpa", "guard=every,guard_impl=mprotect"],
    },
    Mode { name: "intercept", args: &["--intercept"] },
];

/// The programs that the gate runs in every mode: quick ones, of which one is large.
const QUICK: [&str; 3] = ["ls", "python3, sum", "perl"];

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Choice {
    /// Quick programs in the other modes, too.
    #[arg(long)]
    modes: bool,
    /// Every program in every mode: some ten minutes.
    #[arg(long)]
    all_modes: bool,
    /// Of the other modes only those whose name holds this; may be repeated.
    #[arg(long = "mode", value_name = "TEXT")]
    mode_names: Vec<String>,
}

impl Choice {
    /// What the gate runs.
    pub(crate) fn of_gate() -> Self {
        Self { modes: true, ..Self::default() }
    }

    /// The modes beside the default that a program is to be run in.
    pub(super) fn others(&self, program: &str) -> impl Iterator<Item = &'static Mode> {
        let is_wanted = self.all_modes || (self.modes && QUICK.contains(&program));
        let is_named = |mode: &Mode| {
            self.mode_names.is_empty()
                || self.mode_names.iter().any(|text| mode.name.contains(text))
        };
        OTHERS.iter().filter(move |mode| is_wanted && is_named(mode))
    }

    /// What is left out by choice, in words, if anything is.
    pub(super) fn left_out(&self) -> Option<&'static str> {
        match (self.all_modes, self.modes) {
            (true, _) => None,
            (_, true) => Some("modes but the default: quick programs only; all with --all-modes"),
            _ => Some("modes but the default: with --modes or --all-modes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::program;

    #[test]
    fn named_programs_exist() {
        for name in QUICK {
            assert!(program(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_gate_runs_quick_programs_in_every_mode() {
        let gate = Choice::of_gate();
        assert_eq!(gate.others("ls").count(), OTHERS.len());
        assert_eq!(gate.others("sqlite3").count(), 0);
        assert_eq!(Choice::default().others("ls").count(), 0);
        let all = Choice { all_modes: true, mode_names: vec!["left".into()], ..Choice::default() };
        let names: Vec<&str> = all.others("sqlite3").map(|mode| mode.name).collect();
        assert_eq!(names, ["guard_align=left"]);
    }
}
