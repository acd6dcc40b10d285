//! What reports say.

use std::fmt::Write;

use alloc_gpa::{Finding, StackId};

use crate::report;

/// Returns a number of things in words.
pub(super) fn number(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// Returns a finding as a paragraph.
pub(super) fn finding(finding: &Finding) -> String {
    let mut text = finding.kind.words().to_owned();
    // A `String` takes all that is written to it, here and below.
    if let Some(block) = finding.block {
        let _ = write!(text, ": a block of {} bytes, offset {}", block.size, finding.offset);
    }
    if let Some((size, align)) = finding.claimed {
        let _ = write!(text, "; the caller says size {size} align {align}");
    }
    text.push('\n');
    for (title, id) in
        [("here", finding.here), ("allocated", finding.allocated), ("freed", finding.freed)]
    {
        if id != StackId::NONE {
            let _ = write!(text, "  {title}\n{}", report::of_stack(id));
        }
    }
    text
}

/// Writes to standard error, without std's lock, which the thread may hold.
pub(super) fn to_standard_error(text: &str) {
    #[cfg(unix)]
    {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            // SAFETY: the bytes are valid for their length.
            let count = unsafe { libc::write(2, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(count) {
                Ok(count @ 1..) => rest = rest.get(count..).unwrap_or_default(),
                // Closed: there is nowhere else to say it.
                _ => return,
            }
        }
    }
    #[cfg(not(unix))]
    report::print(format_args!("{text}"));
}

/// Ends the process without exit handlers, which may allocate.
pub(super) fn exit_now(status: i32) -> ! {
    #[cfg(unix)]
    // SAFETY: no preconditions.
    unsafe {
        libc::_exit(status)
    }
    #[cfg(not(unix))]
    std::process::exit(status)
}
