//! Lines that say how far a long run is.

use std::time::Instant;

/// Steps of about equal length.
pub(super) struct Progress {
    what: String,
    begin: Instant,
    done: usize,
    total: usize,
}

impl Progress {
    pub(super) fn new(what: String, total: usize) -> Self {
        Self { what, begin: Instant::now(), done: 0, total }
    }

    /// Says what begins, and how long all that is left will take if it goes on so.
    pub(super) fn next(&mut self, step: &str) {
        let (done, total) = (self.done, self.total);
        let left = match done {
            0 => String::new(),
            _ => {
                let each = self.begin.elapsed().as_secs_f64() / done as f64;
                format!(", {:.0} s left", each * (total - done) as f64)
            }
        };
        self.done += 1;
        eprintln!("{} {}/{total}{left}: {step}", self.what, self.done);
    }
}
