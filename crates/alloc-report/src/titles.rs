//! Findings in words.

use crate::escape::escape_short;
use crate::model::{Finding, Kind, StackId};
use crate::words::{bytes, grouped};

/// How the detail of a finding begins that a trap made, at the access itself.
const TRAPPED: &str = "trapped";
/// The same of a function of libc that made the access.
const CALLED: &str = "in ";

/// How the detail of a finding ends whose address was not freed but given to `realloc`.
const REALLOC: &str = "given to realloc";

/// How a finding says that its page was opened.
const OPENED: &str = "the page is open from now on";
/// How a finding says between which bytes there is damage.
const LENGTH: &str = "bytes were written over a length of ";
/// How it says that a pointer leads to a block but for a tag in its upper bits.
const TAGGED: &str = "not mapped: the block's address but for the upper bits, ";
/// The most characters of a detail that are shown.
const DETAIL_LEN_MAX: usize = 400;

/// `a 100-byte block`, `an 8-byte block`, or `a block` where none is known.
fn block(finding: &Finding, adjective: &str) -> String {
    let Some(block) = finding.block else { return format!("a {adjective}block") };
    let size = grouped(block.size);
    let article = match size.split(',').next() {
        _ if !adjective.is_empty() => "a",
        // Eleven, eighteen, eight, eighty, eight hundred.
        Some("11" | "18") => "an",
        _ if size.starts_with('8') => "an",
        _ => "a",
    };
    format!("{article} {adjective}{size}-byte block")
}

/// The finding in one line, escaped.
pub(crate) fn title(finding: &Finding) -> String {
    let offset = format!(" (offset {})", finding.offset);
    let at = if finding.block.is_some() { offset.as_str() } else { "" };
    let text = match &finding.kind {
        Kind::DoubleFree => format!("double free of {}{at}", block(finding, "")),
        Kind::InvalidFree => return invalid_free(finding, at),
        Kind::ResizeAfterFree => format!("realloc of {}{at}", block(finding, "freed ")),
        Kind::SizeMismatch => {
            format!("wrong size: {} given for {}", bytes(finding.size), block(finding, ""))
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
        Kind::OtherAllocator => {
            format!("{} given to another allocator than its own", block(finding, ""))
        }
        Kind::FamilyMismatch if finding.detail.ends_with("by realloc") => {
            format!("mismatched realloc of {}", block(finding, ""))
        }
        Kind::FamilyMismatch => format!("mismatched free of {}", block(finding, "")),
        // A product that is no number has no size.
        Kind::InvalidRequest if finding.detail.starts_with("the product of") => {
            format!("absurd request, aligned to {}", grouped(finding.align))
        }
        Kind::InvalidRequest => format!(
            "absurd request of {}, aligned to {}",
            bytes(finding.size),
            grouped(finding.align)
        ),
        Kind::Other(name) => format!("{}: {}{at}", escape_short(name, 60), block(finding, "")),
    };
    let detail = told_by_trap(finding).unwrap_or(&finding.detail);
    match detail.strip_prefix(LENGTH) {
        _ if detail.is_empty() => text,
        Some(len) => format!("{text}: up to {} bytes were written", escape_short(len, 60)),
        None => format!("{text}: {}", escape_short(detail, DETAIL_LEN_MAX)),
    }
}

/// What was freed that is no block, or given to `realloc`.
fn invalid_free(finding: &Finding, at: &str) -> String {
    let verb = if finding.detail.ends_with(REALLOC) { "realloc" } else { "free" };
    let detail = finding.detail.strip_suffix(REALLOC).unwrap_or(&finding.detail);
    let detail = detail.strip_suffix("; ").unwrap_or(detail);
    if let Some(known) = finding.block {
        let state = if finding.freed == StackId::NONE { "" } else { "freed " };
        let named = block(finding, state);
        if let Some(tag) = detail.strip_prefix(TAGGED) {
            let tag = escape_short(tag, 60);
            return format!("{verb} of a pointer with {tag} in its upper bits to {named}{at}");
        }
        let relation = match u64::try_from(finding.offset) {
            Err(_) => "before the start of",
            Ok(offset) if known.size <= offset && offset != 0 => "past the end of",
            Ok(_) => "into",
        };
        let text = format!("{verb} of a pointer {relation} {named}{at}");
        return match detail {
            "" | "interior pointer" => text,
            detail => format!("{text}: {}", escape_short(detail, DETAIL_LEN_MAX)),
        };
    }
    let text = format!("{verb} of {:#x}, which is no block", finding.addr);
    if !finding.global.is_empty() {
        return format!("{text}: the variable {}", escape_short(&finding.global, DETAIL_LEN_MAX));
    }
    let place = match detail.split_once(": ") {
        Some(("stack address", whose)) => format!("on the stack {whose}"),
        Some(("not mapped" | "foreign block", why)) => why.to_owned(),
        _ if detail == "not mapped" => "nothing is mapped there".to_owned(),
        _ if detail == "address in [heap]" => "in memory that was taken with sbrk".to_owned(),
        _ if detail.starts_with("address in ") => format!("an {detail}"),
        _ => detail.to_owned(),
    };
    match place.as_str() {
        "" => text,
        place => format!("{text}: {}", escape_short(place, DETAIL_LEN_MAX)),
    }
}

/// What a trap says beyond that there was one, and that its page is open now.
fn told_by_trap(finding: &Finding) -> Option<&str> {
    let rest = finding.detail.strip_prefix(TRAPPED)?;
    let rest = rest.split("; the page ").next().unwrap_or_default();
    Some(rest.strip_prefix(": ").unwrap_or(rest))
}

/// What a reader should know of the finding beside its stacks.
pub(crate) fn remark(finding: &Finding) -> Option<&'static str> {
    let is_damage = matches!(finding.kind, Kind::Overflow | Kind::Underflow | Kind::UseAfterFree);
    if finding.detail.contains(OPENED) {
        Some("The page is open from now on: later accesses to it are not seen.")
    } else if is_damage && finding.here == StackId::NONE && !is_met(finding) {
        Some(
            "Noticed when the memory was looked over; with --gpa guard=every the write itself is told.",
        )
    } else {
        None
    }
}

