//! Turns what a checked process recorded into a report for people and tools.
//!
//! A process that runs under the checking allocator resolves no symbols and prints nothing: it writes
//! addresses to a file. This crate reads the files of a program and all its children, finds function
//! names and source lines, joins what is the same, and prints it. The program `alloc-check` does all
//! of that with one command.
//!
//! # Design
//!
//! ```text
//!   process 1 ─┐  *.jsonl   ┌──────┐  ┌───────────┐  ┌──────────┐  ┌─► text
//!   process 2 ─┼──────────► │ read ├─►│ symbolise ├─►│ suppress ├──┼─► HTML, JSON
//!   process 3 ─┘            └──────┘  └─────┬─────┘  └──────────┘  └─► pprof, DHAT
//!                            joins by       │ joins by
//!                            address        │ function, file, line
//!                                     modules, DWARF,
//!                                     /usr/lib/debug
//! ```
//!
//! # Examples
//!
//! ```
//! # let dir = std::env::temp_dir().join(format!("alloc-report-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir)?;
//! # std::fs::write(dir.join("7-0.jsonl"), "{\"t\":\"start\",\"v\":1,\"pid\":7}\n\
//! #   {\"t\":\"leak\",\"kind\":\"lost\",\"stack\":0,\"count\":2,\"bytes\":96,\"min\":32,\"max\":64}\n\
//! #   {\"t\":\"end\",\"allocations\":9,\"leaks_counted\":\"exact\",\"peak_bytes\":128}\n")?;
//! use alloc_report::{Report, Symboliser, TextOptions};
//!
//! let mut report = Report::read(&dir)?;
//! report.symbolise(&mut Symboliser::new(), |_done, _total| ());
//! assert_eq!(report.totals().lost.blocks, 2);
//! let mut text = Vec::new();
//! report.render_text(&mut text, &TextOptions::default())?;
//! assert!(String::from_utf8(text)?.contains("2 leaks, 96 bytes, from 1 place"));
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//!
//! 1. Every [`StackId`] of a report names one of its stacks; stack 0 is the one that was not recorded.
//! 2. Every index in a stack names one of the report's addresses, and every address has at least one
//!    frame.
//! 3. Records are hostile: reading them neither panics, waits, follows links, nor loads what is not a
//!    regular file; text that goes to a terminal or a page has no control characters of strangers, and
//!    in a page nothing of theirs is anything but text.
//! 4. A count is never lost: what is not shown in full is shown in a total.
//!
//! # Drawbacks
//!
//! Symbols are read from the files as they are afterwards: what was rebuilt or removed meanwhile is
//! shown as `module+0xOFFSET`. Debug information that must be downloaded (debuginfod) is not.

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod record;

mod usage;

mod model;

mod read;

mod symbol;

mod trim;

mod suppress;

mod escape;

mod words;

mod titles;

mod leak_words;

mod limits;

mod text;

mod source;

mod grown;

mod html;

mod run;

mod json;

mod profile;

mod dhat;

mod pprof;

mod resolve;

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::Path;

pub use crate::html::HtmlOptions;
pub use crate::json::JSON_VERSION;
pub use crate::model::{
    Block, Counted, End, Finding, Frame, Kind, Leak, LeakKind, Live, Module, Outcome, Process,
    Sample, Snapshot, StackId,
};
pub use crate::resolve::{Resolver, resolve_text};
pub use crate::run::Run;
pub use crate::suppress::{MalformedSuppression, Suppression, Suppressions};
pub use crate::symbol::Symboliser;
pub use crate::text::{LeakDetail, TextOptions};
pub use crate::usage::{Captures, ClassUse, Kept, TagUse};

use crate::model::{Mapping, RawFrame};

/// What a program and its children recorded, joined.
#[derive(Debug, Default)]
pub struct Report {
    pub(crate) processes: Vec<Process>,
    pub(crate) modules: Vec<Module>,
    /// Where each of `modules` was mapped.
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) leaks: Vec<Leak>,
    pub(crate) snapshots: Vec<Snapshot>,
    /// Text and how many processes wrote it.
    pub(crate) notes: Vec<(String, u64)>,
    /// Notes beyond the limit, whose text was not kept.
    pub(crate) notes_dropped: u64,
    /// Files that could not be read, and why.
    pub(crate) unreadable: Vec<String>,
    pub(crate) malformed_lines: u64,
    pub(crate) suppressions: Suppressions,
    /// Every address that some stack passes through, once.
    pub(crate) addresses: Vec<RawFrame>,
    /// The frames of each of `addresses`, innermost first.
    pub(crate) frames: Vec<Vec<Frame>>,
    /// Indices into `addresses`, innermost first.
    pub(crate) stacks: Vec<Box<[u32]>>,
    /// Whether the frames of the allocator and of the runtime are shown, too.
    pub(crate) shows_all_frames: bool,
}

/// Blocks and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many blocks.
    pub blocks: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, leak: &Leak) {
        self.blocks = self.blocks.saturating_add(leak.count);
        self.bytes = self.bytes.saturating_add(leak.bytes);
    }
}

