//! The parts of an ELF header that matter here. Arithmetic only.
#![forbid(unsafe_code)]

use crate::sys::maps::Line;

/// What the head of an ELF file says about where its parts are in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elf {
    /// What to add to the file's virtual addresses.
    pub(crate) bias: usize,
    /// The loaded image, `[start, end)`.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// `.eh_frame_hdr`: address and length; 0 without one.
    pub(crate) hdr: usize,
    pub(crate) hdr_len: usize,
    /// The notes' addresses and lengths; 0 for none.
    pub(crate) notes: [(usize, usize); NOTES_MAX],
    /// The segments that the file is loaded in; of length 0 beyond the last.
    loads: [Load; LOADS_MAX],
}

/// A part of a file that is mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    addr: usize,
    offset: usize,
    len: usize,
}

impl Elf {
    /// Whether the mapping, one of the image's file, is where the loader puts that part of it. One
    /// that is not belongs to another mapping of the file: tools that read symbols map it as data.
    pub(crate) fn holds(&self, line: &Line<'_>) -> bool {
        let delta = line.start.wrapping_sub(line.offset as usize);
        self.loads.iter().any(|load| {
            let same_delta = load.addr.wrapping_sub(load.offset) == delta;
            same_delta && line.start < load.addr.wrapping_add(load.len) && load.addr < line.end
        })
    }
}

/// The most segments of a file that are looked at; linkers make four or five.
const LOADS_MAX: usize = 8;

/// The most note segments that are looked at; linkers make one or two.
pub(crate) const NOTES_MAX: usize = 3;

const PAGE_LEN: usize = 4096;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
const PROGRAM_HEADER_LEN: usize = 56;

/// Parses the first bytes of an ELF image that is mapped at `base`; `None` if it is not a 64-bit one
/// of this machine's byte order, or its program headers are not within `head`.
pub(crate) fn parse_elf(head: &[u8], base: usize) -> Option<Elf> {
    let native = if cfg!(target_endian = "little") { 1 } else { 2 };
    if head.get(..6)? != [0x7f, b'E', b'L', b'F', 2, native] {
        return None;
    }
    let headers_at = word(head, 32)?;
    if usize::from(half(head, 54)?) != PROGRAM_HEADER_LEN {
        return None;
    }
    let header = |index: usize| {
        let at = headers_at.checked_add(index * PROGRAM_HEADER_LEN)?;
        head.get(at..at.checked_add(PROGRAM_HEADER_LEN)?)
    };
    let count = usize::from(half(head, 56)?);
    let mut elf = Elf { start: base, ..Elf::default() };
    let mut bias = None;
    let mut loads = elf.loads.iter_mut();
    for index in 0..count {
        let header = header(index)?;
        if quad(header, 0)? == PT_LOAD {
            let (offset, addr, len) = (word(header, 8)?, word(header, 16)?, word(header, 40)?);
            if offset < PAGE_LEN && bias.is_none() {
                // The segment that holds the file's first page is mapped at `base`.
                bias = Some(base.wrapping_sub(addr.wrapping_sub(offset)));
            }
            let addr = bias?.wrapping_add(addr);
            if let Some(load) = loads.next() {
                *load = Load { addr, offset, len: word(header, 32)? };
            }
            let end = addr.wrapping_add(len);
            elf.end = elf.end.max(end.checked_next_multiple_of(PAGE_LEN)?);
        }
    }
    elf.bias = bias?;
    let mut notes = elf.notes.iter_mut();
    for index in 0..count {
        let header = header(index)?;
        let (addr, len) = (elf.bias.wrapping_add(word(header, 16)?), word(header, 40)?);
        match quad(header, 0)? {
            PT_GNU_EH_FRAME => (elf.hdr, elf.hdr_len) = (addr, len),
            PT_NOTE => {
                if let Some(place) = notes.next() {
                    *place = (addr, len);
                }
            }
            _ => {}
        }
    }
    Some(elf)
}

/// Finds the build id in a note segment.
pub(crate) fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let (name_len, len) = (quad(notes, 0)? as usize, quad(notes, 4)? as usize);
        let kind = quad(notes, 8)?;
        let data_at = 12_usize.checked_add(name_len.checked_next_multiple_of(4)?)?;
        let data = notes.get(data_at..data_at.checked_add(len)?)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..16)? == b"GNU\0" {
            return Some(data);
        }
        notes = notes.get(data_at + len.checked_next_multiple_of(4)?..)?;
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn quad(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::{build_id, parse_elf};
    use crate::sys::maps::parse;

    /// No prefix of a header, and no noise, is taken for one or read past its end.
    #[test]
    fn broken_headers_are_refused() {
        let exe = std::fs::read("/proc/self/exe").expect("readable");
        let head = &exe[..4096];
        let elf = parse_elf(head, 0x10000).expect("this program is an ELF file");
        assert!(elf.start < elf.hdr && elf.hdr < elf.end);
        let holds = |start: usize| {
            let text = format!("{start:x}-{:x} r--p 00000000 08:01 7 /file", start + 0x1000);
            elf.holds(&parse(text.as_bytes()).expect("parses"))
        };
        assert!(holds(0x10000));
        // Further mappings of the file's beginning.
        assert!(!holds(0x11000));
        assert!(!holds(elf.end));
        let needed = 64 + usize::from(u16::from_ne_bytes([head[56], head[57]])) * 56;
        for len in 0..needed {
            assert_eq!(parse_elf(&head[..len], 0x10000), None);
        }
        assert_eq!(parse_elf(&[0xff; 4096], 0), None);
    }

    /// A build id is found behind other notes, and never read past the end.
    #[test]
    fn build_ids_are_found() {
        let note = |kind: u32, data: &[u8]| {
            let mut note = Vec::new();
            note.extend(4_u32.to_ne_bytes());
            note.extend((data.len() as u32).to_ne_bytes());
            note.extend(kind.to_ne_bytes());
            note.extend(b"GNU\0");
            note.extend(data);
            note
        };
        let notes = [note(1, &[0; 16]), note(3, &[7; 20])].concat();
        assert_eq!(build_id(&notes), Some(&[7; 20][..]));
        for len in 0..notes.len() {
            assert_eq!(build_id(&notes[..len]), None);
        }
    }
}
