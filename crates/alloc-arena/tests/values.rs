//! Values straight into arenas: where they lie, what they cost, what happens on the way.
#![cfg(all(feature = "alloc", not(loom)))]

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use alloc_arena::{Arena, DropArena, Growth, Reset};
use alloc_core::{AllocError, Limited, NeverAlloc};
use alloc_fixed::FixedBuffer;
use alloc_testing::hostile::Backing;

/// Every way in returns what was put, and the next one does not touch it.
#[test]
fn what_is_put_stays() {
    let arena = Arena::over(Backing::new().exact_alignment());
    for round in 0..40u64 {
        let one = arena.put(round).unwrap();
        let boxed = arena.put_box(format!("box {round}")).unwrap();
        let large = arena.put_with(|| [round; 700]).unwrap();
        let text = arena.put_str("text").unwrap();
        let copied = arena.put_slice_copy(&[1u16, 2, 3]).unwrap();
        let cloned = arena.put_slice_clone(&[Some('a'), None]).unwrap();
        let filled = arena.put_slice_fill(9, round as u32).unwrap();
        let made = arena.put_slice_with(5, |index| index * 2).unwrap();
        let zeros = arena.put_slice_zeroed::<u64>(3).unwrap();
        let listed = arena.put_iter((0..30).filter(|number| number % 3 == 0)).unwrap();
        let strings = arena.put_box_iter(["x", "y"].map(String::from)).unwrap();
        let shown = arena.put_fmt(format_args!("{round} of {}", 40)).unwrap();
        let room = arena.put_uninit().unwrap().write(7u8);
        assert_eq!((*one, &**boxed, *room), (round, &*format!("box {round}"), 7));
        assert!(large.iter().all(|item| *item == round));
        assert_eq!((&*text, &*shown), ("text", &*format!("{round} of 40")));
        assert_eq!((&*copied, &*cloned), (&[1, 2, 3][..], &[Some('a'), None][..]));
        assert_eq!((&*filled, &*made), (&[round as u32; 9][..], &[0, 2, 4, 6, 8][..]));
        assert_eq!((&*zeros, &*listed), (&[0; 3][..], &[0, 3, 6, 9, 12, 15, 18, 21, 24, 27][..]));
        assert_eq!(&*strings, ["x", "y"]);
        for addr in [&raw const *one as usize, &raw const *large as usize] {
            assert!(addr.is_multiple_of(8));
        }
    }
}

/// Copies and fills of every length around those that make no call: whole, and nothing beside them.
#[test]
fn short_slices_are_whole() {
    fn check<T: Copy + PartialEq + std::fmt::Debug>(item: impl Fn(u8) -> T) {
        let arena = Arena::over(Backing::new().exact_alignment());
        let items: Vec<T> = (0..150).map(&item).collect();
        for count in 0..items.len() {
            let before = arena.put(0xaa_u8).unwrap();
            let copied = arena.put_slice_copy(&items[..count]).unwrap();
            let between = arena.put(0xaa_u8).unwrap();
            let filled = arena.put_slice_fill(count, item(7)).unwrap();
            let after = arena.put(0xaa_u8).unwrap();
            assert_eq!(*copied, items[..count]);
            assert!(filled.len() == count && filled.iter().all(|filled| *filled == item(7)));
            assert_eq!((*before, *between, *after), (0xaa, 0xaa, 0xaa), "{count}");
        }
    }
    check(|n| n);
    check(u16::from);
    check(|n| [n; 3]);
    check(u64::from);
    check(u128::from);
    check(|n| (n, u32::from(n)));
    check(|n| ["a", "text"][usize::from(n % 2)]);
}

