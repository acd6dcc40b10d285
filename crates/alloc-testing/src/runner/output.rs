//! Where results go.

use core::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::arguments::Format;
use super::done::{Done, Tally};
use super::{Run, Test, json, junit, pretty};
use alloc_gpa::counted;

/// Bytes that are written at once.
const BUFFER_LEN: usize = 1024;

/// A file with a buffer that takes nothing from the heap, unlike `std::io::stdout`.
#[derive(Debug)]
pub(super) struct Out {
    /// None if it could not be had.
    file: Option<File>,
    buffer: [u8; BUFFER_LEN],
    len: usize,
    /// Whether something could not be written.
    failed: bool,
}

impl Out {
    pub(super) const fn over(file: Option<File>) -> Self {
        let failed = file.is_none();
        Self { file, buffer: [0; BUFFER_LEN], len: 0, failed }
    }

    /// Standard output.
    #[cfg(unix)]
    pub(super) fn standard() -> Self {
        use std::os::fd::BorrowedFd;
        // SAFETY: standard output is open: `std` opens it if the process was started without, and nobody
        // here closes it; it is borrowed for this statement. 1 is not -1.
        let standard = unsafe { BorrowedFd::borrow_raw(1) };
        Self::over(standard.try_clone_to_owned().ok().map(File::from))
    }

    /// Standard output.
    #[cfg(windows)]
    pub(super) fn standard() -> Self {
        use std::os::windows::io::AsHandle;
        let standard = std::io::stdout().as_handle().try_clone_to_owned();
        Self::over(standard.ok().map(File::from))
    }

    /// Keeps this for the runner, if it is standard output: what others write there from now on goes to
    /// standard error, what their children write as well.
    #[cfg(unix)]
    pub(super) fn keep_alone(&mut self) {
        // SAFETY: both are descriptors of this process, or else the call says so; and nobody's alone: std
        // writes to whatever 1 is, and this has a descriptor of its own.
        self.failed |= unsafe { libc::dup2(2, 1) } == -1;
    }

    /// Here what others write to standard output stays among it.
    #[cfg(not(unix))]
    pub(super) fn keep_alone(&mut self) {}

    /// Writes at once.
    pub(super) fn say(&mut self, text: fmt::Arguments<'_>) {
        // What fails is remembered by `flush`; the text itself fails for a value that cannot be shown.
        self.failed |= self.write_fmt(text).is_err();
        self.flush();
    }

    fn flush(&mut self) {
        let bytes = &self.buffer[..self.len];
        if let Some(file) = &mut self.file {
            self.failed |= file.write_all(bytes).is_err();
        }
        self.len = 0;
    }

    pub(super) const fn failed(&self) -> bool {
        self.failed
    }
}

impl fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.as_bytes().chunks(BUFFER_LEN) {
            if BUFFER_LEN < self.len + part.len() {
                self.flush();
            }
            self.buffer[self.len..self.len + part.len()].copy_from_slice(part);
            self.len += part.len();
        }
        Ok(())
    }
}

/// Tells results as they come, and all at the end.
#[derive(Debug)]
pub(super) struct Teller {
    format: Format,
    outs: Mutex<Outs>,
}

#[derive(Debug)]
struct Outs {
    /// For people.
    lines: Option<Out>,
    /// For programs.
    records: Option<Out>,
}

impl Teller {
    pub(super) fn new(format: Format, mut standard: Out, file: Option<File>) -> Self {
        let outs = match (format, file) {
            (Format::Pretty | Format::Terse, _) => Outs { lines: Some(standard), records: None },
            (_, None) => {
                standard.keep_alone();
                Outs { lines: None, records: Some(standard) }
            }
            (_, file) => Outs { lines: Some(standard), records: Some(Out::over(file)) },
        };
        Self { format, outs: Mutex::new(outs) }
    }

    pub(super) fn begin(&self, count: usize, seed: u64) {
        let mut outs = self.outs();
        if let Some(out) = &mut outs.lines {
            out.say(format_args!(
                "running {} in the order of seed {seed:#x}\n",
                counted(count, "test")
            ));
        }
        if let (Some(out), Format::Json) = (&mut outs.records, self.format) {
            out.say(format_args!("{}", json::Begin { count, seed }));
        }
    }

    /// Tells programs that a test begins, so that one which never ends has a name.
    pub(super) fn start(&self, test: &Test) {
        if self.format != Format::Json {
            return;
        }
        if let Some(out) = &mut self.outs().records {
            out.say(format_args!("{}", json::Started(test)));
        }
    }

    pub(super) fn tell(&self, done: &Done) {
        let mut outs = self.outs();
        if let Some(out) = &mut outs.lines {
            match self.format {
                Format::Terse => out.say(format_args!("{}", pretty::Letter(done))),
                _ => out.say(format_args!("{}", pretty::Line(done))),
            }
        }
        if let (Some(out), Format::Json) = (&mut outs.records, self.format) {
            out.say(format_args!("{}", json::Event(done)));
        }
    }

    /// Tells the end. Whether everything could be written.
    pub(super) fn end(&self, tally: &Tally, run: &Run<'_>) -> bool {
        let mut outs = self.outs();
        let Outs { lines, records } = &mut *outs;
        if let Some(out) = lines {
            if self.format == Format::Terse {
                out.say(format_args!("\n"));
            }
            run.for_each(&mut |done| out.say(format_args!("{}", pretty::Failure(done))));
            out.say(format_args!("{}", pretty::End(tally)));
        }
        match (records, self.format) {
            (Some(out), Format::Json) => out.say(format_args!("{}", json::End(tally))),
            (Some(out), Format::JUnit) => {
                out.say(format_args!("{}", junit::Begin(tally)));
                run.for_each(&mut |done| out.say(format_args!("{}", junit::Case(done))));
                out.say(format_args!("{}", junit::End(tally)));
            }
            _ => {}
        }
        !outs.lines.iter().chain(&outs.records).any(Out::failed)
    }

    /// A panic here would be one of the runner's own; what was written before it stays.
    fn outs(&self) -> MutexGuard<'_, Outs> {
        self.outs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
