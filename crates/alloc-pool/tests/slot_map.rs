//! The slot map beside a map of the standard library, and what it does when its users' code panics or there is
//! no memory.
#![cfg(feature = "alloc")]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use alloc_core::{AllocError, CHECKED, Counting, Global, Limited, NeverAlloc};
use alloc_pool::{Handle, SlotMap};
use alloc_testing::{Fail, FailingAllocator};

mod common;

use common::Numbers;

type Model = BTreeMap<Handle, Rc<usize>>;

/// Compares a map with its model, by every way to look at it.
fn check(map: &mut SlotMap<Rc<usize>, &Counting<Global>>, model: &Model, gone: &BTreeSet<Handle>) {
    assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
    assert!(map.len() <= map.capacity());
    assert_eq!(map.iter().len(), model.len());
    assert!(map.iter().all(|(handle, value)| model[&handle] == *value && map[handle] == *value));
    let handles: Vec<Handle> = map.handles().collect();
    let backwards: Vec<Handle> = map.iter().rev().map(|(handle, _)| handle).collect();
    assert!(handles.iter().rev().eq(&backwards) && handles.len() == model.len());
    assert!(map.values().eq(handles.iter().map(|handle| &map[*handle])));
    let mutable: Vec<Handle> = map.iter_mut().rev().map(|(handle, _)| handle).collect();
    assert_eq!(mutable, backwards);
    assert_eq!(map.values_mut().count(), model.len());
    assert!(gone.iter().all(|handle| !map.contains(*handle)));
}

/// One operation on all values, or on the memory; removed values leave their handles in `gone`.
fn step(
    numbers: &mut Numbers,
    map: &mut SlotMap<Rc<usize>, &Counting<Global>>,
    model: &mut Model,
    gone: &mut BTreeSet<Handle>,
) {
    match numbers.below(6) {
        0 => {
            let kept = numbers.below(4);
            map.retain(|handle, value| {
                assert_eq!(model[&handle], *value, "the value of the handle");
                **value % 4 < kept
            });
            model.retain(|handle, value| **value % 4 < kept || !gone.insert(*handle));
        }
        1 => {
            let (front, back) = (numbers.below(5), numbers.below(5));
            let mut drain = map.drain();
            assert_eq!(drain.len(), model.len());
            for _ in 0..front {
                let Some((handle, value)) = drain.next() else { continue };
                assert_eq!(model.remove(&handle), Some(value));
                gone.insert(handle);
            }
            for _ in 0..back {
                let Some((handle, value)) = drain.next_back() else { continue };
                assert_eq!(model.remove(&handle), Some(value));
                gone.insert(handle);
            }
            assert_eq!(drain.len(), model.len());
            drop(drain);
            gone.extend(std::mem::take(model).into_keys());
        }
        2 => {
            map.clear();
            gone.extend(std::mem::take(model).into_keys());
        }
        3 => {
            let before = map.capacity();
            map.shrink_to_fit().unwrap();
            assert!(map.capacity() <= before);
            map.shrink_to_fit().unwrap();
        }
        4 => {
            let copy = map.try_clone().unwrap();
            let items: Model = std::mem::replace(map, copy).into_iter().collect();
            assert_eq!(items, *model, "the original gives all its values");
        }
        _ => {
            let handles: Vec<Handle> = map.handles().collect();
            let Some(last) = handles.last() else { return };
            let picked = [0; 3].map(|_| handles[numbers.below(handles.len())]);
            let distinct = picked.iter().collect::<BTreeSet<_>>().len() == 3;
            let values = map.get_disjoint_mut(picked);
            assert_eq!(values.is_some(), distinct);
            for (value, handle) in values.into_iter().flatten().zip(picked) {
                *value = Rc::new(**value + 1);
                model.insert(handle, value.clone());
            }
            let stale = gone.iter().next().copied();
            assert!(stale.is_none_or(|stale| map.get_disjoint_mut([*last, stale]).is_none()));
        }
    }
}

/// A slot map agrees with a map that never forgets through all that concerns many values, and no handle is
/// given twice, whatever was forgotten of the places behind the last value.
#[test]
fn bulk_operations_agree_with_a_model() {
    let heap = Counting::new(Global);
    for seed in 0..if cfg!(miri) { 2 } else { 10 } {
        let mut numbers = Numbers(seed);
        let mut map = SlotMap::over(&heap);
        let (mut model, mut gone) = (Model::new(), BTreeSet::new());
        for round in 0..if cfg!(miri) { 30 } else { 80 } {
            for _ in 0..numbers.below(90) {
                let handle = if numbers.below(2) == 0 {
                    map.insert(Rc::new(round)).map_err(|(_, error)| error).unwrap()
                } else {
                    let place = map.vacant_entry().unwrap();
                    let handle = place.handle();
                    assert_eq!(**place.insert(Rc::new(round)), round);
                    handle
                };
                assert_eq!(model.insert(handle, Rc::new(round)), None);
                assert!(!gone.contains(&handle), "a handle that was given before");
            }
            for handle in model.keys().copied().take(numbers.below(9)).collect::<Vec<_>>() {
                assert_eq!(map.remove(handle), model.remove(&handle));
                gone.insert(handle);
            }
            step(&mut numbers, &mut map, &mut model, &mut gone);
            check(&mut map, &model, &gone);
        }
    }
    assert_eq!(heap.counts().live_blocks, 0);
}

