//! Collections for a `static`: stable addresses, one winner for each slot, and no byte in the file.

use std::alloc::System;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher};
use std::process::Command;
use std::thread;

use alloc_core::{FromGlobal, NeverAlloc};
use alloc_fixed::{Lookup, StaticBytes, StaticList, StaticMap, StaticStrings};

/// Larger than anything else in this program.
const LARGE: usize = 3 << 20;

static LIST: StaticList<u64, { LARGE / 9 }> = StaticList::new();
static STRINGS: StaticStrings<LARGE> = StaticStrings::new();
static MAP: StaticMap<u64, u64, { LARGE / 24 }> = StaticMap::new();
static BYTES: StaticBytes<LARGE> = StaticBytes::new();

/// Goal: megabytes of empty collections take no room in the program's file. Method: the file of this
/// test is asked for the sizes of its sections.
#[test]
#[cfg(target_os = "linux")]
fn they_lie_in_bss() {
    // Each is used, so that none is left out of the program.
    LIST.push(1).unwrap();
    STRINGS.add("x").unwrap();
    MAP.insert(1, 2).unwrap();
    assert!(BYTES.take().is_some());
    let program = std::env::current_exe().unwrap();
    let Ok(output) = Command::new("size").arg("--format=sysv").arg(&program).output() else {
        panic!("the program `size` of binutils is needed for this test");
    };
    let table = String::from_utf8(output.stdout).unwrap();
    let len = |name: &str| {
        let mut rows = table.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(name)).then(|| words.next().unwrap().parse::<usize>().unwrap())
        });
        rows.next().unwrap_or_else(|| panic!("no section {name} in\n{table}"))
    };
    assert!(4 * LARGE < len(".bss"), "{table}");
    assert!(len(".data") < LARGE, "{table}");
}

/// Each pushed item is there once, at the address that the push returned.
#[test]
fn threads_push_to_one_list() {
    static LIST: StaticList<usize, 400> = StaticList::new();
    let places: Vec<&'static usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    (0..100)
                        .map(|index| LIST.push(thread * 100 + index).unwrap())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(LIST.push(5), Err(5), "full");
    assert_eq!(LIST.iter().copied().collect::<HashSet<_>>(), (0..400).collect());
    for (index, place) in places.iter().enumerate() {
        assert_eq!(**place, index, "thread by thread, in order");
        assert!((0..400).any(|at| std::ptr::eq(LIST.get(at).unwrap(), *place)));
    }
}

/// What does not fit goes to an allocator, stays reachable, and is given back if that has no memory.
#[test]
fn lists_overflow_into_an_allocator() {
    static LIST: StaticList<String, 2> = StaticList::new();
    static HEAP: alloc_core::FromGlobal<std::alloc::System> =
        alloc_core::FromGlobal::new(std::alloc::System);
    static NEVER: NeverAlloc = NeverAlloc;
    for number in 0..5 {
        assert_eq!(*LIST.push_in(number.to_string(), &HEAP).unwrap(), number.to_string());
    }
    let (item, _) = LIST.push_in("lost?".into(), &NEVER).unwrap_err();
    assert_eq!(item, "lost?");
    let all: Vec<&str> = LIST.iter().map(String::as_str).collect();
    assert_eq!(all, ["0", "1", "4", "3", "2"]);
    assert_eq!((LIST.len(), LIST.get(2)), (2, None));
}

/// Texts lie one after the other up to the last byte.
#[test]
fn texts_stay() {
    static TEXTS: StaticStrings<10> = StaticStrings::new();
    let first: &'static str = TEXTS.add("first").unwrap();
    assert!(TEXTS.add("second").is_err());
    let rest = TEXTS.add("fifth").unwrap();
    assert!(TEXTS.add("x").is_err() && TEXTS.add("").is_ok());
    assert_eq!((first, rest, TEXTS.used()), ("first", "fifth", 10));
    assert!(TEXTS.owns(rest) && !TEXTS.owns("fifth"));
}

/// What does not fit goes to an allocator and stays as well; without memory it is an error.
#[test]
fn texts_overflow_into_an_allocator() {
    static TEXTS: StaticStrings<10> = StaticStrings::new();
    static HEAP: alloc_core::FromGlobal<std::alloc::System> =
        alloc_core::FromGlobal::new(std::alloc::System);
    static NEVER: NeverAlloc = NeverAlloc;
    let first: &'static str = TEXTS.add_in("first", &HEAP).unwrap();
    let second: &'static str = TEXTS.add_in("second", &HEAP).unwrap();
    assert!(TEXTS.add_in("third.", &NEVER).is_err());
    let third: &'static str = TEXTS.add_in("third", &NEVER).unwrap();
    assert_eq!((first, second, third, TEXTS.used()), ("first", "second", "third", 10));
    assert!(TEXTS.owns(first) && !TEXTS.owns(second) && TEXTS.owns(third));
    // A name of what is kept for ever, for tools that count what is lost.
    static KEPT: std::sync::OnceLock<&'static str> = std::sync::OnceLock::new();
    assert_eq!(KEPT.set(second), Ok(()));
}

/// All keys have the same hash.
#[derive(Default)]
struct Same;

impl Hasher for Same {
    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        u64::MAX
    }
}

impl BuildHasher for Same {
    type Hasher = Same;

