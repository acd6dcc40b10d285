//! Owners of values in an arena: what becomes of them, and that each value is dropped once.
#![cfg(all(feature = "alloc", not(loom)))]

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use alloc_arena::{Arena, ArenaBox, unsize_arena_box};

#[derive(Debug)]
struct CountsDrop<'c>(&'c Cell<usize>);

impl Drop for CountsDrop<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn counted<'a, 'c>(
    arena: &'a Arena,
    drops: &'c Cell<usize>,
    count: usize,
) -> ArenaBox<'a, [CountsDrop<'c>]> {
    arena.put_box_iter((0..count).map(|_| CountsDrop(drops))).unwrap()
}

/// The parts of a slice have owners of their own; where it cannot be split it comes back.
#[test]
fn a_split_slice_is_dropped_once() {
    let (arena, drops) = (Arena::new(), Cell::new(0));
    for mid in 0..=5 {
        drops.set(0);
        let (first, second) = ArenaBox::split_at(counted(&arena, &drops, 5), mid).unwrap();
        assert_eq!((first.len(), second.len()), (mid, 5 - mid));
        drop(second);
        assert_eq!(drops.get(), 5 - mid);
        drop(first);
        assert_eq!(drops.get(), 5);
    }
    let whole = ArenaBox::split_at(counted(&arena, &drops, 5), 6).unwrap_err();
    assert_eq!((whole.len(), drops.get()), (5, 5));
}

/// Arrays and slices become each other; of the wrong length they come back.
#[test]
fn arrays_and_slices_become_each_other() {
    let (arena, drops) = (Arena::new(), Cell::new(0));
    let array: ArenaBox<[CountsDrop; 4]> = counted(&arena, &drops, 4).try_into().unwrap();
    let slice: ArenaBox<[CountsDrop]> = array.into();
    let refused: Result<ArenaBox<[CountsDrop; 3]>, _> = slice.try_into();
    let slice = refused.unwrap_err();
    assert_eq!((slice.len(), drops.get()), (4, 0));
    drop(slice);
    assert_eq!(drops.get(), 4);
    assert!(ArenaBox::<[String]>::default().is_empty());
}

/// Items that an iterator gave out are the caller's, the others its own.
#[test]
fn an_iterator_drops_what_is_left() {
    let (arena, drops) = (Arena::new(), Cell::new(0));
    let mut items = counted(&arena, &drops, 10).into_iter();
    let taken = (items.next(), items.next_back(), items.nth(1));
    assert_eq!((items.len(), items.as_slice().len(), drops.get()), (6, 6, 1));
    drop(items);
    assert_eq!(drops.get(), 7);
    drop(taken);
    assert_eq!(drops.get(), 10);
    let mut numbers = arena.put_box_iter(0..5).unwrap();
    for number in &mut numbers {
        *number *= 2;
    }
    assert_eq!((&numbers).into_iter().sum::<i32>(), 20);
    assert_eq!(numbers.into_iter().rev().collect::<Vec<_>>(), [8, 6, 4, 2, 0]);
    assert_eq!(arena.put_box_iter([(); 3]).unwrap().into_iter().count(), 3);
}

/// The drop of an item that is left panics: the others are dropped nevertheless.
#[test]
fn a_panicking_item_does_not_stop_the_others() {
    struct Panics<'c>(Option<CountsDrop<'c>>);
    impl Drop for Panics<'_> {
        fn drop(&mut self) {
            assert!(self.0.is_some(), "this one panics");
        }
    }
    let (arena, drops) = (Arena::new(), Cell::new(0));
    let items = (0..5).map(|index| Panics((index != 2).then(|| CountsDrop(&drops))));
    let items = arena.put_box_iter(items).unwrap().into_iter();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(items))).is_err());
    assert_eq!(drops.get(), 4);
}

/// A trait object is the same value, dropped once, and found again by its type.
#[test]
fn trait_objects_are_the_same_values() {
    trait Tells {
        fn tells(&self) -> usize;
    }
    impl Tells for CountsDrop<'_> {
        fn tells(&self) -> usize {
            self.0.get()
        }
    }
    let (arena, drops) = (Arena::new(), Cell::new(3));
    let told = unsize_arena_box!(arena.put_box(CountsDrop(&drops)).unwrap() => dyn Tells + '_);
    assert_eq!(told.tells(), 3);
    drop(told);
    assert_eq!(drops.get(), 4);
    let slice = unsize_arena_box!(arena.put_box([1, 2]).unwrap() => [i32]);
    assert_eq!(*slice, [1, 2]);

    let any = unsize_arena_box!(arena.put_box(String::from("text")).unwrap() => dyn Any);
    let any = any.downcast::<u8>().unwrap_err();
    assert_eq!(*any.downcast::<String>().unwrap(), "text");
    let any = unsize_arena_box!(arena.put_box(7u8).unwrap() => dyn Any + Send);
    assert_eq!(ArenaBox::into_inner(any.downcast::<u8>().unwrap()), 7);
    let any = unsize_arena_box!(arena.put_box(7u8).unwrap() => dyn Any + Send + Sync);
    assert!(any.downcast::<u16>().is_err());
}

/// What a value does, its owner does: iterate, from both ends, erased; call; be an error.
#[test]
fn an_owner_does_what_its_value_does() {
    let arena = Arena::new();
    let mut numbers = arena.put_box(0..5).unwrap();
    assert_eq!((numbers.next(), numbers.next_back(), numbers.len()), (Some(0), Some(4), 3));
    let mut erased = unsize_arena_box!(numbers => dyn Iterator<Item = i32>);
    assert_eq!((erased.nth(1), erased.size_hint()), (Some(2), (1, Some(1))));
    let mut count = 0;
    let mut call = unsize_arena_box!(arena.put_box(|| count += 1).unwrap() => dyn FnMut() + '_);
    call();
    call();
    drop(call);
    assert_eq!(count, 2);
    let error = arena.put_box(std::fmt::Error).unwrap();
    let error: &dyn std::error::Error = &error;
    assert!(error.source().is_none());
    let value = arena.put_box(5u8).unwrap();
    assert_eq!(format!("{value:p}"), format!("{:p}", &raw const *value));
    let mut ready = arena.put_box(std::future::ready(5)).unwrap();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let polled = std::pin::Pin::new(&mut ready).poll(&mut context);
    assert_eq!(polled, std::task::Poll::Ready(5));
}
