//! Arenas that know their values: `TypedArena`, and the rows of a `DropArena`.
#![cfg(all(feature = "alloc", not(loom)))]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use alloc_arena::{Arena, DropArena, Growth, Reset, TypedArena};
use alloc_core::{AllocError, NeverAlloc};
use alloc_fixed::FixedBuffer;
use alloc_testing::hostile::Backing;

/// Says at its drop which one it was.
struct Tells<'o>(&'o Cell<Vec<u32>>, u32);

impl Drop for Tells<'_> {
    fn drop(&mut self) {
        let mut order = self.0.take();
        order.push(self.1);
        self.0.set(order);
    }
}

/// Goal: what was put comes back, in order, in every way, whatever the backing does. Method: random
/// operations beside a vector.
#[test]
fn a_typed_arena_agrees_with_a_vector() {
    for seed in 0..12u32 {
        let backing = if seed % 2 == 0 { Backing::new() } else { Backing::new().refuse_changes() };
        let growth = if seed % 3 == 0 { Growth::exact() } else { Growth::geometric(100, 150) };
        let mut arena = TypedArena::over(Arena::over(&backing).with_growth(growth));
        let (mut shadow, mut random) = (Vec::<[u32; 3]>::new(), seed);
        for round in 0..120u32 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let count = (random >> 8) as usize % 40;
            match random >> 28 {
                0 => arena.reserve(count).unwrap(),
                1 | 2 => {
                    let items = (0..round).filter(|n| n % 7 == 1).take(count).map(|n| [n; 3]);
                    let put = arena.put_iter(items.clone()).unwrap();
                    assert!(put.iter().copied().eq(items));
                    shadow.extend_from_slice(put);
                }
                3 => {
                    // An iterator that puts values itself: they come first.
                    let nested = |n| {
                        arena.put([n; 3]).unwrap();
                        [n + 1; 3]
                    };
                    arena.put_iter((0..count as u32).map(nested)).unwrap();
                    shadow.extend((0..count as u32).map(|n| [n; 3]));
                    shadow.extend((0..count as u32).map(|n| [n + 1; 3]));
                }
                4 if random >> 25 == 32 => {
                    assert_eq!(arena.drain().len(), shadow.len());
                    shadow.clear();
                }
                5 => {
                    arena.iter_mut().for_each(|value| value[0] += 1);
                    shadow.iter_mut().for_each(|value| value[0] += 1);
                }
                _ => {
                    assert_eq!(*arena.put([round; 3]).unwrap(), [round; 3]);
                    shadow.push([round; 3]);
                }
            }
            assert_eq!(arena.len(), shadow.len());
            assert!(arena.iter_mut().map(|value| *value).eq(shadow.iter().copied()), "{seed}");
        }
        assert_eq!(arena.drain().collect::<Vec<_>>(), shadow);
        drop(arena);
        assert_eq!(backing.live_count(), 0);
    }
}

/// Values are dropped once, in order: by the arena, at a reset, by a drain that stops early.
#[test]
fn values_are_dropped_in_order() {
    let order = Cell::default();
    let tells = |n| Tells(&order, n);
    let mut arena = TypedArena::new();
    for _ in 0..2 {
        for n in 0..100 {
            arena.put(tells(n)).unwrap();
        }
        arena.put_iter((100..150).map(tells)).unwrap();
        arena.put(tells(150)).unwrap();
        assert!(arena.reset(Reset::RetainCapacity));
        assert_eq!(order.take(), (0..151).collect::<Vec<_>>());
        assert!(arena.is_empty());
    }
    arena.put_iter((0..10).map(tells)).unwrap();
    arena.put(tells(10)).unwrap();
    let third = arena.drain().nth(2).unwrap();
    assert_eq!(order.take(), [0, 1, 3, 4, 5, 6, 7, 8, 9, 10]);
    drop(third);
    arena.put_iter((20..30).map(tells)).unwrap();
    drop(arena);
    assert_eq!(order.take(), [2, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29]);
}

