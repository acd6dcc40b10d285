//! Containers of other crates take an arena.
#![cfg(all(feature = "alloc", feature = "allocator-api2-02"))]

use allocator_api2_02::boxed::Box;
use allocator_api2_02::vec::Vec;

use alloc_arena::{Arena, Reset};
use alloc_core::{Allocator, AllocatorExt, alloc_print};
use alloc_testing::hostile::Backing;
use hashbrown::HashMap;

/// A request with a list, a map and text in its arena, three times; the backing gets all back.
#[test]
fn a_request_in_an_arena() {
    let backing = Backing::new();
    let mut arena = Arena::over(&backing);
    for id in 0..3 {
        check_request(&arena, id);
        arena.reset(Reset::RetainCapacity);
    }
    drop(arena);
    assert_eq!((backing.live_count(), backing.misuses()), (0, std::vec![]));
}

fn check_request(arena: &Arena<&Backing>, id: u32) {
    let id = alloc_print!(arena, "{id}").unwrap();
    let mut parts = Vec::new_in(arena);
    parts.extend(["Processing request ", &id, " data"]);
    let mut counts = HashMap::new_in(arena);
    for word in parts.iter().flat_map(|part| part.split(' ')) {
        *counts.entry(word).or_insert(0) += 1;
    }
    assert_eq!(counts["data"], 1);
    let text = alloc_print!(arena, "{}{}{}", parts[0], parts[1], parts[2]).unwrap();
    assert!(text.starts_with("Processing request "));
}

/// The erased handle works the same, and a list that grows alone grows in place.
#[test]
fn through_the_erased_handle() {
    let arena = Arena::new();
    let handle: &dyn Allocator = &arena;
    let boxed = Box::new_in(5u64, handle);
    let mut list = Vec::new_in(handle);
    list.extend(0..10_000u32);
    assert_eq!((*boxed, list.iter().sum::<u32>()), (5, 49_995_000));
    assert!(arena.used() < 2 * 40_000 + 1000, "{arena:?}");
}

/// An owned arena inside a container: it moves with it and is freed with it.
#[test]
fn an_arena_moves_into_a_container() {
    let backing = Backing::new();
    let mut list = Vec::new_in(Arena::over(&backing));
    list.extend(0..100);
    let list = std::boxed::Box::new(list);
    assert_eq!(list.iter().sum::<i32>(), 4950);
    drop(list);
    assert_eq!(backing.live_count(), 0);
}

/// No memory comes back as an error, not as an abort.
#[test]
fn try_reserve_reports() {
    let backing = Backing::new().fail_from(0);
    let arena = Arena::over(&backing);
    let mut list: Vec<u64, _> = Vec::new_in(&arena);
    assert!(list.try_reserve(1).is_err());
    let mut map: HashMap<u32, u32, _, _> = HashMap::new_in(&arena);
    assert!(map.try_reserve(1).is_err());
    assert!(arena.dupe_str("").is_ok());
}
