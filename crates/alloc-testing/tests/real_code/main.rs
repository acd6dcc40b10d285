//! Every failure of an allocation in code of other people, through allocator-api2: hashbrown's tables,
//! vectors of vectors, serde_json's parser with values of our own, into an arena and into maps.
//!
//! `cargo test -p alloc-testing --test real_code -- --nocapture` prints the table of
//! `docs/design/alloc-testing.md`. What takes no failure (`Clone`, `insert` without `try_reserve`) ends the
//! process for want of memory, and is not here.

mod json;

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Instant;

use alloc_arena::Arena;
use alloc_core::{AllocError, AllocatorExt, Owned};
use alloc_testing::{AllocFailures, FailureAllocator, FailureSummary, Growth, Verdict};
use allocator_api2_02::boxed::Box;
use allocator_api2_02::vec::Vec;
use hashbrown::HashMap;

type Gpa<'g> = &'g FailureAllocator;
/// Hashes alike in each run: what is hashed at random asks for memory at random.
type Fixed = BuildHasherDefault<DefaultHasher>;
type Map<'g, V> = HashMap<u32, V, Fixed, Gpa<'g>>;

/// Whatever went wrong for want of memory: each library has a type of its own.
#[derive(Debug)]
struct NoMemory;

impl From<AllocError> for NoMemory {
    fn from(_: AllocError) -> Self {
        Self
    }
}

impl From<hashbrown::TryReserveError> for NoMemory {
    fn from(_: hashbrown::TryReserveError) -> Self {
        Self
    }
}

impl From<allocator_api2_02::collections::TryReserveError> for NoMemory {
    fn from(_: allocator_api2_02::collections::TryReserveError) -> Self {
        Self
    }
}

impl From<allocator_api2_02::alloc::AllocError> for NoMemory {
    fn from(_: allocator_api2_02::alloc::AllocError) -> Self {
        Self
    }
}

/// Runs the check and prints its line of the table.
fn row<E: std::fmt::Debug>(
    name: &str,
    code: impl Fn(&FailureAllocator) -> Result<(), E> + Sync,
) -> FailureSummary {
    row_of(AllocFailures::new(), name, code)
}

/// As [`row`], with other settings.
fn row_of<E: std::fmt::Debug>(
    check: AllocFailures,
    name: &str,
    code: impl Fn(&FailureAllocator) -> Result<(), E> + Sync,
) -> FailureSummary {
    let begin = Instant::now();
    let summary = check.name(name).check(code);
    let time = begin.elapsed().as_secs_f64() * 1e3;
    let FailureSummary { requests, requests_growing, points, runs, .. } = summary;
    let growing = requests_growing.map_or_else(|| "-".to_owned(), |count| count.to_string());
    println!("| {name} | {requests} | {growing} | {points} | {runs} | {time:.0} ms | passed |");
    summary
}

fn contents<V: Copy>(map: &Map<'_, V>) -> BTreeMap<u32, V> {
    map.iter().map(|(key, value)| (*key, *value)).collect()
}

/// Each insertion leaves the map as it was, or with the new pair.
#[test]
fn hashbrown_insert() {
    let summary = row("hashbrown: 500 inserts, each restored on failure", |gpa| {
        let mut map = Map::with_hasher_in(Fixed::default(), gpa);
        for key in 0..500 {
            gpa.restores(&mut map, contents, |map| {
                map.try_reserve(1)?;
                map.insert(key, key * 2);
                Ok::<(), NoMemory>(())
            })?;
        }
        assert_eq!(map[&499], 998);
        Ok::<(), NoMemory>(())
    });
    assert!((6..20).contains(&summary.requests), "{summary}");
}

/// Values that own memory: a resize moves them, a failed one drops none and leaks none.
#[test]
fn hashbrown_resize() {
    let summary = row("hashbrown: grow and shrink a map of 100 boxes", |gpa| {
        let mut map = Map::with_hasher_in(Fixed::default(), gpa);
        for key in 0..100 {
            map.try_reserve(1)?;
            map.insert(key, Box::try_new_in(u64::from(key), gpa)?);
        }
        for key in 0..90 {
            assert_eq!(map.remove(&key).map(|value| *value), Some(u64::from(key)));
        }
        // Removed entries leave marks, so that room for more moves what is left.
        map.try_reserve(300)?;
        assert_eq!((map.len(), *map[&95]), (10, 95));
        Ok::<(), NoMemory>(())
    });
    assert!(105 < summary.requests, "{summary}");
}

