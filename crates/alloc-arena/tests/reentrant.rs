//! Code of users in the middle of a call: iterators, closures, `Display`s and drops that use the same arena, and panic.
#![cfg(all(feature = "alloc", not(loom)))]

use std::cell::RefCell;
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use alloc_arena::{Arena, DropArena, Growth, Reset, TypedArena};
use alloc_core::{AllocError, Allocator, AllocatorExt};

/// Calls `body`; returns nothing if it panics.
fn caught<R>(body: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(body)).ok()
}

/// The arenas that grow in different ways.
const GROWTHS: [Growth; 4] =
    [Growth::DEFAULT, Growth::exact(), Growth::fixed(200), Growth::geometric(0, 0)];

/// A text that puts itself into the arena on the way, and may fail or panic then.
struct Noisy<'a, 'k> {
    arena: &'a Arena,
    number: u32,
    kept: &'k RefCell<Vec<&'a mut str>>,
}

impl fmt::Display for Noisy<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.arena.put_fmt(format_args!("<{}", self.number)).unwrap();
        f.write_str(text)?;
        self.kept.borrow_mut().push(text);
        match self.number % 11 {
            3 => Err(fmt::Error),
            5 => panic!("a text that panics"),
            _ => f.write_str(">"),
        }
    }
}

/// Goal: what is put while something else is being put overlaps nothing. Method: each way in with such a
/// callback, which keeps what it puts; all of it is compared in the end.
#[test]
fn what_is_put_in_between_stays() {
    for growth in GROWTHS {
        let (arena, texts) = (Arena::new().with_growth(growth), RefCell::new(Vec::new()));
        let mut kept: Vec<(u32, &mut [u32])> = Vec::new();
        for number in 0..60u32 {
            let mut keep = |count: u32| {
                kept.push((number, arena.put_slice_fill(count as usize, number).unwrap()));
            };
            let listed = arena.put_iter((0..number).inspect(|index| keep(index % 5))).unwrap();
            assert!(listed.iter().copied().eq(0..number));
            let failed = arena.put_try_with(|| {
                keep(3);
                drop(arena.create(number));
                Err::<[u64; 9], _>(AllocError)
            });
            assert_eq!(failed, Err(AllocError));
            let made = arena.put_with(|| {
                keep(2);
                [number; 40]
            });
            assert_eq!(*made.unwrap(), [number; 40]);
            let items = (0..number).map(|index| {
                keep(1);
                if index < 20 { Ok(index) } else { Err(AllocError) }
            });
            assert_eq!(arena.put_try_iter(items).is_err(), 20 < number);
            let mut built = arena.build_slice();
            for index in 0..number {
                built.push(index).unwrap();
                keep(index % 3);
            }
            assert!(built.finish().iter().copied().eq(0..number));
            let noisy = Noisy { arena: &arena, number, kept: &texts };
            let text = caught(|| arena.put_fmt(format_args!("{noisy}{noisy}")));
            match number % 11 {
                3 => assert_eq!(text, Some(Err(AllocError))),
                5 => assert_eq!(text, None),
                _ => assert_eq!(*text.unwrap().unwrap(), *format!("<{number}><{number}>")),
            }
        }
        assert!(kept.iter().all(|(number, items)| items.iter().all(|item| item == number)));
        assert!(texts.into_inner().iter().all(|text| text[1..].parse::<u32>().is_ok()));
    }
}

