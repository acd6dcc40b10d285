//! What an explicit instance says about leaks: who holds what, cycles, sizes, first bytes.

use std::hint::black_box;
use std::mem::ManuallyDrop;
use std::ptr;

use alloc_core::AllocatorExt;
use alloc_gpa::{Check, Gpa, Leak, LeakKind, StackId};

fn quiet() -> Gpa {
    Gpa::builder().quiet().build()
}

/// A block that may point to another.
#[repr(C)]
struct Node {
    next: *const Node,
    payload: u64,
}

/// Allocates a node and leaks it.
#[inline(never)]
fn node(gpa: &Gpa, next: *const Node) -> *mut Node {
    let node = ManuallyDrop::new(gpa.create(Node { next, payload: 7 }).unwrap());
    (&raw const **node).cast_mut()
}

fn leaks(gpa: &Gpa) -> Vec<Leak> {
    gpa.find_leaks().unwrap().iter().collect()
}

/// A chain whose head is lost: the head is lost, the rest is held by it.
#[test]
fn a_chain_has_one_head() {
    let gpa = quiet();
    let mut head = ptr::null_mut();
    for _ in 0..100 {
        head = node(&gpa, head);
    }
    let [lost, held] = leaks(&gpa)[..] else { panic!("{:?}", leaks(&gpa)) };
    assert_eq!((lost.kind, lost.count, lost.bytes), (LeakKind::Lost, 1, 16));
    assert_eq!((lost.largest, lost.holder), (head.addr(), StackId::NONE));
    assert_eq!((held.kind, held.count, held.bytes), (LeakKind::Indirect, 99, 99 * 16));
    assert_eq!((held.holder, held.allocated), (lost.allocated, lost.allocated));
    let found = gpa.find_leaks().unwrap();
    assert_eq!(found.cycle(&lost).count(), 0, "a chain is no cycle");
    // SAFETY: a live node of this test.
    assert_eq!(unsafe { (*head).payload }, 7);
}

/// A block of two counts, which an `Arc` without a value is, is held by a pointer to its end; any other is not.
#[test]
fn counts_without_a_value_are_held_by_their_end() {
    let gpa = quiet();
    let held_by_its_end = |size: usize| {
        let block = gpa.alloc::<u8>(size).unwrap();
        let holder =
            gpa.create(Node { next: block.as_ptr_range().end.cast(), payload: 7 }).unwrap();
        let is_held = leaks(&gpa).iter().any(|leak| leak.kind == LeakKind::Indirect);
        drop((holder, block));
        is_held
    };
    assert_eq!([8, 16, 17, 24, 32].map(held_by_its_end), [false, true, false, false, false]);
    assert_eq!(gpa.deinit(), Check::Ok);
}

// Each keeps its frame and its own code, however much the compiler optimises.
#[inline(never)]
fn first_of_three(gpa: &Gpa) -> *mut Node {
    black_box((1, node(gpa, ptr::null()))).1
}

#[inline(never)]
fn second_of_three(gpa: &Gpa, next: *const Node) -> *mut Node {
    black_box((2, node(gpa, next))).1
}

#[inline(never)]
fn third_of_three(gpa: &Gpa, next: *const Node) -> *mut Node {
    black_box((3, node(gpa, next))).1
}

/// Three blocks in a ring, and one that hangs on it: one is lost, with the way back to it.
#[test]
fn a_ring_is_a_cycle() {
    let gpa = quiet();
    let first = first_of_three(&gpa);
    let second = second_of_three(&gpa, first);
    let third = third_of_three(&gpa, second);
    // SAFETY: a live node of this test.
    unsafe { (*first).next = third };
    let found = gpa.find_leaks().unwrap();
    let all: Vec<_> = found.iter().collect();
    let lost: Vec<_> = all.iter().filter(|leak| leak.kind == LeakKind::Lost).collect();
    let [lost] = lost[..] else { panic!("{all:?}") };
    assert_eq!((lost.count, all.len()), (1, 3));
    let cycle: Vec<_> = found.cycle(lost).collect();
    assert_eq!(cycle.len(), 3);
    assert_eq!(cycle[0], lost.allocated);
    let mut stacks: Vec<_> = all.iter().map(|leak| format!("{:?}", leak.allocated)).collect();
    let mut seen: Vec<_> = cycle.iter().map(|stack| format!("{stack:?}")).collect();
    stacks.sort();
    seen.sort();
    assert_eq!(stacks, seen, "each of the three places is on the way");
    let text = found.to_string();
    assert!(text.contains("in a cycle: it leads back to itself by way of"), "{text}");
    for name in ["first_of_three", "second_of_three", "third_of_three"] {
        assert!(text.contains(name), "{name}: {text}");
    }
}

/// A block that points to itself is no cycle: every empty list of C++ would be.
#[test]
fn a_block_that_points_to_itself_is_none() {
    let gpa = quiet();
    let alone = node(&gpa, ptr::null());
    // SAFETY: a live node of this test.
    unsafe { (*alone).next = alone };
    let found = gpa.find_leaks().unwrap();
    let all: Vec<_> = found.iter().collect();
    assert_eq!(all.len(), 1);
    assert_eq!(found.cycle(&all[0]).count(), 0);
}

/// Groups have their smallest and largest, and what was freed is in none.
#[test]
fn sizes_and_frees() {
    let gpa = quiet();
    // One place: a loop that the compiler does not write out.
    let sizes = black_box(vec![300, 7, 41]);
    let blocks: Vec<_> = sizes.iter().map(|size| gpa.alloc_fill(*size, 0u8).unwrap()).collect();
    let [one] = leaks(&gpa)[..] else { panic!() };
    assert_eq!((one.count, one.bytes, one.min, one.max), (3, 348, 7, 300));
    assert_eq!(one.largest, blocks[0].as_ptr().addr());
    drop(blocks);
    assert!(gpa.find_leaks().unwrap().is_empty());
    assert_eq!(gpa.find_leaks().unwrap().total(LeakKind::Lost).count, 0);
}

/// The report has the first bytes on request only, as many as there are.
#[test]
fn first_bytes_on_request() {
    let text = |gpa: &Gpa| {
        let mut text = String::new();
        gpa.report(&mut text).unwrap();
        text
    };
    let gpa = Gpa::builder().quiet().dump(20).build();
    let _name = gpa.dupe_str("a secret\nthat is longer than that").unwrap();
    let _short = gpa.dupe_str("abc").unwrap();
    let shown = text(&gpa);
    let first = "    61 20 73 65 63 72 65 74 0a 74 68 61 74 20 69 73  a secret.that is\n";
    let second = format!("    20 6c 6f 6e {}  lon\n", "   ".repeat(12));
    assert!(shown.contains(first), "{shown}");
    assert!(shown.contains(&second), "{shown}");
    assert!(shown.contains("    61 62 63 "), "{shown}");
    let without = quiet();
    let _name = without.dupe_str("a secret").unwrap();
    assert!(!text(&without).contains("61 20 73"), "{}", text(&without));
}

/// Two threads search at once, while a third allocates: each gets an answer.
#[test]
fn searches_take_turns() {
    let gpa = quiet();
    let kept = gpa.create(5u64).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let found = gpa.find_leaks().unwrap();
                    assert!(1 <= found.total(LeakKind::Lost).count, "{found:?}");
                }
            });
        }
        scope.spawn(|| (0..2_000).for_each(|size| drop(gpa.alloc_fill(size, 1u8).unwrap())));
    });
    drop(kept);
    assert!(gpa.find_leaks().unwrap().is_empty());
}
