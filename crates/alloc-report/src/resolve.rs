//! Replaces `/path/module+0xOFFSET` in text: for what a preloaded library writes by hand.

use std::io::{self, BufRead, Write};
use std::ops::Range;
use std::path::Path;

use crate::model::{Frame, Module};
use crate::symbol::Symboliser;
use crate::words::{function, place};

/// Lines are handled in pieces of at most this many bytes.
const PIECE_LEN_MAX: u64 = 1 << 20;
/// The system takes no longer path.
const PATH_LEN_MAX: usize = 4096;

/// Copies `input` to `out`, each `/path/module+0xOFFSET` whose module is a file and whose address is
/// known replaced by `function file:line`. The offset is the address of the instruction in the file,
/// as addr2line takes it. All other bytes are copied as they are.
///
/// # Errors
///
/// Those of `input` and `out`.
pub fn resolve_text(
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    symboliser: &mut Symboliser,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if io::Read::take(&mut *input, PIECE_LEN_MAX).read_until(b'\n', &mut line)? == 0 {
            return out.flush();
        }
        resolve_line(&line, out, symboliser)?;
        // Text from a pipe is shown as it comes.
        out.flush()?;
    }
}

fn resolve_line(line: &[u8], out: &mut dyn Write, symboliser: &mut Symboliser) -> io::Result<()> {
    let mut copied = 0;
    while let Some(found) = next_address(line, copied) {
        let module = Module { path: found.path, build_id: String::new() };
        let frames = symboliser.address(&module, found.addr);
        let known = frames.iter().any(|frame| frame.function.is_some());
        out.write_all(&line[copied..found.range.start])?;
        if known {
            write_frames(&frames, out)?;
        } else {
            out.write_all(&line[found.range.clone()])?;
        }
        copied = found.range.end;
    }
    out.write_all(&line[copied..])
}

fn write_frames(frames: &[Frame], out: &mut dyn Write) -> io::Result<()> {
    for (index, frame) in frames.iter().enumerate() {
        let separator = if index == 0 { "" } else { " (inlined into) " };
        let (name, place) = (function(frame), place(frame, None));
        let space = if place.is_empty() { "" } else { " " };
        write!(out, "{separator}{name}{space}{place}")?;
    }
    Ok(())
}

/// An address in the text.
struct Found {
    range: Range<usize>,
    path: String,
    addr: u64,
}

/// The first `/path/module+0xOFFSET` at or after `from` whose path names a file.
fn next_address(line: &[u8], from: usize) -> Option<Found> {
    let mut search = from;
    loop {
        let plus = search + line[search..].windows(3).position(|bytes| bytes == b"+0x")?;
        let digits = line[plus + 3..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let end = plus + 3 + digits;
        let text = std::str::from_utf8(&line[plus + 3..end]).expect("hexadecimal digits are UTF-8");
        if let (Ok(addr), Some((start, path))) =
            (u64::from_str_radix(text, 16), path_before(line, from, plus))
        {
            return Some(Found { range: start..end, path, addr });
        }
        search = end;
    }
}

/// The longest path that ends at `end` and names a file; paths may hold spaces.
fn path_before(line: &[u8], from: usize, end: usize) -> Option<(usize, String)> {
    let from = from.max(end.saturating_sub(PATH_LEN_MAX));
    let slashes = (from..end).filter(|index| line[*index] == b'/');
    // A path begins a word: `a/b` holds none.
    let begins = |index: &usize| *index == from || !is_path_byte(line[*index - 1]);
    for start in slashes.filter(begins) {
        if let Ok(path) = std::str::from_utf8(&line[start..end])
            && Path::new(path).is_file()
        {
            return Some((start, path.to_owned()));
        }
    }
    None
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'+' | b'~' | b'@')
}
