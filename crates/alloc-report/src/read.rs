//! Reads a directory of record files. Whatever stands in them, the reader neither panics nor takes
//! more memory than a small multiple of what it reads; what it cannot read it counts.

mod figures;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::model::{
    Block, Finding, Frame, Kind, Leak, LeakKind, Live, Mapping, Module, Outcome, Process, RawFrame,
    Snapshot, StackId,
};
use crate::record::{self, Line};
use crate::{Amount, Report};

/// The most bytes that are read of one file: some ten million findings.
const FILE_LEN_MAX: u64 = 1 << 30;
/// The most bytes of one line; longer ones are passed over and counted.
const LINE_LEN_MAX: usize = 1 << 20;
/// The most frames kept of one stack, innermost first.
const FRAMES_MAX: usize = 1024;
/// The most different notes that are kept.
const NOTES_MAX: usize = 256;

/// The most stacks kept of a cycle, and bytes of a dump.
const CYCLE_MAX: usize = 16;
const DUMP_LEN_MAX: usize = 4096;

/// One record file by name.
struct RecordFile {
    pid: i32,
    /// Which of the images that had this pid.
    image: u32,
    path: PathBuf,
}

/// Joins the records of many processes into one report.
#[derive(Default)]
pub(crate) struct Reader {
    report: Report,
    modules: HashMap<Module, u32>,
    addresses: HashMap<RawFrame, u32>,
    stacks: HashMap<Box<[u32]>, StackId>,
    findings: HashMap<(Kind, [StackId; 3], String), usize>,
    leaks: HashMap<(LeakKind, StackId, String, StackId), usize>,
    notes: HashMap<String, usize>,
}

/// The ids that mean something within one file.
struct Ids {
    process: usize,
    modules: HashMap<i64, u32>,
    /// Where each of them was mapped in this process.
    mappings: Vec<(u32, Mapping)>,
    stacks: HashMap<u64, StackId>,
    /// The leaks of the file so far, as in [`LeakKind::ALL`].
    leaks: [Amount; 4],
    /// For each finding of the file so far its index in the report, and how often that line counts.
    findings: Vec<(usize, u64)>,
    /// By id, an index into the report's.
    snapshots: HashMap<u64, usize>,
    /// What the last search for leaks before the end has found.
    found_before: (u64, Vec<Leak>),
    started: bool,
}

/// Reads every record file in each of `dirs`.
pub(crate) fn read_dirs(dirs: &[&Path]) -> io::Result<Report> {
    let mut reader = Reader::default();
    reader.intern_stack(Vec::new());
    for dir in dirs {
        let dir = &std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
        let files = record_files(dir)?;
        let first = reader.report.processes.len();
        for (index, file) in files.iter().enumerate() {
            let replaced = files.get(index + 1).is_some_and(|next| next.pid == file.pid);
            let missing_end = if replaced {
                Outcome::Replaced
            } else if is_running(file.pid, dir) {
                Outcome::Running
            } else {
                Outcome::Cut
            };
            reader.read_file(file, missing_end)?;
            // An image that has ended is not replaced by exec: what comes after it is of the same.
            if let [.., one, other] = &mut reader.report.processes[first..] {
                other.other_heap = one.pid == other.pid && matches!(one.outcome, Outcome::Ended(_));
            }
        }
    }
    let mut report = reader.report;
    let unresolved = |raw: &RawFrame| {
        let module = raw.module.map(|module| &report.modules[module as usize]);
        vec![Frame::unresolved(module, raw.addr)]
    };
    report.frames = report.addresses.iter().map(unresolved).collect();
    // Which frames will be shown is not known yet: only what is the same in all of them is one now.
    report.shows_all_frames = true;
    report.join_equal();
    report.shows_all_frames = false;
    Ok(report)
}

/// The record files in `dir`, by process and image.
fn record_files(dir: &Path) -> io::Result<Vec<RecordFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Some((pid, image)) = entry.file_name().to_str().and_then(parse_name) else { continue };
        files.push(RecordFile { pid, image, path: entry.path() });
    }
    files.sort_by_key(|file| (file.pid, file.image));
    Ok(files)
}

/// The pid and the image number in `<pid>-<k>.jsonl`.
fn parse_name(name: &str) -> Option<(i32, u32)> {
    let (pid, image) = name.strip_suffix(".jsonl")?.split_once('-')?;
    Some((pid.parse().ok().filter(|pid| *pid > 0)?, image.parse().ok()?))
}

