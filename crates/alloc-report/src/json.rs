//! The report as JSON for tools; `docs/design/report-json.md` describes it.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::grown::{Grown, GrownPlace};
use crate::model::{
    Counted, Finding, Frame, Kind, Leak, Outcome, Process, Sample, Snapshot, StackId,
};
use crate::titles::title;
use crate::usage::{Captures, ClassUse, Kept, TagUse};
use crate::{Amount, Report, Run, Totals};

/// The version of the schema: raised when a field changes its meaning or goes.
pub const JSON_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: u32,
    run: &'a Run,
    totals: TotalsOut,
    leaks_counted: Vec<&'static str>,
    findings: Vec<FindingOut<'a>>,
    leaks: Vec<LeakOut<'a>>,
    snapshots: Vec<SnapshotOut<'a>>,
    grown: Vec<GrownOut>,
    stacks: Vec<StackOut>,
    frames: Vec<FrameOut<'a>>,
    processes: Vec<ProcessOut<'a>>,
    notes: Vec<NoteOut<'a>>,
    notes_dropped: u64,
    suppressions: Vec<SuppressionOut<'a>>,
    unreadable: &'a [String],
    malformed_lines: u64,
}

#[derive(Serialize)]
struct AmountOut {
    blocks: u64,
    bytes: u64,
}

impl From<Amount> for AmountOut {
    fn from(amount: Amount) -> Self {
        Self { blocks: amount.blocks, bytes: amount.bytes }
    }
}

#[derive(Serialize)]
struct TotalsOut {
    findings: u64,
    invalid_requests: u64,
    lost: AmountOut,
    indirect: AmountOut,
    possible: AmountOut,
    reachable: AmountOut,
    suppressed_findings: u64,
    suppressed_leaks: AmountOut,
    allocations: u64,
    total_bytes: u64,
    peak_bytes: u64,
    processes: u64,
    running: u64,
    cut: u64,
    replaced: u64,
}

impl From<Totals> for TotalsOut {
    fn from(totals: Totals) -> Self {
        Self {
            findings: totals.findings,
            invalid_requests: totals.invalid_requests,
            lost: totals.lost.into(),
            indirect: totals.indirect.into(),
            possible: totals.possible.into(),
            reachable: totals.reachable.into(),
            suppressed_findings: totals.suppressed_findings,
            suppressed_leaks: totals.suppressed_leaks.into(),
            allocations: totals.allocations,
            total_bytes: totals.total_bytes,
            peak_bytes: totals.peak_bytes,
            processes: totals.processes,
            running: totals.running,
            cut: totals.cut,
            replaced: totals.replaced,
        }
    }
}

#[derive(Serialize)]
struct BlockOut {
    addr: u64,
    size: u64,
    align: u64,
}

#[derive(Serialize)]
struct FindingOut<'a> {
    kind: &'a str,
    fault: bool,
    text: String,
    count: u64,
    addr: u64,
    offset: i64,
    block: Option<BlockOut>,
    size: u64,
    align: u64,
    tag: Option<&'a str>,
    global: Option<&'a str>,
    detail: &'a str,
    process: usize,
    thread: &'a str,
    tid: i32,
    here: Option<usize>,
    allocated: Option<usize>,
    freed: Option<usize>,
    suppressed: bool,
}

#[derive(Serialize)]
struct LeakOut<'a> {
    kind: &'static str,
    count: u64,
    bytes: u64,
    min: u64,
    max: u64,
    stack: Option<usize>,
    tag: Option<&'a str>,
    holder: Option<usize>,
    cycle: Vec<Option<usize>>,
    addr: u64,
    dump: Option<String>,
    suppressed: bool,
}

#[derive(Serialize)]
struct SnapshotOut<'a> {
    process: usize,
    id: u64,
    ms: u64,
    why: &'a str,
    live_blocks: u64,
    live_bytes: u64,
    allocations: u64,
    complete: bool,
    live: Vec<LiveOut>,
}

/// What changed between the first and the last snapshot of a process.
#[derive(Serialize)]
struct GrownOut {
    process: usize,
    from: u64,
    to: u64,
    from_ms: u64,
    to_ms: u64,
    blocks: i64,
    bytes: i64,
    places: Vec<GrownPlaceOut>,
}

#[derive(Serialize)]
struct GrownPlaceOut {
    stack: Option<usize>,
    blocks: i64,
    bytes: i64,
    before: AmountOut,
    after: AmountOut,
}

#[derive(Serialize)]
struct LiveOut {
    stack: Option<usize>,
    blocks: u64,
    bytes: u64,
    total_blocks: u64,
    total_bytes: u64,
}

