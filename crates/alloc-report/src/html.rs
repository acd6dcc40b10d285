//! The report as one page of HTML: no file beside it, nothing loaded, nothing sent.
//!
//! Everything but the chart of call paths is in the page without scripts. Text of strangers is escaped
//! twice: what would mislead a reader is shown as its code, and the template escapes what means
//! something in HTML. The policy in the page's head lets a browser run only the script that we wrote.

mod figures;
mod plot;
mod view;

use std::collections::HashMap;
use std::io::{self, Write};

use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::escape::{escape, escape_short};
use crate::leak_words::hex_dump;
use crate::limits::limits;
use crate::model::{Counted, Frame, Leak, LeakKind, Outcome, Process, StackId, file_name};
use crate::source::Sources;
use crate::words::{bytes, counted, function, grouped, leaks_meaning, place, size};
use crate::{Amount, LeakDetail, Report, Run, Totals};
use figures::{GrownTable, MemoryView};
use plot::{Plot, PlotData, Unit, plot};
use view::{Card, StackView, Views};

/// How the page looks, and what it does.
const STYLE: &str = include_str!("../templates/report.css");
const SCRIPT: &str = include_str!("../templates/report.js");

/// The most findings, leaks, call paths, processes and processes with plots in a page.
const CARDS_MAX: usize = 500;
const ROWS_MAX: usize = 2_000;
const PATHS_MAX: usize = 5_000;
const PROCESSES_MAX: usize = 1_000;
const PLOTTED_MAX: usize = 8;
/// Of so many leaks the source is quoted, and so many frames of each.
const QUOTED_ROWS: usize = 200;
const QUOTED_FRAMES: usize = 3;

/// What [`Report::render_html`] writes.
#[derive(Debug, Clone, Default)]
pub struct HtmlOptions {
    /// How much is said about leaks.
    pub leaks: LeakDetail,
    /// Whether source files that are there are quoted.
    pub source: bool,
    /// A directory; paths below it are shown relative to it.
    pub here: Option<String>,
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    css: &'static str,
    js: &'static str,
    css_hash: String,
    js_hash: String,
    version: &'static str,
    name: String,
    command: String,
    verdict: String,
    verdict_class: &'static str,
    meta: Vec<String>,
    tiles: Vec<Tile>,
    findings_count: String,
    leaks_count: String,
    cards: Vec<Card>,
    /// Each kind, and how many findings of it there are.
    card_kinds: Vec<(String, String)>,
    cards_rest: String,
    shows_leaks: bool,
    /// Whether every place that leaks is told.
    shows_places: bool,
    leaks_lead: String,
    kinds: Vec<&'static str>,
    rows: Vec<Row>,
    rows_rest: String,
    growth: Vec<Growth>,
    growth_rest: String,
    grown: Vec<GrownTable>,
    memory: Vec<MemoryView>,
    memory_rest: String,
    processes: Vec<ProcessRow>,
    processes_count: String,
    processes_rest: String,
    processes_lead: String,
    notes: Vec<String>,
    /// JSON for the script.
    data: String,
}

struct Tile {
    label: &'static str,
    value: String,
    hint: String,
    class: &'static str,
}

/// Blocks of one stack that were not freed.
struct Row {
    kind: &'static str,
    rank: usize,
    bytes: u64,
    count: u64,
    max: u64,
    bytes_text: String,
    count_text: String,
    sizes: String,
    /// Percent of the largest row's bytes.
    share: u64,
    function: String,
    place: String,
    notes: Vec<String>,
    stack: StackView,
    dump: String,
}

struct Growth {
    name: String,
    plots: Vec<Plot>,
}

struct ProcessRow {
    branch: String,
    name: String,
    argv: String,
    forked: bool,
    other_heap: bool,
    pid: i32,
    outcome: String,
    allocations: String,
    live: String,
    peak: String,
    findings: String,
}

