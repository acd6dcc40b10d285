//! What is written with other pools, slabs and bounded vectors, written with these: a line of theirs, and below
//! it ours.
#![cfg(feature = "alloc")]

use std::collections::HashMap;

use alloc_core::{AllocError, Allocator, AllocatorExt, Counting, Global, Limited, Owned};
use alloc_pool::{BoundedArray, Handle, NodePool, Pool, SlotMap, VacantEntry};

fn insert<T>(map: &mut SlotMap<T, Global>, value: T) -> Result<Handle, AllocError> {
    map.insert(value).map_err(|(_, error)| error)
}

#[test]
fn from_slab() -> Result<(), AllocError> {
    // Slab::new(), Slab::with_capacity(10), capacity(), reserve(10), reserve_exact(10)
    let mut map = SlotMap::over(Global);
    map.reserve(10)?;
    assert!(10 <= map.capacity());
    // insert("a"), map[key], get(key), get_mut(key), contains(key), len(), is_empty()
    let key = insert(&mut map, "a")?;
    assert!(map[key] == "a" && map.get(key) == Some(&"a") && map.get_mut(key).is_some());
    assert!(map.contains(key) && map.len() == 1 && !map.is_empty());
    // vacant_key(), vacant_entry(), VacantEntry::key(), VacantEntry::insert("b")
    let place: VacantEntry<'_, &str, _> = map.vacant_entry()?;
    let other = place.handle();
    assert_eq!(place.insert("b"), &mut "b");
    // get2_mut(key, other), get_disjoint_mut([key, other])
    let [one, two] = map.get_disjoint_mut([key, other]).expect("two values");
    std::mem::swap(one, two);
    // remove(key) (panics), try_remove(key)
    assert_eq!((map.remove(key), map.remove(key)), (Some("b"), None));
    // key_of(&value)
    let found = map.iter().find(|(_, value)| **value == "a").map(|(handle, _)| handle);
    assert_eq!(found, Some(other));
    // iter(), iter_mut(), retain(f), drain(), clear(), shrink_to_fit()
    assert_eq!((map.iter().len(), map.iter_mut().len()), (1, 1));
    map.retain(|_, value| *value == "a");
    assert_eq!(map.drain().map(|(_, value)| value).collect::<String>(), "a");
    map.clear();
    map.shrink_to_fit()?;
    assert_eq!(map.capacity(), 0);
    // compact(rekey): keys change, so whoever holds one is told
    let mut keys = [insert(&mut map, "x")?, insert(&mut map, "y")?];
    map.remove(keys[0]);
    let mut dense = SlotMap::over(Global);
    dense.reserve(map.len())?;
    for (old, value) in map {
        let new = insert(&mut dense, value)?;
        keys.iter_mut().filter(|key| **key == old).for_each(|key| *key = new);
    }
    assert!(dense[keys[1]] == "y" && dense.len() == 1);
    // clone()
    assert_eq!(dense.try_clone()?.into_iter().map(|(_, value)| value).collect::<String>(), "y");
    Ok(())
}

#[test]
fn from_slotmap_and_generational_arena() -> Result<(), AllocError> {
    let mut map = SlotMap::over(Global);
    // insert_with_key(|key| ..), try_insert_with_key(f), Arena::insert_with, try_insert_with
    let place = map.vacant_entry()?;
    let key = place.handle();
    place.insert(vec![key]);
    // keys(), values(), values_mut(), (&map).into_iter()
    assert_eq!((map.handles().len(), map.values().len()), (1, 1));
    assert_eq!(map.values_mut().len(), 1);
    assert!((&map).into_iter().all(|(handle, value)| value.contains(&handle)));
    // key.data().as_ffi(), KeyData::from_ffi(bits), Index::from_raw_parts, into_raw_parts
    assert_eq!(Handle::from_bits(key.to_bits()), Some(key));
    // Key::null()
    let nobody: Option<Handle> = None;
    assert!(nobody.is_none() && size_of::<Option<Handle>>() == 8);
    // SparseSecondaryMap::insert(key, value), get, remove
    let mut colours = HashMap::from([(key, "red")]);
    map.remove(key);
    colours.retain(|handle, _| map.contains(*handle));
    assert!(colours.is_empty());
    // detach(key), reattach(key, value): a value that is away for a while
    let mut lent = SlotMap::over(Global);
    let key = insert(&mut lent, Some(5))?;
    let value = lent.get_mut(key).and_then(Option::take);
    assert!(value == Some(5) && lent[key].is_none());
    lent[key] = value;
    Ok(())
}

