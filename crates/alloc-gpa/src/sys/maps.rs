//! The process's mappings, as `/proc/self/maps` lists them. Takes no lock and no memory: the
//! loader's own list would need its lock.

use crate::finding::Detail;
use crate::sys::peek;

/// One mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping<'t> {
    /// First address.
    pub(crate) start: usize,
    /// Address past the last.
    pub(crate) end: usize,
    /// Such as `rw-p`.
    pub(crate) perms: [u8; 4],
    /// Path or name such as `[stack]`; empty for anonymous memory.
    pub(crate) name: &'t [u8],
}

/// Longest line that is read whole; the kernel cuts names at a page, and so do we.
const LINE_LEN_MAX: usize = 4608;

/// Calls `visit` for every mapping, lowest address first, until it returns `false`. Returns whether
/// the list could be read to the end or to there.
pub(crate) fn for_each(mut visit: impl FnMut(Mapping<'_>) -> bool) -> bool {
    let Some(file) = peek::open_self(c"/proc/self/maps") else { return false };
    let mut buffer = [0u8; LINE_LEN_MAX];
    let mut len = 0;
    let complete = loop {
        let count = peek::read_some(file, &mut buffer[len..]);
        // An error ends the list as its end does: what was read was visited.
        let Some(count @ 1..) = count else { break count == Some(0) };
        len += count;
        let mut start = 0;
        let mut stop = false;
        while let Some(line_len) = buffer[start..len].iter().position(|byte| *byte == b'\n') {
            let line = &buffer[start..start + line_len];
            start += line_len + 1;
            if parse(line).is_some_and(|mapping| !visit(mapping)) {
                stop = true;
                break;
            }
        }
        if stop {
            break true;
        }
        // A line longer than the buffer is no line of this file.
        if start == 0 && len == buffer.len() {
            break false;
        }
        buffer.copy_within(start..len, 0);
        len -= start;
    };
    peek::close(file);
    complete
}

/// Reads one line, such as `7f00-7f10 rw-p 00000000 08:01 42   /usr/lib/x.so`.
fn parse(line: &[u8]) -> Option<Mapping<'_>> {
    let mut rest = line;
    let mut field = || {
        let start = rest.iter().position(|byte| *byte != b' ')?;
        let tail = &rest[start..];
        let len = tail.iter().position(|byte| *byte == b' ').unwrap_or(tail.len());
        rest = &tail[len..];
        Some(&tail[..len])
    };
    let range = field()?;
    let perms = field()?.try_into().ok()?;
    let (_offset, _device, _inode) = (field()?, field()?, field()?);
    let name = rest.iter().position(|byte| *byte != b' ').map_or(&[][..], |start| &rest[start..]);
    let dash = range.iter().position(|byte| *byte == b'-')?;
    let (start, end) = (hex(&range[..dash])?, hex(&range[dash + 1..])?);
    Some(Mapping { start, end, perms, name })
}

fn hex(digits: &[u8]) -> Option<usize> {
    usize::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

/// Says what an address is that belongs to no heap.
#[cold]
pub(crate) fn describe(addr: usize) -> Detail {
    let local = 0u8;
    let here = (&raw const local).addr();
    let mut detail = None;
    let listed = for_each(|mapping| {
        if addr < mapping.start || mapping.end <= addr {
            return true;
        }
        let own_stack = mapping.start <= here && here < mapping.end;
        detail = Some(if own_stack || mapping.name.starts_with(b"[stack") {
            Detail::from_args(format_args!("stack address"))
        } else if mapping.name.is_empty() {
            Detail::from_args(format_args!(
                "foreign block: in memory that this allocator did not map"
            ))
        } else {
            let name = mapping.name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            Detail::from_args(format_args!("address in {}", name.escape_ascii()))
        });
        false
    });
    detail.unwrap_or_else(|| match listed {
        true => Detail::from_args(format_args!("not mapped")),
        false => Detail::from_args(format_args!("what is there could not be read")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = b"7f0000001000-7f0000003000 rw-p 00000000 08:01 42         /usr/lib/a b.so";
        let expected = Mapping {
            start: 0x7f00_0000_1000,
            end: 0x7f00_0000_3000,
            perms: *b"rw-p",
            name: b"/usr/lib/a b.so",
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse(b"00400000-00401000 r-xp 0 0 0").map(|m| m.name), Some(&b""[..]));
        for wrong in [&b""[..], b"x", b"1-2", b"g-1 rw-p 0 0 0", b"1 rw-p 0 0 0"] {
            assert_eq!(parse(wrong), None);
        }
    }

    #[test]
    fn addresses_are_described() {
        let local = 0u8;
        static STATIC: u8 = 1;
        assert_eq!(describe((&raw const local).addr()).as_str(), "stack address");
        assert!(describe((&raw const STATIC).addr()).as_str().starts_with("address in alloc_gpa"));
        assert_eq!(describe(0x10).as_str(), "not mapped");
        let count = &mut 0;
        assert!(for_each(|_| {
            *count += 1;
            true
        }));
        assert!(5 < *count);
    }
}