#[derive(Serialize)]
struct FrameOut<'a> {
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
    module: &'a str,
    addr: u64,
    inlined: bool,
}

#[derive(Serialize)]
struct StackOut {
    frames: Vec<usize>,
    /// The half-open range of `frames` that is shown.
    shown: [usize; 2],
}

/// The stacks and frames that the document refers to, each once.
#[derive(Default)]
struct Tables<'a> {
    stack_indices: HashMap<StackId, usize>,
    stacks: Vec<StackOut>,
    frame_indices: HashMap<&'a Frame, usize>,
    frames: Vec<FrameOut<'a>>,
}

impl<'a> Tables<'a> {
    /// The index of a stack, unless it was not recorded.
    fn stack(&mut self, report: &'a Report, stack: StackId) -> Option<usize> {
        if stack == StackId::NONE {
            return None;
        }
        if let Some(index) = self.stack_indices.get(&stack) {
            return Some(*index);
        }
        let frames: Vec<usize> = report.frames(stack).map(|frame| self.frame(frame)).collect();
        let shown = report.shown_range(stack);
        let shown = [shown.start, shown.end];
        self.stack_indices.insert(stack, self.stacks.len());
        self.stacks.push(StackOut { frames, shown });
        Some(self.stacks.len() - 1)
    }

    fn frame(&mut self, frame: &'a Frame) -> usize {
        let next = self.frames.len();
        let index = *self.frame_indices.entry(frame).or_insert(next);
        if index == next {
            self.frames.push(FrameOut {
                function: frame.function.as_deref(),
                file: frame.file.as_deref(),
                line: frame.line,
                module: &frame.module,
                addr: frame.addr,
                inlined: frame.inlined,
            });
        }
        index
    }
}

#[derive(Serialize)]
struct ProcessOut<'a> {
    pid: i32,
    ppid: i32,
    exe: &'a str,
    argv: &'a [String],
    strategy: &'a str,
    forked: bool,
    other_heap: bool,
    outcome: &'static str,
    #[serde(flatten)]
    end: Option<EndOut>,
    samples: Vec<SampleOut>,
    classes: &'a [ClassUse],
    tags: &'a [TagUse],
}

#[derive(Serialize)]
struct SampleOut {
    ms: u64,
    live_bytes: u64,
    live_blocks: u64,
    allocations: u64,
    frees: u64,
    resident_bytes: u64,
}

impl From<&Sample> for SampleOut {
    fn from(sample: &Sample) -> Self {
        Self {
            ms: sample.ms,
            live_bytes: sample.live_bytes,
            live_blocks: sample.live_blocks,
            allocations: sample.allocations,
            frees: sample.frees,
            resident_bytes: sample.resident_bytes,
        }
    }
}

#[derive(Serialize)]
struct EndOut {
    allocations: u64,
    frees: u64,
    live_blocks: u64,
    live_bytes: u64,
    peak_bytes: u64,
    total_bytes: u64,
    kept: Kept,
    captures: Captures,
    leaks_counted: &'static str,
    status: Option<i32>,
}

#[derive(Serialize)]
struct NoteOut<'a> {
    text: &'a str,
    processes: u64,
}

#[derive(Serialize)]
struct SuppressionOut<'a> {
    line: usize,
    text: &'a str,
    findings: u64,
    leaks: AmountOut,
}