#[test]
fn from_zigs_memory_pool() -> Result<(), AllocError> {
    let heap = Counting::new(Global);
    // MemoryPool(T).empty, initCapacity(gpa, 100), addCapacity(gpa, 100)
    let mut pool = Pool::<u64, _>::over(&heap);
    pool.preheat(100)?;
    // create(gpa), destroy(item)
    let item = pool.create(5)?;
    (&pool).destroy(item);
    // reset(gpa, .retain_capacity), reset(gpa, .{ .retain_with_limit = n }), reset(gpa, .free_all)
    pool.reset();
    assert_eq!(pool.capacity(), 100);
    pool.shrink_to(10);
    assert_eq!((pool.capacity(), heap.counts().live_blocks), (0, 0));
    pool.free_all();
    // Extra(T, .{ .growable = false })
    let limited = Limited::new(Global, 100 * 8 + 16);
    let fixed = Pool::<u64, _>::over(&limited);
    fixed.preheat(100)?;
    let items: Vec<_> = (0..200).map_while(|i| fixed.create(i).ok()).collect();
    assert_eq!(items.len(), 100);
    // Aligned(T, .@"64")
    #[repr(align(64))]
    struct Line(u64);
    let lines = Pool::<Line>::new();
    let line = lines.create(Line(1))?;
    assert!(Owned::as_ptr(&line).addr().is_multiple_of(64) && line.0 == 1);
    // one size for what is known by its layout only: MemoryPool([n]u8)
    let layout = core::alloc::Layout::from_size_align(100, 32).map_err(|_| AllocError)?;
    let mut nodes = NodePool::new(Global, layout, 4)?;
    assert!(nodes.acquire().is_some_and(|node| node.addr().get().is_multiple_of(32)));
    Ok(())
}

/// Slabs in which something lives stay, whatever the limit; the others go until it holds.
#[test]
fn a_limit_keeps_what_lives() {
    let heap = Counting::new(Global);
    let mut pool = Pool::<u64, _>::over(&heap);
    let values: Vec<_> = (0..1000).map(|i| pool.create(i).unwrap()).collect();
    let (capacity, blocks) = (pool.capacity(), heap.counts().live_blocks);
    pool.shrink_to(0);
    assert_eq!((pool.capacity(), heap.counts().live_blocks), (capacity, blocks), "all in use");
    assert!(values.iter().zip(0..).all(|(value, i)| **value == i));
    pool.preheat(50).unwrap();
    pool.shrink_to(capacity + 49);
    assert_eq!((pool.capacity(), heap.counts().live_blocks), (capacity, blocks));
    pool.preheat(50).unwrap();
    pool.shrink_to(capacity + 50);
    assert_eq!(pool.capacity(), capacity + 50);
    drop(values);
    for limit in [usize::MAX, 1000, 500, 100, 20, 0] {
        pool.reset();
        pool.shrink_to(limit);
        assert!(pool.capacity() <= limit && (limit < 100 || pool.capacity() != 0));

        // What is kept serves.
        let calls = heap.counts().total_blocks;
        for i in 0..pool.capacity() as u64 {
            Owned::leak(pool.create(i).unwrap());
        }
        assert_eq!(heap.counts().total_blocks, calls);
    }
    assert_eq!(heap.counts().live_blocks, 0);
    let layout = core::alloc::Layout::new::<u64>();
    assert!(pool.raw_alloc(layout).is_ok() && pool.capacity() != 0, "and it grows again");
}

#[test]
fn from_heapless_and_arrayvec() -> Result<(), AllocError> {
    // Vec::<_, 8>::new(), from_array([..]), from_slice(&[..])?, len(), capacity(), is_full()
    let mut array = BoundedArray::<u8, 8>::from_array([3, 1]);
    array.extend_from_slice(&[2])?;
    assert_eq!((array.len(), array.len() + array.room(), array.room() == 0), (3, 8, false));
    // push(4)?, pop(), insert(0, 9)?, remove(0) (panics), swap_remove(0) (panics), truncate(2), clear()
    assert_eq!((array.push(4), array.pop(), array.insert(0, 9)), (Ok(()), Some(4), Ok(())));
    assert_eq!((array.remove(0), array.swap_remove(7)), (Some(9), None));
    // extend(iter) (panics when full), try_extend(iter)?
    assert_eq!(array.extend(10..20), Err(15));
    // drain(1..).., as_slice(), starts_with(..), sort, binary_search: those of slices
    let tail: Vec<u8> = array.drain(3..).into_iter().flatten().collect();
    assert_eq!((tail.as_slice(), array.starts_with(&[3, 1])), (&[10, 11, 12, 13, 14][..], true));
    array.sort_unstable();
    // resize(4, 0)?, resize_default(5)?, retain(f), retain_mut(f), into_array()?
    array.resize(4, 0)?;
    array.resize(5, u8::default())?;
    array.retain(|item| *item != 0);
    assert_eq!(*array, [1, 2, 3]);
    // arrayvec: remaining_capacity(), try_push(4)?, take(), pop_at(9), swap_pop(0), into_inner()?
    let mut taken = std::mem::take(&mut array);
    assert_eq!((array.len(), taken.room(), taken.push(4)), (0, 5, Ok(())));
    assert_eq!((taken.remove(9), taken.swap_remove(0), &*taken), (None, Some(1), &[4, 2, 3][..]));
    assert!(taken.into_array().is_err(), "not full");
    // write!(vec, "..") of bytes
    let mut stack = alloc_fixed::StackBuffer::<8>::new();
    assert_eq!(alloc_fixed::format_into!(&mut stack, "{}-{}", 1, 2)?, "1-2");
    Ok(())
}