/// What the page's script draws from.
#[derive(Serialize)]
struct Data<'a> {
    /// Function, place and module, escaped.
    frames: Vec<[String; 3]>,
    /// Kind, blocks, bytes, and indices into `frames`, innermost first.
    paths: Vec<(&'static str, u64, u64, Vec<usize>)>,
    plots: Vec<&'a PlotData>,
}

impl Report {
    /// Writes the report as one self-contained page.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn render_html(
        &self,
        out: &mut dyn Write,
        run: &Run,
        options: &HtmlOptions,
    ) -> io::Result<()> {
        let totals = self.totals();
        let sources = options.source.then(Sources::default);
        let mut views = Views { report: self, here: options.here.as_deref(), sources };
        let shows_leaks = options.leaks != LeakDetail::Off;
        let findings: Vec<_> = self.findings.iter().filter(|finding| !finding.suppressed).collect();
        let leaks: Vec<_> = self.leaks.iter().filter(|leak| !leak.suppressed).collect();
        let leaks = if options.leaks == LeakDetail::Full { leaks } else { Vec::new() };
        let cards = findings.iter().take(CARDS_MAX).enumerate();
        let growth = self.growth();
        let mut page = Page {
            css: STYLE,
            js: SCRIPT,
            css_hash: hash(STYLE),
            js_hash: hash(SCRIPT),
            version: env!("CARGO_PKG_VERSION"),
            name: self.name(run),
            command: escape_short(&run.command.join(" "), 1_000).into_owned(),
            verdict: verdict(&totals, shows_leaks),
            verdict_class: match totals.findings {
                0 if !shows_leaks || totals.lost.blocks == 0 => "good",
                _ => "bad",
            },
            meta: self.meta(run, &totals),
            tiles: tiles(&totals, shows_leaks),
            findings_count: grouped(findings.len() as u64),
            leaks_count: grouped(leaks.len() as u64),
            cards: cards.map(|(index, finding)| views.card(index, finding)).collect(),
            card_kinds: view::kinds(&findings),
            cards_rest: rest(findings.len(), CARDS_MAX, "finding", "JSON has them all"),
            shows_leaks,
            shows_places: options.leaks == LeakDetail::Full,
            leaks_lead: self.leaks_lead(&totals),
            kinds: LeakKind::ALL
                .into_iter()
                .filter(|kind| leaks.iter().any(|leak| leak.kind == *kind))
                .map(LeakKind::name)
                .collect(),
            rows: rows(&mut views, &leaks),
            rows_rest: rows_rest(&leaks),
            growth_rest: String::new(),
            grown: figures::grown_tables(&mut views),
            memory: figures::memory(self),
            memory_rest: String::new(),
            processes: self.process_rows(),
            processes_count: grouped(totals.processes),
            processes_rest: rest(
                self.processes.len(),
                PROCESSES_MAX,
                "process",
                "JSON has them all",
            ),
            processes_lead: self.processes_lead(),
            notes: limits(self),
            data: String::new(),
            growth,
        };
        if page.command.is_empty() {
            page.command.clone_from(&page.name);
        }
        page.growth_rest =
            rest(self.sampled().count(), PLOTTED_MAX, "process", "the largest are drawn");
        page.memory_rest =
            rest(figures::counted(self).count(), PLOTTED_MAX, "process", "JSON has them all");
        page.data = self.data(&leaks, &page.growth, options.here.as_deref())?;
        page.write_into(&mut &mut *out)
    }

    /// The program's name.
    fn name(&self, run: &Run) -> String {
        let exe = self.processes.first().map(|process| process.exe.as_str());
        let name = run.command.first().map(String::as_str).or(exe).unwrap_or("no program");
        escape_short(file_name(name), 80).into_owned()
    }

    fn meta(&self, run: &Run, totals: &Totals) -> Vec<String> {
        let mut meta = Vec::new();
        match (run.status, run.signal) {
            (_, Some(signal)) => meta.push(format!("ended by signal {signal}")),
            (Some(status), None) => meta.push(format!("exit status {status}")),
            (None, None) => {}
        }
        if let Some(ms) = run.began_ms {
            meta.push(format!("{} UTC", date(ms)));
        }
        if let Some(ms) = run.ran_ms {
            meta.push(format!("ran {}.{:02} s", ms / 1_000, ms / 10 % 100));
        }
        meta.push(counted(totals.processes, "process"));
        if totals.suppressed_findings > 0 || totals.suppressed_leaks != Amount::default() {
            let findings = counted(totals.suppressed_findings, "finding");
            let blocks = counted(totals.suppressed_leaks.blocks, "block");
            meta.push(format!("suppressed: {findings}, {blocks}"));
        }
        meta
    }

    fn leaks_lead(&self, totals: &Totals) -> String {
        if totals.lost == Amount::default() && self.has_counted(Counted::None) {
            return "Leaks were not counted in every process; the notes say why.".to_owned();
        }
        format!(
            "Lost are {}. Indirect ones are held by lost ones alone, possible ones by what may be a \
             pointer, and reachable ones are still in use.",
            leaks_meaning(self)
        )
    }

    fn processes_lead(&self) -> String {
        match self.totals().processes {
            0 => "Nothing was recorded.".to_owned(),
            1 => "One process.".to_owned(),
            _ => "Each below the one that started it.".to_owned(),
        }
    }

    /// The processes of which there is a curve.
    fn sampled(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| process.samples.len() > 1)
    }

    fn growth(&self) -> Vec<Growth> {
        let mut sampled: Vec<_> = self.sampled().collect();
        let peak = |process: &Process| process.samples.iter().map(|sample| sample.live_bytes).max();
        sampled.sort_by_key(|process| std::cmp::Reverse(peak(process)));
        let drawn = sampled.into_iter().take(PLOTTED_MAX).map(|process| {
            let points = |value: fn(&crate::Sample) -> u64| {
                process.samples.iter().map(|sample| (sample.ms, value(sample))).collect()
            };
            let plots = vec![
                plot("Bytes alive", Unit::Bytes, points(|sample| sample.live_bytes)),
                plot("Blocks alive", Unit::Blocks, points(|sample| sample.live_blocks)),
            ];
            Growth { name: format!("{} {}", escape(file_name(&process.exe)), process.pid), plots }
        });
        drawn.collect()
    }

    /// Every process below its parent.
    fn process_rows(&self) -> Vec<ProcessRow> {
        let mut faults: HashMap<usize, u64> = HashMap::new();
        let shown = self.findings.iter().filter(|finding| !finding.suppressed);
        for finding in shown.filter(|finding| finding.kind.is_fault()) {
            let count = faults.entry(finding.process).or_default();
            *count = count.saturating_add(finding.count);
        }
        let order = tree(&self.processes).into_iter().take(PROCESSES_MAX);
        let row = |(index, branch): (usize, String)| {
            let process = &self.processes[index];
            let dash = || "–".to_owned();
            let (outcome, end) = match &process.outcome {
                Outcome::Ended(end) => {
                    let status = end.status.filter(|status| *status != 0);
                    let ended = status.map(|status| format!("exit status {status}"));
                    (ended.unwrap_or_else(|| "ended".to_owned()), Some(end))
                }
                Outcome::Replaced => ("called exec".to_owned(), None),
                Outcome::Cut => ("no exit handlers".to_owned(), None),
                Outcome::Running => ("still running".to_owned(), None),
            };
            let argv = process.argv.get(1..).unwrap_or_default().join(" ");
            ProcessRow {
                branch,
                name: escape_short(file_name(&process.exe), 80).into_owned(),
                argv: escape_short(&argv, 120).into_owned(),
                forked: process.forked,
                other_heap: process.other_heap,
                pid: process.pid,
                outcome,
                allocations: end.map_or_else(dash, |end| grouped(end.allocations)),
                live: end.map_or_else(dash, |end| size(end.live_bytes)),
                peak: end.map_or_else(dash, |end| size(end.peak_bytes)),
                findings: faults.get(&index).map_or_else(dash, |count| grouped(*count)),
            }
        };
        order.map(row).collect()
    }

    /// JSON that can stand in a page.
    fn data(&self, leaks: &[&Leak], growth: &[Growth], here: Option<&str>) -> io::Result<String> {
        let mut table = FrameTable { here, indices: HashMap::new(), frames: Vec::new() };
        let mut paths = Vec::new();
        for leak in leaks.iter().take(PATHS_MAX) {
            paths.push((leak.kind.name(), leak.count, leak.bytes, table.path(self, leak.stack)));
        }
        for kind in LeakKind::ALL {
            let mut amount = Amount::default();
            let rest = leaks.iter().skip(PATHS_MAX).filter(|leak| leak.kind == kind);
            rest.for_each(|leak| amount.add(leak));
            if amount != Amount::default() {
                let path =
                    vec![table.index(["[other places]".into(), String::new(), String::new()])];
                paths.push((kind.name(), amount.blocks, amount.bytes, path));
            }
        }
        let plots = growth.iter().flat_map(|process| &process.plots).map(|plot| &plot.data);
        let data = Data { frames: table.frames, paths, plots: plots.collect() };
        let text = serde_json::to_string(&data)?;
        // Nothing in it can end the element that it stands in.
        Ok(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
    }
}

