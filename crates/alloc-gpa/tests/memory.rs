//! What a heap takes of the system, in a process where nothing else runs: one test at a time.

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// Keeps the other test out, which would be measured too.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// However much is allocated and freed, there are few mappings, and none of what was freed is free
/// for others.
#[test]
fn mappings_stay_few() {
    let _alone = alone();
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

/// Bytes of memory that the process has.
fn resident_len() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// However many blocks come and go, of whatever sizes: memory is bounded by what is live at once and by
/// the quarantine. Large blocks among them keep none.
#[test]
fn memory_is_bounded_by_the_quarantine() {
    let _alone = alone();
    const LIVE: usize = 1000;
    let gpa = Gpa::builder().quiet().stacks(0).quarantine(1 << 20).history(1 << 20).build();
    let mut live: Vec<Option<(NonNull<u8>, usize)>> = vec![None; LIVE];
    let (mut random, mut before) = (1u64, 0);
    for round in 0..400_000usize {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let place = (random >> 33) as usize % LIVE;
        if let Some((block, size)) = live[place].take() {
            free(&gpa, block, size);
        }
        let size = match round % 1000 {
            0 => 20_000 + (random >> 40) as usize % 50_000,
            _ => (random >> 50) as usize % (1 << (round % 12)),
        };
        live[place] = Some((alloc(&gpa, size), size));
        if round == 100_000 {
            before = resident_len();
        }
    }
    let after = resident_len();
    assert!(after < before + (16 << 20), "{before} grew to {after}");
    live.into_iter().flatten().for_each(|(block, size)| free(&gpa, block, size));
    assert_eq!(gpa.deinit(), alloc_gpa::Check::Ok);
}
