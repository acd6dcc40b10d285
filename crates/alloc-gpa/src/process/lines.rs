//! The lines of a record file that are about memory in use.

use super::growth::{Head, Sample};
use super::line::Line;
use super::records::{Buffers, Records, TAG_LEN_MAX};
use crate::census::{Place, Scope};
use crate::finding::Finding;
use crate::stack::StackId;
use crate::stats::Breakdown;

impl Records {
    /// Writes the process's numbers at one moment.
    pub(super) fn write_sample(&mut self, sample: &Sample, buffers: &mut Buffers<'_>) {
        let Sample { ms, stats, live_blocks, resident_bytes } = sample;
        let mut line = Line::object(buffers.line, "sample");
        line.number("ms", ms);
        line.number("live_bytes", stats.live_bytes);
        line.number("live_blocks", live_blocks);
        line.number("allocations", stats.allocations);
        line.number("frees", stats.frees);
        line.number("resident_bytes", resident_bytes);
        line.end();
        self.write(line.as_bytes());
    }

    /// Writes the line before those of a snapshot.
    pub(super) fn write_snapshot(&mut self, head: &Head, buffers: &mut Buffers<'_>) {
        let mut line = Line::object(buffers.line, "snapshot");
        line.number("id", head.id);
        line.number("ms", head.ms);
        line.text("why", head.why.name().as_bytes());
        line.number("live_blocks", head.live_blocks);
        line.number("live_bytes", head.live_bytes);
        line.number("allocations", head.allocations);
        line.number("complete", head.complete);
        line.end();
        self.write(line.as_bytes());
    }

    /// Writes the live blocks of one place.
    pub(super) fn write_live(
        &mut self,
        snapshot: u64,
        place: &Place,
        scope: Scope,
        buffers: &mut Buffers<'_>,
    ) {
        self.write_stack(StackId::from_raw(place.stack), buffers);
        let mut line = Line::object(buffers.line, "live");
        line.number("snapshot", snapshot);
        line.number("stack", place.stack);
        line.number("blocks", place.blocks);
        line.number("bytes", place.bytes);
        if scope == Scope::Ever {
            line.number("total_blocks", place.total_blocks);
            line.number("total_bytes", place.total_bytes);
        }
        if let Some(name) = place.tag.name() {
            line.text("tag", &name.as_bytes()[..name.len().min(TAG_LEN_MAX)]);
        }
        line.end();
        self.write(line.as_bytes());
    }

    /// Writes where the heap's memory went: a line for each size class and each tag that was used.
    pub(super) fn write_breakdown(&mut self, breakdown: &Breakdown<'_>, buffers: &mut Buffers<'_>) {
        for class in breakdown.classes() {
            let mut line = Line::object(buffers.line, "class");
            line.number("slot_size", class.slot_size);
            line.number("live_blocks", class.live_blocks);
            line.number("live_bytes", class.live_bytes);
            line.number("total_blocks", class.total_blocks);
            line.end();
            self.write(line.as_bytes());
        }
        for tag in breakdown.tags() {
            let mut line = Line::object(buffers.line, "tag");
            line.text("name", &tag.name.as_bytes()[..tag.name.len().min(TAG_LEN_MAX)]);
            line.number("live_blocks", tag.live_blocks);
            line.number("live_bytes", tag.live_bytes);
            line.number("peak_bytes", tag.peak_bytes);
            line.number("total_blocks", tag.total_blocks);
            line.number("total_bytes", tag.total_bytes);
            line.end();
            self.write(line.as_bytes());
        }
    }

    /// Writes how often a finding was met, if it has a line of this file.
    pub(super) fn write_repeat(&mut self, finding: &Finding, buffers: &mut Buffers<'_>) {
        let Some(index) = self.finding_line(finding) else { return };
        let mut line = Line::object(buffers.line, "repeat");
        line.number("finding", index);
        line.number("count", finding.count);
        line.end();
        self.write(line.as_bytes());
    }
}
