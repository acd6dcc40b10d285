//! The figures of a process: how its heap grew, and where its memory went.

use super::{Ids, Reader};
use crate::model::{Counted, End, Outcome, Sample};
use crate::record;
use crate::usage::{ClassUse, TagUse};

/// The most samples kept of one process.
const SAMPLES_MAX: usize = 4096;

/// The most size classes and names kept of one process; a heap has fewer.
const CLASSES_MAX: usize = 256;
const TAGS_MAX: usize = 1024;

impl Reader {
    /// Keeps at most [`SAMPLES_MAX`] of a process: every second one is dropped when there are more.
    pub(super) fn add_sample(&mut self, ids: &Ids, sample: &record::Sample) {
        let samples = &mut self.report.processes[ids.process].samples;
        if samples.last().is_some_and(|last| sample.ms < last.ms) {
            self.report.malformed_lines += 1;
            return;
        }
        if samples.len() == SAMPLES_MAX {
            let mut index = 0;
            samples.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        samples.push(Sample {
            ms: sample.ms,
            live_bytes: sample.live_bytes,
            live_blocks: sample.live_blocks,
            allocations: sample.allocations,
            frees: sample.frees,
            resident_bytes: sample.resident_bytes,
        });
    }

    pub(super) fn add_class(&mut self, ids: &Ids, class: ClassUse) {
        let classes = &mut self.report.processes[ids.process].classes;
        match classes.len() < CLASSES_MAX {
            true => classes.push(class),
            false => self.report.malformed_lines += 1,
        }
    }

    pub(super) fn add_tag(&mut self, ids: &Ids, tag: TagUse) {
        let tags = &mut self.report.processes[ids.process].tags;
        match tags.len() < TAGS_MAX {
            true => tags.push(tag),
            false => self.report.malformed_lines += 1,
        }
    }
}

/// What the last line of a process says.
pub(super) fn ended(end: &record::End) -> Outcome {
    Outcome::Ended(End {
        allocations: end.allocations,
        frees: end.frees,
        live_blocks: end.live_blocks,
        live_bytes: end.live_bytes,
        peak_bytes: end.peak_bytes,
        total_bytes: end.total_bytes,
        kept: end.kept,
        captures: end.captures,
        counted: match end.leaks_counted.as_str() {
            "scan" => Counted::Scan,
            "exact" => Counted::Exact,
            _ => Counted::None,
        },
        status: i32::try_from(end.status).ok().filter(|status| *status >= 0),
    })
}