/// A drop that panics: every other value is dropped, and the arena can be used.
#[test]
fn a_panicking_drop_does_not_stop_the_others() {
    struct Panics<'o>(Tells<'o>);
    impl Drop for Panics<'_> {
        fn drop(&mut self) {
            assert!(self.0.1 != 13, "the thirteenth");
        }
    }
    let order = Cell::default();
    for way in 0..3 {
        let mut arena = TypedArena::over(Arena::new().with_growth(Growth::fixed(200)));
        for n in 0..50 {
            arena.put(Panics(Tells(&order, n))).unwrap();
        }
        let dropped = catch_unwind(AssertUnwindSafe(|| match way {
            0 => drop(arena.reset(Reset::FreeAll)),
            1 => drop(arena.drain()),
            _ => drop(std::mem::take(&mut arena)),
        }));
        assert!(dropped.is_err());
        if way == 1 {
            arena.reset(Reset::FreeAll);
        }
        assert_eq!((order.take(), arena.len()), ((0..50).collect(), 0), "way {way}");
        arena.put(Panics(Tells(&order, 7))).unwrap();
        drop(arena);
        assert_eq!(order.take(), [7]);
    }
}

/// Where there is no memory the values so far stay, what finds none is dropped, and nothing is lost.
#[test]
fn a_typed_arena_fails_cleanly() {
    let order = Cell::default();
    let none = TypedArena::over(Arena::over(NeverAlloc));
    assert!(none.put(Tells(&order, 1)).is_err());
    assert!(none.put_iter([Tells(&order, 2), Tells(&order, 3)]).is_err());
    assert!(
        none.reserve(1).is_err() && none.reserve(usize::MAX).is_err() && none.reserve(0).is_ok()
    );
    let mut told = order.take();
    told.sort_unstable();
    assert_eq!((told, none.len()), (vec![1, 2, 3], 0));
    for count in 0..8 {
        let backing = Backing::new().refuse_changes().fail_from(count);
        let mut arena =
            TypedArena::over(Arena::over(&backing).with_growth(Growth::geometric(100, 150)));
        let mut put = 0u32;
        while arena.put(u64::from(put)).is_ok() {
            put += 1;
        }
        assert_eq!(arena.put_iter(0..1000), Err(AllocError));
        assert_eq!(arena.len(), put as usize);
        assert!(arena.drain().eq((0..put).map(u64::from)));
    }
}

/// An iterator that finds no memory leaves none behind, however often; nor does one that panics, but for a few
/// words.
#[test]
fn a_failed_iterator_leaves_nothing() {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4000];
    let fixed = FixedBuffer::new(&mut buffer);
    let mut arena = TypedArena::over(Arena::over(&fixed));
    arena.put_iter(0..10u64).unwrap();
    let drops = DropArena::over(Arena::over(NeverAlloc));
    for _ in 0..1000 {
        assert_eq!(arena.put_iter(0..1000), Err(AllocError));
        assert_eq!(drops.put_iter(0..1000), Err(AllocError));
    }
    arena.put_iter(10..100).unwrap();
    let panics = (100..200).inspect(|n| assert!(*n < 150, "enough"));
    assert!(catch_unwind(AssertUnwindSafe(|| arena.put_iter(panics).is_ok())).is_err());
    arena.put(100).unwrap();
    assert!(arena.drain().eq(0..101));

    let mut buffer = [std::mem::MaybeUninit::uninit(); 1000];
    let fixed = FixedBuffer::new(&mut buffer);
    let arena = DropArena::over(Arena::over(&fixed));
    let used = arena.arena().used();
    assert_eq!(arena.put_iter(0..1000u64), Err(AllocError));
    assert_eq!(arena.arena().used(), used);
}

/// Room that was reserved is there: no further call to the backing.
#[test]
fn reserved_values_fit() {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 9000];
    let fixed = FixedBuffer::new(&mut buffer);
    let arena = TypedArena::over(Arena::over(&fixed));
    arena.reserve(1000).unwrap();
    let reserved = arena.reserved();
    for n in 0..1000u64 {
        arena.put(n).unwrap();
    }
    assert_eq!(arena.reserved(), reserved);
}