/// The same of arenas that drop their values: an iterator puts some itself, and panics. The drop of each sees
/// that it is whole.
#[test]
fn values_put_in_between_are_dropped_once() {
    struct Whole<'a>(u64, Box<u64>, &'a RefCell<u64>);

    impl Drop for Whole<'_> {
        fn drop(&mut self) {
            assert_eq!(self.0, *self.1);
            *self.2.borrow_mut() += 1;
        }
    }

    for growth in GROWTHS {
        let (made, dropped) = (RefCell::new(0), RefCell::new(0));
        let new = |number: u64| {
            *made.borrow_mut() += 1;
            Whole(number, Box::new(number), &dropped)
        };
        let mut typed = TypedArena::over(Arena::new().with_growth(growth));
        let mut mixed = DropArena::over(Arena::new().with_growth(growth));
        for round in 0..40u64 {
            let items = |index| {
                if index % 3 == 0 {
                    assert_eq!(typed.put(new(index)).unwrap().0, index);
                    mixed.put_iter((0..index).map(new)).unwrap();
                }
                if index % 7 == 1 {
                    typed.reserve(5).unwrap();
                    typed.put_iter((0..index).map(new)).unwrap();
                    mixed.put(new(index)).unwrap();
                }
                assert_ne!(index, 33);
                new(index)
            };
            // Nothing panics but that one item, if it comes to it.
            let in_typed = caught(|| typed.put_iter((0..round).map(items)).unwrap());
            let in_mixed = caught(|| mixed.put_iter((0..round).map(items)).unwrap());
            for items in [in_typed, in_mixed] {
                assert_eq!(items.is_some(), round <= 33);
                let numbers = items.map(|items| items.iter().map(|item| item.0));
                assert!(numbers.is_none_or(|mut numbers| numbers.by_ref().eq(0..round)));
            }
            if round % 10 == 9 {
                assert!(typed.iter_mut().all(|item| item.0 == *item.1));
                assert!(typed.drain().take(20).all(|item| item.0 == *item.1));
                mixed.reset(Reset::RetainWithLimit(3000));
                assert_eq!(*made.borrow(), *dropped.borrow());
            }
        }
    }
}

/// Scopes in scopes that panic, guards that are forgotten, handles that are swapped: what was made before a scope
/// lives on.
#[test]
fn scopes_take_back_their_own_only() {
    fn nest<A: Allocator>(scope: &mut alloc_arena::Scope<'_, A>, depth: usize) {
        let mut kept = Vec::new();
        for round in 0..4u64 {
            kept.push(scope.put_slice_fill(17 * depth + 1, round).unwrap());
            let whole = caught(|| {
                scope.scope(|inner| {
                    if depth < 2 {
                        nest(inner, depth + 1);
                    }
                    let mut point = inner.checkpoint();
                    point.scope().put_slice_fill(900, 3u8).unwrap();
                    if round == 2 {
                        let _ = ManuallyDrop::new(point);
                    } else {
                        point.rewind()
                    }
                    assert_ne!(round, 3);
                });
            });
            // Nor do the assertions of the inner ones.
            assert_eq!(whole.is_some(), round != 3);
        }
        for (round, items) in kept.iter().enumerate() {
            assert!(items.iter().all(|item| *item == round as u64));
        }
    }

    let (mut arena, mut other) = (Arena::new(), Arena::new());
    nest(&mut arena.as_scope(), 0);
    // A handle of all lifetimes fits into the place of one of a scope; the scope ends its own arena's all the same.
    static FOREVER: AtomicPtr<Arena> = AtomicPtr::new(ptr::null_mut());
    let forever: &'static mut Arena = Box::leak(Box::new(Arena::new()));
    // Where the leak sanitizer finds it.
    FOREVER.store(forever, Relaxed);
    let longer = forever.as_scope();
    let early = longer.put(1u64).unwrap();
    other.scope(move |inner| {
        let first = inner.put(2u64).unwrap();
        let mut longer = longer;
        mem::swap(inner, &mut longer);
        let (second, third) = (inner.put(3u64).unwrap(), longer.put(4u64).unwrap());
        longer.scope(|nested| drop(nested.put([0u64; 100])));
        inner.scope(|nested| drop(nested.put([0u64; 100])));
        assert_eq!((*first, *second, *third), (2, 3, 4));
    });
    assert_eq!((other.used(), *early), (0, 1));
}
