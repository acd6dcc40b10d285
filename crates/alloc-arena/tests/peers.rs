//! What users of other arenas look for: C strings, builders, statics, chunks.
#![cfg(all(feature = "alloc", not(loom)))]

use std::cell::Cell;
use std::ffi::CStr;
use std::fmt::{self, Write as _};

use alloc_arena::{Arena, ArenaPool, CStrError, Growth, HeapArena, Reset, SharedArena};
use alloc_core::{AllocError, AllocatorExt, Global, NeverAlloc};
use alloc_fixed::FixedBuffer;
use alloc_testing::hostile::Backing;

struct CountsDrop<'c>(&'c Cell<usize>);

impl Drop for CountsDrop<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Every way to a C string ends in one NUL, and what has another one is refused and leaves nothing.
#[test]
fn c_strings_have_one_nul() {
    let arena = Arena::over(Backing::new().exact_alignment());
    for len in 0..100 {
        let text = "x".repeat(len);
        let c_text = arena.put_cstr_from(&text).unwrap();
        assert_eq!(c_text.to_bytes(), text.as_bytes());
        assert_eq!(arena.put_cstr(c_text).unwrap(), c_text);
        assert_eq!(arena.put_cstr_fmt(format_args!("{text}")).unwrap(), c_text);
    }
    assert_eq!(arena.put_cstr_fmt(format_args!("no argument")).unwrap(), c"no argument");
    assert_eq!(arena.put_cstr(c"").unwrap(), c"");
    let used = arena.used();
    assert_eq!(arena.put_cstr_from("\0"), Err(CStrError::InnerNul(0)));
    assert_eq!(arena.put_cstr_from("a\0b\0"), Err(CStrError::InnerNul(1)));
    assert_eq!(arena.put_cstr_fmt(format_args!("ab\0")), Err(CStrError::InnerNul(2)));
    assert_eq!(arena.put_cstr_fmt(format_args!("{}\0c", 17)), Err(CStrError::InnerNul(2)));
    assert_eq!(arena.used(), used);
    let said = CStrError::InnerNul(2).to_string();
    assert_eq!(said, "a NUL at index 2 would end the C string");
}

/// Where there is no memory, or a `Display` fails, there is no C string, and nothing is taken.
#[test]
fn c_strings_fail_cleanly() {
    struct Refuses;
    impl fmt::Display for Refuses {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("something first")?;
            Err(fmt::Error)
        }
    }
    let none = Arena::over(NeverAlloc);
    let refused = Err(CStrError::Alloc(AllocError));
    assert_eq!(none.put_cstr(c"").map(CStr::count_bytes), Err(AllocError));
    assert_eq!(none.put_cstr_from(""), refused);
    assert_eq!(none.put_cstr_fmt(format_args!("{}", 1)), refused);
    assert_eq!(Arena::new().put_cstr_fmt(format_args!("{Refuses}")), refused);
    // The text fits, its NUL does not.
    let mut buffer = [std::mem::MaybeUninit::uninit(); 1000];
    let fixed = FixedBuffer::new(&mut buffer);
    let arena = Arena::over(&fixed).with_growth(Growth::exact());
    let room = (1..1000).rev().find(|len| arena.reserve(*len).is_ok()).unwrap();
    assert_eq!(arena.put_cstr_fmt(format_args!("{:>room$}", 1)), refused);
    assert_eq!(arena.used(), 0);
    let fits = room - 1;
    assert_eq!(arena.put_cstr_fmt(format_args!("{:>fits$}", 1)).unwrap().count_bytes(), fits);
    assert_eq!(arena.used(), room);
}

/// A slice that is built alone grows in place, and leaves no gap; beside others it moves, and keeps its items.
#[test]
fn a_built_slice_grows_in_place_while_it_is_last() {
    let arena = Arena::new();
    arena.reserve(8192).unwrap();
    let mut alone = arena.build_slice();
    let addr = {
        alone.push(0u32).unwrap();
        alone.as_ptr()
    };
    for number in 1..1000 {
        alone.push(number).unwrap();
    }
    assert_eq!(alone.as_ptr(), addr);
    let alone = alone.finish();
    assert!(alone.iter().copied().eq(0..1000));
    assert_eq!(arena.used(), 4000);
    let mut first = arena.build_slice();
    let mut second = arena.build_slice();
    for number in 0..1000u64 {
        first.push(number).unwrap();
        second.push(!number).unwrap();
    }
    let (first, second) = (first.finish(), second.finish());
    assert!(first.iter().zip(second).all(|(one, two)| *one == !*two));
}

