//! Stacks and findings as the page shows them.

use std::collections::HashMap;

use crate::Report;
use crate::escape::{escape, escape_short};
use crate::model::{Finding, Frame, Kind, StackId};
use crate::source::{Source, Sources};
use crate::titles::{meaning, parts, remark, title};
use crate::words::{counted, function, grouped, place};

/// A function in a stack.
pub(super) struct FrameView {
    pub(super) function: String,
    pub(super) place: String,
    pub(super) inlined: bool,
    pub(super) source: Option<Source>,
}

/// A stack, and what of it is folded away at both ends.
#[derive(Default)]
pub(super) struct StackView {
    pub(super) shown: Vec<FrameView>,
    pub(super) inner: Vec<FrameView>,
    pub(super) outer: Vec<FrameView>,
}

/// A named stack of a finding.
pub(super) struct Part {
    pub(super) label: &'static str,
    pub(super) stack: StackView,
}

/// The block of a finding, and where it was hit; positions in the drawing's own units.
pub(super) struct Diagram {
    pub(super) class: &'static str,
    pub(super) label: String,
    pub(super) size: String,
    pub(super) at: String,
    pub(super) x: String,
}

/// One finding.
pub(super) struct Card {
    pub(super) id: String,
    pub(super) class: &'static str,
    pub(super) kind: String,
    pub(super) count: u64,
    /// Whether its stacks are folded away, and what then stands for them.
    pub(super) folded: bool,
    pub(super) place: String,
    pub(super) title: String,
    pub(super) times: String,
    pub(super) why: &'static str,
    pub(super) remark: &'static str,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) diagram: Option<Diagram>,
    pub(super) stacks: Vec<Part>,
}

/// The most findings whose stacks are open.
const OPEN_MAX: usize = 20;

/// How often each kind was found, the most frequent first.
pub(super) fn kinds(findings: &[&Finding]) -> Vec<(String, String)> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for finding in findings {
        let count = counts.entry(finding.kind.name()).or_default();
        *count = count.saturating_add(finding.count);
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let text = |(name, count)| (escape_short(name, 60).into_owned(), grouped(count));
    counts.into_iter().map(text).collect()
}

/// What views are made from.
pub(super) struct Views<'a> {
    pub(super) report: &'a Report,
    pub(super) here: Option<&'a str>,
    /// None: sources are not quoted.
    pub(super) sources: Option<Sources>,
}