/// Whether the access itself was met, not only what it left behind.
fn is_met(finding: &Finding) -> bool {
    [TRAPPED, CALLED].iter().any(|word| finding.detail.starts_with(word))
}

/// The stacks of a finding, each with its name. Damage is older than the call that notices it; often
/// that is the block's own free, which then is said once.
pub(crate) fn parts(finding: &Finding) -> [(&'static str, StackId); 3] {
    let (here, freed, freed_at) = match finding.kind {
        Kind::ReadAfterFree | Kind::OverflowRead | Kind::UnderflowRead => {
            ("read", "freed", finding.freed)
        }
        Kind::Overflow | Kind::Underflow | Kind::UseAfterFree if is_met(finding) => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Block;

    fn finding(kind: &str, size: Option<u64>, detail: &str) -> Finding {
        Finding {
            kind: Kind::from_name(kind),
            addr: 0x4010,
            offset: 16,
            block: size.map(|size| Block { addr: 0x4000, size, align: 16 }),
            size: 0,
            align: 0,
            thread: String::new(),
            tid: 0,
            here: StackId::NONE,
            allocated: StackId::NONE,
            freed: StackId::NONE,
            tag: String::new(),
            place: None,
            global: String::new(),
            detail: detail.to_owned(),
            count: 1,
            process: 0,
            suppressed: false,
        }
    }

    /// What was freed is said as a reader would ask, and whether it was a `realloc`.
    #[test]
    fn addresses_that_are_no_blocks() {
        let title = |detail| super::title(&finding("invalid_free", None, detail));
        let free = "free of 0x4010, which is no block";
        for (detail, rest) in [
            ("", ""),
            ("stack address: of this thread", ": on the stack of this thread"),
            ("address in libc.so.6", ": an address in libc.so.6"),
            ("not mapped", ": nothing is mapped there"),
            ("not mapped: a null pointer plus 16", ": a null pointer plus 16"),
            ("no block was ever here", ": no block was ever here"),
            ("address in [heap]", ": in memory that was taken with sbrk"),
        ] {
            assert_eq!(title(detail), format!("{free}{rest}"));
        }
        let realloc = "realloc of 0x4010, which is no block";
        assert_eq!(title("given to realloc"), realloc);
        assert_eq!(
            title("not mapped; given to realloc"),
            format!("{realloc}: nothing is mapped there")
        );
        let of_variable = Finding {
            global: "table + 16 of app".to_owned(),
            ..finding("invalid_free", None, "address in app")
        };
        assert_eq!(super::title(&of_variable), format!("{free}: the variable table + 16 of app"));
        let interior = |detail| super::title(&finding("invalid_free", Some(100), detail));
        let into = "of a pointer into a 100-byte block (offset 16)";
        assert_eq!(interior("interior pointer"), format!("free {into}"));
        assert_eq!(interior("interior pointer; given to realloc"), format!("realloc {into}"));
        assert_eq!(
            interior("not mapped: the block's address but for the upper bits, 0x0700"),
            "free of a pointer with 0x0700 in its upper bits to a 100-byte block (offset 16)"
        );
        let at = |offset| {
            let freed = StackId(1);
            super::title(&Finding { offset, freed, ..finding("invalid_free", Some(100), "") })
        };
        assert_eq!(
            at(-1),
            "free of a pointer before the start of a freed 100-byte block (offset -1)"
        );
        assert_eq!(
            at(100),
            "free of a pointer past the end of a freed 100-byte block (offset 100)"
        );
        assert_eq!(at(99), "free of a pointer into a freed 100-byte block (offset 99)");
    }

    /// Sizes are those that mean something, damage is told as what it can be, and `realloc` by its name.
    #[test]
    fn details() {
        let title = |kind, detail| super::title(&finding(kind, Some(100), detail));
        let damage = title("overflow", "bytes were written over a length of 4");
        assert!(damage.ends_with("(offset 16): up to 4 bytes were written"), "{damage}");
        let resized = "allocated by operator new, resized by realloc";
        let expected = format!("mismatched realloc of a 100-byte block: {resized}");
        assert_eq!(title("family_mismatch", resized), expected);
        let request = |size, detail| {
            let request = finding("invalid_request", None, detail);
            super::title(&Finding { size, align: 16, ..request })
        };
        assert_eq!(
            request(u64::MAX - 99, "-100 as a signed number"),
            "absurd request of 18,446,744,073,709,551,516 bytes, aligned to 16: -100 as a signed number"
        );
        assert_eq!(
            request(u64::MAX, "the product of 9223372036854775807 and 4"),
            "absurd request, aligned to 16: the product of 9223372036854775807 and 4"
        );
    }

    /// Numbers have the article that they are spoken with.
    #[test]
    fn articles() {
        let title = |size| super::title(&finding("double_free", Some(size), ""));
        for size in [8, 11, 18, 80, 899, 8_000, 11_000, 18_000_000] {
            assert!(title(size).starts_with("double free of an "), "{size}");
        }
        for size in [0, 1, 7, 12, 100, 110, 118, 180, 1_100, 1_800, 110_000] {
            assert!(title(size).starts_with("double free of a "), "{size}");
        }
    }

    /// What a trap does to its page is a remark, not a part of the title.
    #[test]
    fn traps() {
        let opened = "trapped; the page is open from now on, and no longer watched";
        let read = finding("read_after_free", Some(100), opened);
        assert_eq!(title(&read), "read of a freed 100-byte block (offset 16)");
        assert!(remark(&read).is_some_and(|text| text.starts_with("The page is open")));
        let jump = finding("read_after_free", Some(100), "trapped: a jump to it");
        assert_eq!(title(&jump), "read of a freed 100-byte block (offset 16): a jump to it");
        assert_eq!(remark(&jump), None);
        let late = finding("overflow", Some(100), "1 byte was written");
        assert!(remark(&late).is_some_and(|text| text.starts_with("Noticed when")));
    }
}
