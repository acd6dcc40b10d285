//! The modes.

/// A way to run the checker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    /// The value of `ALLOC_GPA`.
    pub(crate) settings: &'static str,
    /// Whether libc's functions on memory and strings are looked at, as with `--intercept`.
    pub(crate) intercepts: bool,
    /// The column of the table that says what it finds.
    pub(crate) column: &'static str,
}

impl Mode {
    /// Whether it captures stacks.
    pub(crate) fn has_stacks(self) -> bool {
        !self.settings.contains("stacks=off")
    }

    /// Whether every block has pages of its own.
    pub(crate) fn guards_every(self) -> bool {
        self.settings.contains("guard=")
    }

    /// Whether it searches the process for leaks at the end.
    pub(crate) fn looks_for_leaks(self) -> bool {
        !self.settings.contains("guard=sampled")
    }

    const fn plain(settings: &'static str, column: &'static str) -> Self {
        Self { settings, intercepts: false, column }
    }
}

pub(crate) const DEFAULT: Mode = Mode::plain("", "default");

/// The others.
pub(crate) const MODES: [Mode; 9] = [
    Mode::plain("stacks=off", "default"),
    Mode::plain("guard_impl=mprotect", "default"),
    Mode::plain("guard=every", "every"),
    Mode::plain("guard=every,guard_impl=mprotect", "every"),
    Mode::plain("guard=every,guard_align=exact", "exact"),
    Mode::plain("guard=every,guard_align=left", "left"),
    Mode::plain("guard=sampled:1", "sampled"),
    Mode::plain("quarantine=4194304", "quarantine"),
    Mode { settings: "", intercepts: true, column: "intercept" },
];

/// Addresses are used again soon.
pub(crate) const SMALL_QUARANTINE: Mode = Mode::plain("quarantine=20000", "quarantine");