impl Views<'_> {
    fn frame(&mut self, frame: &Frame, quoted: bool) -> FrameView {
        let source = self.sources.as_mut().filter(|_| quoted);
        FrameView {
            function: function(frame),
            place: place(frame, self.here),
            inlined: frame.inlined,
            source: source.and_then(|sources| sources.around(frame)),
        }
    }

    /// The view of a stack; `quoted` frames of those that are shown have their source with them.
    pub(super) fn stack(&mut self, stack: StackId, quoted: usize) -> StackView {
        let report = self.report;
        let shown = report.shown_range(stack);
        let mut view = StackView::default();
        for (index, frame) in report.frames(stack).enumerate() {
            if index < shown.start {
                view.inner.push(self.frame(frame, false));
            } else if index < shown.end {
                view.shown.push(self.frame(frame, index < shown.start.saturating_add(quoted)));
            } else {
                view.outer.push(self.frame(frame, false));
            }
        }
        view
    }

    /// The card of finding number `index`.
    pub(super) fn card(&mut self, index: usize, finding: &Finding) -> Card {
        let report = self.report;
        let known: Vec<_> = parts(finding)
            .into_iter()
            .filter(|(_, stack)| report.frames(*stack).next().is_some())
            .collect();
        Card {
            id: format!("finding-{}", index + 1),
            class: if finding.kind.is_fault() { "fault" } else { "note" },
            kind: escape_short(finding.kind.name(), 60).into_owned(),
            count: finding.count,
            folded: OPEN_MAX <= index,
            place: self.first_place(&known),
            title: title(finding),
            times: match finding.count {
                1 => String::new(),
                count => format!("{} times", grouped(count)),
            },
            why: meaning(&finding.kind),
            remark: remark(finding).unwrap_or_default(),
            facts: self.facts(finding),
            diagram: diagram(finding),
            stacks: known
                .into_iter()
                .map(|(label, stack)| Part { label, stack: self.stack(stack, usize::MAX) })
                .collect(),
        }
    }

    /// The first frame that is shown of the first stack that has one.
    fn first_place(&self, stacks: &[(&'static str, StackId)]) -> String {
        let frames = stacks
            .iter()
            .filter_map(|(label, stack)| Some((label, self.report.shown_frames(*stack).next()?)));
        let said = frames.map(|(label, frame)| {
            format!("{label}: {} {}", function(frame), place(frame, self.here))
        });
        said.into_iter().next().unwrap_or_else(|| "stacks".to_owned())
    }

    fn facts(&self, finding: &Finding) -> Vec<(&'static str, String)> {
        let mut facts = vec![("kind", escape_short(finding.kind.name(), 60).into_owned())];
        if finding.addr != 0 {
            facts.push(("address", format!("{:#x}", finding.addr)));
        }
        if let Some(block) = finding.block {
            let size = counted(block.size, "byte");
            facts.push(("block", format!("{:#x}, {size}, aligned to {}", block.addr, block.align)));
            facts.push(("offset", finding.offset.to_string()));
        }
        if finding.size != 0 {
            facts.push(("size given", grouped(finding.size)));
        }
        if finding.align != 0 {
            facts.push(("alignment given", grouped(finding.align)));
        }
        if !finding.tag.is_empty() {
            facts.push(("tag", escape_short(&finding.tag, 80).into_owned()));
        }
        if !finding.thread.is_empty() {
            facts
                .push(("thread", format!("{} {}", escape_short(&finding.thread, 64), finding.tid)));
        }
        if let Some(process) = self.report.processes.get(finding.process) {
            let name = crate::model::file_name(&process.exe);
            facts.push(("process", format!("{} {}", escape(name), process.pid)));
        }
        facts
    }
}

/// Where in the drawing the block begins and ends, and the drawing itself.
const BLOCK: (u32, u32) = (90, 450);
const DRAWING: (u32, u32) = (14, 526);

fn diagram(finding: &Finding) -> Option<Diagram> {
    let block = finding.block.filter(|block| block.size > 0)?;
    match finding.kind {
        Kind::SizeMismatch | Kind::AlignMismatch | Kind::FamilyMismatch | Kind::OtherAllocator => {
            return None;
        }
        _ => {}
    }
    let width = f64::from(BLOCK.1 - BLOCK.0);
    let x = if finding.offset < 0 {
        // What lies outside is drawn at no scale.
        f64::from((BLOCK.0 + DRAWING.0) / 2)
    } else if finding.offset.unsigned_abs() >= block.size {
        let past = finding.offset.unsigned_abs() - block.size;
        if past < 16 { f64::from(BLOCK.1 + 8) } else { f64::from((BLOCK.1 + DRAWING.1) / 2) }
    } else {
        #[expect(clippy::cast_precision_loss, reason = "a drawing has a thousand steps")]
        let ratio = finding.offset.unsigned_abs() as f64 / block.size as f64;
        f64::from(BLOCK.0) + width * ratio
    };
    // Damage that its own free noticed was done before.
    let freed = (finding.freed != StackId::NONE && finding.freed != finding.here)
        || matches!(finding.kind, Kind::DoubleFree | Kind::ResizeAfterFree | Kind::UseAfterFree)
        || finding.kind == Kind::ReadAfterFree;
    let size = counted(block.size, "byte");
    let state = if freed { "freed" } else { "alive" };
    Some(Diagram {
        class: state,
        label: format!("a block of {size}, {state}; offset {}", finding.offset),
        size: if freed { format!("{size}, freed") } else { size },
        at: match finding.offset {
            offset if offset > 0 => format!("+{offset}"),
            offset => offset.to_string(),
        },
        x: format!("{x:.1}"),
    })
}
