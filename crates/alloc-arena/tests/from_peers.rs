//! What is written with other arenas, written with these: a line of theirs, and below it ours.
#![cfg(all(feature = "alloc", feature = "allocator-api2-02", not(loom), not(sanitized)))]

use std::alloc::{GlobalAlloc, System};
use std::any::Any;
use std::cell::Cell;
use std::fmt::Write;
use std::pin::Pin;

use alloc_arena::{
    Arena, ArenaBox, ArenaPool, DropArena, Growth, Reset, SharedArena, TypedArena, unsize_arena_box,
};
use alloc_core::{AllocError, Allocator, AllocatorExt, AsGlobal, FromGlobal, Layout, Owned};
use allocator_api2_02::boxed::Box;
use allocator_api2_02::vec;
use allocator_api2_02::vec::Vec;
use hashbrown::HashMap;

#[derive(Debug)]
struct Bad;

impl From<AllocError> for Bad {
    fn from(_: AllocError) -> Self {
        Self
    }
}

#[test]
fn from_bumpalo() -> Result<(), Bad> {
    // Bump::with_capacity(4096), set_allocation_limit(Some(1 << 20))
    let mut arena = Arena::new().with_limit(1 << 20);
    arena.reserve(4096)?;
    // chunk_capacity(), allocated_bytes(), allocated_bytes_including_metadata(), allocation_limit()
    assert!(4096 <= arena.room() && arena.room() == arena.capacity());
    assert!(arena.capacity() < arena.reserved() && arena.limit() == 1 << 20);
    // alloc(5), try_alloc(5), alloc_with(f), alloc_try_with(f)
    assert_eq!((*arena.put_or_panic(5), *arena.put(5)?, *arena.put_with(|| 5)?), (5, 5, 5));
    assert!(arena.put_try_with(|| Err::<u8, _>(Bad)).is_err());
    // alloc_str, alloc_slice_copy, alloc_slice_clone
    assert_eq!(arena.put_str("a")?, "a");
    assert_eq!(arena.put_slice_copy(&[1, 2])?, arena.put_slice_clone(&[1, 2])?);
    // alloc_slice_fill_copy, alloc_slice_fill_clone, alloc_slice_fill_default, alloc_slice_fill_with
    let item = 0..3;
    assert_eq!(arena.put_slice_fill(3, 7)?, [7; 3]);
    assert_eq!(arena.put_slice_with(3, |_| item.clone())?, [0..3, 0..3, 0..3]);
    assert_eq!(arena.put_slice_with(3, |_| u8::default())?, [0; 3]);
    assert_eq!(arena.put_slice_with(3, |index| index)?, [0, 1, 2]);
    // alloc_slice_try_fill_with, alloc_slice_fill_iter, alloc_slice_try_fill_iter
    assert!(arena.put_try_iter((0..9).map(|n| if n < 5 { Ok(n) } else { Err(Bad) })).is_err());
    assert_eq!(arena.put_iter(0..3)?, [0, 1, 2]);
    // alloc_layout(layout)
    assert!(arena.raw_alloc(Layout::new::<u64>()).is_ok());
    // boxed::Box::new_in(x, &bump), into_inner, leak, from_iter_in, downcast
    drop(arena.put_box(String::from("dropped"))?);
    assert_eq!(arena.put_box_iter(["a", "b"].map(String::from))?.concat(), "ab");
    let any = unsize_arena_box!(arena.put_box(5u8)? => dyn Any);
    assert!(any.downcast::<u8>().is_ok());
    // collections::Vec::new_in(&bump), into_bump_slice_mut; bumpalo::vec![in &bump; 7; 2]
    let mut list = Vec::new_in(&arena);
    list.extend(0..100);
    list.retain(|number| number % 10 == 0);
    list.shrink_to_fit();
    assert_eq!(list.leak().len(), 10);
    assert_eq!(vec![in &arena; 7; 2].len(), 2);
    // collections::String::new_in, into_bump_str; bumpalo::format!(in &bump, "{}", 1)
    let mut text = arena.build_str();
    text.push_str("a")?;
    assert_eq!(text.finish(), "a");
    assert_eq!(arena.put_fmt(format_args!("{}", 1))?, "1");
    // iter.collect_in::<Vec<_>>(&bump)
    assert_eq!(arena.put_iter("b a".split(' '))?, ["b", "a"]);
    // hashbrown::HashMap::new_in(&bump)
    assert!(HashMap::<u8, u8, _, _>::new_in(&arena).is_empty());
    // iter_allocated_chunks(), reset()
    assert_eq!(arena.chunk_stats().map(|chunk| chunk.used).sum::<usize>(), arena.used());
    assert!(arena.reset(Reset::RetainCapacity));
    Ok(())
}