/// What fails gives its memory back, and where there is none it is not begun.
#[test]
fn what_fails_leaves_nothing() {
    #[derive(Debug, PartialEq)]
    enum Error {
        Memory,
        Own,
    }
    impl From<AllocError> for Error {
        fn from(_: AllocError) -> Self {
            Self::Memory
        }
    }
    let arena = Arena::new();
    assert_eq!(arena.put_try_with(|| Err::<[u64; 300], _>(Error::Own)), Err(Error::Own));
    assert_eq!(arena.put_try_with(|| Err::<(), _>(Error::Own)), Err(Error::Own));
    let items = |bad| (0..100u8).map(move |n| if n == bad { Err(Error::Own) } else { Ok(n) });
    assert_eq!(arena.put_try_iter(items(77)), Err(Error::Own));
    assert_eq!(arena.used(), 0);
    assert_eq!(arena.put_try_with(|| Ok::<_, Error>(5u8)), Ok(&mut 5));
    assert!(arena.put_try_iter(items(100)).unwrap().iter().copied().eq(0..100));
    let none = Arena::over(NeverAlloc);
    let begun = Cell::new(false);
    let begin = || {
        begun.set(true);
        Ok::<_, Error>(1u8)
    };
    assert_eq!(none.put_try_with(begin), Err(Error::Memory));
    assert!(!begun.get());
    assert_eq!(none.put_try_iter(items(100)), Err(Error::Memory));
}

/// What has no bytes asks for nothing, also in an arena that can get nothing.
#[test]
fn no_bytes_need_no_memory() {
    let arena = Arena::over(NeverAlloc);
    assert!(arena.put(()).is_ok() && arena.put([0u64; 0]).is_ok());
    assert_eq!(arena.put_str("").unwrap(), "");
    assert_eq!(arena.put_slice_copy::<u64>(&[]).unwrap(), []);
    assert_eq!(arena.put_slice_fill(1000, ()).unwrap().len(), 1000);
    assert_eq!(arena.put_iter([(); 10]).unwrap().len(), 10);
    assert_eq!(arena.put_iter::<u8>([]).unwrap(), []);
    assert_eq!(arena.put_fmt(format_args!("")).unwrap(), "");
    assert_eq!(arena.put_fmt(format_args!("{}", "")).unwrap(), "");
    let empty = arena.put_slice_uninit::<u64>(0).unwrap();
    assert!((&raw const *empty).addr().is_multiple_of(8));
    assert!(arena.put(1u8).is_err());
}

/// A value that finds no memory comes back, or is dropped once.
#[test]
fn what_finds_no_memory_is_not_lost() {
    let arena = Arena::over(NeverAlloc);
    assert_eq!(arena.put_or_return(5).map(|_| ()), Err((5, AllocError)));
    let drops = Cell::new(0);
    assert!(arena.put_box(CountsDrop(&drops)).is_err());
    assert!(arena.put_box_iter([CountsDrop(&drops), CountsDrop(&drops)]).is_err());
    assert_eq!(drops.get(), 3);
    assert!(arena.put_with(|| -> u8 { unreachable!("there is no room for it") }).is_err());
    assert!(arena.put_slice_with(3, |_| -> u8 { unreachable!() }).is_err());
    for error in [arena.put_slice_fill(usize::MAX, 1u64), arena.put_slice_fill(1 << 62, 1)] {
        assert_eq!(error.map(|_| ()), Err(AllocError));
    }
}

#[test]
#[should_panic(expected = "out of memory in an arena")]
fn the_panicking_twin_panics() {
    Arena::over(NeverAlloc).put_or_panic(5);
}

#[test]
fn the_other_panicking_twins_return_what_was_put() {
    let arena = Arena::new();
    assert_eq!(*arena.put_or_panic(5), 5);
    assert_eq!(arena.put_str_or_panic("a"), "a");
    assert_eq!(arena.put_slice_copy_or_panic(&[1, 2]), [1, 2]);
    assert_eq!(arena.put_fmt_or_panic(format_args!("{}", 3)), "3");
}

struct CountsDrop<'c>(&'c Cell<usize>);