/// Whether process `pid` is alive and was told to write its records to `dir`; a pid may have been
/// given to a stranger meanwhile, or belong to another pid namespace.
fn is_running(pid: i32, dir: &Path) -> bool {
    let Ok(environ) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    let wanted = [b"ALLOC_GPA_RECORDS=", dir.as_os_str().as_encoded_bytes()].concat();
    environ.split(|byte| *byte == 0).any(|entry| entry == wanted)
}

impl Reader {
    fn read_file(&mut self, file: &RecordFile, missing_end: Outcome) -> io::Result<()> {
        let opened = match open_regular(&file.path) {
            Ok(opened) => opened,
            Err(error) => {
                self.report.unreadable.push(format!("{}: {error}", file.path.display()));
                return Ok(());
            }
        };
        self.report.processes.push(Process {
            pid: file.pid,
            ppid: 0,
            exe: String::new(),
            argv: Vec::new(),
            strategy: String::new(),
            forked: false,
            other_heap: false,
            outcome: missing_end,
            samples: Vec::new(),
            classes: Vec::new(),
            tags: Vec::new(),
        });
        let mut ids = Ids {
            process: self.report.processes.len() - 1,
            modules: HashMap::new(),
            mappings: Vec::new(),
            stacks: HashMap::from([(0, StackId::NONE)]),
            leaks: Default::default(),
            findings: Vec::new(),
            snapshots: HashMap::new(),
            found_before: (0, Vec::new()),
            started: false,
        };
        let mut lines = BufReader::with_capacity(1 << 16, opened.take(FILE_LEN_MAX));
        let mut line = Vec::new();
        loop {
            match next_line(&mut lines, &mut line)? {
                Next::Line => match serde_json::from_slice(&line) {
                    Ok(parsed) => self.take(&mut ids, parsed, file)?,
                    Err(_) => self.report.malformed_lines += 1,
                },
                // A process that was killed while it wrote leaves half a line: no damage.
                Next::Partial => {
                    if let Ok(parsed) = serde_json::from_slice(&line) {
                        self.take(&mut ids, parsed, file)?;
                    }
                }
                Next::TooLong => self.report.malformed_lines += 1,
                Next::End => break,
            }
        }
        if !matches!(self.report.processes[ids.process].outcome, Outcome::Ended(_)) {
            self.count_found_before(&mut ids);
        }
        if lines.into_inner().limit() == 0 {
            self.report.unreadable.push(format!(
                "{}: longer than {FILE_LEN_MAX} bytes, the rest was not read",
                file.path.display()
            ));
        }
        Ok(())
    }

