//! What grew, and where the memory went, as text.

use std::io;

use super::Text;
use crate::escape::escape_short;
use crate::grown::{Grown, GrownPlace};
use crate::model::{End, Outcome, Process, file_name};
use crate::words::{bytes, counted, grouped, percent, signed_counted, size, time};

/// The most places of a process that grew.
const GROWN_MAX: usize = 10;

impl Text<'_> {
    /// What grew in each process that told of its live blocks more than once.
    pub(super) fn growth(&mut self) -> io::Result<()> {
        for grown in self.report.grown() {
            let larger = grown.larger();
            if larger.is_empty() {
                continue;
            }
            self.growth_of(&grown)?;
            for place in larger.iter().take(GROWN_MAX.min(self.options.stacks_max)) {
                self.grown_place(place)?;
            }
            let more = larger.len().saturating_sub(GROWN_MAX.min(self.options.stacks_max));
            if more > 0 {
                let places = counted(more as u64, "other place");
                writeln!(self.out, "  {places} that grew not shown\n")?;
            }
        }
        Ok(())
    }

    fn growth_of(&mut self, grown: &Grown) -> io::Result<()> {
        let (blocks, bytes) = grown.growth();
        let [from, to] = grown.ms.map(time);
        let name = self.name_of(grown.process);
        let style = self.styles.title;
        let title = format!("{name} between {from} and {to}");
        writeln!(
            self.out,
            "{style}what grew in {title}{style:#}: {}, {} in all",
            signed_counted(bytes, "byte"),
            signed_counted(blocks, "block")
        )
    }

    fn grown_place(&mut self, place: &GrownPlace) -> io::Result<()> {
        let (blocks, more) = place.growth();
        let (now, bytes) = (counted(place.after.blocks, "block"), bytes(place.after.bytes));
        let style = self.styles.label;
        let by = format!("{}, {}", signed_counted(more, "byte"), signed_counted(blocks, "block"));
        writeln!(self.out, "  {style}{by} (now {bytes}, {now}){style:#}")?;
        self.one_stack(place.stack)?;
        writeln!(self.out)
    }

    /// Where the memory of each process went.
    pub(super) fn statistics(&mut self) -> io::Result<()> {
        let report = self.report;
        for (index, process) in report.processes.iter().enumerate() {
            let Outcome::Ended(end) = &process.outcome else { continue };
            let style = self.styles.title;
            writeln!(self.out, "{style}memory of {}{style:#}", self.name_of(index))?;
            for line in figures(end) {
                writeln!(self.out, "  {line}")?;
            }
            self.classes(process)?;
            self.tags(process)?;
            writeln!(self.out)?;
        }
        Ok(())
    }

    fn classes(&mut self, process: &Process) -> io::Result<()> {
        if process.classes.is_empty() {
            return Ok(());
        }
        let style = self.styles.label;
        writeln!(
            self.out,
            "  {style}{:>10} {:>14} {:>16} {:>16}{style:#}",
            "slot", "blocks alive", "bytes alive", "blocks ever"
        )?;
        for class in &process.classes {
            let slot = match class.slot_size {
                0 => "own pages".to_owned(),
                len => grouped(len),
            };
            let (blocks, bytes) = (grouped(class.live_blocks), grouped(class.live_bytes));
            let ever = grouped(class.total_blocks);
            writeln!(self.out, "  {slot:>10} {blocks:>14} {bytes:>16} {ever:>16}")?;
        }
        Ok(())
    }

    fn tags(&mut self, process: &Process) -> io::Result<()> {
        for tag in &process.tags {
            let name = escape_short(&tag.name, 80);
            let (alive, ever) =
                (counted(tag.live_blocks, "block"), counted(tag.total_blocks, "block"));
            writeln!(
                self.out,
                "  tag {name}: {alive}, {} alive; peak {}; {ever}, {} ever",
                bytes(tag.live_bytes),
                size(tag.peak_bytes),
                bytes(tag.total_bytes)
            )?;
        }
        Ok(())
    }

    /// `app 7`.
    fn name_of(&self, process: usize) -> String {
        let process = &self.report.processes[process];
        format!("{} {}", escape_short(file_name(&process.exe), 64), process.pid)
    }
}

/// The figures of a process, each in a line.
pub(crate) fn figures(end: &End) -> Vec<String> {
    let kept = &end.kept;
    let mut lines = vec![
        format!(
            "{}, {} in all; {}",
            counted(end.allocations, "allocation"),
            bytes(end.total_bytes),
            counted(end.frees, "free")
        ),
        format!(
            "alive at the end: {}, {}; peak {}",
            counted(end.live_blocks, "block"),
            bytes(end.live_bytes),
            size(end.peak_bytes)
        ),
        format!(
            "held at the end: {} in use, {} retired, {} to be used again, {} of records",
            size(kept.in_use),
            size(kept.retired),
            size(kept.stock),
            size(kept.records)
        ),
    ];
    let captures = &end.captures;
    if let Some(recalled) = captures.recalled_per_mille() {
        let count = captures.stacks_recalled.saturating_add(captures.stacks_walked);
        let count = counted(count, "stack");
        lines.push(format!("{count} captured, {} of them remembered", percent(recalled)));
    }
    if let Some(hits) = captures.rule_hits_per_mille() {
        let (lookups, evicted) = (grouped(captures.rule_lookups), grouped(captures.rule_evictions));
        let rate = percent(hits);
        lines.push(format!(
            "rules of the unwinder: {lookups} looked for, {rate} of them at hand, {evicted} evicted"
        ));
    }
    lines
}