/// What has no bytes needs no memory, and is counted and dropped all the same.
#[test]
fn values_without_bytes() {
    thread_local! {
        static DROPS: Cell<usize> = const { Cell::new(0) };
    }
    struct Unit;
    impl Drop for Unit {
        fn drop(&mut self) {
            DROPS.set(DROPS.get() + 1);
        }
    }
    let mut arena = TypedArena::over(Arena::over(NeverAlloc));
    for _ in 0..10 {
        arena.put(Unit).unwrap();
    }
    assert_eq!(arena.put_iter((0..5).map(|_| Unit)).unwrap().len(), 5);
    arena.put(Unit).unwrap();
    assert_eq!((arena.len(), arena.iter_mut().count(), DROPS.get()), (16, 16, 0));
    assert_eq!(arena.drain().take(3).count(), 3);
    assert_eq!((DROPS.get(), arena.len()), (16, 0));
    arena.put(Unit).unwrap();
    drop(arena);
    assert_eq!(DROPS.get(), 17);
}

/// A loop with the same load asks the backing for nothing once it is warm.
#[test]
fn a_warm_typed_arena_asks_for_nothing() {
    let counting = alloc_core::Counting::new(Backing::new().refuse_changes());
    let mut arena = TypedArena::over(Arena::over(&counting));
    let mut totals = vec![];
    for round in 0..10u64 {
        for n in 0..1000 {
            arena.put(n).unwrap();
        }
        assert_eq!(arena.drain().sum::<u64>(), 499_500, "round {round}");
        totals.push(counting.counts().total_blocks);
    }
    assert_eq!(totals[2], totals[9], "{totals:?}");
}

/// A drain that is forgotten: its row is forgotten with it, the others are not, and the arena can be used.
#[test]
fn a_forgotten_drain_forgets_its_row() {
    let order = Cell::default();
    let tells = |n| Tells(&order, n);
    let mut arena = TypedArena::new();
    arena.put_iter((0..3).map(tells)).unwrap();
    arena.put_iter((3..6).map(tells)).unwrap();
    let mut drain = arena.drain();
    drop(drain.next());
    let _ = std::mem::ManuallyDrop::new(drain);
    assert_eq!((order.take(), arena.len()), (vec![0], 3));
    arena.put(tells(6)).unwrap();
    let mut drain = arena.drain();
    drop(drain.by_ref().take(4).collect::<Vec<_>>());
    let _ = std::mem::ManuallyDrop::new(drain);
    assert_eq!((order.take(), arena.len()), (vec![3, 4, 5, 6], 0));
    for n in 7..20 {
        arena.put(tells(n)).unwrap();
    }
    drop(arena);
    assert_eq!(order.take(), (7..20).collect::<Vec<_>>());
}

/// A typed arena goes to another thread with its values.
#[test]
fn a_typed_arena_can_be_sent() {
    let arena = TypedArena::new();
    arena.put(String::from("sent")).unwrap();
    let mut arena = std::thread::spawn(move || arena).join().unwrap();
    assert_eq!(arena.drain().next().as_deref(), Some("sent"));
}

/// The rows of a `DropArena` are dropped with its other values, the newest first, each from its start.
#[test]
fn a_drop_arena_drops_rows() {
    let order = Cell::default();
    let tells = |n| Tells(&order, n);
    let mut arena = DropArena::new();
    arena.put(tells(0)).unwrap();
    let row = arena.put_iter((1..5).map(tells)).unwrap();
    assert_eq!((row.len(), row[3].1), (4, 4));
    assert!(arena.put_iter((0..0).map(tells)).unwrap().is_empty());
    arena.put(tells(5)).unwrap();
    // An iterator that puts values itself.
    let nested = |n| {
        arena.put(tells(n + 100)).unwrap();
        tells(n)
    };
    arena.put_iter((6..8).map(nested)).unwrap();
    arena.reset(Reset::FreeAll);
    assert_eq!(order.take(), [6, 7, 107, 106, 5, 1, 2, 3, 4, 0]);
    let none = DropArena::over(Arena::over(NeverAlloc));
    assert!(none.put_iter([tells(1)]).is_err());
    assert_eq!(order.take(), [1]);
}