/// What a report amounts to. Suppressed findings and leaks count only as such.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Faults, each as often as it was seen; without absurd requests.
    pub findings: u64,
    /// Requests that cannot be meant.
    pub invalid_requests: u64,
    /// Blocks that are lost: each kind as in [`LeakKind`].
    pub lost: Amount,
    /// Blocks that only lost blocks point to.
    pub indirect: Amount,
    /// Blocks that may be lost.
    pub possible: Amount,
    /// Blocks that something points to.
    pub reachable: Amount,
    /// Suppressed findings.
    pub suppressed_findings: u64,
    /// Suppressed leaks of every kind.
    pub suppressed_leaks: Amount,
    /// Allocations of all processes that ended through `exit`.
    pub allocations: u64,
    /// Their bytes, and what blocks grew by.
    pub total_bytes: u64,
    /// The largest peak of one process, in bytes.
    pub peak_bytes: u64,
    /// Process images that were recorded, each once however many heaps it had.
    pub processes: u64,
    /// Those still running.
    pub running: u64,
    /// Those that ended without exit handlers.
    pub cut: u64,
    /// Those that were replaced by another program.
    pub replaced: u64,
}

impl Report {
    /// Reads the record files in `dir`.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read, or a file is of another major version of the format. Files
    /// and lines that cannot be read are counted and named in the report.
    pub fn read(dir: &Path) -> io::Result<Self> {
        read::read_dirs(&[dir])
    }

    /// Reads the record files in all of `dirs` into one report.
    ///
    /// # Errors
    ///
    /// As [`Report::read`].
    pub fn read_all(dirs: &[&Path]) -> io::Result<Self> {
        read::read_dirs(dirs)
    }

    /// Looks up every address once, then joins the findings and leaks that look the same.
    /// `progress` is told how many addresses are done, of how many.
    pub fn symbolise(
        &mut self,
        symboliser: &mut Symboliser,
        mut progress: impl FnMut(usize, usize),
    ) {
        self.frames.clear();
        for (index, raw) in self.addresses.iter().enumerate() {
            progress(index, self.addresses.len());
            let module = raw.module.map(|module| &self.modules[module as usize]);
            self.frames.push(match module {
                Some(module) => symboliser.return_address(module, raw.addr),
                None => vec![Frame::unresolved(None, raw.addr)],
            });
        }
        progress(self.addresses.len(), self.addresses.len());
        for finding in &mut self.findings {
            let Some(RawFrame { module: Some(module), addr }) = finding.place else { continue };
            let module = &self.modules[module as usize];
            if let Some(name) = symboliser.variable(module, addr) {
                finding.global = format!("{name} of {}", module.name());
            }
        }
        self.join_equal();
    }

    /// Marks what the user does not want to hear of, and counts for each suppression what it hid.
    /// Replaces earlier suppressions.
    pub fn suppress(&mut self, mut suppressions: Suppressions) {
        let mut findings = std::mem::take(&mut self.findings);
        for finding in &mut findings {
            let stacks = [finding.here, finding.allocated, finding.freed];
            let frames = || stacks.into_iter().flat_map(|stack| self.frames(stack));
            finding.suppressed =
                suppressions.hide_finding(finding.kind.name(), finding.count, frames);
        }
        self.findings = findings;
        let mut leaks = std::mem::take(&mut self.leaks);
        for leak in &mut leaks {
            leak.suppressed = suppressions.hide_leak(leak, || self.frames(leak.stack));
        }
        self.leaks = leaks;
        self.suppressions = suppressions;
    }

    /// Adds what the reader knows and the processes do not, unless a note with the same first word
    /// is there.
    pub fn add_note(&mut self, text: String) {
        let word = |text: &str| text.split(':').next().map(str::to_owned);
        if !self.notes.iter().any(|(known, _)| word(known) == word(&text)) {
            self.notes.push((text, 1));
        }
    }

    /// Whether some process counted blocks in the given way when it ended.
    #[must_use]
    pub fn has_counted(&self, counted: Counted) -> bool {
        self.processes.iter().any(|process| match &process.outcome {
            Outcome::Ended(end) => end.counted == counted,
            _ => false,
        })
    }

    /// The suppressions, with what each hid.
    #[must_use]
    pub fn suppressions(&self) -> &Suppressions {
        &self.suppressions
    }

    /// The process images, in the order of their ids.
    #[must_use]
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// The findings, in the order in which they were read.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The leaks: most serious kind first, then by bytes, the largest first.
    #[must_use]
    pub fn leaks(&self) -> &[Leak] {
        &self.leaks
    }

