//! What keeps a report from being the whole truth, in words.

use crate::Report;
use crate::escape::escape_short;
use crate::words::{counted, grouped};

/// The most notes that are shown.
const NOTES_SHOWN_MAX: usize = 20;

/// Each limit in one line, escaped.
pub(crate) fn limits(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for (text, count) in report.notes.iter().take(NOTES_SHOWN_MAX) {
        let times = match count {
            1 => String::new(),
            count => format!(" ({} processes)", grouped(*count)),
        };
        lines.push(format!("note: {}{times}", escape_short(text, 400)));
    }
    let unshown = report.notes.len().saturating_sub(NOTES_SHOWN_MAX) as u64;
    let unshown = unshown.saturating_add(report.notes_dropped);
    if unshown > 0 {
        lines.push(format!("note: {} not shown", counted(unshown, "more note")));
    }
    for file in report.unreadable.iter().take(NOTES_SHOWN_MAX) {
        lines.push(format!("note: not read: {}", escape_short(file, 400)));
    }
    if report.malformed_lines > 0 {
        let count = counted(report.malformed_lines, "line");
        lines.push(format!("note: {count} of the records could not be understood"));
    }
    let totals = report.totals();
    let process = |count| counted(count, "process");
    if totals.cut > 0 {
        let whose = if totals.cut == 1 { "its" } else { "their" };
        let count = process(totals.cut);
        lines.push(format!("{count} ended without exit handlers: {whose} leaks were not counted"));
    }
    if totals.replaced > 0 {
        let count = process(totals.replaced);
        lines.push(format!("{count} called exec: leaks from before it were not counted"));
    }
    if totals.running > 0 {
        let count = process(totals.running);
        lines.push(format!("{count} still running: read as far as written"));
    }
    lines
}
