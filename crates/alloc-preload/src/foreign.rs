//! Blocks that are none of ours, and what is known of them.
//!
//! Until `malloc` can be called, the loader hands out memory of its own, from the end of its own
//! data and from a few mappings. Such a block may be freed or reallocated here. It is recognised by
//! address: the mappings that nobody but the loader can have made are noted at the first call.

use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;

use crate::image;
use crate::maps::{self, Mapping};

/// Mappings noted at most; the loader makes two or three.
const EARLY_COUNT_MAX: usize = 16;

/// A range of addresses, `[start, end)`.
struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
}

/// Where the loader's own blocks may be; those that are not used are empty.
static EARLY: [Range; EARLY_COUNT_MAX] =
    [const { Range { start: AtomicUsize::new(0), end: AtomicUsize::new(0) } }; EARLY_COUNT_MAX];

/// Notes where the loader's own blocks may be. For the first call of the process.
pub(crate) fn remember_early() {
    let mut places = EARLY.iter();
    let mut before = Image::NONE;
    maps::for_each(|mapping| {
        let early = before.follow(&mapping);
        if let Some((start, end)) = early
            && let Some(place) = places.next()
        {
            // Relaxed: read by threads that begin later.
            place.start.store(start, Relaxed);
            place.end.store(end, Relaxed);
        }
    });
}

/// Returns the end of the mapping that holds `address`, if the loader's own blocks may be there.
pub(crate) fn early_end(address: usize) -> Option<usize> {
    // Relaxed: as above.
    let mut holding = EARLY
        .iter()
        .filter(|range| range.start.load(Relaxed) <= address && address < range.end.load(Relaxed));
    holding.next().map(|range| range.end.load(Relaxed))
}

/// The mappings of one file, as the list goes on.
struct Image {
    /// Where the last of them ends.
    end: usize,
    /// Where the file's first byte is; 0 if it is not mapped.
    base: usize,
    /// Tells the file from others, by its name.
    file: u64,
    is_loader: bool,
}

impl Image {
    /// Before the first mapping.
    const NONE: Self = Self { end: 0, base: 0, file: 0, is_loader: false };

    /// Takes the next mapping; returns the part of it that the loader's own blocks may be in.
    fn follow(&mut self, mapping: &Mapping<'_>) -> Option<(usize, usize)> {
        let writable = &mapping.perms[..2] == b"rw";
        if !mapping.name.is_empty() {
            let is_file = mapping.name.starts_with(b"/");
            // The parts of a file need not touch: a linker may leave a page between two of them.
            let file = hash(mapping.name);
            if mapping.offset == 0 || file != self.file {
                self.file = file;
                self.base = if is_file && mapping.offset == 0 { mapping.start } else { 0 };
                let name = mapping.name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                self.is_loader = is_file && name.starts_with(b"ld-");
            }
            self.end = mapping.end;
            return (self.is_loader && writable).then_some((mapping.start, mapping.end));
        }
        if !writable {
            return None;
        }
        let follows = mapping.start == self.end && self.base != 0 && !self.is_loader;
        // What follows a file's data is its zero data first.
        let zeroed_end = if follows { end_of(self.base) } else { 0 };
        let start = mapping.start.max(zeroed_end);
        (start < mapping.end).then_some((start, mapping.end))
    }
}

/// Returns a number that differs for different names (FNV-1a).
fn hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Returns where an object that the loader mapped ends with its zero data; 0 if there is none at
/// `base`.
fn end_of(base: usize) -> usize {
    let header = core::ptr::with_exposed_provenance::<libc::Elf64_Ehdr>(base);
    // SAFETY: a file's first page, which is mapped and, as is checked first, no shorter than this.
    let mark = unsafe { header.cast::<[u8; 4]>().read() };
    if mark == *b"\x7fELF" { image::end(header) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(start: usize, end: usize, name: &'static [u8], offset: u64) -> Mapping<'static> {
        Mapping { start, end, perms: *b"rw-p", name, offset }
    }

    /// Memory between files is the loader's, and so is the loader's data; stacks are not.
    #[test]
    fn early_ranges_are_told_from_others() {
        let mut image = Image::NONE;
        assert_eq!(image.follow(&mapping(0x1000, 0x2000, b"", 0)), Some((0x1000, 0x2000)));
        assert_eq!(image.follow(&mapping(0x8000, 0x9000, b"[heap]", 0)), None);
        assert_eq!(
            image.follow(&mapping(0xa000, 0xb000, b"/lib/ld-linux-x86-64.so.2", 0x1000)),
            Some((0xa000, 0xb000))
        );
        assert_eq!(image.follow(&mapping(0xb000, 0xc000, b"", 0)), Some((0xb000, 0xc000)));
        assert_eq!(image.follow(&mapping(0xd000, 0xe000, b"/lib/libx.so", 0x3000)), None);
        assert_eq!(image.follow(&mapping(0xf000, 0x10000, b"[stack]", 0)), None);
        let read_only = Mapping { perms: *b"r--p", ..mapping(0x11000, 0x12000, b"", 0) };
        assert_eq!(image.follow(&read_only), None);
    }

    /// A page between two parts of a file does not end it: its zero data is still its own.
    #[test]
    fn parts_of_a_file_need_not_touch() {
        #[repr(C, align(4096))]
        struct Page([usize; 512]);
        // What is no ELF file has no zero data, so that only the base is looked at.
        static NO_ELF: Page = Page([0; 512]);
        let base = (&raw const NO_ELF).expose_provenance();
        let mut image = Image::NONE;
        image.follow(&mapping(base, base + 0x1000, b"/bin/x", 0));
        image.follow(&mapping(base + 0x3000, base + 0x4000, b"/bin/x", 0x2000));
        assert_eq!((image.base, image.end), (base, base + 0x4000));
        image.follow(&mapping(base + 0x5000, base + 0x6000, b"/bin/y", 0x2000));
        assert_eq!(image.base, 0, "another file, whose beginning is not mapped");
    }

    /// The zero data of this very program is not taken for a block's place.
    #[test]
    fn zero_data_belongs_to_its_file() {
        static ZERO: [AtomicUsize; 4096] = [const { AtomicUsize::new(0) }; 4096];
        remember_early();
        assert_eq!(early_end((&raw const ZERO).addr()), None);
        assert_eq!(early_end((&raw const ZERO).addr() + size_of_val(&ZERO) - 1), None);
    }
}
