//! What a program can ask its allocator: snapshots and what grew, names, and a function that is told.

use std::hint::black_box;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use alloc_core::{Allocator, AllocatorExt, Layout, UnsizedFree};
use alloc_gpa::{Check, Finding, FindingKind, Gpa, LeakKind, Snapshot, StackId};

fn quiet() -> Gpa {
    Gpa::builder().quiet().build()
}

#[inline(never)]
fn session(gpa: &Gpa, size: usize) -> ManuallyDrop<alloc_core::Owned<[u8], &Gpa>> {
    ManuallyDrop::new(gpa.alloc_fill(size, 1u8).unwrap())
}

#[inline(never)]
fn request(gpa: &Gpa) -> alloc_core::Owned<u64, &Gpa> {
    gpa.create(3u64).unwrap()
}

/// Growth is told by place, the most first; what shrank comes last, what stayed is left out.
#[test]
fn what_grew_comes_first() {
    let gpa = quiet();
    let constant = gpa.create([0u8; 500]).unwrap();
    let requests: Vec<_> = (0..10).map(|_| request(&gpa)).collect();
    let first = gpa.snapshot().unwrap();
    assert_eq!((first.live().count, first.live().bytes), (11, 580));
    // One place: a loop that the compiler does not write out.
    for size in black_box(vec![100, 200, 300]) {
        session(&gpa, size);
    }
    drop(requests);
    let second = gpa.snapshot().unwrap();
    assert_eq!(second.allocations() - first.allocations(), 3);
    let diff = first.diff(&second).unwrap();
    let changes: Vec<_> = diff.iter().map(|change| (change.blocks, change.bytes)).collect();
    assert_eq!(changes, [(3, 600), (-10, -80)]);
    assert_eq!((diff.blocks(), diff.bytes()), (-7, 520));
    let most = diff.iter().next().unwrap();
    assert_eq!((most.now.count, most.now.bytes), (3, 600));
    let text = diff.to_string();
    assert!(text.starts_with("+520 bytes, -7 blocks live after "), "{text}");
    assert!(
        text.contains("+600 bytes, +3 blocks (now 600 bytes, 3 blocks), allocated at"),
        "{text}"
    );
    assert!(text.contains("session at "), "{text}");
    assert!(!text.contains("request at "), "what shrank is not printed: {text}");
    // The other way round, and with itself.
    let back = second.diff(&first).unwrap();
    assert_eq!(back.iter().next().map(|change| change.bytes), Some(80));
    assert_eq!(second.diff(&second).unwrap().iter().len(), 0);
    assert_eq!(second.since(&second).as_nanos(), 0);
    assert!(first.since(&second).is_zero());
    drop(constant);
}

/// A snapshot takes nothing from the heap that it counts, and outlives it.
#[test]
fn a_snapshot_stands_by_itself() {
    let snapshot: Snapshot = {
        let gpa = quiet();
        let before = gpa.stats();
        assert_eq!(gpa.snapshot().unwrap().iter().count(), 0);
        let _block = gpa.create(1u32).unwrap();
        let snapshot = gpa.snapshot().unwrap();
        assert_eq!(gpa.stats().allocations, before.allocations + 1);
        snapshot
    };
    let entry = snapshot.iter().next().unwrap();
    assert_eq!((entry.blocks, entry.bytes, entry.tag), (1, 4, None));
    assert_ne!(entry.allocated, StackId::NONE);
}

