//! Plain text about a heap, written by the process itself.

use core::fmt::{self, Write};

use crate::finding::Finding;
use crate::heap::Heap;
use crate::leaks::{Group, Leaks};
use crate::process::scan;
use crate::stack::{self, StackId, Trace, modules};
use crate::sys::{peek, standard_error};
use crate::words::counted;

/// Leak groups printed in full.
const LEAK_GROUPS_MAX: usize = 20;

/// Descriptor 2, without std's lock.
pub(crate) struct StandardError;

impl Write for StandardError {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        standard_error::write(text.as_bytes());
        Ok(())
    }
}

/// How the frames of stacks are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frames {
    /// As functions and lines: resolves symbols.
    Resolved,
    /// As `/path/module+0xOFFSET`: takes no lock and no memory.
    Addresses,
}

/// How a report about leaks is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) frames: Frames,
    /// What each paragraph begins with.
    pub(crate) prefix: &'static str,
    /// Whether every live block is a leak, so that none need be called lost.
    pub(crate) exact: bool,
    /// Bytes shown of the largest block of each leak.
    pub(crate) dump: u16,
}

impl Style {
    /// For an explicit instance.
    pub(crate) const EXPLICIT: Self =
        Self { frames: Frames::Resolved, prefix: "", exact: true, dump: 0 };
}

/// Writes all findings, then all live blocks of the current fork epoch by the stack that allocated
/// them: those that nothing else holds first, of each the most bytes first.
pub(crate) fn report(heap: &Heap, out: &mut dyn Write) -> fmt::Result {
    let inside = stack::thread::enter();
    let mut index = 0;
    while let Some(found) = heap.findings.get(index) {
        finding(&found, Frames::Resolved, out)?;
        index += 1;
    }
    let totals = heap.live_totals();
    if totals.count != 0 {
        match scan::search_exact(heap) {
            Ok(found) => {
                leaks(&found, Style { dump: heap.config.dump_len(), ..Style::EXPLICIT }, out)?
            }
            Err(why) => writeln!(out, "{why}")?,
        }
    }
    for note in heap.notes() {
        writeln!(out, "note: {note}")?;
    }
    if index != 0 || totals.count != 0 {
        let (blocks, bytes) = (counted(totals.count, "block"), counted(totals.bytes, "byte"));
        writeln!(out, "{}, {blocks} leaked ({bytes})", counted(index, "finding"))?;
    }
    drop(inside);
    Ok(())
}

/// Writes what leaked, each place as a paragraph, and the notes.
pub(crate) fn leaks(leaks: &Leaks, style: Style, out: &mut dyn Write) -> fmt::Result {
    let groups = leaks.groups();
    for group in groups.iter().take(LEAK_GROUPS_MAX) {
        leak(leaks, group, style, out)?;
    }
    if let Some(more @ 1..) = groups.len().checked_sub(LEAK_GROUPS_MAX) {
        writeln!(out, "{}and {}", style.prefix, counted(more, "more place"))?;
    }
    Ok(())
}

/// Writes the leaks of one place.
fn leak(leaks: &Leaks, group: &Group, style: Style, out: &mut dyn Write) -> fmt::Result {
    let Group { key, count, bytes, min, max, .. } = *group;
    out.write_str(style.prefix)?;
    match style.exact {
        true => write!(out, "{count} leaked")?,
        false => write!(out, "{} {}", counted(count, "block"), key.kind.words())?,
    }
    write!(out, ", {}", counted(bytes, "byte"))?;
    if min != max {
        write!(out, " ({min} to {max} each)")?;
    }
    if let Some(name) = key.tag.name() {
        write!(out, ", tag {}", name.escape_debug())?;
    }
    // Which of several addresses is the user's is not known before they are resolved: then all are told.
    let is_resolved = style.frames == Frames::Resolved;
    if key.holder != 0 && is_resolved {
        out.write_str(", held by what is from ")?;
        first_frame(StackId::from_raw(key.holder), out)?;
    }
    out.write_str(", allocated at\n")?;
    stack(StackId::from_raw(key.stack), style.frames, out)?;
    if key.holder != 0 && !is_resolved {
        writeln!(out, "  held by what is from")?;
        stack(StackId::from_raw(key.holder), style.frames, out)?;
    }
    if let [_, others @ ..] = leaks.cycle_of(group) {
        writeln!(out, "  in a cycle: it leads back to itself by way of what is from")?;
        for (index, other) in others.iter().enumerate() {
            let other = StackId::from_raw(*other);
            if is_resolved {
                out.write_str("  * ")?;
                first_frame(other, out)?;
                out.write_str("\n")?;
            } else {
                out.write_str(if index == 0 { "" } else { "  and of what is from\n" })?;
                stack(other, style.frames, out)?;
            }
        }
    }
    dump(group.largest(), max.min(u64::from(style.dump)) as usize, out)
}

