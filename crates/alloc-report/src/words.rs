//! Findings and figures in words.

use crate::Report;
use crate::escape::{escape, escape_short};
use crate::model::{Counted, Finding, Frame, Kind, StackId};

/// The most characters of a function's name that are shown.
const NAME_LEN_MAX: usize = 160;
/// How the detail of a finding begins that a trap made, at the access itself.
const TRAPPED: &str = "trapped";
/// The same of a function of libc that made the access.
const CALLED: &str = "in ";

/// `1 finding`, `12,406 findings`.
pub(crate) fn counted(count: u64, singular: &str) -> String {
    let ending = match count {
        1 => "",
        _ if singular.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {singular}{ending}", grouped(count))
}

/// `12406` as `12,406`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `4,128 bytes`.
pub(crate) fn bytes(count: u64) -> String {
    counted(count, "byte")
}

/// A size at a glance: `512 bytes`, `1.8 MiB`.
pub(crate) fn size(count: u64) -> String {
    let mut unit_len = 1024_u64;
    for unit in ["KiB", "MiB", "GiB", "TiB"] {
        if count < unit_len {
            break;
        }
        let tenths = u128::from(count) * 10 / u128::from(unit_len);
        if tenths < 10 * 1024 || unit == "TiB" {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        unit_len *= 1024;
    }
    bytes(count)
}

/// `a 100-byte block`, or `a block` where none is known.
fn block(finding: &Finding, adjective: &str) -> String {
    match finding.block {
        Some(block) => format!("a {adjective}{}-byte block", grouped(block.size)),
        None => format!("a {adjective}block"),
    }
}

/// The finding in one line, escaped.
pub(crate) fn title(finding: &Finding) -> String {
    let offset = format!(" (offset {})", finding.offset);
    let at = if finding.block.is_some() { offset.as_str() } else { "" };
    let text = match &finding.kind {
        Kind::DoubleFree => format!("double free of {}{at}", block(finding, "")),
        Kind::InvalidFree if finding.block.is_some() => {
            format!("free of a pointer into {}{at}", block(finding, ""))
        }
        Kind::InvalidFree => format!("free of {:#x}, which is no block", finding.addr),
        Kind::ResizeAfterFree => format!("resize of {}{at}", block(finding, "freed ")),
        Kind::SizeMismatch => {
            format!("wrong size: {} given for {}", grouped(finding.size), block(finding, ""))
        }
        Kind::AlignMismatch => {
            let aligned = finding.block.map_or(0, |block| block.align);
            let claimed = grouped(finding.align);
            format!(
                "wrong alignment: {claimed} given for {} aligned to {}",
                block(finding, ""),
                grouped(aligned)
            )
        }
        Kind::Overflow => format!("write past the end of {}{at}", block(finding, "")),
        Kind::Underflow => format!("write before the start of {}{at}", block(finding, "")),
        Kind::UseAfterFree => format!("write to {}{at}", block(finding, "freed ")),
        Kind::ReadAfterFree => format!("read of {}{at}", block(finding, "freed ")),
        Kind::OverflowRead => format!("read past the end of {}{at}", block(finding, "")),
        Kind::UnderflowRead => format!("read before the start of {}{at}", block(finding, "")),
        Kind::OtherAllocator => format!("{} given to another allocator", block(finding, "")),
        Kind::FamilyMismatch => format!("mismatched free of {}", block(finding, "")),
        Kind::InvalidRequest => format!(
            "request that cannot be meant: {}, alignment {}",
            bytes(finding.size),
            grouped(finding.align)
        ),
        Kind::Other(name) => format!("{}: {}{at}", escape_short(name, 60), block(finding, "")),
    };
    match finding.detail.as_str() {
        "" => text,
        "interior pointer" if finding.block.is_some() => text,
        detail => format!("{text}: {}", escape_short(detail, 400)),
    }
}

/// The stacks of a finding, each with its name. Damage is older than the call that notices it; often
/// that is the block's own free, which then is said once.
pub(crate) fn parts(finding: &Finding) -> [(&'static str, StackId); 3] {
    let is_trapped = [TRAPPED, CALLED].iter().any(|word| finding.detail.starts_with(word));
    let (here, freed, freed_at) = match finding.kind {
        Kind::ReadAfterFree | Kind::OverflowRead | Kind::UnderflowRead => {
            ("read", "freed", finding.freed)
        }
        Kind::Overflow | Kind::Underflow | Kind::UseAfterFree if is_trapped => {
            ("written", "freed", finding.freed)
        }
        Kind::Overflow | Kind::Underflow | Kind::UseAfterFree if finding.freed == finding.here => {
            ("noticed", "freed", StackId::NONE)
        }
        Kind::Overflow | Kind::Underflow | Kind::UseAfterFree => {
            ("noticed", "freed", finding.freed)
        }
        _ => ("here", "freed first", finding.freed),
    };
    [(here, finding.here), ("allocated", finding.allocated), (freed, freed_at)]
}

/// What a finding of this kind means, and what it leads to.
pub(crate) fn meaning(kind: &Kind) -> &'static str {
    match kind {
        Kind::DoubleFree => {
            "The block had been freed before. By then a usual allocator may have given its memory to \
             somebody else, whose block this call would free."
        }
        Kind::InvalidFree => {
            "Only an address that the allocator has returned, and has not taken back, can be freed."
        }
        Kind::ResizeAfterFree => "The block had been freed before: its content is gone.",
        Kind::SizeMismatch => {
            "The size given back is not the one that was asked for. An allocator that trusts it puts \
             the block where blocks of another size belong."
        }
        Kind::AlignMismatch => {
            "The alignment given back is not the one that was asked for. An allocator that trusts it \
             looks for the block in the wrong place."
        }
        Kind::Overflow => {
            "Bytes behind the block's last one were written. In a usual heap they belong to the next \
             block, or to the heap itself."
        }
        Kind::Underflow => {
            "Bytes before the block's first one were written. In a usual heap they belong to another \
             block, or to the heap itself."
        }
        Kind::UseAfterFree => {
            "The block was written to after it had been freed: a pointer to it was kept. In a usual \
             heap this changes whatever lies there next."
        }
        Kind::ReadAfterFree => {
            "The block was read after it had been freed: a pointer to it was kept. In a usual heap this \
             yields whatever lies there next."
        }
        Kind::OverflowRead => {
            "Bytes behind the block's last one were read. In a usual heap they belong to the next block, \
             and may hold its secrets."
        }
        Kind::UnderflowRead => {
            "Bytes before the block's first one were read. In a usual heap they belong to another block, \
             and may hold its secrets."
        }
        Kind::FamilyMismatch => {
            "What one family of functions has allocated, only the same family may free: malloc and free, \
             new and delete, new[] and delete[]. Another one works by chance."
        }
        Kind::OtherAllocator => {
            "The block came from another allocator than the one it was given to."
        }
        Kind::InvalidRequest => {
            "No program can mean this size or alignment: often it is a negative number. The request \
             failed; this changes no exit status."
        }
        Kind::Other(_) => "This version does not know the kind; a newer one may say more.",
    }
}

/// Which blocks the report calls lost.
pub(crate) fn leaks_meaning(report: &Report) -> &'static str {
    let counted = |counted| report.has_counted(counted);
    match (counted(Counted::Scan), counted(Counted::Exact)) {
        (true, false) => "blocks that nothing points to",
        (false, true) => "all blocks that were not freed",
        (true, true) => "in some processes blocks that nothing points to, in others all not freed",
        (false, false) => "how they were counted is unknown",
    }
}

/// The function's name, or where it would be.
pub(crate) fn function(frame: &Frame) -> String {
    match &frame.function {
        Some(name) => escape_short(name, NAME_LEN_MAX).into_owned(),
        None => escape(&frame.to_string()).into_owned(),
    }
}

/// `file:line`, relative to `here` if it lies below; else the module.
pub(crate) fn place(frame: &Frame, here: Option<&str>) -> String {
    let Some(file) = &frame.file else {
        return match (&frame.function, frame.module.as_str()) {
            (None, _) | (_, "") => String::new(),
            _ => format!("({})", escape(&frame.to_string())),
        };
    };
    let file = short_path(file, here);
    match frame.line {
        Some(line) => format!("{}:{line}", escape(file)),
        None => escape(file).into_owned(),
    }
}

/// `path` without the directory `here`, or without the directory in which Rust's own sources were
/// compiled.
fn short_path<'p>(path: &'p str, here: Option<&str>) -> &'p str {
    let below = here.and_then(|here| path.strip_prefix(here)?.strip_prefix('/'));
    let rustc = || {
        let (commit, rest) = path.strip_prefix("/rustc/")?.split_once('/')?;
        commit.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(rest)
    };
    below.or_else(rustc).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thousands are grouped, units rounded down, plurals right.
    #[test]
    fn figures() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(12_406), "12,406");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(counted(2, "process"), "2 processes");
        assert_eq!(size(1023), "1,023 bytes");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size(1_900_000), "1.8 MiB");
        assert_eq!(size(u64::MAX), "16777215.9 TiB");
    }

    /// Paths are as short as they can be without ambiguity.
    #[test]
    fn paths() {
        assert_eq!(short_path("/src/app/a.c", Some("/src/app")), "a.c");
        assert_eq!(short_path("/src/app2/a.c", Some("/src/app")), "/src/app2/a.c");
        assert_eq!(short_path("/rustc/0a1b/library/x.rs", None), "library/x.rs");
    }
}