#[test]
fn from_bump_scope() -> Result<(), Bad> {
    // Bump::unallocated(), with_size_in(4096, allocator)
    let mut arena = Arena::over(FromGlobal::new(System)).with_growth(Growth::geometric(4096, 200));
    // scoped(|bump| ..), scope_guard(), checkpoint() and reset_to()
    assert_eq!(arena.scope(|inner| inner.put(5).map(|five| *five))?, 5);
    let mut guard = arena.checkpoint();
    guard.scope().put(5)?;
    guard.rewind();
    drop(guard);
    // claim(): a scope while a container uses the arena
    let mut list = Vec::new_in(&arena);
    list.push(1);
    let mut inner = Arena::over(&arena);
    inner.scope(|inner| inner.put_slice_fill(1000, 0u8).map(drop))?;
    drop(inner);
    list.push(2);
    drop(list);
    // alloc(value), alloc_default(), alloc_iter(iter), alloc_iter_mut_rev(iter), alloc_slice_move(array)
    drop(arena.put_box(String::from("owned"))?);
    assert!(arena.put_box_with(String::default)?.is_empty());
    assert_eq!(arena.put_iter((0..3).rev())?, [2, 1, 0]);
    assert_eq!(arena.put_box_iter([String::new()])?.len(), 1);
    // alloc_uninit(), alloc_uninit_slice(2), alloc_zeroed()
    assert_eq!(arena.put_uninit()?.write(1), &1);
    assert_eq!(arena.put_slice_uninit(2)?.write_copy_of_slice(&[7; 2]), [7; 2]);
    assert_eq!((*arena.put_zeroed::<u64>()?, arena.put_slice_zeroed::<u8>(2)?.len()), (0, 2));
    // alloc_fmt, alloc_cstr, alloc_cstr_from_str, alloc_cstr_fmt
    assert_eq!(arena.put_fmt(format_args!("{}", 1))?, "1");
    assert_eq!(arena.put_cstr(c"a")?, c"a");
    assert!(arena.put_cstr_from("a").is_ok() && arena.put_cstr_fmt(format_args!("{}", 1)).is_ok());
    // BumpVec::new_in, into_slice; MutBumpVec, FixedBumpVec::with_capacity_in
    let mut built = arena.build_slice();
    built.reserve(3)?;
    built.push_slice_copy(&[3, 1])?;
    built.push(2)?;
    built.sort_unstable();
    assert_eq!(built.finish(), [1, 2, 3]);
    // BumpString, bump_format!, into_cstr
    let mut text = arena.build_str();
    write!(text, "{}", 5).map_err(|_| Bad)?;
    assert_eq!(text.finish_cstr(), Ok(c"5"));
    // BumpBox<[T]>: split_at, into_iter; split_off, partition, retain, ..: of a Vec in the arena
    let items = arena.put_box_iter(["a", "b", "c"].map(String::from))?;
    let (first, rest) = ArenaBox::split_at(items, 1).map_err(|_| Bad)?;
    assert_eq!(rest.into_iter().next_back().as_deref(), Some("c"));
    assert_eq!(ArenaBox::leak(first).concat(), "a");
    // stats(), reset(), reset_to_start()
    assert!(0 < arena.used() && arena.chunk_stats().count() != 0);
    arena.reset(Reset::RetainCapacity);
    // BumpPool::new(), get()
    let pool: ArenaPool<_, 2> = ArenaPool::new(Arena::new, Reset::RetainCapacity);
    assert_eq!(pool.take().unwrap().put(5).as_deref(), Ok(&5));
    // into_raw(), from_raw()
    let (state, backing) = arena.into_state();
    // SAFETY: the same backing.
    drop(unsafe { state.promote_unchecked(backing) });
    Ok(())
}

