//! The report as text for people.

mod figures;

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::escape::escape_short;
use crate::leak_words::hex_dump;
use crate::limits::limits;
use crate::model::{Counted, Finding, Frame, Leak, LeakKind, Outcome, Process, StackId};
use crate::titles::{parts, remark, title};
use crate::words::{bytes, counted, function, grouped, leaks_meaning, place, size};
use crate::{Amount, Report};

pub(crate) use figures::figures;

/// Names are padded to this many columns at most.
const NAME_WIDTH_MAX: usize = 48;

/// How much is said about leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeakDetail {
    /// Every place that leaks, with its stack.
    #[default]
    Full,
    /// Only the totals.
    Summary,
    /// Nothing: leaks are no fault.
    Off,
}

/// How [`Report::render_text`] prints.
#[derive(Debug, Clone)]
pub struct TextOptions {
    /// How much is said about leaks.
    pub leaks: LeakDetail,
    /// How many findings, and how many leaks, are shown in full.
    pub stacks_max: usize,
    /// Whether to say where the memory of each process went.
    pub statistics: bool,
    /// Whether to write colours, as ANSI sequences.
    pub color: bool,
    /// A directory; paths below it are shown relative to it.
    pub here: Option<String>,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            leaks: LeakDetail::Full,
            stacks_max: 20,
            statistics: false,
            color: false,
            here: None,
        }
    }
}

/// What is printed in which style; all plain without colours.
struct Styles {
    title: Style,
    label: Style,
    name: Style,
    place: Style,
}

impl Styles {
    fn new(color: bool) -> Self {
        if !color {
            let plain = Style::new();
            return Self { title: plain, label: plain, name: plain, place: plain };
        }
        Self {
            title: AnsiColor::Red.on_default().bold(),
            label: Style::new().dimmed(),
            name: Style::new(),
            place: AnsiColor::Cyan.on_default(),
        }
    }
}

/// One rendering.
struct Text<'a> {
    report: &'a Report,
    options: &'a TextOptions,
    styles: Styles,
    /// Whether there are several processes, so that findings say whose they are.
    is_of_several: bool,
    out: &'a mut dyn Write,
}

impl Report {
    /// Writes the report for people: findings, then leaks, what grew, what limits their meaning, and in
    /// the last line what it amounts to. Only that line if nothing was found.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn render_text(&self, out: &mut dyn Write, options: &TextOptions) -> io::Result<()> {
        let styles = Styles::new(options.color);
        let is_of_several = self.totals().processes > 1;
        let mut text = Text { report: self, options, styles, is_of_several, out };
        text.findings()?;
        if options.leaks != LeakDetail::Off {
            text.leaks()?;
        }
        text.growth()?;
        if options.statistics {
            text.statistics()?;
        }
        for line in limits(self) {
            writeln!(text.out, "{line}")?;
        }
        text.suppressions()?;
        text.summary()
    }
}

