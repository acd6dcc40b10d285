//! Who is told: the record file under `alloc-check`, else standard error.

use core::fmt::{self, Write};
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicU32, compiler_fence};

use super::line::Line;
use super::records::{Buffers, DIR_LEN_MAX, LINE_LEN_MAX, Records, SCRATCH_LEN};
use crate::finding::Finding;
use crate::heap::Heap;
use crate::lock::Lock;
use crate::stack::thread;
use crate::sys::{pages, standard_error};
use crate::text::{self, Frames};

/// Where findings go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// To the record file; nothing is written to descriptors that the program has.
    Records,
    /// To standard error, frames as addresses in files.
    Addresses,
    /// To standard error, frames as functions and lines.
    Resolved,
}

/// What writes the record file.
pub(super) struct Sink {
    pub(super) records: Records,
    buffers: Option<NonNull<u8>>,
}

// SAFETY: the buffers belong to whoever holds the lock.
unsafe impl Send for Sink {}

static SINK: Lock<Sink> = Lock::new(Sink { records: Records::new(), buffers: None });
/// The bit of a thread that uses `SINK`, or waits for it.
const TELLING: u32 = 1 << 31;
/// [`Mode`] as a number, plus one; 0: not known yet.
static MODE: AtomicU32 = AtomicU32::new(0);
/// What [`MODE`] becomes if no record file can be made.
static OTHERWISE: AtomicU32 = AtomicU32::new(0);
/// Whether it is still to be said that no record file could be made.
static IS_UNSAID: AtomicBool = AtomicBool::new(false);
/// Findings that could not be written, because they were found while another was being written, by
/// a signal handler of the same thread.
static MISSED: AtomicU32 = AtomicU32::new(0);

const BUFFERS_LEN: usize = LINE_LEN_MAX + SCRATCH_LEN;

/// Returns where findings go.
pub(super) fn mode() -> Mode {
    // Relaxed: written before the sink is set, which publishes it.
    mode_of(MODE.load(Relaxed))
}

fn mode_of(number: u32) -> Mode {
    match number {
        1 => Mode::Records,
        2 => Mode::Addresses,
        _ => Mode::Resolved,
    }
}

/// Sets where findings go, and where else if no record file can be made.
pub(super) fn set_mode(mode: Mode, otherwise: Mode) {
    // Relaxed, both: see `mode`.
    OTHERWISE.store(number_of(otherwise), Relaxed);
    MODE.store(number_of(mode), Relaxed);
}

fn number_of(mode: Mode) -> u32 {
    match mode {
        Mode::Records => 1,
        Mode::Addresses => 2,
        Mode::Resolved => 3,
    }
}

/// Opens the record file of this process, if there shall be one. If none can be made, text goes to
/// standard error from now on, after one line that says so; returns whether that is the case.
pub(super) fn open_records() -> bool {
    if mode() != Mode::Records || with_records(|records, _| records.forget_other()) {
        return false;
    }
    // Whoever forked uses this memory no more.
    with_sink(|sink| sink.records.forget_other());
    give_up_records().is_some()
}

/// Gives the records up if no file could be made, for good unless a parent uses this memory as well
/// (`vfork`); returns where findings go instead.
fn give_up_records() -> Option<Mode> {
    let (is_refused, is_shared) =
        with_sink(|sink| (sink.records.refused().is_some(), sink.records.has_other()))?;
    if !is_refused {
        return None;
    }
    // Relaxed, all: see `mode`; one thread says it.
    IS_UNSAID.store(true, Relaxed);
    let otherwise = OTHERWISE.load(Relaxed);
    if !is_shared {
        MODE.store(otherwise, Relaxed);
    }
    Some(mode_of(otherwise))
}

/// Says that no record file could be made, if that was not said.
pub(super) fn say_refused() {
    // Relaxed: as above.
    if !IS_UNSAID.swap(false, Relaxed) {
        return;
    }
    let mut buffer = [0; DIR_LEN_MAX + 256];
    let mut line = Line::new(&mut buffer);
    with_sink(|sink| {
        let error = sink.records.refused().unwrap_or(0);
        let dir = sink.records.dir().escape_ascii();
        // What does not fit is cut off.
        let _ = match name_of(error) {
            Some(name) => write!(line, "{REFUSED} `{dir}`: {name}"),
            None => write!(line, "{REFUSED} `{dir}`: error {error}"),
        };
    });
    line.raw(b"; findings go to standard error\n");
    standard_error::write(line.as_bytes());
}

const REFUSED: &str = "alloc-gpa: ALLOC_GPA_RECORDS: no file can be made in";

/// Says what an error of open(2) is.
fn name_of(error: i32) -> Option<&'static str> {
    Some(match error {
        libc::ENOENT => "there is no such folder",
        libc::ENOTDIR => "it is no folder",
        libc::EACCES | libc::EPERM => "permission denied",
        libc::EROFS => "the file system is read-only",
        libc::ENOSPC | libc::EDQUOT => "no space is left",
        libc::EMFILE | libc::ENFILE => "too many open files",
        libc::ENAMETOOLONG => "its name is too long",
        _ => return None,
    })
}

