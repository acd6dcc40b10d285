//! Results for people.
#![forbid(unsafe_code)]

use core::fmt;

use super::done::{Done, Tally, Verdict};
use alloc_gpa::counted;

/// A test as a line.
pub(super) struct Line<'a>(pub(super) &'a Done);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done { test, verdict, kinds, .. } = self.0;
        write!(f, "test {} ... ", test.name())?;
        match (verdict, test.ignored) {
            (Verdict::Passed, _) => writeln!(f, "ok"),
            (Verdict::Failed, _) => writeln!(f, "FAILED ({})", kinds.join(", ")),
            (Verdict::Ignored, None | Some("")) => writeln!(f, "ignored"),
            (Verdict::Ignored, Some(reason)) => writeln!(f, "ignored, {reason}"),
        }
    }
}

/// A test as a letter.
pub(super) struct Letter<'a>(pub(super) &'a Done);

impl fmt::Display for Letter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.verdict {
            Verdict::Passed => ".",
            Verdict::Failed => "F",
            Verdict::Ignored => "i",
        })
    }
}

/// What there is to say of a test that failed; nothing of others.
pub(super) struct Failure<'a>(pub(super) &'a Done);

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done { test, verdict, text, .. } = self.0;
        if *verdict != Verdict::Failed {
            return Ok(());
        }
        write!(f, "\n---- {} ({}:{}) ----\n{text}", test.name(), test.file, test.line)
    }
}

/// The last lines.
pub(super) struct End<'a>(pub(super) &'a Tally);

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { stray_errors, seed, time, .. } = self.0;
        if *stray_errors != 0 {
            writeln!(
                f,
                "\n{} logged by threads that run no test",
                counted(*stray_errors, "error")
            )?;
        }
        let seconds = time.as_secs_f64();
        writeln!(f, "\nresult: {}; {seconds:.2} s", self.0)?;
        match self.0.is_good() {
            true => Ok(()),
            false => writeln!(f, "to repeat this order: --seed {seed:#x}"),
        }
    }
}
