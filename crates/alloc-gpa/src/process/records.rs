//! The record file of a process: see `docs/design/records.md`.

use core::ffi::{CStr, c_int};
use core::fmt::Write;

use super::line::Line;
use super::set::IdSet;
use crate::finding::Finding;
use crate::heap::{Kept, Stats};
use crate::leaks::{Group, Key, LeakKind, Totals};
use crate::stack::modules::{self, ModuleRef};
use crate::stack::{self, StackId, Trace};
use crate::sys::mapped::Mapped;
use crate::sys::{self, peek};

/// Longest path of the directory in bytes.
pub(super) const DIR_LEN_MAX: usize = 4000;
/// Longest line: `start` with a path and 16 arguments, each byte written as six.
pub(super) const LINE_LEN_MAX: usize = 64 << 10;
/// Room for what a line is made of.
pub(super) const SCRATCH_LEN: usize = 64 << 10;
/// Findings that one process writes; what comes later is counted in a note.
const FINDING_COUNT_MAX: u64 = 10_000;
/// Arguments of the command line in `start`, and bytes of each.
const ARG_COUNT_MAX: usize = 16;
const ARG_LEN_MAX: usize = 256;
const PATH_LEN_MAX: usize = 4096;
/// Bytes of the name of a part of the program.
pub(super) const TAG_LEN_MAX: usize = 256;
/// The descriptor is moved up there, out of the way of programs that count on the lowest ones.
const DESCRIPTORS_HIGH: [c_int; 3] = [900, 200, 50];
/// Images of one process id that are told apart.
const IMAGE_COUNT_MAX: u32 = 100_000;

/// Kind and stacks of a finding.
type FindingKey = [u32; 4];

/// The file, open or to be opened.
pub(super) struct Records {
    dir: [u8; DIR_LEN_MAX],
    /// 0: no records are asked for.
    dir_len: usize,
    file: Option<File>,
    /// The error with which the file of this process could not be made, or 0.
    refused: c_int,
    /// The file of another process that uses this memory: of the parent of a `vfork`, which goes on
    /// with it when its child is done.
    other: Option<File>,
    stacks: IdSet,
    modules: IdSet,
    findings: u64,
    /// What tells the first findings of the file apart: kind and stacks, in their order.
    keys: Option<Mapped<FindingKey>>,
    /// Who hands out the process's memory, as `start` says it.
    strategy: &'static str,
}

/// An open record file.
#[derive(Clone, Copy)]
struct File {
    descriptor: c_int,
    /// What the descriptor must still lead to.
    identity: (u64, u64),
    pid: c_int,
    image: u32,
}

/// The buffers that lines are made in.
pub(super) struct Buffers<'b> {
    pub(super) line: &'b mut [u8],
    pub(super) scratch: &'b mut [u8],
}

/// What the last line says.
pub(super) struct End<'e> {
    pub(super) stats: Stats,
    pub(super) live: crate::LeakTotals,
    pub(super) kept: Kept,
    pub(super) findings: u64,
    pub(super) counted: &'static str,
    pub(super) totals: Option<&'e Totals>,
    pub(super) status: c_int,
}

impl End<'_> {
    /// Nothing was counted, and the status is not known yet.
    pub(super) const UNCHECKED: Self = Self {
        stats: Stats { allocations: 0, frees: 0, live_bytes: 0, peak_bytes: 0, total_bytes: 0 },
        live: crate::LeakTotals { count: 0, bytes: 0 },
        kept: Kept { live: 0, in_use: 0, retired: 0, stock: 0, records: 0 },
        findings: 0,
        counted: "none",
        totals: None,
        status: -1,
    };
}

impl Records {
    pub(super) const fn new() -> Self {
        Self {
            dir: [0; DIR_LEN_MAX],
            dir_len: 0,
            file: None,
            refused: 0,
            other: None,
            strategy: "gpa",
            stacks: IdSet::new(),
            modules: IdSet::new(),
            findings: 0,
            keys: None,
        }
    }

    /// The place where the directory's path is put.
    pub(super) fn dir_mut(&mut self) -> &mut [u8; DIR_LEN_MAX] {
        &mut self.dir
    }