impl Drop for CountsDrop<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// An iterator that takes memory of the same arena: its items are moved as they grow, and none is lost.
#[test]
fn an_iterator_may_use_the_arena() {
    let arena = Arena::new();
    let names = arena
        .put_iter((0..100).map(|index| &*arena.put_fmt(format_args!("name {index}")).unwrap()));
    for (index, name) in names.unwrap().iter().enumerate() {
        assert_eq!(*name, format!("name {index}"));
    }
}

/// What too large a guess took comes back: the next value lies right behind.
#[test]
fn an_iterator_leaves_no_gap() {
    let arena = Arena::new();
    arena.reserve(4096).unwrap();
    let items = arena.put_iter((0..1000u32).filter(|number| number % 7 == 0)).unwrap();
    assert_eq!((items.len(), arena.used()), (143, 143 * 4));
    let text = arena.put_fmt(format_args!("{:>70}", 1)).unwrap();
    assert_eq!((text.len(), arena.used()), (70, 143 * 4 + 70));
}

/// Items of an iterator that panics are dropped, each once, and the memory comes back.
#[test]
fn a_panicking_iterator_drops_what_was_made() {
    let arena = Arena::new();
    let drops = Cell::new(0);
    let items = (0..20).map(|index| if index < 13 { CountsDrop(&drops) } else { panic!("enough") });
    assert!(catch_unwind(AssertUnwindSafe(|| arena.put_box_iter(items))).is_err());
    assert_eq!((drops.get(), arena.used()), (13, 0));
}

/// A `Display` that reports an error, and one that says more than the arena has room for.
#[test]
fn formatting_fails_cleanly() {
    struct Refuses;
    impl fmt::Display for Refuses {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("something first")?;
            Err(fmt::Error)
        }
    }
    let mut buffer = [std::mem::MaybeUninit::uninit(); 300];
    let fixed = FixedBuffer::new(&mut buffer);
    let arena = Arena::over(&fixed);
    assert!(arena.put_fmt(format_args!("{Refuses}")).is_err());
    assert_eq!(arena.used(), 0);
    assert!(arena.put_fmt(format_args!("{:>400}", 1)).is_err());
    assert_eq!(arena.used(), 0);
    assert_eq!(arena.put_fmt(format_args!("{:>200}", 1)).unwrap().len(), 200);
}

/// An `ArenaBox` drops its value, once, whichever way it goes.
#[test]
fn a_box_drops_its_value_once() {
    let arena = Arena::new();
    let drops = Cell::new(0);
    let make = || arena.put_box(CountsDrop(&drops)).unwrap();
    drop(make());
    assert_eq!(drops.get(), 1);
    let inner = alloc_arena::ArenaBox::into_inner(make());
    assert_eq!(drops.get(), 1);
    drop(inner);
    alloc_arena::ArenaBox::leak(make());
    assert_eq!(drops.get(), 2);
    drop(arena.put_box_iter((0..5).map(|_| CountsDrop(&drops))).unwrap());
    assert_eq!(drops.get(), 7);
}

/// The drops of a reset: all, once each, the newest first, in every round.
#[test]
fn a_drop_arena_drops_the_newest_first() {
    struct Tells<'o>(&'o Cell<Vec<usize>>, usize);
    impl Drop for Tells<'_> {
        fn drop(&mut self) {
            let mut order = self.0.take();
            order.push(self.1);
            self.0.set(order);
        }
    }
    let order = Cell::default();
    let backing = Backing::new();
    let mut arena = DropArena::over(Arena::over(&backing));
    for _ in 0..2 {
        for index in 0..100 {
            let value = arena.put(Tells(&order, index)).unwrap();
            assert_eq!(value.1, index);
            arena.arena().put(index).unwrap();
        }
        assert!(order.take().is_empty());
        arena.reset(Reset::RetainCapacity);
        assert_eq!(order.take(), (0..100).rev().collect::<Vec<_>>());
    }
    arena.put(Tells(&order, 5)).unwrap();
    drop(arena);
    assert_eq!(order.take(), [5]);
    assert_eq!(backing.live_count(), 0);
}