/// `Clone` would end the process; a clone that takes failures reserves first.
#[test]
fn hashbrown_clone() {
    let summary = row("hashbrown: clone a map of 50 boxes by try_reserve", |gpa| {
        let mut map = Map::with_hasher_in(Fixed::default(), gpa);
        map.try_reserve(50)?;
        for key in 0..50 {
            map.insert(key, Box::try_new_in(key, gpa)?);
        }
        let mut copy = Map::with_hasher_in(Fixed::default(), gpa);
        copy.try_reserve(map.len())?;
        for (key, value) in &map {
            copy.insert(*key, Box::try_new_in(**value, gpa)?);
        }
        assert_eq!(copy.len(), 50);
        Ok::<(), NoMemory>(())
    });
    assert_eq!(summary.requests, 102);
}

/// Rows that grow by turns, so that the growth of each is refused in one pass and granted in the other.
#[test]
fn vectors_of_vectors() {
    let summary = row("allocator-api2: 16 vectors of 64, grown by turns", |gpa| {
        let mut rows: Vec<Vec<u16, Gpa<'_>>, Gpa<'_>> = Vec::new_in(gpa);
        for _ in 0..16 {
            rows.try_reserve(1)?;
            rows.push(Vec::new_in(gpa));
        }
        for value in 0..64 {
            for row in &mut rows {
                row.try_reserve(1)?;
                row.push(value);
            }
        }
        assert!(rows.iter().all(|row| row.iter().copied().eq(0..64)));
        Ok::<(), NoMemory>(())
    });
    assert!(
        summary.requests_growing.is_some_and(|growing| growing < summary.requests),
        "{summary}"
    );
}

/// The values are the arena's: no failure on the way may lose a chunk. An arena that gets no large chunk
/// asks for a smaller one, so many a failure is survived.
#[test]
fn json_into_an_arena() {
    let text = json::document(200);
    let check = AllocFailures::new().may_recover();
    let summary = row_of(check, "serde_json: 200 records into an arena", |gpa| {
        let arena = Arena::over(gpa);
        let document = json::parse(&text, &arena).map_err(|_| NoMemory)?;
        assert_eq!(document.count(), 200 * 7 + 1);
        Ok::<(), NoMemory>(())
    });
    assert!(4 <= summary.requests, "{summary}");
}

/// Two thousand points, all of which are tried.
#[test]
fn json_into_maps() {
    let text = json::document(64);
    let summary = row("serde_json: 64 records, each value a block of its own", |gpa| {
        let document = json::parse(&text, gpa).map_err(|_| NoMemory)?;
        assert_eq!(document.count(), 64 * 7 + 1);
        let mut again = String::new();
        document.write(&mut again);
        assert!(again == text, "read otherwise than written");
        Ok::<(), NoMemory>(())
    });
    assert!(2000 <= summary.points, "{summary}");
}

/// The same kind of code with a fault: two tables that shall hold the same keys, and the second reserves
/// after the first was changed. Both passes and each growth of the second table tell it.
#[test]
fn a_fault_around_real_code_is_found() {
    let points = AllocFailures::new().run(|gpa| {
        let mut maps = [0, 1].map(|_| Map::with_hasher_in(Fixed::default(), gpa));
        for key in 0..40 {
            gpa.restores(
                &mut maps,
                |maps| maps.each_ref().map(contents),
                |maps| {
                    for map in maps {
                        map.try_reserve(1)?;
                        map.insert(key, key);
                    }
                    Ok::<(), NoMemory>(())
                },
            )?;
        }
        Ok::<(), NoMemory>(())
    });
    let points = points.unwrap_err();
    assert!(points.iter().all(|point| matches!(point.verdict, Verdict::Unrestored(_))));
    assert!(points.iter().all(|point| point.growth == Growth::Refused), "tables never ask to grow");
    // Every other request is the second table's.
    assert!(points.iter().all(|point| point.induced.unwrap().index % 2 == 1));
    assert!(points[0].to_string().contains("a_fault_around_real_code_is_found"), "{}", points[0]);
}

/// What a leak in such code looks like: the block that was leaked, and the request that failed.
#[test]
fn a_leak_around_real_code_is_found() {
    let points = AllocFailures::new().run(|gpa| {
        let mut list: Vec<&mut str, Gpa<'_>> = Vec::new_in(gpa);
        for text in ["one", "two"] {
            let text = Owned::leak(gpa.dupe_str(text)?);
            list.try_reserve_exact(1)?;
            list.push(text);
        }
        for text in list {
            // SAFETY: leaked above, of this allocator, and in the list once.
            drop(unsafe { Owned::from_raw_parts(std::ptr::NonNull::from(text), gpa) });
        }
        Ok::<(), NoMemory>(())
    });
    let points = points.unwrap_err();
    let bytes: Vec<_> = points
        .iter()
        .map(|point| match point.verdict {
            Verdict::Leaked(totals) => (point.growth, totals.bytes),
            _ => panic!("{point}"),
        })
        .collect();
    assert_eq!(bytes[0], (Growth::Refused, 3), "the first text, as the list has no place for it");
    assert!(points[0].to_string().contains("real_code/main.rs"), "{}", points[0]);
}
