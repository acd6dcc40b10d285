//! Unwind tables and ELF headers with random damage: refused or misread, but never a panic, an endless
//! loop, or a read past their end. Arithmetic is checked where tests run.

use super::elf::parse_elf;
use super::modules;
use super::rule::{Registers, Rule};
use super::table::{self, Found, Tables};

/// A generator of numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    /// A byte that stands for an odd length, offset or instruction more often than others.
    fn byte(&mut self) -> u8 {
        match self.below(4) {
            0 => 0xff,
            1 => 0x80,
            _ => self.below(256) as u8,
        }
    }

    /// Damages up to eight bytes, and returns what they were.
    fn damage(&mut self, bytes: &mut [u8], around: usize) -> Vec<(usize, u8)> {
        let mut were = Vec::new();
        for _ in 0..1 + self.below(8) {
            let at = (around + self.below(64)).min(bytes.len() - 1);
            were.push((at, bytes[at]));
            bytes[at] = self.byte();
        }
        were
    }
}

fn restore(bytes: &mut [u8], were: &[(usize, u8)]) {
    were.iter().rev().for_each(|(at, byte)| bytes[*at] = *byte);
}

/// The tables of this program, damaged where they are looked at.
#[test]
fn damaged_tables_are_survived() {
    let here = (damaged_tables_are_survived as fn() as *const ()).addr();
    // Another test may be making the process's first snapshot.
    let snapshot = std::iter::repeat_with(modules::snapshot).flatten().next().expect("endless");
    let record = snapshot.find(here).and_then(|range| range.record);
    let unwind = record.and_then(|record| record.unwind).expect("this program has tables");
    let (mut hdr, hdr_addr, mut eh_frame, eh_frame_addr) = unwind
        .with(|tables| {
            let Tables { hdr, hdr_addr, eh_frame, eh_frame_addr } = tables;
            (hdr.to_vec(), hdr_addr, eh_frame.to_vec(), eh_frame_addr)
        })
        .expect("they are there");
    let registers = Registers { pc: here, sp: 0x7fff_0000_1000, fp: 0x7fff_0000_2000 };
    // What stands on the stack is anything, or cannot be read.
    let read =
        |addr: usize| (!addr.is_multiple_of(24)).then(|| addr.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut random = Random(77);
    let mut found = [0usize; 4];
    for round in 0..60_000 {
        // As linkers write it: twelve bytes, then pairs of offsets, of code and of its description.
        let entry = 12 + 8 * random.below((hdr.len() - 12) / 8);
        let word = |at: usize| {
            let bytes = hdr[at..at + 4].try_into().expect("four");
            hdr_addr.wrapping_add_signed(i32::from_le_bytes(bytes) as isize)
        };
        let (code, description) = (word(entry), word(entry + 4));
        let (bytes, around) = match round % 8 {
            0 => (&mut hdr, 0),
            1 => (&mut hdr, entry),
            // The common part of many descriptions.
            2 => (&mut eh_frame, 0),
            _ => (&mut eh_frame, description - eh_frame_addr),
        };
        let were = random.damage(bytes, around);
        let tables = Tables { hdr: &hdr, hdr_addr, eh_frame: &eh_frame, eh_frame_addr };
        // As the refresher does: whatever it is, an answer.
        let _ = table::eh_frame_addr(&hdr[..12], hdr_addr);
        let index = match tables.find(code + random.below(200), registers, &read) {
            Ok(None) => 0,
            Ok(Some(Found::Rule(rule))) => {
                // Whatever it is, a step goes up or is refused.
                if let Ok(Some(next)) = rule.step(registers, read) {
                    assert!(registers.sp < next.sp);
                }
                assert_ne!(rule, Rule::NotCode);
                1
            }
            Ok(Some(Found::Step(..))) => 2,
            Err(_) => 3,
        };
        found[index] += 1;
        restore(if round % 8 < 2 { &mut hdr } else { &mut eh_frame }, &were);
    }
    assert!(found.iter().all(|count| 0 < *count), "each answer was met: {found:?}");
}

/// The header of this program, damaged.
#[test]
fn damaged_headers_are_survived() {
    let exe = std::fs::read("/proc/self/exe").expect("readable");
    let mut head = exe[..4096].to_vec();
    let mut random = Random(5);
    let mut refused = 0;
    for _ in 0..200_000 {
        let around = random.below(700);
        let were = random.damage(&mut head, around);
        let base = [0x5555_5555_4000, 0, usize::MAX - 4095][random.below(3)];
        refused += usize::from(parse_elf(&head, base).is_none());
        restore(&mut head, &were);
    }
    assert!(0 < refused && refused < 200_000);
    // All of it in the last page of all.
    for header in head[64..].chunks_exact_mut(56) {
        header[8..24].fill(0);
        header[40..48].copy_from_slice(&100_u64.to_ne_bytes());
    }
    assert_eq!(parse_elf(&head, usize::MAX - 4095), None);
}