impl Text<'_> {
    fn findings(&mut self) -> io::Result<()> {
        let report = self.report;
        let shown = report.findings.iter().filter(|finding| !finding.suppressed);
        for finding in shown.clone().take(self.options.stacks_max) {
            self.finding(finding)?;
        }
        let rest = shown.skip(self.options.stacks_max);
        let (groups, count) =
            rest.fold((0, 0_u64), |(n, sum), finding| (n + 1, sum.saturating_add(finding.count)));
        if groups > 0 {
            let places = counted(groups, "other place");
            writeln!(self.out, "{} at {places} not shown", counted(count, "finding"))?;
        }
        Ok(())
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let report = self.report;
        let title = title(finding);
        let times = match finding.count {
            1 => String::new(),
            count => format!(", {} times", grouped(count)),
        };
        let style = self.styles.title;
        writeln!(self.out, "{style}{title}{times}{style:#}{}", self.whose(finding))?;
        if let Some(remark) = remark(finding) {
            writeln!(self.out, "  {remark}")?;
        }
        let stacks = parts(finding);
        let known = |stack: StackId| report.shown_frames(stack).next().is_some();
        let frames = stacks.iter().flat_map(|(_, stack)| report.shown_frames(*stack));
        let width = self.name_width(frames);
        for (label, stack) in stacks.into_iter().filter(|(_, stack)| known(*stack)) {
            let style = self.styles.label;
            writeln!(self.out, "  {style}{label}{style:#}")?;
            self.stack(stack, "    ", width)?;
        }
        if !stacks.iter().any(|(_, stack)| known(*stack)) {
            writeln!(self.out, "  no stack was recorded")?;
        }
        writeln!(self.out)
    }

    /// The block's tag, the process, if there are several, and the thread, unless it is the main one.
    fn whose(&self, finding: &Finding) -> String {
        let mut whose = Vec::new();
        if !finding.tag.is_empty() {
            whose.push(format!("tagged {}", escape_short(&finding.tag, 80)));
        }
        let process = self.report.processes.get(finding.process);
        if let Some(process) = process {
            if finding.tid != 0 && finding.tid != process.pid {
                let name = escape_short(&finding.thread, 64);
                whose.push(format!("thread {name} {}", finding.tid));
            }
            if self.is_of_several {
                let name = crate::model::file_name(&process.exe);
                whose.push(format!("{} {}", escape_short(name, 64), process.pid));
            }
        }
        if whose.is_empty() { String::new() } else { format!("  [{}]", whose.join(", ")) }
    }

    fn leaks(&mut self) -> io::Result<()> {
        let report = self.report;
        let lost = report.leaks.iter().filter(|leak| leak.kind == LeakKind::Lost);
        let lost: Vec<&Leak> = lost.filter(|leak| !leak.suppressed).collect();
        let totals = report.totals();
        if !lost.is_empty() {
            let style = self.styles.title;
            let (blocks, bytes) = (counted(totals.lost.blocks, "leak"), bytes(totals.lost.bytes));
            let places = counted(lost.len() as u64, "place");
            let meaning = leaks_meaning(report);
            writeln!(self.out, "{style}{blocks}, {bytes}, from {places}{style:#} ({meaning})")?;
        }
        if !lost.is_empty() && self.options.leaks == LeakDetail::Full {
            for leak in lost.iter().take(self.options.stacks_max) {
                self.leak(leak)?;
            }
            self.unshown_leaks(lost.get(self.options.stacks_max..).unwrap_or_default())?;
        }
        self.other_leaks(totals.indirect, "held only by lost ones")?;
        self.other_leaks(totals.possible, "possibly lost")?;
        self.other_leaks(totals.reachable, "still reachable")
    }

    fn leak(&mut self, leak: &Leak) -> io::Result<()> {
        let each = match (leak.count, leak.min == leak.max) {
            (1, _) => String::new(),
            _ if leak.max == 0 => String::new(),
            (_, true) => format!(" ({} each)", grouped(leak.max)),
            (_, false) => format!(" ({} to {} each)", grouped(leak.min), grouped(leak.max)),
        };
        let style = self.styles.label;
        let (blocks, bytes) = (counted(leak.count, "block"), bytes(leak.bytes));
        writeln!(self.out, "  {style}{blocks}, {bytes}{each}{style:#}")?;
        for note in self.report.leak_notes(leak, self.options.here.as_deref()) {
            writeln!(self.out, "    {style}{note}{style:#}")?;
        }
        self.one_stack(leak.stack)?;
        for line in hex_dump(leak).lines() {
            writeln!(self.out, "      {style}{line}{style:#}")?;
        }
        writeln!(self.out)
    }

    fn unshown_leaks(&mut self, rest: &[&Leak]) -> io::Result<()> {
        if rest.is_empty() {
            return Ok(());
        }
        let mut amount = Amount::default();
        rest.iter().for_each(|leak| amount.add(leak));
        let (blocks, bytes) = (counted(amount.blocks, "block"), bytes(amount.bytes));
        let places = counted(rest.len() as u64, "other place");
        writeln!(self.out, "  {blocks}, {bytes}, from {places} not shown")
    }

    fn other_leaks(&mut self, amount: Amount, how: &str) -> io::Result<()> {
        if amount == Amount::default() {
            return Ok(());
        }
        let (blocks, bytes) = (counted(amount.blocks, "block"), bytes(amount.bytes));
        writeln!(self.out, "{blocks}, {bytes}, {how}")
    }

    fn name_width<'f>(&self, frames: impl Iterator<Item = &'f Frame>) -> usize {
        let width = |frame| function(frame).chars().count();
        frames.map(width).filter(|width| *width <= NAME_WIDTH_MAX).max().unwrap_or(0)
    }

    /// A stack that stands alone, or that there is none.
    fn one_stack(&mut self, stack: StackId) -> io::Result<()> {
        let width = self.name_width(self.report.shown_frames(stack));
        if self.report.shown_frames(stack).next().is_none() {
            return writeln!(self.out, "    no stack was recorded");
        }
        self.stack(stack, "    ", width)
    }

    fn stack(&mut self, stack: StackId, indent: &str, width: usize) -> io::Result<()> {
        let (name_style, place_style) = (self.styles.name, self.styles.place);
        for frame in self.report.shown_frames(stack) {
            let name = function(frame);
            let place = place(frame, self.options.here.as_deref());
            let inlined = if frame.inlined { "  (inlined)" } else { "" };
            if place.is_empty() {
                writeln!(self.out, "{indent}{name_style}{name}{name_style:#}{inlined}")?;
            } else {
                writeln!(
                    self.out,
                    "{indent}{name_style}{name:width$}{name_style:#}  \
                     {place_style}{place}{place_style:#}{inlined}"
                )?;
            }
        }
        Ok(())
    }

    fn suppressions(&mut self) -> io::Result<()> {
        let totals = self.report.totals();
        let (findings, leaks) = (totals.suppressed_findings, totals.suppressed_leaks);
        if findings > 0 || leaks != Amount::default() {
            let (findings, blocks) = (counted(findings, "finding"), counted(leaks.blocks, "block"));
            let bytes = bytes(leaks.bytes);
            writeln!(self.out, "suppressed: {findings}, {blocks} not freed ({bytes})")?;
        }
        for entry in self.report.suppressions.iter().filter(|entry| entry.is_unused()) {
            let text = escape_short(&entry.text, 200);
            writeln!(self.out, "unused suppression in line {}: {text}", entry.line)?;
        }
        Ok(())
    }

    fn summary(&mut self) -> io::Result<()> {
        let totals = self.report.totals();
        let shows_lost = self.options.leaks != LeakDetail::Off && totals.lost != Amount::default();
        let mut parts = Vec::new();
        match totals.findings {
            // Leaks are findings, too.
            0 if shows_lost => {}
            0 => parts.push("no findings".to_owned()),
            count => parts.push(counted(count, "finding")),
        }
        if totals.invalid_requests > 0 {
            parts.push(counted(totals.invalid_requests, "absurd request"));
        }
        let has_ended = |process: &&Process| matches!(process.outcome, Outcome::Ended(_));
        let ended = self.report.processes.iter().filter(has_ended).count();
        if self.options.leaks == LeakDetail::Off {
            parts.push("leaks not considered".to_owned());
        } else if shows_lost {
            let (blocks, bytes) = (counted(totals.lost.blocks, "block"), bytes(totals.lost.bytes));
            parts.push(format!("{blocks} lost ({bytes})"));
        } else if ended > 0 && self.report.has_counted(Counted::None) {
            let where_ = if ended == 1 { "" } else { " in some processes" };
            parts.push(format!("leaks not counted{where_}"));
        }
        if ended > 0 {
            parts.push(counted(totals.allocations, "allocation"));
            parts.push(format!("peak {}", size(totals.peak_bytes)));
        }
        if totals.processes != 1 {
            parts.push(counted(totals.processes, "process"));
        }
        writeln!(self.out, "{}", parts.join(", "))
    }
}
