//! What a heap takes of the system, in a process where nothing else runs: one test.

use std::ptr::NonNull;

use alloc_core::{Allocator, Layout};
use alloc_gpa::{Finding, FindingKind, Gpa};

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 1).unwrap()
}

fn alloc(gpa: &Gpa, size: usize) -> NonNull<u8> {
    gpa.raw_alloc(layout(size)).unwrap()
}

fn free(gpa: &Gpa, block: NonNull<u8>, size: usize) {
    // SAFETY: `Gpa` defines what happens for every address and layout.
    unsafe { gpa.raw_free(block, layout(size)) };
}

fn only(gpa: &Gpa) -> Finding {
    let findings = gpa.findings().collect::<Vec<_>>();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings[0]
}

/// However much is allocated and freed, there are few mappings, and none of what was freed is free
/// for others.
#[test]
fn mappings_stay_few() {
    let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap();
    let before = mappings().lines().count();
    let gpa = Gpa::builder().quiet().stacks(0).build();
    let first = alloc(&gpa, 1000);
    let mut last = first;
    for _ in 0..300_000 {
        last = alloc(&gpa, 1000);
        free(&gpa, last, 1000);
    }
    let maps = mappings();
    let count = maps.lines().count();
    assert!(count < before + 150, "{count} mappings, {before} before");
    let ranges = maps.lines().map(|line| {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let parse = |text| usize::from_str_radix(text, 16).unwrap();
        (parse(start), parse(end), rest.starts_with("---p"))
    });
    let trapped = ranges.filter(|(.., trapped)| *trapped).map(|(start, end, _)| end - start);
    assert!(200 << 20 < trapped.sum::<usize>(), "{maps}");
    free(&gpa, first, 1000);
    free(&gpa, last, 1000);
    assert_eq!(only(&gpa).kind, FindingKind::DoubleFree);
}