/// Blocks are counted for their name from the allocation to the free, whoever frees and grows them.
#[test]
fn names_are_counted() {
    let gpa = quiet();
    let (cache, parser) = (gpa.tagged("questions.cache"), gpa.tagged("questions.parser"));
    assert_eq!(gpa.tags().count(), 0);
    let page = cache.alloc_fill(100, 0u8).unwrap();
    let line = parser.dupe_str("line").unwrap();
    let plain = gpa.create(5u64).unwrap();
    let figures = |name: &str| {
        let tag = gpa.tags().find(|tag| tag.name == name).unwrap();
        (tag.live_blocks, tag.live_bytes, tag.peak_bytes, tag.total_blocks, tag.total_bytes)
    };
    assert_eq!(figures("questions.cache"), (1, 100, 100, 1, 100));
    assert_eq!(figures("questions.parser"), (1, 4, 4, 1, 4));
    // Grown into another block through the plain handle: it keeps its name.
    let block = alloc_core::Owned::into_raw_parts(page).0.cast::<u8>();
    let layout = Layout::array::<u8>(9000).unwrap();
    // SAFETY: a live block of this allocator; the old one is not used again.
    let grown = unsafe { gpa.realloc_unsized(block, layout) }.unwrap();
    assert_eq!(figures("questions.cache"), (1, 9000, 9100, 2, 9100));
    // SAFETY: live, of that layout; in its slot by 100 bytes less.
    assert!(unsafe { gpa.raw_resize(grown, layout, 8900) });
    assert_eq!(figures("questions.cache"), (1, 8900, 9100, 2, 9100));
    let entries = gpa.snapshot().unwrap();
    let named = entries.iter().find(|entry| entry.tag == Some("questions.cache")).unwrap();
    assert_eq!((named.blocks, named.bytes), (1, 8900));
    // SAFETY: live.
    unsafe { gpa.free_unsized(grown) };
    drop(line);
    assert_eq!(figures("questions.cache"), (0, 0, 9100, 2, 9100));
    assert_eq!(figures("questions.parser"), (0, 0, 4, 1, 4));
    drop(plain);
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// A handle with a name gives zero bytes where they are asked for, also in memory that was used.
#[test]
fn named_blocks_of_used_memory_are_zero() {
    for gpa in [Gpa::builder().quiet().quarantine(0).build(), quiet()] {
        let named = gpa.tagged("questions.zeroed");
        for round in 0..10_000 {
            let used = gpa.alloc_fill(1000, 0xa5u8).unwrap();
            let zeroed = named.alloc_zeroed::<u8>(1000).unwrap();
            assert!(zeroed.iter().all(|byte| *byte == 0), "round {round}");
            drop(used);
        }
        assert_eq!(gpa.tags().find(|tag| tag.name == "questions.zeroed").unwrap().live_bytes, 0);
    }
}

/// Findings and leaks say the name.
#[test]
fn names_are_told() {
    let gpa = quiet();
    let parser = gpa.tagged("questions.parser");
    let block = parser.raw_alloc(Layout::new::<u64>()).unwrap();
    // SAFETY: `Gpa` defines what happens for every address; the second free is told.
    unsafe { parser.free_unsized(block) };
    // SAFETY: as above.
    unsafe { parser.free_unsized(block) };
    let finding = gpa.findings().next().unwrap();
    assert_eq!((finding.kind, finding.tag), (FindingKind::DoubleFree, Some("questions.parser")));
    let _leaked = ManuallyDrop::new(parser.create(1u16).unwrap());
    let leaks = gpa.find_leaks().unwrap();
    let leak = leaks.iter().next().unwrap();
    assert_eq!((leak.kind, leak.tag), (LeakKind::Lost, Some("questions.parser")));
    let mut text = String::new();
    gpa.report(&mut text).unwrap();
    assert!(text.contains("; tag questions.parser"), "{text}");
    assert!(text.contains("1 leaked, 2 bytes, tag questions.parser, allocated at"), "{text}");
}

/// Containers take the handle like any other.
#[test]
fn a_container_has_a_name() {
    let gpa = quiet();
    let list = gpa.tagged("questions.list");
    let mut numbers = list.alloc_fill(4, 0u32).unwrap();
    numbers[3] = 4;
    assert_eq!(gpa.tags().map(|tag| tag.live_bytes).sum::<u64>(), 16);
}

static TOLD: AtomicU32 = AtomicU32::new(0);

fn told(finding: &Finding) {
    assert_eq!(finding.kind, FindingKind::DoubleFree);
    TOLD.fetch_add(1, Relaxed);
    TELLS.with(|gpa| {
        // It may allocate, free, ask, and even misuse: that is kept, and not told to itself.
        let block = gpa.raw_alloc(Layout::new::<[u8; 40]>()).unwrap();
        // SAFETY: `Gpa` defines what happens for every address; the second free is told.
        unsafe { gpa.free_unsized(block) };
        // SAFETY: as above.
        unsafe { gpa.free_unsized(block) };
        assert!(1 <= gpa.findings().count());
        assert!(!gpa.snapshot().unwrap().iter().any(|entry| entry.blocks == 0));
    });
}

thread_local! {
    static TELLS: Gpa = Gpa::builder().quiet().sink(told).build();
}

#[test]
fn a_function_is_told_once_of_each() {
    TELLS.with(|gpa| {
        let block = gpa.raw_alloc(Layout::new::<u64>()).unwrap();
        // SAFETY: `Gpa` defines what happens for every address; later frees are told.
        unsafe { gpa.free_unsized(block) };
        for _ in 0..black_box(3) {
            // SAFETY: as above: one place, one finding.
            unsafe { gpa.free_unsized(block) };
        }
        assert_eq!(TOLD.load(Relaxed), 1);
        assert_eq!(gpa.findings().map(|finding| finding.count).max(), Some(3));
    });
}

/// Damage that only the last sweep meets is one finding for each place, with its count; without stacks
/// nothing is known to be the same.
#[test]
fn what_the_sweep_finds_is_merged() {
    for (stacks, expected) in [(16, vec![5]), (0, vec![1; 5])] {
        let gpa = Gpa::builder().quiet().stacks(stacks).build();
        for size in 0..black_box(5) {
            let mut block = session(&gpa, 20);
            // SAFETY: one past the end.
            let end = unsafe { block.as_mut_ptr().add(20) };
            // SAFETY: the slot goes on behind the block; this is the misuse that shall be found.
            unsafe { end.write_bytes(7, size + 1) };
        }
        assert!(matches!(gpa.check(), Check::Misuse { .. }));
        let counts: Vec<_> = gpa.findings().map(|finding| finding.count).collect();
        assert_eq!(counts, expected);
        assert!(gpa.findings().all(|finding| finding.kind == FindingKind::Overflow));
        // The same damage met again is not counted twice in number of findings.
        assert!(matches!(gpa.check(), Check::Misuse { .. }));
        assert_eq!(gpa.findings().count(), expected.len());
    }
}

/// Every live byte is of a class, and every block that there ever was.
#[test]
fn memory_is_broken_down() {
    let gpa = quiet();
    assert_eq!(gpa.breakdown().classes().count(), 0);
    let kept: Vec<_> =
        [1, 20, 20, 900, 5_000_000].map(|size| session(&gpa, size)).into_iter().collect();
    for _ in 0..5 {
        drop(request(&gpa));
    }
    let breakdown = gpa.breakdown();
    let classes: Vec<_> = breakdown.classes().collect();
    let sum = |field: fn(&alloc_gpa::ClassStats) -> u64| classes.iter().map(field).sum::<u64>();
    assert_eq!(sum(|class| class.live_blocks), 5);
    assert_eq!(sum(|class| class.live_bytes), 5_000_941);
    assert_eq!(sum(|class| class.total_blocks), 10);
    let large = classes.last().unwrap();
    assert_eq!((large.slot_size, large.live_bytes), (0, 5_000_000));
    assert!(5_000_941 <= breakdown.kept.in_use, "{breakdown}");
    let text = breakdown.to_string();
    // Each of the five that are gone had eight bytes.
    assert_eq!(breakdown.stats.total_bytes, 5_000_941 + 5 * 8);
    let first = "10 allocations, 5000981 bytes, 5 frees; 5000941 bytes live, ";
    assert!(text.starts_with(first), "{text}");
    assert!(text.contains("own pages            1        5000000"), "{text}");
    drop(kept);
}

/// Damage that nobody met is told on request, and once.
#[test]
fn a_flush_tells_of_damage() {
    let gpa = quiet();
    assert_eq!(gpa.flush(), 0);
    let mut block = session(&gpa, 20);
    assert_eq!(gpa.flush(), 0);
    // SAFETY: one past the end.
    let end = unsafe { block.as_mut_ptr().add(20) };
    // SAFETY: the slot goes on behind the block; this is the misuse that shall be found.
    unsafe { end.write(7) };
    assert_eq!((gpa.flush(), gpa.flush()), (1, 1));
    assert_eq!(gpa.findings().next().unwrap().kind, FindingKind::Overflow);
}