/// The frames that call paths pass through, each once.
struct FrameTable<'a> {
    here: Option<&'a str>,
    indices: HashMap<[String; 3], usize>,
    frames: Vec<[String; 3]>,
}

impl FrameTable<'_> {
    fn index(&mut self, frame: [String; 3]) -> usize {
        let next = self.frames.len();
        let index = *self.indices.entry(frame.clone()).or_insert(next);
        if index == next {
            self.frames.push(frame);
        }
        index
    }

    fn path(&mut self, report: &Report, stack: StackId) -> Vec<usize> {
        let here = self.here;
        let shown = |frame: &Frame| {
            let module = escape(file_name(&frame.module)).into_owned();
            [function(frame), place(frame, here), module]
        };
        let mut path: Vec<usize> =
            report.shown_frames(stack).map(|frame| self.index(shown(frame))).collect();
        if path.is_empty() {
            let unknown = ["[no stack was recorded]".into(), String::new(), String::new()];
            path.push(self.index(unknown));
        }
        path
    }
}

fn rows(views: &mut Views<'_>, leaks: &[&Leak]) -> Vec<Row> {
    let largest = leaks.iter().map(|leak| leak.bytes).max().unwrap_or(0);
    let mut rows = Vec::new();
    for (index, leak) in leaks.iter().take(ROWS_MAX).enumerate() {
        let quoted = if index < QUOTED_ROWS { QUOTED_FRAMES } else { 0 };
        let stack = views.stack(leak.stack, quoted);
        let (mut function, place) = first_of(&stack);
        if leak.stack == StackId::NONE && leak.max == 0 {
            // The rest of its kind, of which only the sum is recorded.
            "not told apart by place".clone_into(&mut function);
        }
        rows.push(Row {
            kind: leak.kind.name(),
            rank: leak.kind as usize,
            bytes: leak.bytes,
            count: leak.count,
            max: leak.max,
            bytes_text: grouped(leak.bytes),
            count_text: grouped(leak.count),
            sizes: match (leak.min, leak.max) {
                (_, 0) => "–".to_owned(),
                (min, max) if min == max => grouped(max),
                (min, max) => format!("{} – {}", grouped(min), grouped(max)),
            },
            share: u64::try_from(u128::from(leak.bytes) * 100 / u128::from(largest.max(1)))
                .unwrap_or(100),
            function,
            place,
            notes: views.report.leak_notes(leak, views.here),
            dump: hex_dump(leak),
            stack,
        });
    }
    rows
}

