//! Scopes, states, owners of a value and its arena, pools, and what threads share.
#![cfg(all(feature = "alloc", not(loom)))]

use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use alloc_arena::{
    Arena, ArenaCell, ArenaPool, Family, Growth, HeapArena, InArena, Reset, SharedArena,
};
use alloc_core::{AllocError, Allocator, AllocatorExt, Counting, Global, Layout};
use alloc_fixed::FixedBuffer;
use alloc_testing::hostile::Backing;
use alloc_testing::{Fail, FailingAllocator};

/// A scope gives back what was made in it, to the byte, and nothing else.
#[test]
fn a_scope_gives_its_memory_back() {
    let mut arena = Arena::over(Backing::new());
    let mut outer = arena.as_scope();
    let kept = outer.put_str("kept").unwrap();
    for round in 1..100usize {
        let used = outer.used();
        let sum = outer.scope(|inner| {
            let numbers = inner.put_slice_fill(round * 10, 1u64).unwrap();
            inner.scope(|inmost| inmost.put_slice_fill(round * 50, 2u64).map(drop)).unwrap();
            let more = inner.put_slice_fill(round, 1u64).unwrap();
            numbers.iter().chain(&*more).sum::<u64>()
        });
        assert_eq!((sum, outer.used()), (round as u64 * 11, used));
    }
    assert_eq!(kept, "kept");
}

/// A loop of scopes with the same load asks the backing for nothing once it is warm.
#[test]
fn a_warm_scope_asks_for_nothing() {
    let counting = Counting::new(Backing::new().refuse_changes());
    let mut arena = Arena::over(&counting);
    let mut outer = arena.as_scope();
    outer.put(1u8).unwrap();
    let mut totals = vec![];
    for _ in 0..10 {
        outer.scope(|inner| {
            for size in [10, 3000, 100, 9000, 1, 500, 20_000] {
                inner.put_slice_fill(size, 1u8).unwrap();
            }
        });
        totals.push(counting.counts().total_blocks);
    }
    assert!(1 < totals[0]);
    assert!(totals.iter().all(|total| *total == totals[0]), "{totals:?}");
}

/// The reset after scopes keeps the capacity of all chunks, spare ones too, in one.
#[test]
fn a_reset_counts_spare_chunks() {
    let backing = Backing::new().refuse_changes();
    let mut arena = Arena::over(&backing);
    arena.scope(|inner| inner.put_slice_fill(5000, 1u8).map(drop)).unwrap();
    arena.put_slice_fill(9000, 1u8).unwrap();
    let capacity = arena.capacity();
    assert!(arena.reset(Reset::RetainCapacity));
    assert_eq!((arena.capacity(), backing.live_count()), (capacity, 1));
    arena.scope(|inner| inner.put_slice_fill(50_000, 1u8).map(drop)).unwrap();
    assert!(arena.reset(Reset::FreeAll));
    assert_eq!((arena.reserved(), backing.live_count()), (0, 0));
}

/// Where only scopes were used, a reset keeps their capacity, too.
#[test]
fn a_reset_keeps_the_chunks_of_scopes() {
    for limit in [100, 3000, usize::MAX] {
        let backing = Backing::new();
        let mut arena = Arena::over(&backing);
        for size in [10, 5000, 20_000] {
            arena.scope(|inner| inner.put_slice_fill(size, 1u8).map(drop)).unwrap();
        }
        let capacity = arena.capacity().min(limit);
        assert!(25_000 < arena.capacity() && 1 < backing.live_count());
        assert!(arena.reset(Reset::RetainWithLimit(limit)));
        assert_eq!((arena.capacity(), backing.live_count()), (capacity, 1));
        assert_eq!(arena.reserved(), capacity + 24);
        drop(arena);
        assert_eq!((backing.live_count(), backing.misuses().len()), (0, 0));
    }
}

/// A scope that panics gives its memory back as well.
#[test]
fn a_panicking_scope_gives_its_memory_back() {
    let mut arena = Arena::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        arena.scope(|inner| {
            inner.put([0u8; 5000]).unwrap();
            panic!("in a scope")
        })
    }));
    assert!(result.is_err());
    assert_eq!(arena.used(), 0);
    assert!(5000 <= arena.high_water());
}