    /// Sets how long the path in `dir_mut` is.
    pub(super) fn set_dir_len(&mut self, len: usize) {
        self.dir_len = len;
    }

    /// Whether records are asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.dir_len != 0
    }

    /// Opens the file of this process and writes its first line, unless it is open.
    pub(super) fn open(&mut self, buffers: &mut Buffers<'_>) -> bool {
        // SAFETY: no preconditions. Asked each time: a child that was forked without handlers has
        // its parent's file.
        let pid = unsafe { libc::getpid() };
        if !self.is_wanted() || self.file.is_some_and(|file| file.pid == pid) {
            return self.file.is_some();
        }
        let parents = self.file.take();
        let other = self.other.take();
        let mine = other.filter(|other| other.pid == pid);
        if let Some(parents) = parents
            && mine.is_none()
            && identity(parents.descriptor) == Some(parents.identity)
        {
            // The child's copy of the descriptor; after a `vfork` too.
            peek::close(parents.descriptor);
        }
        // A child that could make no file tries once more: its parent's is still there.
        self.other = parents.or(other.filter(|other| other.pid != pid));
        self.stacks.clear();
        self.modules.clear();
        self.findings = 0;
        self.file = mine;
        self.refused = 0;
        if mine.is_none() {
            match self.create(pid) {
                Ok(file) => {
                    self.file = Some(file);
                    self.write_start(buffers, parents.is_some());
                }
                Err(error) => self.refused = error,
            }
        }
        self.file.is_some()
    }

    /// Returns the error with which the file could not be made, if that was tried last.
    pub(super) fn refused(&self) -> Option<c_int> {
        Some(self.refused).filter(|error| *error != 0)
    }

    /// The directory, as the variable names it.
    pub(super) fn dir(&self) -> &[u8] {
        &self.dir[..self.dir_len]
    }

    /// Forgets the file of another process: after a fork, memory is no longer shared.
    pub(super) fn forget_other(&mut self) {
        self.other = None;
    }

    /// Whether another process may be using this memory.
    pub(super) fn has_other(&self) -> bool {
        self.other.is_some()
    }

    /// Creates the file with the first number that is free.
    fn create(&self, pid: c_int) -> Result<File, c_int> {
        for image in 0..IMAGE_COUNT_MAX {
            let flags = libc::O_CREAT | libc::O_EXCL;
            match self.open_image(pid, image, flags) {
                Ok(descriptor) => {
                    let descriptor = move_up(descriptor);
                    let identity = identity(descriptor).ok_or(libc::EIO)?;
                    return Ok(File { descriptor, identity, pid, image });
                }
                Err(libc::EEXIST) => {}
                Err(error) => return Err(error),
            }
        }
        Err(libc::EEXIST)
    }

    fn open_image(&self, pid: c_int, image: u32, flags: c_int) -> Result<c_int, c_int> {
        let mut path = [0; DIR_LEN_MAX + 64];
        let mut line = Line::new(&mut path);
        line.raw(&self.dir[..self.dir_len]);
        // The buffer has room for it.
        let _ = write!(line, "/{pid}-{image}.jsonl\0");
        let Ok(path) = CStr::from_bytes_with_nul(line.as_bytes()) else { return Err(libc::EINVAL) };
        let flags = flags | libc::O_WRONLY | libc::O_APPEND | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: `openat` takes a directory, a C string that lives across the call, flags, a mode.
        let file =
            unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o600) };
        c_int::try_from(file).ok().filter(|file| 0 <= *file).ok_or_else(sys::errno::get)
    }

    /// Writes a line to the file, which is opened again if the program closed its descriptor.
    pub(super) fn write(&mut self, line: &[u8]) {
        let Some(file) = &mut self.file else { return };
        if identity(file.descriptor) != Some(file.identity) {
            let (pid, image, wanted) = (file.pid, file.image, file.identity);
            self.file = self.open_image(pid, image, 0).ok().map(move_up).and_then(|descriptor| {
                let found = identity(descriptor);
                if found != Some(wanted) {
                    peek::close(descriptor);
                }
                found.filter(|found| *found == wanted).map(|identity| File {
                    descriptor,
                    identity,
                    pid,
                    image,
                })
            });
        }
        if let Some(file) = self.file.filter(|file| may_grow(file.descriptor, line.len())) {
            sys::write_all(file.descriptor, line);
        }
    }

    /// Says that the C library hands out the process's memory; before the file is opened.
    pub(super) fn set_unchecked(&mut self) {
        self.strategy = "c";
    }

    fn write_start(&mut self, buffers: &mut Buffers<'_>, forked: bool) {
        let mut line = Line::object(buffers.line, "start");
        line.number("v", 1);
        // SAFETY: no preconditions.
        line.number("pid", unsafe { libc::getpid() });
        // SAFETY: no preconditions.
        line.number("ppid", unsafe { libc::getppid() });
        // SAFETY: a C string, and a buffer of that length.
        let len = unsafe {
            libc::syscall(
                libc::SYS_readlinkat,
                libc::AT_FDCWD,
                c"/proc/self/exe".as_ptr(),
                buffers.scratch.as_mut_ptr(),
                PATH_LEN_MAX,
            )
        };
        line.text("exe", &buffers.scratch[..usize::try_from(len).unwrap_or(0)]);
        line.key("argv");
        line.raw(b"[");
        let args = read_file(c"/proc/self/cmdline", buffers.scratch);
        let args = args.strip_suffix(b"\0").unwrap_or(args);
        for (index, arg) in args.split(|byte| *byte == 0).take(ARG_COUNT_MAX).enumerate() {
            if index != 0 {
                line.raw(b",");
            }
            line.string(&arg[..arg.len().min(ARG_LEN_MAX)]);
        }
        line.raw(b"]");
        line.text("strategy", self.strategy.as_bytes());
        line.number("forked", forked);
        line.end();
        self.write(line.as_bytes());
    }

    /// Writes the stack, and the modules that its frames lie in, unless they were written.
    pub(super) fn write_stack(&mut self, id: StackId, buffers: &mut Buffers<'_>) {
        let mut trace = Trace::new();
        if !self.stacks.insert(id.get()) || !stack::depot().get(id, &mut trace) {
            return;
        }
        for pc in trace.as_slice() {
            if let Some(module) = modules::lookup(pc.wrapping_sub(1)) {
                self.write_module(&module, buffers);
            }
        }
        let mut line = Line::object(buffers.line, "stack");
        line.number("id", id.get());
        line.key("frames");
        for (index, pc) in trace.as_slice().iter().enumerate() {
            line.raw(if index == 0 { b"[" } else { b"," });
            // The buffer has room for all frames of a trace.
            let _ = match modules::lookup(pc.wrapping_sub(1)) {
                Some(module) => write!(line, "[{},{}]", module.id, pc.wrapping_sub(module.bias)),
                None => write!(line, "[-1,{pc}]"),
            };
        }
        line.raw(b"]");
        line.end();
        self.write(line.as_bytes());
    }

    fn write_module(&mut self, module: &ModuleRef, buffers: &mut Buffers<'_>) {
        if !self.modules.insert(module.id.wrapping_add(1)) {
            return;
        }
        let mut line = Line::object(buffers.line, "module");
        line.number("id", module.id);
        line.text("path", &module.path[..module.path.len().min(PATH_LEN_MAX)]);
        line.number("start", module.start);
        line.number("end", module.end);
        line.number("bias", module.bias);
        line.key("build_id");
        line.raw(b"\"");
        for byte in module.build_id {
            // The buffer has room for it.
            let _ = write!(line, "{byte:02x}");
        }
        line.raw(b"\"");
        line.end();
        self.write(line.as_bytes());
    }

    /// Writes a finding with its stacks.
    pub(super) fn write_finding(&mut self, finding: &Finding, buffers: &mut Buffers<'_>) {
        self.findings += 1;
        if FINDING_COUNT_MAX < self.findings {
            if self.findings == FINDING_COUNT_MAX + 1 {
                self.write_note(
                    "degraded: more findings than are recorded of one process",
                    buffers,
                );
            }
            return;
        }
        self.keys = self.keys.take().or_else(|| Mapped::new(FINDING_COUNT_MAX as usize));
        let index = self.findings as usize - 1;
        if let Some(key) = self.keys.as_mut().and_then(|keys| keys.get_mut(index)) {
            *key = key_of(finding);
        }
        for stack in [finding.here, finding.allocated, finding.freed] {
            self.write_stack(stack, buffers);
        }
        if finding.block.is_none()
            && let Some(module) = modules::lookup(finding.addr)
        {
            // Whose variable it is can be looked up there.
            self.write_module(&module, buffers);
        }
        let mut line = Line::object(buffers.line, "finding");
        line.text("kind", finding.kind.name().as_bytes());
        line.number("addr", finding.addr);
        line.number("offset", finding.offset);
        line.key("block");
        match finding.block {
            Some(block) => {
                // The buffer has room for it.
                let _ = write!(
                    line,
                    "{{\"addr\":{},\"size\":{},\"align\":{}}}",
                    block.addr, block.size, block.align
                );
            }
            None => line.raw(b"null"),
        }
        let (size, align) = finding.claimed.unwrap_or((0, 0));
        line.number("size", size);
        line.number("align", align);
        let name = finding.thread.name.split(|byte| *byte == 0).next().unwrap_or_default();
        line.text("thread", name);
        line.number("tid", finding.thread.id);
        line.number("here", finding.here.get());
        line.number("allocated", finding.allocated.get());
        line.number("freed", finding.freed.get());
        if let Some(name) = finding.tag {
            line.text("tag", &name.as_bytes()[..name.len().min(TAG_LEN_MAX)]);
        }
        line.text("detail", finding.detail.as_str().as_bytes());
        line.number("count", finding.count);
        line.end();
        self.write(line.as_bytes());
    }

    /// Returns which line with a finding tells this one, 0 for the first.
    pub(super) fn finding_line(&self, finding: &Finding) -> Option<usize> {
        let keys = &self.keys.as_ref()?[..];
        let count = keys.len().min(self.findings as usize);
        keys[..count].iter().position(|key| *key == key_of(finding))
    }

    /// Writes the blocks that one place leaked, with `dump` bytes of the largest; before the end of
    /// the process with the number of a `snapshot`.
    pub(super) fn write_leak(
        &mut self,
        snapshot: Option<u64>,
        group: &Group,
        cycle: &[u32],
        dump: u16,
        buffers: &mut Buffers<'_>,
    ) {
        let Key { kind, stack, tag, holder } = group.key;
        for stack in cycle.iter().chain(&[stack, holder]) {
            self.write_stack(StackId::from_raw(*stack), buffers);
        }
        let kind_of_line = if snapshot.is_some() { "leak_at" } else { "leak" };
        let mut line = Line::object(buffers.line, kind_of_line);
        if let Some(snapshot) = snapshot {
            line.number("snapshot", snapshot);
        }
        line.text("kind", kind.name().as_bytes());
        line.number("stack", stack);
        line.number("count", group.count);
        line.number("bytes", group.bytes);
        line.number("min", group.min);
        line.number("max", group.max);
        if let Some(name) = tag.name() {
            line.text("tag", &name.as_bytes()[..name.len().min(TAG_LEN_MAX)]);
        }
        if kind == LeakKind::Indirect {
            line.number("holder", holder);
        }
        if !cycle.is_empty() {
            line.key("cycle");
            for (index, stack) in cycle.iter().enumerate() {
                line.raw(if index == 0 { b"[" } else { b"," });
                // The buffer has room for it.
                let _ = write!(line, "{stack}");
            }
            line.raw(b"]");
        }
        line.number("addr", group.largest());
        let bytes = &mut buffers.scratch[..usize::from(dump).min(group.max as usize)];
        if !bytes.is_empty() && peek::read(group.largest(), bytes) {
            line.key("dump");
            line.raw(b"\"");
            for byte in bytes {
                // As above.
                let _ = write!(line, "{byte:02x}");
            }
            line.raw(b"\"");
        }
        line.end();
        self.write(line.as_bytes());
    }

    /// Writes what had to be given up.
    pub(super) fn write_note(&mut self, text: &str, buffers: &mut Buffers<'_>) {
        let mut line = Line::object(buffers.line, "note");
        line.text("text", text.as_bytes());
        line.end();
        self.write(line.as_bytes());
    }

    /// Writes the last line.
    pub(super) fn write_end(&mut self, end: &End<'_>, buffers: &mut Buffers<'_>) {
        let mut line = Line::object(buffers.line, "end");
        line.number("allocations", end.stats.allocations);
        line.number("frees", end.stats.frees);
        line.number("live_blocks", end.live.count);
        line.number("live_bytes", end.live.bytes);
        line.number("peak_bytes", end.stats.peak_bytes);
        line.number("total_bytes", end.stats.total_bytes);
        line.number("findings", end.findings);
        line.text("leaks_counted", end.counted.as_bytes());
        let Kept { in_use, retired, stock, records, .. } = end.kept;
        line.key("kept");
        // The buffer has room for it.
        let _ = write!(
            line,
            "{{\"in_use\":{in_use},\"retired\":{retired},\"stock\":{stock},\"records\":{records}}}"
        );
        if let Some(totals) = end.totals {
            for (name, sum) in totals.each() {
                let mut key = [0; 32];
                let mut key = Line::new(&mut key);
                key.raw(name.as_bytes());
                let stem = key.as_bytes().len();
                for (suffix, value) in [("_blocks", sum.count), ("_bytes", sum.bytes)] {
                    key.truncate(stem);
                    key.raw(suffix.as_bytes());
                    line.number(core::str::from_utf8(key.as_bytes()).unwrap_or_default(), value);
                }
            }
        }
        let captures = stack::counts();
        line.number("stacks_recalled", captures.recalled);
        line.number("stacks_walked", captures.walked);
        let rules = stack::modules::RULES.stats();
        line.number("rule_lookups", captures.steps);
        line.number("rule_misses", rules.misses);
        line.number("rule_evictions", rules.evictions);
        line.number("status", end.status);
        line.end();
        self.write(line.as_bytes());
    }
}