/// What a builder does to its items is what a vector does.
#[test]
fn a_builder_is_a_vector() {
    let arena = Arena::over(Backing::new().exact_alignment());
    let (mut built, mut shadow) = (arena.build_slice(), Vec::new());
    let mut seed = 7u32;
    for round in 0..2000u32 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match seed >> 29 {
            0 => assert_eq!(built.pop(), shadow.pop()),
            1 => {
                let len = (seed >> 8) as usize % (shadow.len() + 5);
                built.truncate(len);
                shadow.truncate(len);
            }
            2 => {
                built.push_slice_copy(&[round; 3]).unwrap();
                shadow.extend([round; 3]);
            }
            3 => {
                built.push_iter((0..5).filter(|n| n % 2 == 0)).unwrap();
                shadow.extend([0, 2, 4]);
            }
            4 => built.reserve((seed >> 20) as usize % 50).unwrap(),
            _ => {
                built.push(round).unwrap();
                shadow.push(round);
            }
        }
        assert!(built.len() <= built.capacity());
        built.reverse();
        shadow.reverse();
        assert_eq!(*built, *shadow);
    }
    assert_eq!(built.finish(), shadow);
}

/// Items of a builder are dropped once: by the builder, one by one, or by the owner that it ends as.
#[test]
fn a_builder_drops_its_items_once() {
    let arena = Arena::new();
    let drops = Cell::new(0);
    let mut built = arena.build_slice();
    built.push_iter((0..10).map(|_| CountsDrop(&drops))).unwrap();
    drop(built.pop());
    built.truncate(7);
    assert_eq!(drops.get(), 3);
    drop(built);
    assert_eq!((drops.get(), arena.used()), (10, 0));
    let mut built = arena.build_slice();
    built.push_iter((0..10).map(|_| CountsDrop(&drops))).unwrap();
    let owned = built.finish_box();
    assert_eq!(drops.get(), 10);
    drop(owned);
    assert_eq!(drops.get(), 20);
}

/// Where there is no memory a builder keeps what it has; what has no bytes needs none.
#[test]
fn a_builder_fails_cleanly() {
    let none = Arena::over(NeverAlloc);
    let drops = Cell::new(0);
    let mut built = none.build_slice();
    assert_eq!(built.push(CountsDrop(&drops)), Err(AllocError));
    assert_eq!((built.len(), drops.get()), (0, 1));
    assert!(built.reserve(usize::MAX).is_err() && built.finish_box().is_empty());
    let mut units = none.build_slice();
    units.push_iter([(); 100]).unwrap();
    units.push_slice_copy(&[(); 100]).unwrap();
    assert_eq!((units.pop(), units.finish().len()), (Some(()), 199));
    let mut text = none.build_str();
    assert!(text.push('x').is_err() && text.push_str("x").is_err() && write!(text, "x").is_err());
    assert_eq!(text.push_str(""), Ok(()));
    assert_eq!(text.finish(), "");
    assert_eq!(none.build_str().finish_cstr(), Err(CStrError::Alloc(AllocError)));

    let arena = Arena::over(Backing::new().refuse_changes().fail_from(1));
    let mut built = arena.build_slice();
    let mut count = 0u32;
    while built.push(count).is_ok() {
        count += 1;
    }
    assert!(0 < count && built.iter().copied().eq(0..count));
}

/// Text that is built: character by character, as C string, in a scope, and in a local arena.
#[test]
fn texts_are_built() {
    let mut arena = Arena::over(Backing::new());
    let text = ["añb", "", "😀c"].concat();
    let mut built = arena.build_str();
    for c in text.chars() {
        built.push(c).unwrap();
    }
    assert_eq!((built.pop(), built.pop(), &*built), (Some('c'), Some('😀'), "añb"));
    built.make_ascii_uppercase();
    assert_eq!(built.finish(), "AñB");
    let mut built = arena.build_str();
    built.push_str("with\0nul").unwrap();
    assert_eq!(built.finish_cstr(), Err(CStrError::InnerNul(4)));
    let mut built = arena.build_str();
    built.push_str("gone").unwrap();
    built.clear();
    write!(built, "{}-{}", 1, 2).unwrap();
    assert_eq!(built.finish_cstr(), Ok(c"1-2"));

    let mut outer = arena.as_scope();
    let kept = {
        let mut built = outer.build_slice();
        built.push("kept").unwrap();
        built.finish()
    };
    outer.scope(|inner| {
        let mut built = inner.build_slice();
        built.push_iter(0..100).unwrap();
        assert_eq!(built.finish().len(), 100);
    });
    assert_eq!(kept, ["kept"]);

    let shared = SharedArena::new();
    let ends = {
        let local = shared.local();
        let mut built = local.build_str();
        built.push_str("outlives its local arena").unwrap();
        built.finish()
    };
    let mut in_shared = shared.build_slice();
    in_shared.push_iter(0..100).unwrap();
    assert_eq!((&*ends, in_shared.finish().len()), ("outlives its local arena", 100));
}