/// A place that is not filled changes nothing: the next value has its handle.
#[test]
fn a_vacant_entry_can_be_given_up() {
    let mut map = SlotMap::over(Global);
    let place = map.vacant_entry().unwrap();
    let handle = place.handle();
    assert_eq!(format!("{place:?}"), format!("VacantEntry {{ handle: {handle:?}, .. }}"));
    drop(place);
    assert!(map.is_empty() && !map.contains(handle));
    assert_eq!((map.insert(1), map.len()), (Ok(handle), 1));
    map.remove(handle);
    // The place of a value that was removed: another handle.
    let place = map.vacant_entry().unwrap();
    let second = place.handle();
    *place.insert(2) += 1;
    assert!(second != handle && map[second] == 3 && map.get(handle).is_none());
}

/// A value's number, that of the one whose drop panics, and how many were dropped.
struct Fragile<'d>(usize, usize, &'d Cell<usize>);

impl Drop for Fragile<'_> {
    fn drop(&mut self) {
        self.2.set(self.2.get() + 1);
        assert_ne!(self.0, self.1, "the bad one");
    }
}

fn fragile<'d>(drops: &'d Cell<usize>) -> SlotMap<Fragile<'d>, Global> {
    let mut map = SlotMap::over(Global);
    for i in 0..100 {
        map.insert(Fragile(i, 70, drops)).ok().unwrap();
    }
    map
}

/// A value whose drop panics: the others are dropped, each once, and the map is empty and of use.
#[test]
fn a_panicking_drop_loses_nothing() {
    let drops = Cell::new(0);
    let mut map = fragile(&drops);
    assert!(catch_unwind(AssertUnwindSafe(|| map.clear())).is_err());
    assert_eq!((drops.get(), map.len(), map.iter().count()), (100, 0, 0));
    map.insert(Fragile(0, 1, &drops)).ok().unwrap();
    assert_eq!(map.len(), 1);
    drop(map);
    drops.set(0);
    // Taken by value, some of them: the iterator drops the rest.
    let mut items = fragile(&drops).into_iter();
    assert!(items.next().is_some_and(|(_, item)| item.0 == 0));
    assert!(items.next_back().is_some_and(|(_, item)| item.0 == 99));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(items))).is_err());
    assert_eq!(drops.get(), 100);
    // `retain`: what lies behind is not asked for, and stays.
    drops.set(0);
    let mut map = fragile(&drops);
    assert!(catch_unwind(AssertUnwindSafe(|| map.retain(|_, _| false))).is_err());
    assert_eq!((drops.get(), map.len()), (71, 29));
    assert!(map.values().map(|item| item.0).eq(71..100));
    map.retain(|_, _| true);
    assert_eq!((map.len(), map.iter().len()), (29, 29));
}

/// A question of `retain` that panics, and a clone that does: the map is whole, nothing leaks.
#[test]
fn panics_in_closures_and_clones_are_survived() {
    struct Shy(usize, Rc<()>);
    impl Clone for Shy {
        fn clone(&self) -> Self {
            assert_ne!(self.0, 3, "this one does not like it");
            Self(self.0, self.1.clone())
        }
    }
    let (heap, token) = (Counting::new(Global), Rc::new(()));
    let mut map = SlotMap::over(&heap);
    for i in 0..6 {
        map.insert(Shy(i, token.clone())).ok().unwrap();
    }
    let blocks = heap.counts().live_blocks;
    assert!(catch_unwind(AssertUnwindSafe(|| drop(map.try_clone()))).is_err());
    assert_eq!((heap.counts().live_blocks, Rc::strong_count(&token)), (blocks, 7));
    let asked = AssertUnwindSafe(|| {
        map.retain(|_, shy| {
            assert_ne!(shy.0, 2, "no answer");
            false
        });
    });
    assert!(catch_unwind(asked).is_err());
    assert!(map.values().map(|shy| shy.0).eq(2..6));
    assert_eq!(Rc::strong_count(&token), 5);
    drop(map);
    assert_eq!((heap.counts().live_blocks, Rc::strong_count(&token)), (0, 1));
}