/// Writes the first frame of a stack that is the user's, without the end of the line.
fn first_frame(id: StackId, out: &mut dyn Write) -> fmt::Result {
    /// Passes on the first line, without the spaces before it.
    struct First<'o> {
        out: &'o mut dyn Write,
        begun: bool,
        ended: bool,
    }
    impl Write for First<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            if self.ended {
                return Ok(());
            }
            let text = if self.begun { text } else { text.trim_start() };
            self.begun |= !text.is_empty();
            let line = text.split('\n').next().unwrap_or_default();
            self.ended = line.len() < text.len();
            self.out.write_str(line)
        }
    }
    stack(id, Frames::Resolved, &mut First { out, begun: false, ended: false })
}

/// Writes `len` bytes of memory as numbers and characters, 16 a line; nothing if they cannot be read.
fn dump(addr: usize, len: usize, out: &mut dyn Write) -> fmt::Result {
    let mut bytes = [0; crate::config::DUMP_LEN_MAX as usize];
    let Some(bytes) = bytes.get_mut(..len).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
    if !peek::read(addr, bytes) {
        return Ok(());
    }
    writeln!(out, "  the first {} of the largest, at {addr:#x}", counted(len, "byte"))?;
    for line in bytes.chunks(16) {
        out.write_str("    ")?;
        for index in 0..16 {
            match line.get(index) {
                Some(byte) => write!(out, "{byte:02x} ")?,
                None => out.write_str("   ")?,
            }
        }
        out.write_str(" ")?;
        for byte in line {
            let shown = if (b' '..0x7f).contains(byte) { char::from(*byte) } else { '.' };
            out.write_char(shown)?;
        }
        out.write_str("\n")?;
    }
    Ok(())
}

/// Writes one finding as a paragraph.
pub(crate) fn finding(finding: &Finding, frames: Frames, out: &mut dyn Write) -> fmt::Result {
    headline(finding, out)?;
    for (title, id) in
        [("here", finding.here), ("allocated", finding.allocated), ("freed", finding.freed)]
    {
        if id != StackId::NONE {
            writeln!(out, "  {title}")?;
            stack(id, frames, out)?;
        }
    }
    Ok(())
}

/// Writes the first line of a finding: what, where, by whom.
pub(crate) fn headline(finding: &Finding, out: &mut dyn Write) -> fmt::Result {
    out.write_str(finding.kind.words())?;
    if let Some(block) = finding.block {
        let (size, offset) = (counted(block.size, "byte"), finding.offset);
        write!(out, ": a block of {size} at {:#x}, offset {offset}", block.addr)?;
    } else {
        write!(out, ": address {:#x}", finding.addr)?;
        if let Some(module) = modules::lookup(finding.addr) {
            let path = module.path.escape_ascii();
            write!(out, " ({path}+{:#x})", finding.addr.wrapping_sub(module.bias))?;
        }
    }
    if let (Some((size, align)), Some(block)) = (finding.claimed, finding.block)
        && (size, align) != (block.size, block.align)
    {
        write!(out, "; the caller says size {size} align {align}")?;
        write!(out, ", it was allocated with size {} align {}", block.size, block.align)?;
    }
    if let Some(name) = finding.tag {
        write!(out, "; tag {}", name.escape_debug())?;
    }
    if !finding.detail.as_str().is_empty() {
        write!(out, "; {}", finding.detail.as_str())?;
    }
    if 1 < finding.count {
        write!(out, "; {} times", finding.count)?;
    }
    let name = finding.thread.name.split(|byte| *byte == 0).next().unwrap_or_default();
    writeln!(out, "; thread {} ({})", finding.thread.id, name.escape_ascii())
}

/// Writes a stack from the user's first frame on.
pub(crate) fn stack(id: StackId, frames: Frames, out: &mut dyn Write) -> fmt::Result {
    let mut trace = Trace::new();
    if !stack::depot().get(id, &mut trace) {
        return writeln!(out, "    (no stack)");
    }
    match frames {
        Frames::Resolved => stack::write_resolved(&trace, out),
        Frames::Addresses => stack::write_addresses(&without_own(&trace), out),
    }
}

/// Leaves out the frames before the first one that lies in another module than this function: those
/// of the preloaded library.
fn without_own(trace: &Trace) -> Trace {
    let here: fn(&Trace) -> Trace = without_own;
    let own = modules::lookup(here as usize).map(|module| module.id);
    let is_own = |pc: &usize| {
        own.is_some() && modules::lookup(pc.wrapping_sub(1)).map(|module| module.id) == own
    };
    let frames = trace.as_slice();
    let skip = frames.iter().take_while(|pc| is_own(pc)).count();
    let mut rest = Trace::new();
    let skip = if skip == frames.len() { 0 } else { skip };
    frames[skip..].iter().for_each(|pc| rest.push(*pc));
    rest
}