#[test]
fn from_blink_alloc() -> Result<(), AllocError> {
    struct CountsDrop<'c>(&'c Cell<usize>);
    impl Drop for CountsDrop<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let drops = Cell::new(0);
    // Blink::new(), put(value), emplace().with(f), emplace().from_iter(iter), reset()
    let mut arena = DropArena::new();
    arena.put(CountsDrop(&drops))?;
    arena.put_iter((0..3).map(|_| CountsDrop(&drops)))?;
    // put_no_drop, copy_str, copy_slice, uninit
    assert_eq!(arena.arena().put_str("a")?, "a");
    arena.reset(Reset::RetainCapacity);
    assert_eq!(drops.get(), 4);
    // BlinkAlloc::new_in(allocator) for containers
    let blocks = Arena::over(FromGlobal::new(System));
    assert_eq!(*Box::new_in(5, &blocks), 5);
    // SyncBlinkAlloc::new(), local()
    let shared = SharedArena::new();
    let text = shared.local().put_str("from a local one")?;
    assert_eq!((text.len(), *shared.put(5)?), (16, 5));
    // BlinkAllocCache::push, pop
    let pool: ArenaPool<_, 4> = ArenaPool::new(Arena::new, Reset::RetainWithLimit(1 << 20));
    drop(pool.take());
    assert_eq!(pool.free_count(), 4);
    // GlobalBlinkAlloc
    static HEAP: AsGlobal<SharedArena<FromGlobal<System>>> =
        AsGlobal::new(SharedArena::over(FromGlobal::new(System)));
    let layout = Layout::new::<u64>();
    // SAFETY: the layout has bytes.
    let block = unsafe { HEAP.alloc(layout) };
    assert_eq!(HEAP.get().used(), 8);
    // SAFETY: a live block of this heap, of this layout.
    unsafe { HEAP.dealloc(block, layout) };
    assert_eq!(HEAP.get().used(), 0);
    Ok(())
}

#[test]
fn from_typed_arena() -> Result<(), AllocError> {
    // Arena::with_capacity(10), len()
    let mut arena = TypedArena::new();
    arena.reserve(10)?;
    assert_eq!(arena.len(), 0);
    // alloc(value), alloc_extend(iter), reserve_extend(5)
    assert_eq!(arena.put(String::from("a"))?, "a");
    assert_eq!(arena.put_iter(["b", "c"].map(String::from))?, ["b", "c"]);
    arena.reserve(5)?;
    // iter_mut(), into_vec()
    arena.iter_mut().for_each(|name| name.push('!'));
    assert_eq!(arena.drain().collect::<std::vec::Vec<_>>(), ["a!", "b!", "c!"]);
    // Arena<u8>::alloc_str("text")
    assert_eq!(Arena::new().put_str("text")?, "text");
    Ok(())
}

#[test]
fn from_zig() -> Result<(), AllocError> {
    // ArenaAllocator.init(child), allocator().create(T), dupe(u8, text), alloc(T, n), resize, free
    let mut arena = Arena::over(FromGlobal::new(System));
    assert_eq!(*(&arena).create(5)?, 5);
    assert_eq!(*(&arena).dupe(b"text")?, *b"text");
    let mut items = (&arena).alloc::<u32>(10)?;
    assert!((&arena).resize(&mut items, 20));
    (&arena).free(items);
    // queryCapacity(), reset(.retain_capacity), .state, promote, deinit
    assert_eq!((arena.used(), arena.reset(Reset::RetainCapacity)), (0, true));
    assert!(0 < arena.capacity());
    let (state, backing) = arena.into_state();
    // SAFETY: the same backing.
    drop(unsafe { state.promote_unchecked(backing) });
    Ok(())
}

/// What is pinned must be dropped before its memory is used again, so its arena must be one for ever.
#[test]
fn a_value_is_pinned_in_a_static() -> Result<(), AllocError> {
    static FUTURES: SharedArena = SharedArena::new();
    let mut future: Pin<Owned<_, _>> = Owned::into_pin((&FUTURES).create(async { 5 })?);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert_eq!(future.as_mut().poll(&mut context), std::task::Poll::Ready(5));
    Ok(())
}