/// The function and the place of the first frame that is shown.
fn first_of(stack: &StackView) -> (String, String) {
    match stack.shown.first() {
        Some(frame) => (frame.function.clone(), frame.place.clone()),
        None => ("no stack was recorded".to_owned(), String::new()),
    }
}

fn rows_rest(leaks: &[&Leak]) -> String {
    let mut amount = Amount::default();
    leaks.iter().skip(ROWS_MAX).for_each(|leak| amount.add(leak));
    if amount == Amount::default() {
        return String::new();
    }
    let places = counted((leaks.len() - ROWS_MAX) as u64, "other place");
    format!("{}, {}, from {places} not shown", counted(amount.blocks, "block"), bytes(amount.bytes))
}

/// How many of `count` things are not shown, if there are more than `max`.
fn rest(count: usize, max: usize, what: &str, why: &str) -> String {
    match count.saturating_sub(max) as u64 {
        0 => String::new(),
        more => format!("{} not shown; {why}.", counted(more, &format!("more {what}"))),
    }
}

fn verdict(totals: &Totals, shows_leaks: bool) -> String {
    let mut parts = Vec::new();
    if totals.findings > 0 {
        parts.push(counted(totals.findings, "finding"));
    }
    if shows_leaks && totals.lost.blocks > 0 {
        parts.push(format!("{} lost", counted(totals.lost.blocks, "block")));
    }
    if parts.is_empty() { "no findings".to_owned() } else { parts.join(", ") }
}