    fn take(&mut self, ids: &mut Ids, line: Line, file: &RecordFile) -> io::Result<()> {
        if !ids.started && !matches!(line, Line::Start(_)) {
            self.report.malformed_lines += 1;
            return Ok(());
        }
        match line {
            Line::Start(start) if start.v != record::VERSION => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "{}: version {} of the records; this reader knows version {}",
                        file.path.display(),
                        start.v,
                        record::VERSION
                    ),
                ));
            }
            Line::Start(start) => {
                ids.started = true;
                let process = &mut self.report.processes[ids.process];
                process.pid = start.pid;
                process.ppid = start.ppid;
                process.exe = start.exe;
                process.argv = start.argv;
                process.strategy = start.strategy;
                process.forked = start.forked;
            }
            Line::Module(module) => {
                let known = Module { path: module.path, build_id: module.build_id };
                let mapping = Mapping { start: module.start, end: module.end, bias: module.bias };
                let index = self.intern_module(known, mapping);
                ids.modules.insert(module.id, index);
                ids.mappings.push((index, mapping));
            }
            Line::Stack(stack) => {
                let stack_id = self.intern_frames(ids, &stack.frames);
                ids.stacks.insert(stack.id, stack_id);
            }
            Line::Finding(finding) => self.add_finding(ids, finding),
            Line::Repeat(repeat) => self.add_repeat(ids, &repeat),
            Line::Leak(leak) => {
                if let Some(leak) = self.leak(ids, leak) {
                    ids.leaks[leak.kind as usize].add(&leak);
                    self.add_leak(leak);
                }
            }
            Line::LeakAt(found) => self.find_before(ids, found),
            Line::Snapshot(snapshot) => self.add_snapshot(ids, snapshot),
            Line::Live(live) => self.add_live(ids, &live),
            Line::Sample(sample) => self.add_sample(ids, &sample),
            Line::Class(class) => self.add_class(ids, class),
            Line::Tag(tag) => self.add_tag(ids, tag),
            Line::Note(note) => self.add_note(note.text),
            Line::End(end) => {
                self.add_ungrouped(ids, &end);
                self.report.processes[ids.process].outcome = figures::ended(&end);
            }
            Line::Unknown => {}
        }
        Ok(())
    }

    fn intern_module(&mut self, module: Module, mapping: Mapping) -> u32 {
        if let Some(index) = self.modules.get(&module) {
            return *index;
        }
        let index = index_u32(self.report.modules.len());
        self.report.modules.push(module.clone());
        self.report.mappings.push(mapping);
        self.modules.insert(module, index);
        index
    }

    fn intern_frames(&mut self, ids: &Ids, frames: &[(i64, u64)]) -> StackId {
        let mut addresses = Vec::with_capacity(frames.len().min(FRAMES_MAX));
        for (module, addr) in frames.iter().take(FRAMES_MAX) {
            let raw = RawFrame { module: ids.modules.get(module).copied(), addr: *addr };
            let next = index_u32(self.report.addresses.len());
            let index = *self.addresses.entry(raw).or_insert(next);
            if index == next {
                self.report.addresses.push(raw);
            }
            addresses.push(index);
        }
        self.intern_stack(addresses)
    }

    fn intern_stack(&mut self, addresses: Vec<u32>) -> StackId {
        let addresses = addresses.into_boxed_slice();
        if let Some(id) = self.stacks.get(&addresses) {
            return *id;
        }
        let id = StackId(index_u32(self.report.stacks.len()));
        self.report.stacks.push(addresses.clone());
        self.stacks.insert(addresses, id);
        id
    }

    fn add_finding(&mut self, ids: &mut Ids, finding: record::Finding) {
        let stack = |id| ids.stacks.get(&id).copied().unwrap_or(StackId::NONE);
        let place = place_of(ids, finding.addr).filter(|_| finding.block.is_none());
        let found = Finding {
            kind: Kind::from_name(&finding.kind),
            addr: finding.addr,
            offset: finding.offset,
            block: finding.block.map(|block| Block {
                addr: block.addr,
                size: block.size,
                align: block.align,
            }),
            size: finding.size,
            align: finding.align,
            thread: finding.thread,
            tid: finding.tid,
            here: stack(finding.here),
            allocated: stack(finding.allocated),
            freed: stack(finding.freed),
            tag: finding.tag,
            place,
            global: String::new(),
            detail: finding.detail,
            count: finding.count,
            process: ids.process,
            suppressed: false,
        };
        let next = self.report.findings.len();
        let index = *self.findings.entry(found.key()).or_insert(next);
        ids.findings.push((index, found.count));
        match self.report.findings.get_mut(index) {
            Some(known) => known.count = known.count.saturating_add(found.count),
            None => self.report.findings.push(found),
        }
    }

    fn add_repeat(&mut self, ids: &Ids, repeat: &record::Repeat) {
        match ids.findings.get(repeat.finding) {
            Some((index, counted)) => {
                let more = repeat.count.saturating_sub(*counted);
                let finding = &mut self.report.findings[*index];
                finding.count = finding.count.saturating_add(more);
            }
            None => self.report.malformed_lines += 1,
        }
    }

    fn leak(&mut self, ids: &Ids, leak: record::Leak) -> Option<Leak> {
        let stack = |id| ids.stacks.get(&id).copied().unwrap_or(StackId::NONE);
        let Some(kind) = LeakKind::from_name(&leak.kind) else {
            self.report.malformed_lines += 1;
            return None;
        };
        Some(Leak {
            kind,
            stack: stack(leak.stack),
            count: leak.count,
            bytes: leak.bytes,
            min: leak.min,
            max: leak.max,
            tag: leak.tag,
            holder: stack(leak.holder),
            cycle: leak.cycle.into_iter().take(CYCLE_MAX).map(stack).collect(),
            addr: leak.addr,
            dump: parse_dump(&leak.dump),
            suppressed: false,
        })
    }

    /// Keeps what the last search before the end found: it counts if there is no end.
    fn find_before(&mut self, ids: &mut Ids, found: record::LeakAt) {
        if let Some(leak) = self.leak(ids, found.leak) {
            if ids.found_before.0 != found.snapshot {
                ids.found_before = (found.snapshot, Vec::new());
            }
            ids.found_before.1.push(leak);
        }
    }

    /// A process that never came to its end is counted by its last search.
    fn count_found_before(&mut self, ids: &mut Ids) {
        let found = std::mem::take(&mut ids.found_before.1);
        if !found.is_empty() {
            let pid = self.report.processes[ids.process].pid;
            self.add_note(format!(
                "leaks: those of process {pid} are of its last search, not of its end"
            ));
            found.into_iter().for_each(|leak| self.add_leak(leak));
        }
    }

    fn add_snapshot(&mut self, ids: &mut Ids, snapshot: record::Snapshot) {
        ids.snapshots.insert(snapshot.id, self.report.snapshots.len());
        self.report.snapshots.push(Snapshot {
            process: ids.process,
            id: snapshot.id,
            ms: snapshot.ms,
            why: snapshot.why,
            live_blocks: snapshot.live_blocks,
            live_bytes: snapshot.live_bytes,
            allocations: snapshot.allocations,
            complete: snapshot.complete,
            live: Vec::new(),
        });
    }

    fn add_live(&mut self, ids: &Ids, live: &record::Live) {
        let Some(snapshot) = ids.snapshots.get(&live.snapshot) else {
            self.report.malformed_lines += 1;
            return;
        };
        self.report.snapshots[*snapshot].live.push(Live {
            stack: ids.stacks.get(&live.stack).copied().unwrap_or(StackId::NONE),
            blocks: live.blocks,
            bytes: live.bytes,
            total_blocks: live.total_blocks,
            total_bytes: live.total_bytes,
        });
    }

    fn add_leak(&mut self, leak: Leak) {
        let next = self.report.leaks.len();
        let index = *self.leaks.entry(leak.key()).or_insert(next);
        match self.report.leaks.get_mut(index) {
            Some(known) => known.join(&leak),
            None => self.report.leaks.push(leak),
        }
    }

    /// A process that cannot tell all places apart says at its end how many blocks there are: the rest
    /// is of no known place.
    fn add_ungrouped(&mut self, ids: &Ids, end: &record::End) {
        let totals = [
            (end.lost_blocks, end.lost_bytes),
            (end.indirect_blocks, end.indirect_bytes),
            (end.possible_blocks, end.possible_bytes),
            (end.reachable_blocks, end.reachable_bytes),
        ];
        for ((kind, (blocks, bytes)), seen) in LeakKind::ALL.into_iter().zip(totals).zip(ids.leaks)
        {
            let count = blocks.saturating_sub(seen.blocks);
            let bytes = bytes.saturating_sub(seen.bytes);
            if count > 0 {
                self.add_leak(Leak {
                    kind,
                    stack: StackId::NONE,
                    count,
                    bytes,
                    min: 0,
                    max: 0,
                    tag: String::new(),
                    holder: StackId::NONE,
                    cycle: Vec::new(),
                    addr: 0,
                    dump: Vec::new(),
                    suppressed: false,
                });
            }
        }
    }

    fn add_note(&mut self, text: String) {
        if let Some(index) = self.notes.get(&text) {
            self.report.notes[*index].1 += 1;
        } else if self.report.notes.len() < NOTES_MAX {
            self.report.notes.push((text.clone(), 1));
            self.notes.insert(text, self.report.notes.len() - 1);
        } else {
            self.report.notes_dropped += 1;
        }
    }
}

