//! A figure to reach, and whether it was.

/// A figure to reach.
pub(super) struct Goal {
    pub(super) what: String,
    pub(super) measured: f64,
    pub(super) bound: f64,
    pub(super) is_minimum: bool,
    /// How far runs of the same differ, as a part of the figure; 0 for what repeats.
    pub(super) noise: f64,
}

impl Goal {
    pub(super) fn at_least(what: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self { what: what.into(), measured, bound, is_minimum: true, noise: 0.0 }
    }

    pub(super) fn at_most(what: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self { what: what.into(), measured, bound, is_minimum: false, noise: 0.0 }
    }

    /// A row of a table.
    pub(super) fn line(&self) -> String {
        let Self { what, measured, .. } = self;
        format!("| {what} | {} | {measured:.2} | {} |", self.to_reach(), self.verdict())
    }

    pub(super) fn to_reach(&self) -> String {
        format!("{} {}", if self.is_minimum { "at least" } else { "at most" }, self.bound)
    }

    pub(super) fn is_reached(&self) -> bool {
        // What is equal in three digits is equal: a round has a beginning and an end, too.
        let measured = (self.measured * 1000.0).round() / 1000.0;
        if self.is_minimum { measured >= self.bound } else { measured <= self.bound }
    }

    pub(super) fn verdict(&self) -> &'static str {
        let with_noise = if self.is_minimum {
            self.measured * (1.0 + self.noise) >= self.bound
        } else {
            self.measured <= self.bound * (1.0 + self.noise)
        };
        match (self.is_reached(), with_noise) {
            (true, _) => "reached",
            (false, true) => "within noise",
            (false, false) => "**missed**",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        assert_eq!(Goal::at_most("x", 1.0, 1.0).verdict(), "reached");
        assert_eq!(Goal::at_most("x", 1.0004, 1.0).verdict(), "reached");
        assert_eq!(Goal::at_most("x", 1.01, 1.0).verdict(), "**missed**");
        assert_eq!(Goal { noise: 0.1, ..Goal::at_most("x", 1.09, 1.0) }.verdict(), "within noise");
        assert_eq!(Goal { noise: 0.1, ..Goal::at_most("x", 1.11, 1.0) }.verdict(), "**missed**");
        assert_eq!(Goal::at_least("x", 4.0, 4.0).verdict(), "reached");
        assert_eq!(Goal { noise: 0.1, ..Goal::at_least("x", 3.7, 4.0) }.verdict(), "within noise");
        assert_eq!(
            Goal::at_least("a to b", 3.456, 4.0).line(),
            "| a to b | at least 4 | 3.46 | **missed** |"
        );
    }
}
