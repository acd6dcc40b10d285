//! Plain text about a heap, written by the process itself.

use core::fmt::{self, Write};

use crate::finding::Finding;
use crate::heap::Heap;
use crate::heap::audit::Live;
use crate::stack::{self, StackId, Trace, modules};
use crate::sys;

/// Leak groups printed in full.
const LEAK_GROUPS_MAX: usize = 20;
/// Leak groups told apart; what comes beyond is counted together.
const GROUPS_TRACKED_MAX: usize = 4096;

/// Descriptor 2, without std's lock.
pub(crate) struct StandardError;

impl Write for StandardError {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        sys::write_all(2, text.as_bytes());
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

/// Leaks from one place.
#[derive(Clone, Copy)]
struct Group {
    stack: StackId,
    count: u64,
    bytes: u64,
}

/// Writes all findings, then all live blocks of the current fork epoch by the stack that allocated
/// them, most bytes first.
pub(crate) fn report(heap: &Heap, out: &mut dyn Write) -> fmt::Result {
    let inside = stack::thread::enter();
    let mut index = 0;
    while let Some(found) = heap.findings.get(index) {
        finding(&found, Frames::Resolved, out)?;
        index += 1;
    }
    let mut groups = std::vec::Vec::<Group>::new();
    // Relaxed: changes in a forked child before any thread runs there.
    let epoch = heap.epoch.load(core::sync::atomic::Ordering::Relaxed);
    heap.for_each_live(|live| {
        if live.epoch == epoch {
            count(&mut groups, &live);
        }
    });
    groups.sort_by_key(|group| (core::cmp::Reverse(group.bytes), group.stack.get()));
    let (blocks, bytes) =
        groups.iter().fold((0, 0), |sum, group| (sum.0 + group.count, sum.1 + group.bytes));
    for group in groups.iter().take(LEAK_GROUPS_MAX) {
        let Group { stack, count, bytes } = *group;
        writeln!(out, "{count} leaked, {bytes} bytes, allocated at")?;
        self::stack(stack, Frames::Resolved, out)?;
    }
    if let Some(more @ 1..) = groups.len().checked_sub(LEAK_GROUPS_MAX) {
        writeln!(out, "and {more} more places")?;
    }
    for note in heap.notes() {
        writeln!(out, "note: {note}")?;
    }
    if index != 0 || blocks != 0 {
        writeln!(out, "{index} findings, {blocks} blocks leaked ({bytes} bytes)")?;
    }
    drop(inside);
    Ok(())
}

fn count(groups: &mut std::vec::Vec<Group>, live: &Live) {
    let stack = match groups.len() {
        GROUPS_TRACKED_MAX => StackId::NONE,
        _ => live.allocated,
    };
    let bytes = live.size as u64;
    match groups.iter_mut().rev().find(|group| group.stack == stack) {
        Some(group) => {
            group.count += 1;
            group.bytes += bytes;
        }
        None => groups.push(Group { stack, count: 1, bytes }),
    }
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
        let (size, offset) = (block.size, finding.offset);
        write!(out, ": a block of {size} bytes at {:#x}, offset {offset}", block.addr)?;
    } else {
        write!(out, ": address {:#x}", finding.addr)?;
    }
    if let (Some((size, align)), Some(block)) = (finding.claimed, finding.block)
        && (size, align) != (block.size, block.align)
    {
        write!(out, "; the caller says size {size} align {align}")?;
        write!(out, ", it was allocated with size {} align {}", block.size, block.align)?;
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
