//! The process's mappings, as `/proc/self/maps` lists them. Takes no lock and no memory: the
//! loader's own list would need its lock.

use core::ops::ControlFlow;

use crate::finding::Detail;
use crate::sys::{ended, peek};

/// One mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) executable: bool,
    /// Whether writes reach the file, or other processes.
    pub(crate) shared: bool,
    /// Of the mapped file, in bytes.
    pub(crate) offset: u64,
    /// 0: no file.
    pub(crate) inode: u64,
    /// A path, `[stack]`, `[vdso]`, …, or empty.
    pub(crate) name: &'a [u8],
}

/// Parses one line, without its newline.
pub(crate) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut rest = line;
    let start = hex(field(&mut rest, b'-')?)?;
    let end = hex(field(&mut rest, b' ')?)?;
    let permissions = field(&mut rest, b' ')?;
    let offset = hex(field(&mut rest, b' ')?)? as u64;
    field(&mut rest, b' ')?;
    let blank = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
    let (inode, name) = rest.split_at(blank);
    Some(Line {
        start,
        end,
        readable: *permissions.first()? == b'r',
        writable: *permissions.get(1)? == b'w',
        executable: *permissions.get(2)? == b'x',
        shared: *permissions.get(3)? == b's',
        offset,
        inode: decimal(inode)?,
        name: name.trim_ascii_start(),
    })
}

/// Cuts off what stands before the next `end`.
fn field<'a>(rest: &mut &'a [u8], end: u8) -> Option<&'a [u8]> {
    let at = rest.iter().position(|byte| *byte == end)?;
    let (field, tail) = rest.split_at(at);
    *rest = &tail[1..];
    Some(field)
}

fn hex(digits: &[u8]) -> Option<usize> {
    number(digits, 16)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    number(digits, 10).map(|value| value as u64)
}

fn number(digits: &[u8], radix: u32) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |value, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        value.checked_mul(radix as usize)?.checked_add(digit as usize)
    })
}

/// Longest line that is read whole; the kernel cuts names at a page, and so do we.
const LINE_LEN_MAX: usize = 4608;

/// Calls `visit` for every line of the open list, lowest address first, until it breaks; `text` is
/// where lines are read to. A line that does not fit there ends the list.
///
/// Returns how the visit ended, or `None` if the list could not be read.
pub(crate) fn for_each_line<B>(
    file: libc::c_int,
    text: &mut [u8],
    mut visit: impl FnMut(&Line<'_>) -> ControlFlow<B>,
) -> Option<ControlFlow<B>> {
    let mut len = 0;
    loop {
        let count = peek::read_some(file, &mut text[len..])?;
        if count == 0 {
            return Some(ControlFlow::Continue(()));
        }
        len += count;
        let mut start = 0;
        while let Some(line_len) = text[start..len].iter().position(|byte| *byte == b'\n') {
            if let Some(line) = parse(&text[start..start + line_len])
                && let ControlFlow::Break(value) = visit(&line)
            {
                return Some(ControlFlow::Break(value));
            }
            start += line_len + 1;
        }
        text.copy_within(start..len, 0);
        len -= start;
    }
}

/// Calls `visit` for every mapping, lowest address first, until it returns `false`. Returns whether
/// the list could be read to the end or to there.
pub(crate) fn for_each(mut visit: impl FnMut(&Line<'_>) -> bool) -> bool {
    let Some(file) = peek::open_self(c"/proc/thread-self/maps") else { return false };
    let mut text = [0; LINE_LEN_MAX];
    let ended = for_each_line(file, &mut text, |line| match visit(line) {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    });
    peek::close(file);
    ended.is_some()
}

/// Addresses below are kept free by the system, so that a null pointer traps.
const LOW_END: usize = 64 << 10;
/// Addresses from here on are no program's.
const USER_END: usize = 1 << 47;

/// Says what an address is that belongs to no heap.
#[cold]
pub(crate) fn describe(addr: usize) -> Detail {
    if addr < LOW_END {
        return Detail::from_args(format_args!("not mapped: a null pointer plus {addr}"));
    }
    if USER_END <= addr {
        return Detail::from_args(format_args!("not mapped: no address has such upper bits"));
    }
    let mut detail = None;
    let listed = for_each(|mapping| {
        let holds = mapping.start <= addr && addr < mapping.end;
        if holds {
            detail = Some(describe_in(mapping, addr));
        }
        !holds
    });
    detail.unwrap_or_else(|| match listed {
        true => Detail::from_args(format_args!("not mapped")),
        false => Detail::from_args(format_args!("what is there could not be read")),
    })
}

/// Says what an address is that a mapping holds.
fn describe_in(mapping: &Line<'_>, addr: usize) -> Detail {
    let local = 0u8;
    let here = (&raw const local).addr();
    if mapping.start <= here && here < mapping.end {
        return Detail::from_args(format_args!("stack address: of this thread"));
    }
    if mapping.name.starts_with(b"[stack") {
        return Detail::from_args(format_args!("stack address: of the main thread"));
    }
    if !mapping.name.is_empty() {
        let name = mapping.name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        return Detail::from_args(format_args!("address in {}", name.escape_ascii()));
    }
    if let Some(id) = ended::thread_at(mapping.start..mapping.end, addr) {
        let name = crate::sys::name_of_thread(id);
        let name = name.split(|byte| matches!(byte, 0 | b'\n')).next().unwrap_or_default();
        return Detail::from_args(format_args!(
            "stack address: of thread {id} ({})",
            name.escape_ascii()
        ));
    }
    match mapping.readable {
        true => Detail::from_args(format_args!(
            "foreign block: in memory that this allocator did not map"
        )),
        false => Detail::from_args(format_args!("foreign block: in memory that nobody may read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds of line that Linux writes.
    #[test]
    fn lines_parse() {
        let line = b"7f5b6d2aa000-7f5b6d3ff000 r-xp 00026000 08:01 1837 /usr/lib/a b.so (deleted)";
        let expected = Line {
            start: 0x7f5b_6d2a_a000,
            end: 0x7f5b_6d3f_f000,
            readable: true,
            writable: false,
            executable: true,
            shared: false,
            offset: 0x26000,
            inode: 1837,
            name: b"/usr/lib/a b.so (deleted)",
        };
        assert_eq!(parse(line), Some(expected));
        let line = b"7ffc1000-7ffc2000 rw-p 00000000 00:00 0                          [stack]";
        let stack = parse(line).expect("parses");
        assert_eq!((stack.inode, stack.name), (0, &b"[stack]"[..]));
        assert!(!stack.executable);
        let anonymous = parse(b"1000-2000 ---p 00000000 00:00 0").expect("parses");
        assert!(anonymous.name.is_empty() && !anonymous.readable);
        for bad in [&b""[..], b"1000", b"1000-2000", b"1000-2000 r-xp", b"x-y r-xp 0 0:0 0"] {
            assert_eq!(parse(bad), None);
        }
    }

    #[test]
    fn addresses_are_described() {
        let local = 0u8;
        static STATIC: u8 = 1;
        assert_eq!(describe((&raw const local).addr()).as_str(), "stack address: of this thread");
        assert!(describe((&raw const STATIC).addr()).as_str().starts_with("address in alloc_gpa"));
        assert_eq!(describe(0x10).as_str(), "not mapped: a null pointer plus 16");
        assert_eq!(describe(LOW_END).as_str(), "not mapped");
        assert!(describe(USER_END).as_str().starts_with("not mapped: "));
        let count = &mut 0;
        assert!(for_each(|_| {
            *count += 1;
            true
        }));
        assert!(5 < *count);
    }
}