/// A checkpoint in an empty arena, rewound and used again, then dropped.
#[test]
fn a_checkpoint_can_be_rewound_again_and_again() {
    let backing = Backing::new();
    let mut arena = Arena::over(&backing);
    let mut point = arena.checkpoint();
    for size in [10, 5000, 100, 20_000, 3] {
        let mut scope = point.scope();
        assert_eq!(scope.put_slice_fill(size, 9u8).unwrap().len(), size);
        let mut nested = scope.checkpoint();
        nested.scope().put_slice_fill(size, 9u8).unwrap();
        drop(nested);
        assert_eq!(scope.used(), size);
        point.rewind();
        assert_eq!(point.scope().used(), 0);
    }
    drop(point);
    drop(arena);
    assert_eq!(backing.live_count(), 0);
    assert!(backing.misuses().is_empty(), "{:?}", backing.misuses());
}

/// In builds with checks, what a reset or a rewind took back is filled.
#[test]
#[cfg(debug_assertions)]
fn what_is_taken_back_is_poisoned() {
    let mut buffer = [0u8; 4096];
    alloc_fixed::FixedBuffer::with_bytes(&mut buffer, |fixed| {
        let mut arena = Arena::over(&*fixed);
        arena.put_slice_fill(100, 1u8).unwrap();
        arena.reset(Reset::RetainCapacity);
        arena.as_scope().scope(|inner| inner.put_slice_fill(200, 2u8).map(drop)).unwrap();
    });
    // The header of the chunk is not filled, and holds what it holds.
    assert!(!buffer.windows(64).any(|bytes| bytes == [1; 64] || bytes == [2; 64]));
    assert!(200 <= buffer.iter().filter(|byte| **byte == 0x55).count());
}

/// An arena that was taken apart and put together again has its blocks, and goes on.
#[test]
fn a_state_keeps_the_blocks() {
    let backing = Backing::new();
    let arena = Arena::over(&backing).with_growth(Growth::fixed(500)).with_limit(2000);
    arena.put_slice_fill(1000, 1u8).unwrap();
    let before = (arena.used(), arena.capacity(), arena.reserved());
    let state = arena.into_ref_state();
    let other = Backing::new();
    let state = state.promote(&other).unwrap_err();
    let arena = state.promote(&backing).unwrap();
    assert_eq!((arena.used(), arena.capacity(), arena.reserved()), before);
    assert_eq!((arena.limit(), arena.growth()), (2000, Growth::fixed(500)));
    arena.put_slice_fill(500, 1u8).unwrap();
    drop(arena);
    assert_eq!(backing.live_count(), 0);

    let (state, Global) = Arena::new().into_state();
    let state = thread::spawn(move || state).join().unwrap();
    state.promote_global().put(1).unwrap();
}

/// The trap of a copied arena: one that moved before its last allocations loses none of them.
#[test]
fn a_moved_arena_loses_nothing() {
    let backing = Backing::new();
    let arena = Arena::over(&backing);
    arena.put(1).unwrap();
    let boxed = Box::new(arena);
    for _ in 0..1000 {
        boxed.put_slice_fill(50, 1u8).unwrap();
    }
    drop(boxed);
    assert_eq!((backing.live_count(), backing.misuses().len()), (0, 0));
}

struct Config<'a> {
    name: &'a str,
    paths: Vec<&'a str>,
}

struct ConfigFamily;

impl Family for ConfigFamily {
    type Of<'a> = Config<'a>;
}

fn parse<'a, A: Allocator>(arena: &'a Arena<A>, text: &str) -> Result<Config<'a>, AllocError> {
    let text = arena.put_str(text)?;
    let mut words = text.split(' ');
    let name = words.next().unwrap_or_default();
    Ok(Config { name, paths: words.collect() })
}

/// Moved, sent, read, changed: the value and what it borrows stay together; all of it goes at the end.
#[test]
fn a_value_goes_with_its_arena() {
    let backing = Backing::new();
    let config =
        InArena::<ConfigFamily, _>::new(Arena::over(&backing), |arena| parse(arena, "name a b"));
    let mut config = Box::new(config.unwrap());
    config
        .with_mut(|config, arena| {
            let path = arena.put_str("c")?;
            config.paths.push(path);
            Ok::<_, AllocError>(())
        })
        .unwrap();
    let config = *config;
    thread::scope(|threads| {
        threads.spawn(|| {
            let name: &str = config.with(|config| config.name);
            assert_eq!(
                (name, config.with(|config| config.paths.join("/"))),
                ("name", "a/b/c".into())
            );
        });
    });
    assert_eq!(config.used(), 9);
    let arena = config.into_arena();
    assert_eq!(arena.used(), 9);
    drop(arena);
    assert_eq!((backing.live_count(), backing.misuses().len()), (0, 0));
}