    /// The moments at which processes told of all their live blocks, in the order of processes.
    #[must_use]
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// What the processes had to give up, and how many of them wrote the same.
    pub fn notes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.notes.iter().map(|(text, count)| (text.as_str(), *count))
    }

    /// All frames of a stack, innermost first. Only addresses before [`Report::symbolise`].
    pub fn frames(&self, stack: StackId) -> impl Iterator<Item = &Frame> + Clone {
        let addresses = self.stacks.get(stack.0 as usize).map_or(&[][..], |stack| stack);
        addresses.iter().flat_map(|address| self.frames.get(*address as usize)).flatten()
    }

    /// The frames of a stack without those of the allocator and of what runs before `main`.
    pub fn shown_frames(&self, stack: StackId) -> impl Iterator<Item = &Frame> + Clone {
        let shown = self.shown_range(stack);
        self.frames(stack).skip(shown.start).take(shown.len())
    }

    /// Shows all frames from now on. Call it before [`Report::symbolise`]: stacks are one if what is
    /// shown of them is the same.
    pub fn show_all_frames(&mut self) {
        self.shows_all_frames = true;
    }

    /// Which of the frames of a stack are shown.
    pub(crate) fn shown_range(&self, stack: StackId) -> Range<usize> {
        let total = self.frames(stack).count();
        if self.shows_all_frames {
            return 0..total;
        }
        let (inner, outer) = trim::hidden_ends(self.frames(stack));
        inner..total - outer
    }

    /// What it all amounts to.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let processes = self.processes.iter().filter(|process| !process.other_heap).count() as u64;
        let mut totals = Totals { processes, ..Totals::default() };
        for finding in &self.findings {
            let total = match (finding.suppressed, finding.kind.is_fault()) {
                (true, _) => &mut totals.suppressed_findings,
                (false, true) => &mut totals.findings,
                (false, false) => &mut totals.invalid_requests,
            };
            *total = total.saturating_add(finding.count);
        }
        for leak in &self.leaks {
            match (leak.suppressed, leak.kind) {
                (true, _) => totals.suppressed_leaks.add(leak),
                (false, LeakKind::Lost) => totals.lost.add(leak),
                (false, LeakKind::Indirect) => totals.indirect.add(leak),
                (false, LeakKind::Possible) => totals.possible.add(leak),
                (false, LeakKind::Reachable) => totals.reachable.add(leak),
            }
        }
        for process in &self.processes {
            match &process.outcome {
                Outcome::Ended(end) => {
                    totals.allocations = totals.allocations.saturating_add(end.allocations);
                    totals.total_bytes = totals.total_bytes.saturating_add(end.total_bytes);
                    totals.peak_bytes = totals.peak_bytes.max(end.peak_bytes);
                }
                Outcome::Running => totals.running += 1,
                Outcome::Cut => totals.cut += 1,
                Outcome::Replaced => totals.replaced += 1,
            }
        }
        totals
    }

    /// Gives stacks that look the same one id, and joins what then is the same.
    fn join_equal(&mut self) {
        let same = self.equal_stacks();
        let stack = |id: StackId| same[id.0 as usize];
        let mut known = HashMap::new();
        let mut findings: Vec<Finding> = Vec::new();
        for mut finding in std::mem::take(&mut self.findings) {
            finding.here = stack(finding.here);
            finding.allocated = stack(finding.allocated);
            finding.freed = stack(finding.freed);
            let index = *known.entry(finding.key()).or_insert(findings.len());
            match findings.get_mut(index) {
                Some(first) => first.count = first.count.saturating_add(finding.count),
                None => findings.push(finding),
            }
        }
        self.findings = findings;
        let mut known = HashMap::new();
        let mut leaks: Vec<Leak> = Vec::new();
        for mut leak in std::mem::take(&mut self.leaks) {
            leak.stack = stack(leak.stack);
            leak.holder = stack(leak.holder);
            leak.cycle.iter_mut().for_each(|id| *id = stack(*id));
            let index = *known.entry(leak.key()).or_insert(leaks.len());
            match leaks.get_mut(index) {
                Some(first) => first.join(&leak),
                None => leaks.push(leak),
            }
        }
        leaks.sort_by_key(|leak| {
            (leak.kind, std::cmp::Reverse((leak.bytes, leak.count)), leak.stack)
        });
        self.leaks = leaks;
        let live = self.snapshots.iter_mut().flat_map(|snapshot| &mut snapshot.live);
        live.for_each(|live| live.stack = stack(live.stack));
    }

    /// For each stack the first one that looks the same.
    fn equal_stacks(&self) -> Vec<StackId> {
        let mut known = HashMap::new();
        let mut class = |frame| {
            let next = known.len();
            *known.entry(Frame::look(frame)).or_insert(next)
        };
        let classes: Vec<Vec<usize>> =
            self.frames.iter().map(|frames| frames.iter().map(&mut class).collect()).collect();
        let mut looks: HashMap<Vec<usize>, StackId> = HashMap::new();
        (0_u32..)
            .map(StackId)
            .zip(&self.stacks)
            .map(|(id, addresses)| {
                let shown = self.shown_range(id);
                let all = addresses.iter().flat_map(|address| &classes[*address as usize]);
                let look: Vec<usize> = all.skip(shown.start).take(shown.len()).copied().collect();
                // No frames at all: only the stack that was not recorded, which comes first.
                *looks.entry(look).or_insert(id)
            })
            .collect()
    }
}
