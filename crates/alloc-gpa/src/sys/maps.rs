//! The process's mappings, as `/proc/self/maps` lists them. Takes no lock and no memory: the
//! loader's own list would need its lock.

use core::ops::ControlFlow;

use crate::finding::Detail;
use crate::stack::elf;
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
    let mut image = Image { base: 0, name: [0; NAME_LEN_MAX], name_len: 0 };
    let listed = for_each(|mapping| {
        if mapping.inode != 0 && mapping.offset == 0 {
            image = Image::of(mapping);
        }
        let holds = mapping.start <= addr && addr < mapping.end;
        if holds {
            detail = Some(describe_in(mapping, addr, &image));
        }
        !holds
    });
    detail.unwrap_or_else(|| match listed {
        true => Detail::from_args(format_args!("not mapped")),
        false => Detail::from_args(format_args!("what is there could not be read")),
    })
}

/// The file whose first page is mapped before an address.
struct Image {
    base: usize,
    name: [u8; NAME_LEN_MAX],
    name_len: usize,
}

/// What is kept of a file's name.
const NAME_LEN_MAX: usize = 64;

/// Bytes of a file's head that are looked at: program headers follow the ELF header.
const HEAD_LEN: usize = 1024;

impl Image {
    fn of(mapping: &Line<'_>) -> Self {
        let name = last_of(mapping.name);
        let name = &name[..name.len().min(NAME_LEN_MAX)];
        let mut image = Self { base: mapping.start, name: [0; NAME_LEN_MAX], name_len: name.len() };
        image.name[..name.len()].copy_from_slice(name);
        image
    }

    /// Whether the file says that this address is its own: that of a static that is zero in the
    /// beginning lies behind what the file has, in memory without a name.
    fn holds(&self, addr: usize) -> bool {
        let mut head = [0; HEAD_LEN];
        let is_read = self.base != 0 && peek::read(self.base, &mut head);
        let image = is_read.then(|| elf::parse_elf(&head, self.base)).flatten();
        image.is_some_and(|image| image.start <= addr && addr < image.end)
    }
}

/// What follows the last slash.
fn last_of(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// What the kernel calls memory of no file that processes share.
const SHARED_NAME: &[u8] = b"/dev/zero (deleted)";

/// Says what an address is that a mapping holds, behind the image of a file.
fn describe_in(mapping: &Line<'_>, addr: usize, image: &Image) -> Detail {
    let local = 0u8;
    let here = (&raw const local).addr();
    if mapping.start <= here && here < mapping.end {
        return Detail::from_args(format_args!("stack address: of this thread"));
    }
    if mapping.name.starts_with(b"[stack") {
        return Detail::from_args(format_args!("stack address: of the main thread"));
    }
    if mapping.name == SHARED_NAME {
        return Detail::from_args(format_args!("foreign block: in memory that processes share"));
    }
    if !mapping.name.is_empty() {
        let name = last_of(mapping.name);
        return Detail::from_args(format_args!("address in {}", name.escape_ascii()));
    }
    if image.holds(addr) {
        let name = image.name[..image.name_len].escape_ascii();
        return Detail::from_args(format_args!("address in {name}"));
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
    use core::sync::atomic::AtomicU8;

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
        // Longer than the page that the file's own part ends in.
        static ZERO: [AtomicU8; 3 << 12] = [const { AtomicU8::new(0) }; 3 << 12];
        assert_eq!(describe((&raw const local).addr()).as_str(), "stack address: of this thread");
        assert!(describe((&raw const STATIC).addr()).as_str().starts_with("address in alloc_gpa"));
        let zero = describe((&raw const ZERO).addr() + (2 << 12));
        assert!(zero.as_str().starts_with("address in alloc_gpa"), "{zero:?}");
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