/// Where there is no memory: an error, and the map is as it was.
#[test]
fn no_memory_is_an_error() {
    let mut none = SlotMap::<u64, _>::over(NeverAlloc);
    assert_eq!(none.vacant_entry().map(drop), Err(AllocError));
    assert!(none.shrink_to_fit().is_ok() && none.try_clone().is_ok(), "they need none");
    assert_eq!((none.drain().count(), none.capacity()), (0, 0));
    for fail in 0..6 {
        let heap = Counting::new(FailingAllocator::new(Global).requests(Fail::From(fail)));
        let mut map = SlotMap::over(&heap);
        while map.len() < 100 && map.vacant_entry().map(|place| *place.insert(7u64)).is_ok() {}
        let handles: Vec<_> = map.handles().collect();
        let copy = map.try_clone();
        assert!(copy.is_err() || copy.is_ok_and(|copy| copy.values().eq(map.values())));
        map.retain(|handle, _| handles.iter().take(10).any(|kept| *kept == handle));
        let (len, capacity) = (map.len(), map.capacity());
        match map.shrink_to_fit() {
            Ok(()) => assert_eq!(map.capacity(), len),
            Err(AllocError) => assert_eq!(map.capacity(), capacity),
        }
        assert!(handles.iter().take(10).all(|handle| map[*handle] == 7));
        assert!(handles.iter().skip(10).all(|handle| !map.contains(*handle)));
        drop(map);
        assert_eq!(heap.counts().live_blocks, 0);
    }
    // A backing that has room for one of the two only.
    let limited = Limited::new(Global, 4000);
    let mut map = SlotMap::<u64, _>::over(&limited);
    map.reserve(50).unwrap();
    map.insert(1).unwrap();
    assert!(map.try_clone().is_ok_and(|copy| copy.values().eq(&[1])));
    while map.insert(1).is_ok() {}
    assert_eq!(map.try_clone().map(drop), Err(AllocError));
}

/// Memory that nobody needs goes back, and a place that comes again keeps stale handles stale.
#[test]
fn shrinking_keeps_stale_handles_stale() {
    let heap = Counting::new(Global);
    let mut map = SlotMap::over(&heap);
    let handles: Vec<Handle> = (0..300).map(|i| map.insert(i).unwrap()).collect();
    let bytes = heap.counts().live_bytes;
    for handle in handles.iter().skip(2).chain(&handles[..1]) {
        map.remove(*handle);
    }
    map.shrink_to_fit().unwrap();
    assert_eq!((map.capacity(), map.len()), (2, 1));
    assert!(heap.counts().live_bytes * 100 < bytes);
    assert_eq!(map.removed_by(handles[200]), None, "forgotten with its place");
    let again: Vec<Handle> = (0..300).map(|i| map.insert(i).unwrap()).collect();
    assert!(again.iter().all(|handle| !handles.contains(handle)));
    assert!(handles.iter().enumerate().all(|(i, handle)| map.contains(*handle) == (i == 1)));
    map.clear();
    map.shrink_to_fit().unwrap();
    assert_eq!((map.capacity(), heap.counts().live_blocks), (0, 0));
    let third = map.insert(0).unwrap();
    assert!(!handles.contains(&third) && !again.contains(&third));
}

/// Who removed a value is known whatever removed it.
#[test]
fn bulk_removals_say_where() {
    let mut map = SlotMap::over(Global);
    let mut removed = |by: fn(&mut SlotMap<u8, Global>)| {
        let handle = map.insert(1).unwrap();
        by(&mut map);
        map.removed_by(handle).map(|site| site.line())
    };
    let line = line!();
    let lines = [
        removed(|map| map.clear()),
        removed(|map| drop(map.drain())),
        removed(|map| map.retain(|_, _| false)),
    ];
    for (found, expected) in lines.into_iter().zip(line + 2..) {
        assert_eq!(found, CHECKED.then_some(expected));
    }
}

/// A leaked `drain` leaves what it did not take in the map.
#[test]
fn a_leaked_drain_is_harmless() {
    let mut map = SlotMap::over(Global);
    for i in 0..5 {
        map.insert(Rc::new(i)).ok().unwrap();
    }
    let mut drain = std::mem::ManuallyDrop::new(map.drain());
    assert_eq!(drain.next().map(|(_, value)| *value), Some(0));
    assert!(map.values().map(|value| **value).eq(1..5));
    for (_, value) in &mut map {
        *value = Rc::new(0);
    }
    assert_eq!((&map).into_iter().map(|(_, value)| **value).sum::<i32>(), 0);
}