/// A drop that panics: the others run, and the arena can be used.
#[test]
fn a_panicking_drop_does_not_stop_the_others() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }
    let drops = Cell::new(0);
    let mut arena = DropArena::new();
    arena.put(CountsDrop(&drops)).unwrap();
    arena.put(Panics).unwrap();
    arena.put(CountsDrop(&drops)).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| arena.reset(Reset::FreeAll))).is_err());
    assert_eq!(drops.get(), 2);
    assert!(arena.reset(Reset::FreeAll));
    assert_eq!((drops.get(), arena.arena().capacity()), (2, 0));
}

/// The lengths that the backing is asked for are those of the rule, to the byte.
#[test]
fn chunks_have_the_lengths_that_were_asked_for() {
    let lens = |growth: Growth| {
        let backing = Backing::new().refuse_changes();
        let arena = Arena::over(&backing).with_growth(growth);
        let mut lens = vec![];
        for _ in 0..40 {
            arena.put_slice_fill(100, 0u8).unwrap();
            let sum: usize = lens.iter().sum();
            if sum < arena.reserved() {
                lens.push(arena.reserved() - sum);
            }
        }
        assert_eq!(arena.growth(), growth);
        lens
    };
    assert_eq!(lens(Growth::fixed(1000))[..3], [1000; 3]);
    assert_eq!(lens(Growth::geometric(200, 200))[..4], [200, 400, 800, 1600]);
    assert_eq!(lens(Growth::geometric(200, 200).at_most(500))[..4], [200, 400, 500, 500]);
    assert_eq!(lens(Growth::exact()), [124; 40]);
}

/// A limit holds to the byte: the chunks fill it and never pass it, and it can be raised.
#[test]
fn a_limit_is_kept() {
    for limit in [0, 24, 25, 1000, 1008, 1009, 5000] {
        let backing = Backing::new();
        let watched = Limited::new(&backing, usize::MAX);
        let arena = Arena::over(&watched).with_limit(limit);
        let mut count = 0;
        while arena.put(0u8).is_ok() {
            count += 1;
            assert!(watched.used() <= limit && watched.used() == arena.reserved());
        }
        assert!(limit <= 24 || 0 < count, "limit {limit}");
        assert!(count <= limit && (count == 0 || limit < count + 24 * 6), "{count} of {limit}");
        arena.set_limit(limit + 200);
        assert_eq!(arena.limit(), limit + 200);
        assert!(arena.put([0u8; 100]).is_ok());
        assert!(arena.put([0u8; 200]).is_err());
    }
}

/// Goal: the high-water mark is the largest sum there ever was, also of blocks that were freed right
/// away. Method: a shadow beside it.
#[test]
fn the_high_water_mark_misses_nothing() {
    use alloc_core::AllocatorExt;
    let mut arena = Arena::new();
    let mut most = 0;
    for round in 1..50usize {
        let text = arena.put_slice_fill(round * 7 % 50, 1u8).unwrap().len();
        let used = arena.used();
        assert!(text <= used);
        let freed = (&arena).alloc::<u8>(round * 37 % 900).unwrap();
        most = most.max(arena.used());
        drop(freed);
        assert_eq!(arena.high_water(), most);
        if round % 10 == 0 {
            arena.reset(if round % 20 == 0 { Reset::FreeAll } else { Reset::RetainCapacity });
            assert_eq!((arena.used(), arena.high_water()), (0, most));
        }
    }
}

/// Room that was reserved is there: no further call to the backing.
#[test]
fn reserved_room_is_there() {
    let backing = Backing::new().fail_from(1);
    let arena = Arena::over(&backing);
    arena.reserve(10_000).unwrap();
    for _ in 0..10_000 {
        arena.put(1u8).unwrap();
    }
    assert!(arena.put(1u8).is_err());
    assert!(arena.reserve(usize::MAX).is_err());
    assert!(arena.reserve(0).is_ok());
}
