//! How the process's heap begins: its settings, who is told of findings, and what shall run when the
//! process forks and ends.

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;

use alloc_core::AllocError;

use super::env::{self, Found, Rights};
use super::line::Line;
use super::records::End;
use super::tell::{self, Mode};
use super::{PROCESS, asked, fork, growth, leave};
use crate::config::{Config, Guard, OnFinding};
use crate::fault;
use crate::heap::Heap;
use crate::heap::notes::Note;
use crate::stack::{self, thread};
use crate::sys;

/// Longest value of `ALLOC_GPA` in bytes.
const OPTIONS_LEN_MAX: usize = 512;
/// Exit status for settings that cannot be.
const STATUS_USAGE: i32 = 2;

/// How the heap came into the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// As `malloc` of a program that was started with the preloaded library.
    Preload,
    /// As the global allocator of a Rust program.
    Global,
}

/// Prepares the process's heap, if that was not done, and registers what runs at a fork and at the
/// exit. Further calls do nothing.
///
/// A preloaded library calls it from its constructor: then the report comes after the destructors of
/// all libraries. [`Global`](crate::Global) calls it at the first allocation.
pub fn start(kind: Start) {
    let inside = thread::enter();
    let heap = match PROCESS.heap() {
        Some(heap) => Ok(heap),
        None => map(kind),
    };
    if let Ok(heap) = heap {
        register();
        if kind == Start::Preload {
            if heap.config.faults {
                fault::install_interposed();
            }
            asked::listen(heap);
        }
    }
    drop(inside);
}

/// Writes a record of a process that is not checked, if records are asked for, with a note that says
/// why. Returns whether that was written. For a preloaded library that leaves the process's memory to others.
#[doc(hidden)]
pub fn note_unchecked(why: &str) -> bool {
    let inside = thread::enter();
    let is_told = find_records(Rights::of_process()) && {
        tell::with_sink(|sink| sink.records.set_unchecked());
        tell::with_records(|records, buffers| {
            records.write_note(why, buffers);
            records.write_end(&End::UNCHECKED, buffers);
        })
    };
    drop(inside);
    is_told
}

/// Says that a library was closed: code that is found in its place is another's.
#[doc(hidden)]
pub fn library_closed() {
    stack::modules::invalidate();
}

/// Maps the process's heap at its first use. The thread is inside the allocator.
#[cold]
#[inline(never)]
pub(super) fn first_use(kind: Start) -> Result<&'static Heap, AllocError> {
    let heap = map(kind)?;
    // A preloaded library cannot register here: the first `malloc` may come from the function that
    // registers, which holds a lock.
    if kind == Start::Global {
        register();
        if heap.config.faults {
            fault::install_behind_std();
        }
        asked::listen(heap);
    }
    Ok(heap)
}

/// Maps the heap, with settings from the environment.
fn map(kind: Start) -> Result<&'static Heap, AllocError> {
    let is_checked = find_records(Rights::of_process());
    let otherwise = match kind {
        Start::Preload => Mode::Addresses,
        Start::Global => Mode::Resolved,
    };
    let mode = if is_checked { Mode::Records } else { otherwise };
    let config = read_config_over(defaults(kind, is_checked), kind);
    tell::set_mode(mode, otherwise);
    let heap = PROCESS.heap_slow(config)?;
    heap.set_sink(tell::finding);
    heap.set_note_sink(tell::note);
    growth::begin(heap);
    // A process without findings is counted as well.
    if tell::open_records() {
        tell::say_refused();
    }
    if let Guard::Sampled(_) = config.guard
        && tell::mode() == Mode::Records
    {
        // A text says so at its end, if there is one.
        tell::note(Note::Sampled.text());
    }
    Ok(heap)
}

/// Reads the settings of the environment; what they do not say is as by default.
pub(super) fn read_config(kind: Start) -> Config {
    read_config_over(Config::DEFAULT, kind)
}

/// Reads the settings over others; what cannot be ends the process.
fn read_config_over(defaults: Config, kind: Start) -> Config {
    let mut options = [0; OPTIONS_LEN_MAX];
    let found = env::variable(Rights::of_process(), b"ALLOC_GPA", &mut options);
    let config = match settings(defaults, found, &options) {
        Ok(config) => config,
        Err(refusal) => refuse(refusal),
    };
    match kind {
        Start::Preload => config,
        Start::Global => Config { guard_align: config.guard_align.for_layouts(), ..config },
    }
}

/// What holds where the environment says nothing.
fn defaults(kind: Start, is_checked: bool) -> Config {
    let on_finding = match kind {
        Start::Preload if !is_checked => OnFinding::Abort,
        _ => OnFinding::Continue,
    };
    Config { on_finding, ..Config::DEFAULT }
}