impl Report {
    /// Writes the report as one JSON object in one line.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn render_json(&self, out: &mut dyn Write, run: &Run) -> io::Result<()> {
        let counted = [Counted::Scan, Counted::Exact, Counted::None];
        let mut tables = Tables::default();
        let findings = self.findings.iter().map(|finding| self.finding_out(finding, &mut tables));
        let findings = findings.collect();
        let leaks = self.leaks.iter().map(|leak| self.leak_out(leak, &mut tables)).collect();
        let snapshots = self.snapshots.iter();
        let snapshots =
            snapshots.map(|snapshot| self.snapshot_out(snapshot, &mut tables)).collect();
        let grown = self.grown();
        let grown = grown.iter().map(|grown| self.grown_out(grown, &mut tables)).collect();
        let document = Document {
            schema: "alloc-report",
            version: JSON_VERSION,
            run,
            totals: self.totals().into(),
            leaks_counted: counted
                .into_iter()
                .filter(|counted| self.has_counted(*counted))
                .map(Counted::name)
                .collect(),
            findings,
            leaks,
            snapshots,
            grown,
            stacks: tables.stacks,
            frames: tables.frames,
            processes: self.processes.iter().map(process_out).collect(),
            notes: self.notes().map(|(text, processes)| NoteOut { text, processes }).collect(),
            notes_dropped: self.notes_dropped,
            suppressions: self
                .suppressions
                .iter()
                .map(|entry| SuppressionOut {
                    line: entry.line,
                    text: &entry.text,
                    findings: entry.findings,
                    leaks: entry.leaks.into(),
                })
                .collect(),
            unreadable: &self.unreadable,
            malformed_lines: self.malformed_lines,
        };
        serde_json::to_writer(&mut *out, &document)?;
        writeln!(out)
    }

    fn finding_out<'a>(&'a self, finding: &'a Finding, tables: &mut Tables<'a>) -> FindingOut<'a> {
        FindingOut {
            kind: finding.kind.name(),
            fault: Kind::is_fault(&finding.kind),
            text: title(finding),
            count: finding.count,
            addr: finding.addr,
            offset: finding.offset,
            block: finding.block.map(|block| BlockOut {
                addr: block.addr,
                size: block.size,
                align: block.align,
            }),
            size: finding.size,
            align: finding.align,
            tag: (!finding.tag.is_empty()).then_some(finding.tag.as_str()),
            global: (!finding.global.is_empty()).then_some(finding.global.as_str()),
            detail: &finding.detail,
            process: finding.process,
            thread: &finding.thread,
            tid: finding.tid,
            here: tables.stack(self, finding.here),
            allocated: tables.stack(self, finding.allocated),
            freed: tables.stack(self, finding.freed),
            suppressed: finding.suppressed,
        }
    }

    fn leak_out<'a>(&'a self, leak: &'a Leak, tables: &mut Tables<'a>) -> LeakOut<'a> {
        LeakOut {
            kind: leak.kind.name(),
            count: leak.count,
            bytes: leak.bytes,
            min: leak.min,
            max: leak.max,
            stack: tables.stack(self, leak.stack),
            tag: (!leak.tag.is_empty()).then_some(leak.tag.as_str()),
            holder: tables.stack(self, leak.holder),
            cycle: leak.cycle.iter().map(|stack| tables.stack(self, *stack)).collect(),
            addr: leak.addr,
            dump: (!leak.dump.is_empty())
                .then(|| leak.dump.iter().map(|byte| format!("{byte:02x}")).collect()),
            suppressed: leak.suppressed,
        }
    }

    fn grown_out<'a>(&'a self, grown: &Grown, tables: &mut Tables<'a>) -> GrownOut {
        let place = |place: &GrownPlace| {
            let (blocks, bytes) = place.growth();
            let (before, after) = (place.before.into(), place.after.into());
            GrownPlaceOut { stack: tables.stack(self, place.stack), blocks, bytes, before, after }
        };
        let places = grown.places.iter().map(place).collect();
        let (blocks, bytes) = grown.growth();
        let ([from, to], [from_ms, to_ms]) = (grown.ids, grown.ms);
        GrownOut { process: grown.process, from, to, from_ms, to_ms, blocks, bytes, places }
    }

    fn snapshot_out<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        tables: &mut Tables<'a>,
    ) -> SnapshotOut<'a> {
        let live = snapshot.live.iter().map(|live| LiveOut {
            stack: tables.stack(self, live.stack),
            blocks: live.blocks,
            bytes: live.bytes,
            total_blocks: live.total_blocks,
            total_bytes: live.total_bytes,
        });
        SnapshotOut {
            process: snapshot.process,
            id: snapshot.id,
            ms: snapshot.ms,
            why: &snapshot.why,
            live_blocks: snapshot.live_blocks,
            live_bytes: snapshot.live_bytes,
            allocations: snapshot.allocations,
            complete: snapshot.complete,
            live: live.collect(),
        }
    }
}

fn process_out(process: &Process) -> ProcessOut<'_> {
    let (outcome, end) = match &process.outcome {
        Outcome::Ended(end) => ("ended", Some(end)),
        Outcome::Replaced => ("replaced", None),
        Outcome::Cut => ("cut", None),
        Outcome::Running => ("running", None),
    };
    ProcessOut {
        pid: process.pid,
        ppid: process.ppid,
        exe: &process.exe,
        argv: &process.argv,
        strategy: &process.strategy,
        forked: process.forked,
        other_heap: process.other_heap,
        outcome,
        end: end.map(|end| EndOut {
            allocations: end.allocations,
            frees: end.frees,
            live_blocks: end.live_blocks,
            live_bytes: end.live_bytes,
            peak_bytes: end.peak_bytes,
            total_bytes: end.total_bytes,
            kept: end.kept,
            captures: end.captures,
            leaks_counted: end.counted.name(),
            status: end.status,
        }),
        samples: process.samples.iter().map(SampleOut::from).collect(),
        classes: &process.classes,
        tags: &process.tags,
    }
}