/// Where in a module an address of the process lies: in the one that was mapped there last.
fn place_of(ids: &Ids, addr: u64) -> Option<RawFrame> {
    let holds = |mapping: &Mapping| mapping.start <= addr && addr < mapping.end;
    let (module, mapping) = ids.mappings.iter().rev().find(|(_, mapping)| holds(mapping))?;
    Some(RawFrame { module: Some(*module), addr: addr.wrapping_sub(mapping.bias) })
}

/// Bytes written as two hexadecimal digits each, up to what is none.
fn parse_dump(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2).take(DUMP_LEN_MAX);
    pairs.map_while(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Indices are 32 bits: a file of [`FILE_LEN_MAX`] bytes holds fewer stacks.
fn index_u32(len: usize) -> u32 {
    u32::try_from(len).expect("fewer than 2^32 stacks fit into memory")
}

/// Opens `path` if it is a regular file, without following a link and without waiting.
fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

enum Next {
    /// A whole line.
    Line,
    /// The file ends without a newline.
    Partial,
    /// A line above [`LINE_LEN_MAX`], passed over.
    TooLong,
    End,
}

/// Reads the next line, without its newline, into `line`.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Next> {
    line.clear();
    let limit = LINE_LEN_MAX as u64 + 1;
    input.by_ref().take(limit).read_until(b'\n', line)?;
    if line.is_empty() {
        return Ok(Next::End);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Next::Line);
    }
    if line.len() <= LINE_LEN_MAX {
        return Ok(Next::Partial);
    }
    input.skip_until(b'\n')?;
    Ok(Next::TooLong)
}