/// Gives the sink to `work`; `None` if this very thread is using it, interrupted by a signal.
pub(super) fn with_sink<R>(work: impl FnOnce(&mut Sink) -> R) -> Option<R> {
    let held = &thread::current().held;
    // Relaxed, all: this thread's own, and its signal handlers'. Set before the lock is taken and
    // cleared after it is free, so that a handler never waits for its own thread.
    if held.load(Relaxed) & TELLING != 0 {
        return None;
    }
    held.fetch_or(TELLING, Relaxed);
    compiler_fence(SeqCst);
    // Whoever holds it makes system calls at most, so waiting ends.
    let result = work(&mut SINK.lock());
    compiler_fence(SeqCst);
    held.fetch_and(!TELLING, Relaxed);
    Some(result)
}

/// Gives the open record file, and buffers for its lines, to `work`.
pub(super) fn with_records(work: impl FnOnce(&mut Records, &mut Buffers<'_>)) -> bool {
    let done = with_sink(|sink| {
        let base = match sink.buffers {
            Some(base) => base,
            None => *sink.buffers.insert(pages::map(BUFFERS_LEN)?),
        };
        // SAFETY: mapped with that length, zero at first, never unmapped; only the holder of the
        // lock uses it.
        let buffers = unsafe { NonNull::slice_from_raw_parts(base, BUFFERS_LEN).as_mut() };
        let (line, scratch) = buffers.split_at_mut(LINE_LEN_MAX);
        let mut buffers = Buffers { line, scratch };
        sink.records.open(&mut buffers).then(|| work(&mut sink.records, &mut buffers))
    });
    done.flatten().is_some()
}

/// Keeps everybody out of the sink while the process forks; returns whether it could.
pub(super) fn before_fork(may_wait: bool) -> bool {
    let held = &thread::current().held;
    // Relaxed: as in `with_sink`. A thread that is using the sink forks in a signal handler.
    if held.load(Relaxed) & TELLING != 0 {
        return false;
    }
    held.fetch_or(TELLING, Relaxed);
    compiler_fence(SeqCst);
    let done = SINK.acquire(may_wait);
    if !done {
        held.fetch_and(!TELLING, Relaxed);
    }
    done
}

/// Lets others in again.
///
/// # Safety
///
/// The calling thread called [`before_fork`], or is the copy of the one that did.
pub(super) unsafe fn after_fork() {
    // SAFETY: the caller's contract.
    unsafe { SINK.release() };
    // Relaxed: as in `with_sink`.
    thread::current().held.fetch_and(!TELLING, Relaxed);
}

/// Tells of a finding: the heap's sink.
pub(super) fn finding(_heap: &Heap, finding: &Finding) {
    let write = |records: &mut Records, buffers: &mut Buffers<'_>| {
        records.write_finding(finding, buffers);
    };
    let mut mode = mode();
    if mode == Mode::Records {
        if with_records(write) {
            return;
        }
        let Some(otherwise) = give_up_records() else {
            // Relaxed: a number for a note.
            MISSED.fetch_add(1, Relaxed);
            return;
        };
        mode = otherwise;
    }
    let frames = match mode {
        // Standard error is the program's own: a remark is no reason to write there.
        _ if !finding.kind.is_fault() => return,
        Mode::Records | Mode::Addresses => Frames::Addresses,
        Mode::Resolved if thread::current().is_unresolving() => Frames::Addresses,
        Mode::Resolved => Frames::Resolved,
    };
    paragraph(|out| {
        out.write_str("alloc-gpa: ")?;
        text::finding(finding, frames, out)
    });
}

/// Says something once: the heap's sink for notes.
pub(super) fn note(text: &str) {
    if mode() == Mode::Records {
        with_records(|records, buffers| records.write_note(text, buffers));
    } else {
        paragraph(|out| writeln!(out, "alloc-gpa: {text}"));
    }
}

/// Returns how many findings could not be written.
pub(super) fn missed() -> u32 {
    // Relaxed: see `finding`.
    MISSED.load(Relaxed)
}

/// Writes a line of a preloaded library's to standard error, which may be a pipe that nobody reads.
#[doc(hidden)]
pub fn write_line(line: &[u8]) {
    standard_error::write(line);
}

/// Writes text to standard error, in one piece if it fits 64 KiB.
pub(super) fn paragraph(write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
    say_refused();
    let mapped = pages::map(LINE_LEN_MAX);
    let mut small = [0; 256];
    let buffer = match mapped {
        // SAFETY: a fresh mapping of that length, zero; used here only.
        Some(base) => unsafe { NonNull::slice_from_raw_parts(base, LINE_LEN_MAX).as_mut() },
        None => &mut small,
    };
    let mut text = Text { line: Line::new(buffer) };
    // Nothing fails but the writing, and where that fails there is nowhere else to say so.
    let _ = write(&mut text);
    text.flush();
    if let Some(base) = mapped {
        // SAFETY: mapped above; `text` is not used any more.
        unsafe { pages::unmap(base, LINE_LEN_MAX) };
    }
}

/// Text for standard error, gathered as far as the buffer goes.
struct Text<'b> {
    line: Line<'b>,
}

impl Text<'_> {
    fn flush(&mut self) {
        standard_error::write(self.line.as_bytes());
        self.line.clear();
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.line.is_short_of(text.len()) {
            self.flush();
        }
        if self.line.is_short_of(text.len()) {
            standard_error::write(text.as_bytes());
        } else {
            self.line.raw(text.as_bytes());
        }
        Ok(())
    }
}