/// The value is dropped before its arena: its drop may read what it borrows.
#[test]
fn the_value_goes_first() {
    struct Reads<'a>(&'a mut [u8]);
    impl Drop for Reads<'_> {
        fn drop(&mut self) {
            assert!(self.0.iter().all(|byte| *byte == 7));
            self.0.fill(8);
        }
    }
    struct ReadsFamily;
    impl Family for ReadsFamily {
        type Of<'a> = Reads<'a>;
    }
    let backing = Backing::new().never_reuse();
    let build = || {
        InArena::<ReadsFamily, _>::new(Arena::over(&backing), |arena| {
            Ok::<_, AllocError>(Reads(arena.put_slice_fill(3000, 7)?))
        })
    };
    drop(build().unwrap());
    drop(build().unwrap().into_arena());
    assert_eq!((backing.live_count(), backing.misuses().len()), (0, 0));
}

/// Every allocation of a build fails in turn: nothing is left.
#[test]
fn a_build_that_fails_leaves_nothing() {
    for index in 0.. {
        let backing = Backing::new().fail_from(index);
        let built = InArena::<ConfigFamily, _>::new(
            Arena::over(&backing).with_growth(Growth::exact()),
            |arena| parse(arena, &"word ".repeat(1000)),
        );
        let failed = built.is_err();
        drop(built);
        assert_eq!((backing.live_count(), backing.misuses().len()), (0, 0), "request {index}");
        if !failed {
            assert!(2 <= index, "both requests were refused once");
            break;
        }
    }
}

/// As [`parse`], with a block for each word.
fn parse_apart<'a, A: Allocator>(
    arena: &'a Arena<A>,
    text: &str,
) -> Result<Config<'a>, AllocError> {
    let mut words = text.split(' ').map(|word| arena.put_str(word));
    let name = words.next().unwrap_or(Err(AllocError))?;
    let paths = words.map(|word| word.map(|word| &*word)).collect::<Result<_, _>>()?;
    Ok(Config { name, paths })
}

/// Every string of a cell's value, and where it lies.
fn strings<A: Allocator>(cell: &ArenaCell<ConfigFamily, A>) -> Vec<(String, *const u8)> {
    cell.with(|config| {
        let config = config.unwrap();
        let all = std::iter::once(&config.name).chain(&config.paths);
        all.map(|string| (String::from(*string), string.as_ptr())).collect()
    })
}

/// Every request of a replacement fails in turn, where the second arena is still to be made and where it is
/// there: the old value is as it was, where it was, and so is what the backing has.
#[test]
fn a_replacement_that_fails_leaves_the_old_value() {
    for (replacements, requests) in [(1, 5), (2, 4)] {
        for index in 0.. {
            let backing = Backing::new().refuse_changes();
            let failing = FailingAllocator::new(&backing).requests(Fail::From(index));
            let cell = ArenaCell::<ConfigFamily, _>::new(&failing, Reset::FreeAll);
            let mut cell = cell.with_growth(Growth::exact());
            // What an arena has that has no memory.
            let empty = failing.without_failures(|| {
                cell.replace(|arena| parse_apart(arena, "old")).unwrap();
                cell.clear();
                let empty = backing.live_bytes();
                for _ in 0..replacements {
                    cell.replace(|arena| parse_apart(arena, "old a bb ccc dddd")).unwrap();
                }
                empty
            });
            let (old, before) = (strings(&cell), backing.live_bytes());
            assert_eq!(backing.live_count(), 5 + replacements);
            let replaced = cell.replace(|arena| parse_apart(arena, "new x yy zzz"));
            let is_replaced = replaced.is_ok();
            if is_replaced {
                let new: Vec<_> = strings(&cell).into_iter().map(|(string, _)| string).collect();
                assert_eq!((index, new.join(" ")), (requests, "new x yy zzz".into()));
            } else {
                // The first failure of a cell with one arena is that of the second; later ones leave it, empty.
                let made = if replacements == 1 && index != 0 { empty } else { 0 };
                assert_eq!(strings(&cell), old, "request {index}");
                assert_eq!(backing.live_bytes(), before + made, "request {index}");
            }
            drop(cell);
            assert_eq!((backing.live_count(), backing.misuses().len()), (0, 0), "request {index}");
            if is_replaced {
                break;
            }
        }
    }
}