/// What tells findings apart: never all zero.
fn key_of(finding: &Finding) -> FindingKey {
    let stacks = [finding.here, finding.allocated, finding.freed].map(StackId::get);
    [finding.kind as u32 + 1, stacks[0], stacks[1], stacks[2]]
}

/// Whether a file may become so much longer: beyond RLIMIT_FSIZE a write is answered by SIGXFSZ, which
/// kills.
fn may_grow(descriptor: c_int, len: usize) -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes one `rlimit`, for which there is room.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } == 0;
    if !known || limit.rlim_cur == libc::RLIM_INFINITY {
        return true;
    }
    // SAFETY: no preconditions; the file is written at its end only, so its position is of no use.
    let size = unsafe { libc::lseek(descriptor, 0, libc::SEEK_END) };
    u64::try_from(size).is_ok_and(|size| size.saturating_add(len as u64) <= limit.rlim_cur)
}

/// Returns device and inode of an open file.
fn identity(descriptor: c_int) -> Option<(u64, u64)> {
    let mut stat = core::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the call writes one `stat`, for which there is room.
    let result = unsafe { libc::fstat(descriptor, stat.as_mut_ptr()) };
    // SAFETY: zero bytes are a valid `stat`, written over or not.
    let stat = unsafe { stat.assume_init() };
    (result == 0).then_some((stat.st_dev, stat.st_ino))
}

/// Moves an open file to a high descriptor, if there may be one.
fn move_up(descriptor: c_int) -> c_int {
    for high in DESCRIPTORS_HIGH {
        // SAFETY: duplicates a descriptor of ours.
        let moved = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, high) };
        if 0 <= moved {
            peek::close(descriptor);
            return moved;
        }
    }
    descriptor
}

/// Reads the start of a file.
fn read_file<'b>(path: &CStr, buffer: &'b mut [u8]) -> &'b [u8] {
    let Some(file) = peek::open_self(path) else { return &[] };
    let mut len = 0;
    while let Some(count @ 1..) = peek::read_some(file, &mut buffer[len..]) {
        len += count;
    }
    peek::close(file);
    &buffer[..len]
}
