//! The collections for a `static`: what one thread puts in and another sees was written before, no two
//! threads get one place, and of two values for one key one wins for both.

use std::alloc::System;
use std::hash::{Hash, Hasher};

use alloc_core::FromGlobal;
use alloc_fixed::{Lookup, StaticBytes, StaticList, StaticMap, StaticStrings};
use loom::cell::UnsafeCell;
use loom::thread;

/// A value that the model checker watches: a read that is not ordered after the write ends the test.
struct Watched {
    name: u32,
    content: UnsafeCell<u32>,
}

impl Watched {
    fn new(name: u32) -> Self {
        let content = UnsafeCell::new(0);
        // SAFETY: nobody else has it yet.
        content.with_mut(|content| unsafe { *content = name + 100 });
        Self { name, content }
    }

    /// Reads what the maker wrote, and returns the name.
    fn look(&self) -> u32 {
        // SAFETY: written by the maker alone, which loom checks is ordered before.
        let content = self.content.with(|content| unsafe { *content });
        assert_eq!(content, self.name + 100);
        self.name
    }
}

// SAFETY: whoever reads does so after the one write, which loom checks.
unsafe impl Sync for Watched {}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.look() == other.look()
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    /// All keys collide, so that each slot is compared.
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// Runs `f` with a collection that lives for ever, as a `static` does.
fn model<T: Sync + 'static>(make: fn() -> T, f: impl Fn(&'static T) + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || f(Box::leak(Box::new(make()))));
}

/// Static bytes go to one of two threads, whichever asks first.
#[test]
fn static_bytes_have_one_owner() {
    model(StaticBytes::<16>::new, |bytes| {
        let other = thread::spawn(move || bytes.take().is_some());
        let here = bytes.take().is_some();
        assert_ne!(here, other.join().unwrap());
        assert!(bytes.take().is_none());
    });
}