/// The memory of a cell does not grow with the number of replacements, and a warm one asks for none.
#[test]
fn a_cell_is_replaced_again_and_again() {
    let counting = Counting::new(Global);
    let mut cell = ArenaCell::<ConfigFamily, _>::new(&counting, Reset::RetainCapacity);
    assert!(cell.with(|config| config.is_none()));
    let text = "word ".repeat(10);
    let mut calls = 0;
    for round in 0..if cfg!(miri) { 100 } else { 100_000 } {
        if round == 4 {
            calls = counting.counts().total_blocks;
        }
        cell.replace(|arena| parse(arena, &text)).unwrap();
        assert_eq!(cell.with(|config| config.unwrap().paths.len()), 10);
    }
    assert_eq!(counting.counts().total_blocks, calls, "two warm arenas take turns");
    cell.clear();
    assert!(cell.with(|config| config.is_none()) && 0 < cell.reserved());
}

/// Both arenas of a cell have the chunks that were asked for.
#[test]
fn a_cell_takes_the_chunks_that_it_is_told() {
    let cell = ArenaCell::<ConfigFamily, _>::new(Global, Reset::RetainCapacity);
    let mut cell = cell.with_growth(Growth::fixed(8192));
    for arenas in [1, 2, 2] {
        cell.replace(|arena| parse(arena, "new a b")).unwrap();
        assert_eq!(cell.reserved(), arenas * 8192);
    }
}

/// Threads share a pool: no arena is lent twice at once, and a warm pool asks for nothing.
#[test]
fn a_pool_lends_each_arena_once() {
    let counting = Counting::new(Global);
    let mut pool: ArenaPool<_, 3> =
        ArenaPool::new(|| Arena::over(&counting), Reset::RetainCapacity);
    pool.preheat(10_000).unwrap();
    let calls = counting.counts().total_blocks;
    thread::scope(|threads| {
        for worker in 0..4u8 {
            let pool = &pool;
            threads.spawn(move || {
                for _ in 0..200 {
                    let Some(arena) = pool.take() else { continue };
                    let bytes = arena.put_slice_fill(9000, worker).unwrap();
                    thread::yield_now();
                    assert!(bytes.iter().all(|byte| *byte == worker));
                    assert_eq!(arena.used(), 9000);
                }
            });
        }
    });
    assert_eq!((pool.free_count(), counting.counts().total_blocks), (3, calls));
    let lent: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
    assert_eq!((lent.len(), pool.free_count()), (3, 0));
}