fn tiles(totals: &Totals, shows_leaks: bool) -> Vec<Tile> {
    let bad = |count: u64| if count > 0 { "bad" } else { "" };
    let hint = match totals.invalid_requests {
        0 => "wrong calls and damaged blocks".to_owned(),
        count => format!("and {}", counted(count, "absurd request")),
    };
    let mut tiles = vec![Tile {
        label: "Findings",
        value: grouped(totals.findings),
        hint,
        class: bad(totals.findings),
    }];
    if shows_leaks {
        let amounts = [
            ("Lost", totals.lost, bad(totals.lost.blocks)),
            ("Held by lost ones", totals.indirect, ""),
            ("Possibly lost", totals.possible, ""),
            ("Still reachable", totals.reachable, ""),
        ];
        for (label, amount, class) in amounts {
            if label == "Lost" || amount != Amount::default() {
                let hint = counted(amount.blocks, "block");
                tiles.push(Tile { label, value: size(amount.bytes), hint, class });
            }
        }
    }
    let allocations = counted(totals.allocations, "allocation");
    tiles.push(Tile {
        label: "Peak",
        value: size(totals.peak_bytes),
        hint: format!("{allocations} in all"),
        class: "",
    });
    tiles
}

/// The processes in the order of the tree that they make, each with the branches before its name.
fn tree(processes: &[Process]) -> Vec<(usize, String)> {
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (index, process) in processes.iter().enumerate() {
        // A later image of the same process is drawn below its parent, as the first one is.
        let parent = processes
            .iter()
            .position(|other| other.pid == process.ppid && other.pid != process.pid);
        children.entry(parent.filter(|parent| *parent != index)).or_default().push(index);
    }
    let mut order = Vec::with_capacity(processes.len());
    let mut seen = vec![false; processes.len()];
    let mut walk = |from: usize, order: &mut Vec<(usize, String)>| {
        // Index, and the columns of its ancestors; a stack, since records may nest without end.
        let mut open = vec![(from, String::new(), String::new())];
        while let Some((index, branch, below)) = open.pop() {
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            order.push((index, branch));
            let kids = children.get(&Some(index)).map_or(&[][..], Vec::as_slice);
            for (place, kid) in kids.iter().enumerate().rev() {
                let (branch, column) =
                    if place + 1 == kids.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
                open.push((*kid, format!("{below}{branch}"), format!("{below}{column}")));
            }
        }
    };
    for root in children.get(&None).cloned().unwrap_or_default() {
        walk(root, &mut order);
    }
    // Parents that are each other's children exist in damaged records only.
    for index in 0..processes.len() {
        walk(index, &mut order);
    }
    order
}

/// As the policy in the page's head names a script or a style.
fn hash(text: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(text))
}

/// `2026-03-01 17:20:05` of milliseconds since 1970. Days to dates as in Howard Hinnant's
/// "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn date(ms: u64) -> String {
    let (days, seconds) = (ms / 86_400_000, ms / 1_000 % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{:02}", seconds % 60)
}