    fn build_hasher(&self) -> Same {
        Same
    }
}

/// Keys of one hash are different keys, in each of the three states; a full map says so and still finds.
#[test]
fn equal_hashes_are_no_equal_keys() {
    static MAP: StaticMap<u32, u32, 4, Same> = StaticMap::with_hasher(Same);
    assert_eq!(MAP.get(&1), Lookup::Unknown);
    assert_eq!(MAP.insert(1, 10), Ok(&10));
    assert_eq!(MAP.insert(1, 11), Ok(&10), "the first value stays");
    MAP.insert_absent(2).unwrap();
    assert_eq!((MAP.get(&2), MAP.get(&3)), (Lookup::Absent, Lookup::Unknown));
    assert_eq!(MAP.insert(2, 20), Ok(&20));
    MAP.insert_absent(2).unwrap();
    assert_eq!(MAP.peek(&2), Some(&20), "and is not taken away");
    MAP.insert(3, 30).unwrap();
    MAP.insert(4, 40).unwrap();
    assert_eq!(MAP.insert(5, 50), Err(50));
    assert!(MAP.insert_absent(5).is_err());
    assert_eq!(MAP.get(&5), Lookup::Unknown);
    assert!((1..=4).all(|key| MAP.peek(&key) == Some(&(key * 10))));
}

/// Keys that do not fit go to an allocator, with all three states; there is one of each, and nothing is kept
/// where there is no memory.
#[test]
fn maps_overflow_into_an_allocator() {
    static MAP: StaticMap<String, u32, 2> = StaticMap::new();
    static HEAP: alloc_core::FromGlobal<std::alloc::System> =
        alloc_core::FromGlobal::new(std::alloc::System);
    static NEVER: NeverAlloc = NeverAlloc;
    let name = |number: u32| format!("number {number}");
    let places: Vec<&'static u32> =
        (0..5).map(|number| MAP.insert_in(name(number), number, &HEAP).unwrap()).collect();
    MAP.insert_absent_in(name(5), &HEAP).unwrap();
    assert_eq!(MAP.get(&name(5)), Lookup::Absent);
    assert_eq!(MAP.get(&name(6)), Lookup::Unknown);
    assert_eq!(MAP.insert_in(name(6), 6, &NEVER), Err((6, alloc_core::AllocError)));
    assert!(MAP.insert_absent_in(name(6), &NEVER).is_err() && MAP.insert(name(6), 6) == Err(6));
    assert_eq!(MAP.get(&name(6)), Lookup::Unknown);
    // What has a place needs no memory, by any of the ways in.
    assert_eq!(MAP.insert(name(5), 5), Ok(&5));
    for (number, place) in (0..).zip(places) {
        assert_eq!(MAP.insert_in(name(number), 100, &NEVER), Ok(&number), "the first value stays");
        MAP.insert_absent(name(number)).unwrap();
        assert!(std::ptr::eq(MAP.peek(&name(number)).unwrap(), place), "and does not move");
    }
}

/// Goal: also threads that overflow agree on one value for each key. Method: as below.
#[test]
fn threads_agree_in_the_overflow() {
    static MAP: StaticMap<u32, (u32, u32), 8> = StaticMap::new();
    static HEAP: alloc_core::FromGlobal<std::alloc::System> =
        alloc_core::FromGlobal::new(std::alloc::System);
    let told: Vec<Vec<&'static (u32, u32)>> = std::thread::scope(|scope| {
        let insert = |thread| {
            (0..100).map(|key| MAP.insert_in(key, (thread, key), &HEAP).unwrap()).collect()
        };
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || insert(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for key in 0..100 {
        let value = MAP.peek(&key).unwrap();
        assert_eq!(value.1, key);
        assert!(told.iter().all(|told| std::ptr::eq(told[key as usize], value)));
    }
}

/// Goal: threads that give the same keys values agree on one. Method: each gives its own, and all
/// remember what they were told.
#[test]
fn threads_agree_on_one_value() {
    static MAP: StaticMap<u32, (u32, u32), 256> = StaticMap::new();
    let told: Vec<Vec<(u32, u32)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    (0..100).map(|key| *MAP.insert(key, (thread, key)).unwrap()).collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for key in 0..100 {
        let Lookup::Present(&value) = MAP.get(&key) else { panic!("{key} is not there") };
        assert_eq!(value.1, key);
        assert!(told.iter().all(|told| told[key as usize] == value));
    }
}

/// Iteration finds every key that has a value, in the slots and behind them, once each, also while threads put
/// some in.
#[test]
fn maps_are_walked_while_they_fill() {
    static MAP: StaticMap<u32, (u32, u32), 64> = StaticMap::new();
    static HEAP: FromGlobal<System> = FromGlobal::new(System);
    assert_eq!(MAP.iter().count(), 0);
    MAP.insert_absent(1000).unwrap();
    thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || {
                for key in (thread..100).step_by(2) {
                    MAP.insert_in(key, (key, !key), &HEAP).unwrap();
                }
            });
        }
        for _ in 0..20 {
            assert!(MAP.iter().all(|(key, value)| *value == (*key, !*key)));
        }
    });
    let mut keys: Vec<u32> = MAP.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    assert!(keys.into_iter().eq(0..100), "and not the one that is known to be absent");
}