/// Many threads make values in one arena, by themselves and through local arenas; all are right at the
/// end, and none overlaps another.
#[test]
fn threads_share_an_arena() {
    let backing = Backing::new();
    let mut arena = SharedArena::over(&backing);
    for _ in 0..3 {
        let lists = thread::scope(|threads| {
            let workers: Vec<_> = (0..4u64)
                .map(|worker| {
                    let arena = &arena;
                    threads.spawn(move || {
                        let local = arena.local_with_growth(Growth::fixed(200));
                        (0..500u64)
                            .map(|index| {
                                let value = worker << 32 | index;
                                let whole =
                                    arena.put_slice_fill(index as usize % 9, value).unwrap();
                                (local.put(value).unwrap(), whole)
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
        });
        for (worker, list) in lists.iter().enumerate() {
            for (index, (local, whole)) in list.iter().enumerate() {
                let value = (worker as u64) << 32 | index as u64;
                assert!(**local == value && whole.iter().all(|item| *item == value));
            }
        }
        drop(lists);
        assert!(4 * 500 * 8 <= arena.used() && arena.used() <= arena.capacity());
        let capacity = arena.capacity();
        assert!(arena.reset(Reset::RetainCapacity));
        assert_eq!((arena.used(), arena.capacity(), backing.live_count()), (0, capacity, 1));
    }
    assert!(arena.reset(Reset::RetainWithLimit(100)));
    assert_eq!(arena.capacity(), 100);
    assert!(arena.reset(Reset::FreeAll));
    assert_eq!((arena.capacity(), backing.live_count(), backing.misuses().len()), (0, 0, 0));
}

/// A local arena that ends gives back what it did not use, if it was the last to take a chunk.
#[test]
fn a_local_arena_gives_the_rest_back() {
    let shared = SharedArena::over(Global).with_growth(Growth::fixed(64 << 10));
    let text = shared.local().put_str("short").unwrap();
    assert!(shared.used() < 64, "{shared:?}");
    assert_eq!(text, "short");
}

/// The blocks of a heap arena come back one by one, by class, also those that other threads freed; large
/// ones go to the backing at once.
#[test]
fn a_heap_arena_uses_freed_blocks_again() {
    let backing = Backing::new();
    let mut heap = HeapArena::over(Arena::over(&backing));
    let first = (&heap).alloc::<u8>(100).unwrap();
    let addr = first.as_ptr().addr();
    drop(first);
    assert_eq!((&heap).alloc::<u8>(112).unwrap().as_ptr().addr(), addr, "of the same class");
    let chunks = backing.live_count();
    let large = (&heap).alloc::<u8>(100_000).unwrap();
    let larger = heap.aligned_alloc::<u8, 4096>(10).unwrap();
    assert_eq!(backing.live_count(), chunks + 2);
    drop(large);
    assert_eq!(backing.live_count(), chunks + 1);
    let _ = alloc_core::AlignedSlice::into_raw_parts(larger);
    for _ in 0..100 {
        let boxes: Vec<_> = (0..50).map(|n| heap.put_send(vec![n; 10]).unwrap()).collect();
        thread::scope(|threads| {
            threads.spawn(move || drop(boxes));
        });
    }
    assert!(heap.reserved() < 10_000, "{heap:?}");
    assert!(heap.reset(Reset::RetainCapacity));
    assert_eq!(backing.live_count(), 1, "large blocks go with the reset");
    drop(heap);
    assert_eq!((backing.live_count(), backing.misuses().len()), (0, 0));
}

/// The arena's limit holds for the large blocks as well, also when they grow, and what comes back counts no
/// more.
#[test]
fn a_heap_arena_keeps_the_limit_for_large_blocks() {
    let backing = Backing::new();
    let mut heap = HeapArena::over(Arena::over(&backing).with_limit(100 << 10));
    let first = (&heap).alloc::<u8>(60 << 10).unwrap();
    assert!((&heap).alloc::<u8>(60 << 10).is_err());
    assert_eq!(heap.reserved(), backing.live_bytes());
    drop(first);
    assert_eq!(heap.reserved(), backing.live_bytes());
    let _ = ManuallyDrop::new((&heap).alloc::<u8>(90 << 10).unwrap());
    heap.reset(Reset::FreeAll);
    assert_eq!((heap.reserved(), backing.live_bytes()), (0, 0));
    assert!((&heap).alloc::<u8>(90 << 10).is_ok());
}

/// A large block that grows where it is counts with its new size, and the limit refuses more; a shrink is never
/// refused by a limit that came later.
#[test]
fn a_heap_arena_keeps_the_limit_when_large_blocks_grow() {
    let mut bytes = vec![MaybeUninit::<u8>::uninit(); 200 << 10];
    let buffer = FixedBuffer::new(&mut bytes);
    let heap = HeapArena::over(Arena::over(&buffer).with_limit(100 << 10));
    let layout = |size: usize| Layout::array::<u8>(size << 10).unwrap();
    let block = heap.raw_alloc(layout(60)).unwrap();
    let header_len = heap.reserved() - (60 << 10);
    let resize = |from, to: usize| {
        // SAFETY: a live block with the layout of its last resize.
        let resized = unsafe { heap.raw_resize(block, layout(from), to << 10) };
        (resized, heap.reserved() - header_len)
    };
    assert_eq!(resize(60, 90), (true, 90 << 10));
    assert_eq!(resize(90, 110), (false, 90 << 10), "past the limit");
    heap.set_limit(1);
    assert_eq!(resize(90, 91), (false, 90 << 10));
    assert_eq!(resize(90, 40), (true, 40 << 10));
    // SAFETY: as above.
    unsafe { heap.raw_free(block, layout(40)) };
    assert_eq!(heap.reserved(), 0);
}

/// Values that are too large, or aligned to more, cannot be sent; they are dropped.
#[test]
fn a_heap_arena_sends_what_has_a_class() {
    let heap = HeapArena::new();
    assert!(heap.put_send([0u8; 32 << 10]).is_ok());
    assert!(heap.put_send([0u8; (32 << 10) + 1]).is_err());
    assert_eq!(**heap.put_send(Box::new(5)).unwrap(), 5);
    let layout = Layout::from_size_align(64, 64).unwrap();
    assert!(heap.raw_alloc(layout).unwrap().addr().get().is_multiple_of(64));
}