/// Reads the settings.
fn settings(defaults: Config, found: Found, options: &[u8]) -> Result<Config, Refusal<'_>> {
    let text = match found {
        Found::Not => return Ok(defaults),
        Found::TooLong => return Err(Refusal::TooLong),
        Found::Copied(len) => &options[..len],
    };
    let text = core::str::from_utf8(text).map_err(|_| Refusal::NotText)?;
    defaults.parse(text).map_err(Refusal::Wrong)
}

/// Why settings cannot be.
#[derive(Debug, PartialEq, Eq)]
enum Refusal<'t> {
    TooLong,
    NotText,
    Wrong(crate::ConfigError<'t>),
}

impl core::fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {OPTIONS_LEN_MAX} bytes"),
            Self::NotText => f.write_str("not UTF-8 text"),
            Self::Wrong(error) => error.fmt(f),
        }
    }
}

/// Says why the settings cannot be, in one line, and ends the process.
#[cold]
fn refuse(refusal: Refusal<'_>) -> ! {
    let mut buffer = [0; 2 * OPTIONS_LEN_MAX];
    let mut line = Line::new(&mut buffer);
    line.raw(b"alloc-gpa: ALLOC_GPA: ");
    // What does not fit is cut off.
    let _ = core::fmt::Write::write_fmt(&mut Printable(&mut line), format_args!("{refusal}"));
    line.raw(b"\n");
    sys::standard_error::write(line.as_bytes());
    sys::exit_now(STATUS_USAGE)
}

/// Shows control characters of a value as `\xNN`: one line stays one line.
struct Printable<'l, 'b>(&'l mut Line<'b>);

impl core::fmt::Write for Printable<'_, '_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.chars().try_for_each(|c| match c {
            c if c.is_control() => write!(self.0, "\\x{:02x}", u32::from(c)),
            c => self.0.write_char(c),
        })
    }
}

/// Enters the directory for records, if there is one; returns whether there is.
fn find_records(rights: Rights) -> bool {
    let mut is_too_long = false;
    let found = tell::with_sink(|sink| {
        if !sink.records.is_wanted() {
            let len = match env::variable(rights, b"ALLOC_GPA_RECORDS", sink.records.dir_mut()) {
                Found::Copied(len) => len,
                Found::Not => 0,
                Found::TooLong => {
                    is_too_long = true;
                    0
                }
            };
            sink.records.set_dir_len(len);
        }
        sink.records.is_wanted()
    });
    if is_too_long {
        // No system call takes such a path.
        let text =
            "alloc-gpa: ALLOC_GPA_RECORDS: the path is too long; findings go to standard error\n";
        sys::standard_error::write(text.as_bytes());
    }
    found.unwrap_or(false)
}

/// Registers what runs at a fork and at the exit, once.
fn register() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    // Relaxed: only that one call goes on matters.
    if !REGISTERED.swap(true, Relaxed) {
        fork::register();
        leave::register();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn settings_come_from_the_variable() {
        let defaults = defaults(Start::Preload, false);
        assert_eq!(defaults.on_finding, OnFinding::Abort);
        assert_eq!(settings(defaults, Found::Not, b"?"), Ok(defaults));
        let text = b"stacks=3,on_finding=continue";
        let read = settings(defaults, Found::Copied(text.len()), text);
        assert_eq!(read, Ok(Config { stacks: 3, on_finding: OnFinding::Continue, ..defaults }));
    }

    /// The same policy whatever the kind, once `alloc-check` listens.
    #[test]
    fn checked_processes_go_on() {
        for kind in [Start::Preload, Start::Global] {
            assert_eq!(super::defaults(kind, true).on_finding, OnFinding::Continue);
        }
        assert_eq!(defaults(Start::Global, false).on_finding, OnFinding::Continue);
    }

    #[test]
    fn refusals_are_one_printable_line() {
        let wrong = settings(Config::DEFAULT, Found::Copied(5), b"a\nb=c").unwrap_err();
        let mut buffer = [0; 200];
        let mut line = Line::new(&mut buffer);
        core::fmt::Write::write_fmt(&mut Printable(&mut line), format_args!("{wrong}")).unwrap();
        let told = core::str::from_utf8(line.as_bytes()).expect("text");
        assert!(told.starts_with("unknown key `a\\x0ab`; the keys are stacks, "), "{told}");
        assert!(!told.contains('\n'));
        let not_text = settings(Config::DEFAULT, Found::Copied(1), b"\xff").unwrap_err();
        assert_eq!(not_text.to_string(), "not UTF-8 text");
        let too_long = settings(Config::DEFAULT, Found::TooLong, b"").unwrap_err();
        assert_eq!(too_long.to_string(), "longer than 512 bytes");
    }
}
