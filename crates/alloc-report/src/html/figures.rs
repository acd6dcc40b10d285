//! What grew, and where the memory went, as the page shows it.

use super::view::{StackView, Views};
use super::{PLOTTED_MAX, QUOTED_FRAMES, first_of, rest};
use crate::Report;
use crate::escape::{escape, escape_short};
use crate::model::{End, Outcome, Process, file_name};
use crate::text::figures;
use crate::words::{grouped, signed, size, time};

/// The most places of a process that grew.
const GROWN_MAX: usize = 50;

/// What grew in one process between two snapshots.
pub(super) struct GrownTable {
    pub(super) lead: String,
    pub(super) rows: Vec<GrownRow>,
    pub(super) rest: String,
}

pub(super) struct GrownRow {
    pub(super) by: String,
    pub(super) blocks: String,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) function: String,
    pub(super) place: String,
    pub(super) stack: StackView,
}

/// Where the memory of one process went.
pub(super) struct MemoryView {
    pub(super) name: String,
    pub(super) lines: Vec<String>,
    pub(super) classes: Vec<ClassRow>,
    pub(super) tags: Vec<TagRow>,
}

pub(super) struct ClassRow {
    pub(super) slot: String,
    pub(super) live_blocks: String,
    pub(super) live_bytes: String,
    pub(super) total_blocks: String,
    /// Percent of the bytes alive in the fullest class.
    pub(super) share: u64,
}

pub(super) struct TagRow {
    pub(super) name: String,
    pub(super) live_blocks: String,
    pub(super) live_bytes: String,
    pub(super) peak: String,
    pub(super) total_blocks: String,
    pub(super) total_bytes: String,
}

pub(super) fn grown_tables(views: &mut Views<'_>) -> Vec<GrownTable> {
    let report = views.report;
    let mut tables = Vec::new();
    for grown in report.grown().into_iter().take(PLOTTED_MAX) {
        let process = &report.processes[grown.process];
        let mut rows = Vec::new();
        for place in grown.larger().iter().take(GROWN_MAX) {
            let stack = views.stack(place.stack, QUOTED_FRAMES);
            let (function, at) = first_of(&stack);
            let (blocks, bytes) = place.growth();
            rows.push(GrownRow {
                by: format!("+{}", size(bytes.unsigned_abs())),
                blocks: signed(blocks),
                before: size(place.before.bytes),
                after: size(place.after.bytes),
                function,
                place: at,
                stack,
            });
        }
        if rows.is_empty() {
            continue;
        }
        let [from, to] = grown.ms.map(time);
        let name = name(process);
        let lead =
            format!("What grew in {name} from its first snapshot (at {from}) to its last ({to})");
        let rest = rest(grown.larger().len(), GROWN_MAX, "place", "JSON has them all");
        tables.push(GrownTable { lead, rows, rest });
    }
    tables
}

/// The processes that told where their memory went.
pub(super) fn counted(report: &Report) -> impl Iterator<Item = (&Process, &End)> {
    report.processes.iter().filter_map(|process| match &process.outcome {
        Outcome::Ended(end) if !process.classes.is_empty() => Some((process, end)),
        _ => None,
    })
}

/// Those of them that had allocated the most.
pub(super) fn memory(report: &Report) -> Vec<MemoryView> {
    let mut all: Vec<_> = counted(report).collect();
    all.sort_by_key(|(_, end)| std::cmp::Reverse(end.peak_bytes));
    let view = |(process, end): (&Process, &End)| MemoryView {
        name: name(process),
        lines: figures(end),
        classes: class_rows(process),
        tags: tag_rows(process),
    };
    all.into_iter().take(PLOTTED_MAX).map(view).collect()
}

fn class_rows(process: &Process) -> Vec<ClassRow> {
    let fullest = process.classes.iter().map(|class| class.live_bytes).max().unwrap_or(0).max(1);
    let row = |class: &crate::ClassUse| ClassRow {
        slot: if class.slot_size == 0 { "own pages".into() } else { grouped(class.slot_size) },
        live_blocks: grouped(class.live_blocks),
        live_bytes: grouped(class.live_bytes),
        total_blocks: grouped(class.total_blocks),
        share: u64::try_from(u128::from(class.live_bytes) * 100 / u128::from(fullest))
            .unwrap_or(100),
    };
    process.classes.iter().map(row).collect()
}

fn tag_rows(process: &Process) -> Vec<TagRow> {
    let row = |tag: &crate::TagUse| TagRow {
        name: escape_short(&tag.name, 80).into_owned(),
        live_blocks: grouped(tag.live_blocks),
        live_bytes: grouped(tag.live_bytes),
        peak: size(tag.peak_bytes),
        total_blocks: grouped(tag.total_blocks),
        total_bytes: size(tag.total_bytes),
    };
    process.tags.iter().map(row).collect()
}

fn name(process: &Process) -> String {
    format!("{} {}", escape(file_name(&process.exe)), process.pid)
}
