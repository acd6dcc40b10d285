//! The process's mappings, as `/proc/self/maps` lists them, read without memory or lock.

/// One mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping<'t> {
    /// First address.
    pub(crate) start: usize,
    /// Address past the last.
    pub(crate) end: usize,
    /// Such as `rw-p`.
    pub(crate) perms: [u8; 4],
    /// Where in the file it starts, in bytes.
    pub(crate) offset: u64,
    /// Path or name such as `[stack]`; empty for anonymous memory. Cut off where it is very long.
    pub(crate) name: &'t [u8],
}

/// As much of a line as is looked at.
const LINE_LEN_MAX: usize = 512;

/// Calls `visit` for every mapping, lowest address first. If the list cannot be read, for none.
pub(crate) fn for_each(mut visit: impl FnMut(Mapping<'_>)) {
    // SAFETY: a C string.
    let file = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return;
    }
    let mut buffer = [0u8; 4 * LINE_LEN_MAX];
    let mut line = [0u8; LINE_LEN_MAX];
    let mut len = 0;
    loop {
        // By a bare call: `read` is this library's own, and may not be ready yet.
        // SAFETY: a live buffer of that length.
        let count =
            unsafe { libc::syscall(libc::SYS_read, file, buffer.as_mut_ptr(), buffer.len()) };
        let Ok(count @ 1..) = usize::try_from(count) else { break };
        for byte in &buffer[..count.min(buffer.len())] {
            if *byte == b'\n' {
                if let Some(mapping) = parse(&line[..len]) {
                    visit(mapping);
                }
                len = 0;
            } else if len < LINE_LEN_MAX {
                line[len] = *byte;
                len += 1;
            }
        }
    }
    // SAFETY: opened above.
    unsafe { libc::close(file) };
}

/// Reads one line, such as `7f00-7f10 rw-p 00001000 08:01 42   /usr/lib/x.so`.
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
    let (offset, _device, _inode) = (field()?, field()?, field()?);
    let name = rest.iter().position(|byte| *byte != b' ').map_or(&[][..], |start| &rest[start..]);
    let dash = range.iter().position(|byte| *byte == b'-')?;
    let start = usize::try_from(hex(&range[..dash])?).ok()?;
    let end = usize::try_from(hex(&range[dash + 1..])?).ok()?;
    Some(Mapping { start, end, perms, offset: hex(offset)?, name })
}

fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = b"7f0000001000-7f0000003000 rw-p 00021000 08:01 42         /usr/lib/a b.so";
        let expected = Mapping {
            start: 0x7f00_0000_1000,
            end: 0x7f00_0000_3000,
            perms: *b"rw-p",
            offset: 0x21000,
            name: b"/usr/lib/a b.so",
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse(b"00400000-00401000 r-xp 0 0 0").map(|m| m.name), Some(&b""[..]));
        for wrong in [&b""[..], b"x", b"1-2", b"g-1 rw-p 0 0 0", b"1 rw-p 0 0 0"] {
            assert_eq!(parse(wrong), None);
        }
    }

    /// All of this process's mappings are listed: those of its code, its data and its stack.
    #[test]
    fn own_mappings_are_listed() {
        static DATA: u8 = 1;
        let local = 0u8;
        let wanted =
            [(&raw const local).addr(), (&raw const DATA).addr(), hex as *const () as usize];
        let mut found = [0; 3];
        let mut last = 0;
        for_each(|mapping| {
            assert!(last <= mapping.start);
            last = mapping.end;
            for (count, address) in found.iter_mut().zip(wanted) {
                *count += usize::from(mapping.start <= address && address < mapping.end);
            }
        });
        assert_eq!(found, [1; 3]);
    }
}
