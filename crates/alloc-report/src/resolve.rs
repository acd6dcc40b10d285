//! Replaces `/path/module+0xOFFSET` in text: for what a preloaded library writes by hand.

use std::io::{self, BufRead, Write};
use std::ops::Range;
use std::path::Path;

use crate::model::{Frame, Module};
use crate::symbol::Symboliser;
use crate::trim;
use crate::words::{function, place};

/// Lines are handled in pieces of at most this many bytes.
const PIECE_LEN_MAX: u64 = 1 << 20;
/// The system takes no longer path.
const PATH_LEN_MAX: usize = 4096;
/// The most lines that are taken for one stack.
const STACK_LEN_MAX: usize = 256;

/// Replaces each `/path/module+0xOFFSET` in text whose module is a file and whose address is known. The
/// offset is the address of the instruction in the file, as addr2line takes it, or of a variable.
///
/// Lines that hold an address and nothing else, one below the other, are a stack: each frame gets a
/// line, with function and `file:line`, and the frames that a report does not show are left out. All
/// other bytes are copied as they are.
pub struct Resolver<'s> {
    symboliser: &'s mut Symboliser,
    shows_all_frames: bool,
    /// Lines that look like frames of one stack.
    stack: Vec<Vec<u8>>,
}

impl<'s> Resolver<'s> {
    /// One that looks symbols up with `symboliser`.
    pub fn new(symboliser: &'s mut Symboliser) -> Self {
        Self { symboliser, shows_all_frames: false, stack: Vec::new() }
    }

    /// Leaves no frame out.
    pub fn show_all_frames(&mut self) {
        self.shows_all_frames = true;
    }

    /// Takes the next line, with its newline. What may be a part of a stack is kept back.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn line(&mut self, line: &[u8], out: &mut dyn Write) -> io::Result<()> {
        if frame_of(line).is_some() && self.stack.len() < STACK_LEN_MAX {
            self.stack.push(line.to_vec());
            return Ok(());
        }
        self.flush(out)?;
        self.resolve_line(line, out)
    }

    /// Writes what was kept back: no more of it comes.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let lines = std::mem::take(&mut self.stack);
        let mut frames = Vec::new();
        for line in &lines {
            let Some(found) = frame_of(line) else { continue };
            frames.extend(self.frames(&found));
        }
        let hidden = if self.shows_all_frames { (0, 0) } else { trim::hidden_ends(frames.iter()) };
        let shown = &frames[hidden.0..frames.len() - hidden.1];
        let width = shown.iter().map(|frame| function(frame).chars().count()).max().unwrap_or(0);
        let width = width.min(NAME_WIDTH_MAX);
        let indent = lines.first().map_or(&[][..], |line| &line[..indent_len(line)]);
        for frame in shown {
            let (name, place) = (named(frame), place(frame, None));
            let inlined = if frame.inlined { "  (inlined)" } else { "" };
            out.write_all(indent)?;
            match place.is_empty() {
                true => writeln!(out, "{name}{inlined}")?,
                false => writeln!(out, "{name:width$}  {place}{inlined}")?,
            }
        }
        out.flush()
    }

    /// The functions at an address, innermost first.
    fn frames(&mut self, found: &Found) -> Vec<Frame> {
        let module = Module { path: found.path.clone(), build_id: String::new() };
        self.symboliser.address(&module, found.addr)
    }

    fn resolve_line(&mut self, line: &[u8], out: &mut dyn Write) -> io::Result<()> {
        let mut copied = 0;
        while let Some(found) = next_address(line, copied) {
            let module = Module { path: found.path.clone(), build_id: String::new() };
            out.write_all(&line[copied..found.range.start])?;
            // A symbol table takes every address behind a function for its own: variables come first.
            if let Some(name) = self.symboliser.variable(&module, found.addr) {
                write!(out, "{name} of {}", module.name())?;
            } else {
                let frames = self.frames(&found);
                match frames.iter().any(|frame| frame.function.is_some()) {
                    true => write_frames(&frames, out)?,
                    false => out.write_all(&line[found.range.clone()])?,
                }
            }
            copied = found.range.end;
        }
        out.write_all(&line[copied..])
    }
}

/// Names are padded to this many columns at most.
const NAME_WIDTH_MAX: usize = 48;

/// Copies `input` to `out`, with addresses replaced: see [`Resolver`].
///
/// # Errors
///
/// Those of `input` and `out`.
pub fn resolve_text(
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    symboliser: &mut Symboliser,
) -> io::Result<()> {
    let mut resolver = Resolver::new(symboliser);
    let mut line = Vec::new();
    while next_piece(input, &mut line)? {
        resolver.line(&line, out)?;
    }
    resolver.flush(out)?;
    out.flush()
}

/// Reads a line with its newline, or a part of a very long one; returns whether there was one.
fn next_piece(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    Ok(io::Read::take(input, PIECE_LEN_MAX).read_until(b'\n', line)? > 0)
}

/// The function's name; where there is none, what stood there.
fn named(frame: &Frame) -> String {
    match frame.function {
        Some(_) => function(frame),
        None => format!("{}+{:#x}", crate::escape::escape(&frame.module), frame.addr),
    }
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

/// How many spaces a line begins with.
fn indent_len(line: &[u8]) -> usize {
    line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// The address of a line that holds one and nothing else, and ends.
fn frame_of(line: &[u8]) -> Option<Found> {
    let text = line.strip_suffix(b"\n")?;
    let found = next_address(text, indent_len(text))?;
    (found.range == (indent_len(text)..text.len())).then_some(found)
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
