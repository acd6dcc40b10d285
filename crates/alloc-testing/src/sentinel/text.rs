//! What reports say.

use core::fmt;
use std::fmt::Write;

use alloc_gpa::{Finding, StackId};

use super::operation::Offence;
use crate::report;
use alloc_gpa::counted;

/// Returns what there is to say of so many operations that were not allowed, if there were any; `place` says
/// where. Who makes the first may have counted it and not taken its stack yet.
pub(super) fn offences(
    count: u64,
    first: Option<Offence>,
    place: fmt::Arguments<'_>,
) -> Option<String> {
    if count == 0 {
        return None;
    }
    let operations = counted(count, "heap operation");
    Some(match first {
        Some(first) => format!("{operations} {place}; the first: {first}"),
        None => format!("{operations} {place}; no stack yet, another thread is just at the first"),
    })
}

/// Returns a finding as a paragraph.
pub(super) fn finding(finding: &Finding) -> String {
    let mut text = finding.kind.words().to_owned();
    // A `String` takes all that is written to it, here and below.
    if let Some(block) = finding.block {
        let _ =
            write!(text, ": a block of {}, offset {}", counted(block.size, "byte"), finding.offset);
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

#[cfg(test)]
mod tests {
    use core::alloc::Layout;

    use super::super::operation::Operation;
    use super::*;

    #[test]
    fn an_offence_is_told_before_its_stack_is_there() {
        assert_eq!(offences(0, None, format_args!("here")), None);
        let operation = Operation::Alloc(Layout::new::<u64>());
        let first = Offence { operation, stack: StackId::NONE };
        let text = offences(2, Some(first), format_args!("here")).expect("two");
        assert!(
            text.starts_with("2 heap operations here; the first: an allocation of 8 bytes"),
            "{text}"
        );
        let text = offences(1, None, format_args!("here")).expect("one");
        assert!(text.starts_with("1 heap operation here; "), "{text}");
        assert!(text.contains("no stack"), "{text}");
    }
}