/// Arenas as statics, and of a thread: their constructors are `const`.
#[test]
fn arenas_can_be_statics() {
    static SHARED: SharedArena =
        SharedArena::new().with_growth(Growth::fixed(4096)).with_limit(1 << 20);
    thread_local! {
        static HEAP: HeapArena = const { HeapArena::new() };
    }
    let name: &'static str = SHARED.put_str("for ever").unwrap();
    assert_eq!((name, SHARED.limit(), SHARED.reserved()), ("for ever", 1 << 20, 4096));
    static POOL: ArenaPool<Global, 2> = ArenaPool::over(
        [const { Arena::new().with_growth(Growth::fixed(4096)) }; 2],
        Reset::RetainCapacity,
    );
    for _ in 0..3 {
        let (first, second) = (POOL.take().unwrap(), POOL.take().unwrap());
        assert!(POOL.take().is_none());
        assert_eq!((*first.put(1).unwrap(), *second.put(2).unwrap()), (1, 2));
        assert_eq!((first.used(), second.reserved()), (4, 4096));
    }
    assert_eq!(POOL.free_count(), 2);
    HEAP.with(|heap| assert_eq!(*heap.create(5).unwrap(), 5));
}

/// Room that was reserved in a shared arena is there, for one block or for many.
#[test]
#[cfg_attr(sanitized, ignore = "counts bytes, to which the sanitizer's build adds")]
fn a_shared_arena_reserves() {
    let backing = Backing::new().fail_from(1);
    let mut arena = SharedArena::over(&backing);
    arena.reserve(10_000).unwrap();
    assert_eq!(arena.used(), 0);
    for _ in 0..10 {
        arena.put([1u8; 1000]).unwrap();
    }
    assert!(arena.reserve(usize::MAX).is_err() && arena.reserve(1 << 20).is_err());
    assert!(arena.reserve(0).is_ok());
}

/// The sums over all chunks are what the arena says of itself.
#[test]
fn chunk_stats_add_up() {
    let mut arena = Arena::new();
    let check = |arena: &Arena| {
        let stats: Vec<_> = arena.chunk_stats().collect();
        assert_eq!(stats.iter().map(|chunk| chunk.len).sum::<usize>(), arena.reserved());
        assert_eq!(stats.iter().map(|chunk| chunk.used).sum::<usize>(), arena.used());
        stats.len()
    };
    assert_eq!((check(&arena), arena.room()), (0, 0));
    for size in [10, 3000, 100, 9000] {
        arena.put_slice_fill(size, 1u8).unwrap();
        check(&arena);
    }
    arena.scope(|inner| inner.put_slice_fill(50_000, 1u8).map(drop)).unwrap();
    assert!(1 < check(&arena));
    arena.reset(Reset::RetainCapacity);
    assert_eq!((check(&arena), arena.room()), (1, arena.capacity()));
    arena.put(1u8).unwrap();
    assert_eq!(arena.room(), arena.capacity() - 1);
    // What is put while they are gone through is not among them.
    let more = || assert!(arena.put_slice_fill(20_000, 0u64).is_ok());
    let stats = arena.chunk_stats().inspect(|_| more());
    assert_eq!(stats.map(|chunk| chunk.used).collect::<Vec<_>>(), [1]);
    let stats = arena.chunk_stats();
    more();
    assert_eq!(stats.last().map(|chunk| chunk.used), Some(1));
}

/// What is made where it stays, with a drop: not begun without memory, dropped once with it.
#[test]
fn boxes_are_made_in_place() {
    let drops = Cell::new(0);
    let none = Arena::over(NeverAlloc);
    assert!(none.put_box_with(|| -> u8 { unreachable!("there is no room for it") }).is_err());
    assert!(none.put_zeroed::<u64>().is_err() && none.put_zeroed::<[u64; 0]>().is_ok());
    let arena = Arena::new();
    arena.reserve(4096).unwrap();
    arena.put_slice_fill(1000, 0xff_u8).unwrap();
    let boxed = arena.put_box_with(|| CountsDrop(&drops)).unwrap();
    assert_eq!(arena.put_zeroed(), Ok(&mut [0u64; 100]));
    drop(boxed);
    assert_eq!(drops.get(), 1);
    let used = arena.used();
    let items = (0..10).map(|n| if n < 7 { Ok(CountsDrop(&drops)) } else { Err(AllocError) });
    assert!(arena.put_box_try_iter(items).is_err());
    assert_eq!(drops.get(), 8);
    assert!(arena.used() < used + 8, "but for padding");
}