/// Two push, the third looks while they do: it sees whole items, each once.
#[test]
fn items_are_written_before_they_are_seen() {
    model(StaticList::<Watched, 2>::new, |list| {
        let pushers = [1, 2].map(|name| {
            thread::spawn(move || {
                let place = list.push(Watched::new(name)).ok().unwrap();
                assert_eq!(place.look(), name);
            })
        });
        let early: Vec<u32> = list.iter().map(Watched::look).collect();
        assert!(matches!(early[..], [] | [1] | [2] | [1, 2] | [2, 1]), "{early:?}");
        for pusher in pushers {
            pusher.join().unwrap();
        }
        let mut all: Vec<u32> = list.iter().map(Watched::look).collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}

/// Who finds an item at an index finds it written.
#[test]
fn an_item_at_an_index_is_written() {
    model(StaticList::<Watched, 1>::new, |list| {
        let pusher = thread::spawn(move || list.push(Watched::new(1)).is_ok());
        if let Some(item) = list.get(0) {
            assert_eq!(item.look(), 1);
        }
        assert!(pusher.join().unwrap());
    });
}

/// The last slot goes to one of two; the other has its item back.
#[test]
fn the_last_slot_goes_to_one_thread() {
    model(StaticList::<Watched, 1>::new, |list| {
        let other = thread::spawn(move || list.push(Watched::new(1)).is_ok());
        let mine = list.push(Watched::new(2));
        let won = mine.is_ok();
        if let Err(back) = mine {
            assert_eq!(back.look(), 2);
        }
        assert!(won ^ other.join().unwrap());
        assert_eq!(list.get(0).unwrap().look(), if won { 2 } else { 1 });
    });
}

/// Items beyond the slots are linked by two threads and seen by a third.
#[test]
fn overflowing_items_are_written_before_they_are_seen() {
    static SYSTEM: FromGlobal<System> = FromGlobal::new(System);
    model(StaticList::<Watched, 0>::new, |list| {
        let push = |name| list.push_in(Watched::new(name), &SYSTEM).ok().unwrap().look();
        let other = thread::spawn(move || push(1));
        let looker = thread::spawn(move || list.iter().map(Watched::look).count());
        assert_eq!(push(2), 2);
        assert_eq!(other.join().unwrap(), 1);
        assert!(looker.join().unwrap() <= 2);
        let mut all: Vec<u32> = list.iter().map(Watched::look).collect();
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}

/// Two insert one key: both are told the same value, which is written before either sees it.
#[test]
fn one_value_wins_for_both() {
    model(StaticMap::<Watched, Watched, 2>::new, |map| {
        let insert = |value| {
            let told = map.insert(Watched::new(7), Watched::new(value)).ok().unwrap();
            told.look()
        };
        let other = thread::spawn(move || insert(1));
        let mine = insert(2);
        assert_eq!(mine, other.join().unwrap());
        let Lookup::Present(value) = map.get(&Watched::new(7)) else { panic!("not there") };
        assert_eq!(value.look(), mine);
    });
}

/// Two keys that collide get a slot each, and who looks meanwhile sees nothing half written.
#[test]
fn keys_that_collide_are_two_keys() {
    model(StaticMap::<Watched, Watched, 2>::new, |map| {
        let other = thread::spawn(move || {
            map.insert_absent(Watched::new(1)).unwrap();
            map.insert(Watched::new(1), Watched::new(11)).ok().unwrap();
        });
        map.insert(Watched::new(2), Watched::new(12)).ok().unwrap();
        match map.get(&Watched::new(1)) {
            Lookup::Present(value) => assert_eq!(value.look(), 11),
            Lookup::Absent | Lookup::Unknown => {}
        }
        other.join().unwrap();
        let value = |key| map.peek(&Watched::new(key)).unwrap().look();
        assert_eq!((value(1), value(2)), (11, 12));
        assert!(map.insert(Watched::new(3), Watched::new(13)).is_err(), "the map is full");
    });
}

/// Two insert one key into a map without slots, and one of them another: each key gets one node, and who
/// looks meanwhile sees nothing half written.
#[test]
fn one_value_wins_in_the_overflow() {
    static SYSTEM: FromGlobal<System> = FromGlobal::new(System);
    model(StaticMap::<Watched, Watched, 0>::new, |map| {
        let insert = |key, value| {
            let told = map.insert_in(Watched::new(key), Watched::new(value), &SYSTEM);
            told.ok().unwrap().look()
        };
        let other = thread::spawn(move || (insert(8, 18), insert(7, 1)));
        match map.get(&Watched::new(8)) {
            Lookup::Present(value) => assert_eq!(value.look(), 18),
            Lookup::Absent | Lookup::Unknown => {}
        }
        let mine = insert(7, 2);
        assert_eq!(other.join().unwrap(), (18, mine));
        assert_eq!(map.peek(&Watched::new(7)).unwrap().look(), mine);
    });
}

/// Who walks over a map that another thread fills, one key in its slot and one behind it, sees nothing half
/// written.
#[test]
fn a_walk_sees_whole_entries() {
    static SYSTEM: FromGlobal<System> = FromGlobal::new(System);
    model(StaticMap::<Watched, Watched, 1>::new, |map| {
        let other = thread::spawn(move || {
            for key in [1, 2] {
                map.insert_in(Watched::new(key), Watched::new(key + 10), &SYSTEM).ok().unwrap();
            }
        });
        let seen = map.iter().filter(|(key, value)| key.look() + 10 == value.look()).count();
        assert!(seen <= 2);
        other.join().unwrap();
        assert!(map.iter().all(|(key, value)| key.look() + 10 == value.look()));
        assert_eq!(map.iter().count(), 2);
    });
}

/// The places of texts do not overlap, and what fits once is given once.
#[test]
fn texts_have_places_of_their_own() {
    model(StaticStrings::<8>::new, |texts| {
        let other = thread::spawn(move || [texts.add("abc"), texts.add("de")]);
        let mine = [texts.add("fgh"), texts.add("ij")];
        let all = [mine, other.join().unwrap()].concat();
        let mut places: Vec<_> =
            all.iter().flatten().map(|text| (text.as_ptr().addr(), text.len())).collect();
        places.sort_unstable();
        assert!(places.is_sorted_by(|(start, len), (next, _)| start + len <= *next), "{places:?}");
        let wishes = ["fgh", "ij", "abc", "de"];
        assert!(all.iter().zip(wishes).all(|(text, wish)| text.is_err() || *text == Ok(wish)));
        assert!(all.iter().flatten().map(|text| text.len()).sum::<usize>() == texts.used());
        assert_eq!(texts.used(), 8, "three of the four fit, whatever the order");
    });
}
