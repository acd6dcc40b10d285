//! `alloc-check resolve`: names for addresses in text, as it comes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::ExitCode;

use alloc_report::{Resolver, Symboliser};
use anyhow::Context;

/// A stack whose next line does not come for so long is at its end, in milliseconds.
const PATIENCE_MS: i32 = 100;
/// A longer line is taken in pieces, in bytes.
const PIECE_LEN_MAX: u64 = 1 << 20;

/// Copies the file, or standard input, to standard output.
pub(crate) fn run(file: Option<&Path>, shows_all_frames: bool) -> anyhow::Result<ExitCode> {
    let done = match file {
        Some(path) => {
            let file =
                File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            copy(BufReader::new(file), shows_all_frames)
        }
        None => copy(BufReader::new(RawStdin), shows_all_frames),
    };
    match done {
        // The reader of our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        done => {
            let name = file.map_or("standard input".into(), Path::to_string_lossy);
            done.with_context(|| format!("cannot resolve {name}"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn copy(mut input: BufReader<impl Read + AsRawFd>, shows_all_frames: bool) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut symboliser = Symboliser::new();
    let mut resolver = Resolver::new(&mut symboliser);
    if shows_all_frames {
        resolver.show_all_frames();
    }
    let mut line = Vec::new();
    loop {
        // Text from a pipe is shown as it comes.
        if input.buffer().is_empty() && !is_readable_soon(input.get_ref().as_raw_fd()) {
            resolver.flush(&mut out)?;
        }
        line.clear();
        if input.by_ref().take(PIECE_LEN_MAX).read_until(b'\n', &mut line)? == 0 {
            resolver.flush(&mut out)?;
            return out.flush();
        }
        resolver.line(&line, &mut out)?;
    }
}

/// Whether there is something to read, or an end, within a moment.
fn is_readable_soon(descriptor: i32) -> bool {
    let mut asked = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    // SAFETY: one `pollfd` that lives through the call.
    unsafe { libc::poll(&raw mut asked, 1, PATIENCE_MS) != 0 }
}

/// Standard input without std's buffer, so that what is in ours is all there is.
struct RawStdin;

impl AsRawFd for RawStdin {
    fn as_raw_fd(&self) -> i32 {
        libc::STDIN_FILENO
    }
}

impl Read for RawStdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: `buffer` is valid for writes of its length.
        let count =
            unsafe { libc::read(libc::STDIN_FILENO, buffer.as_mut_ptr().cast(), buffer.len()) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }
}
