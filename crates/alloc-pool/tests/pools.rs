//! What each type does for its users, over an allocator whose calls are counted.
#![cfg(feature = "alloc")]

use std::alloc::Layout;
use std::cell::Cell;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::rc::Rc;

use alloc_core::{AllocError, Allocator, Counting, Global, Limited, NeverAlloc, Owned};
use alloc_pool::{
    BoundedArray, BufferPool, Handle, Interner, Misuse, NodePool, Outstanding, Pool, Scratch,
    SlotMap,
};
use alloc_testing::{Fail, FailingAllocator, check_all_alloc_failures};

mod common;

use common::Numbers;

const ROUNDS: usize = if cfg!(miri) { 60 } else { 4000 };

/// Values keep their bytes and never share a place, whatever the order they come and go in.
#[test]
fn values_of_a_pool_do_not_touch() {
    let heap = Counting::new(Global);
    let pool = Pool::<[u64; 3], _>::over(&heap);
    let mut numbers = Numbers(1);
    let mut values = Vec::new();
    for round in 0..ROUNDS {
        if values.is_empty() || numbers.below(5) < 3 {
            values.push((round as u64, pool.create([round as u64; 3]).unwrap()));
            assert_eq!(pool.live(), values.len());
        } else {
            let (number, value) = values.swap_remove(numbers.below(values.len()));
            assert_eq!(*value, [number; 3]);
        }
    }
    assert!(values.iter().all(|(number, value)| **value == [*number; 3]));
    let mut places: Vec<usize> = values.iter().map(|(_, value)| value.as_ptr().addr()).collect();
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[0] + size_of::<[u64; 3]>() <= pair[1]));
    assert!(heap.counts().total_blocks < 20, "slabs grow");
    drop(values);
    drop(pool);
    assert_eq!(heap.counts().live_blocks, 0);
}

/// What was given back last is handed out first, and a type of no bytes needs none.
#[test]
fn slots_are_used_again() {
    let pool = Pool::<u32>::new();
    let one = pool.create(1).unwrap();
    let place = &raw const *one;
    drop(one);
    assert_eq!(&raw const *pool.create(2).unwrap(), place);
    let nothing = Pool::<(), _>::over(Limited::new(Global, 0));
    drop(nothing.create(()).unwrap());
}

/// After a warm-up, and after `preheat`, the backing is asked for nothing.
#[test]
fn resets_and_preheating_spare_the_backing() {
    let heap = Counting::new(Global);
    let mut pool = Pool::<u64, _>::over(&heap);
    let load = |pool: &Pool<u64, _>| {
        for i in 0..100 {
            Owned::leak(pool.create(i).unwrap());
        }
    };
    load(&pool);
    let (calls, capacity) = (heap.counts().total_blocks, pool.capacity());
    for _ in 0..3 {
        pool.reset();
        load(&pool);
    }
    assert_eq!((heap.counts().total_blocks, pool.capacity()), (calls, capacity));
    assert_eq!(pool.live(), 100, "what was leaked since the last reset");
    pool.reset();
    assert_eq!((pool.live(), pool.capacity()), (0, capacity));
    pool.free_all();
    assert_eq!((heap.counts().live_blocks, pool.capacity()), (0, 0));
    pool.preheat(100).unwrap();
    assert_eq!(pool.live(), 0);
    let calls = heap.counts().total_blocks;
    load(&pool);
    assert_eq!((heap.counts().total_blocks, pool.capacity()), (calls, 100));
}

/// A pool whose backing cannot give a whole slab makes do with one slot.
#[test]
fn a_small_backing_serves_one_by_one() {
    let limited = Limited::new(Global, 100);
    let pool = Pool::<u64, _>::over(&limited);
    let values: Vec<_> = std::iter::from_fn(|| pool.create(7u64).ok()).collect();
    assert!((3..16).contains(&values.len()), "{}", values.len());
    assert!(pool.raw_alloc(Layout::new::<[u64; 2]>()).is_err(), "too large for a slot");
}

/// A value that owns others of its pool, dropped, gives all of them back; one whose drop panics, too.
#[test]
fn values_own_values_of_their_pool() {
    struct List<'p> {
        next: Option<Owned<List<'p>, &'p Pool<List<'p>>>>,
        drops: &'p Cell<usize>,
    }
    impl Drop for List<'_> {
        fn drop(&mut self) {
            self.drops.set(self.drops.get() + 1);
            assert!(self.next.is_some(), "the last one panics");
        }
    }
    let drops = Cell::new(0);
    let pool = Pool::new();
    let mut places = Vec::new();
    let mut list = None;
    for _ in 0..10 {
        let next = pool.create(List { next: list.take(), drops: &drops }).unwrap();
        places.push((&raw const *next).addr());
        list = Some(next);
    }
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(list)));
    assert!(result.is_err() && drops.get() == 10);
    let places_of = |count: usize| {
        let place = || Owned::leak(pool.create(List { next: None, drops: &drops }).unwrap());
        (0..count).map(|_| (&raw const *place()).addr()).collect::<Vec<_>>()
    };
    let mut again = places_of(10);
    again.sort_unstable();
    places.sort_unstable();
    assert_eq!(again, places, "every slot came back");
}

/// A large alignment, a value larger than a slab likes to be, and sizes that no memory has.
#[test]
fn slots_of_odd_shapes() {
    #[repr(align(4096))]
    struct Page(u8);
    let pool = Pool::<Page>::new();
    let pages: Vec<_> = (0..40).map(|i| pool.create(Page(i)).unwrap()).collect();
    assert!(pages.iter().all(|page| Owned::as_ptr(page).addr().is_multiple_of(4096)));
    assert!(pages.iter().zip(0..).all(|(page, i)| page.0 == i));
    let heap = Counting::new(Global);
    let large = Pool::<[u8; 1 << 17], _>::over(&heap);
    drop(large.create([1; 1 << 17]).unwrap());
    assert!(heap.counts().live_bytes < 2 << 17, "one value, one slot");
    for count in [usize::MAX, usize::MAX / 4096, isize::MAX as usize / 4096] {
        assert_eq!(pool.preheat(count), Err(AllocError));
        assert_eq!(large.preheat(count), Err(AllocError));
        assert!(BufferPool::<_, 64>::new(Global, 4096, count).is_err());
        assert!(BufferPool::<_, 64>::new(Global, count, 4096).is_err());
        assert!(NodePool::new(Global, Layout::new::<Page>(), count).is_err());
        let mut map = SlotMap::<Page, _>::over(Global);
        assert!(map.reserve(count).is_err() && map.insert(Page(1)).is_ok());
    }
    assert!(Scratch::<_, 4096>::new(Global, usize::MAX).is_err());
    assert!(BufferPool::<_, 64>::new(Global, 0, 0).unwrap().get().is_none());
    assert_eq!(*BufferPool::<_, 64>::new(Global, 0, 1).unwrap().get().unwrap(), []);
}

/// What may be sent to another thread, and what may be shared, where the backing can.
#[test]
fn pools_are_sent() {
    fn sent<T: Send>(_: &T) {}
    fn shared<T: Send + Sync>(_: &T) {}
    sent(&Pool::<Rc<u8>>::new());
    sent(&NodePool::new(Global, Layout::new::<u8>(), 1).unwrap());
    sent(&BufferPool::<_, 16>::new(Global, 1, 1).unwrap());
    sent(&Scratch::<_, 16>::new(Global, 1).unwrap());
    shared(&SlotMap::<u8, _>::over(Global));
    shared(&Interner::over(Global));
    shared(&BoundedArray::<u8, 1>::new());
}

/// A slot map whose backing cannot double it takes entries as long as there is memory for one.
#[test]
#[cfg(target_pointer_width = "64")]
fn a_small_backing_fills_a_slot_map() {
    let limited = Limited::new(Global, 1600);
    let mut filled = SlotMap::<u64, _>::over(&limited);
    while filled.insert(7).is_ok() {}
    assert_eq!(filled.len(), filled.capacity());
    let (count, entry) = (filled.len(), if alloc_core::CHECKED { 24 } else { 16 });
    assert_eq!(count, 1600 / entry, "not only as many as doubling makes");
    drop(filled);
    let mut reserved = SlotMap::<u64, _>::over(&limited);
    reserved.reserve(count).unwrap();
    assert!(reserved.reserve(count + 1).is_err());
}

/// An interner whose backing cannot double its tables takes strings as long as there is memory for them,
/// and finds each in a table that is fuller than usual.
#[test]
fn a_small_backing_fills_an_interner() {
    // What a doubling interner asks for with 15 strings: 16 of each, and 32 places.
    let usual = 16 + 16 * 12 + 32 * 4;
    let limited = Limited::new(Global, usual - 1);
    let mut names = Interner::over(&limited);
    let words = "abcdefghijklmnop".as_bytes().chunks(1).map(|word| str::from_utf8(word).unwrap());
    let kept = words.clone().take_while(|word| names.intern(word).is_ok()).count();
    assert_eq!(kept, 15, "one more than an eighth of the places being empty allows");
    for (index, word) in words.enumerate() {
        assert_eq!(names.get(word).map(|symbol| symbol.index()), (index < kept).then_some(index));
    }
    // Bytes: 16, then no 32 but 19.
    let limited = Limited::new(Global, 16 + 16 * 12 + 16 * 4 + 3);
    let mut names = Interner::over(&limited);
    names.intern("twelve bytes").unwrap();
    names.intern("seven b").unwrap();
    assert!(names.intern("d").is_err() && names.get("seven b").is_some());
}

/// Fills a slot map and an interner whose backing refuses the `fail`th request, or it and all behind it.
fn survive_in_maps(fail: usize) {
    for refused in [Fail::Only(fail), Fail::From(fail)] {
        let heap = Counting::new(FailingAllocator::new(Global).requests(refused));
        let mut map = SlotMap::over(&heap);
        let handles: Vec<_> = (0..200).map_while(|i| map.insert(i).ok()).collect();
        assert_eq!(handles.len(), map.len());
        assert!(handles.iter().zip(0..).all(|(&handle, i)| map[handle] == i));
        drop(map);
        let heap_of_names = Counting::new(FailingAllocator::new(Global).requests(refused));
        let mut names = Interner::over(&heap_of_names);
        let kept = (0..200).take_while(|i| names.intern(&i.to_string()).is_ok()).count();
        assert_eq!(kept, names.len());
        for i in 0..200 {
            let found = names.get(&i.to_string()).map(|symbol| symbol.index());
            assert_eq!(found, (i < kept).then_some(i));
        }
        drop(names);
        let left = [heap.counts().live_blocks, heap_of_names.counts().live_blocks];
        assert_eq!(left, [0, 0]);
    }
}

/// What is refused is tried again with the least size: pools, slot maps and interners hide such a failure, so
/// only the failures of the others are all to be seen.
#[test]
fn every_failure_of_the_backing_is_survived() {
    check_all_alloc_failures(|gpa| {
        let _ = NodePool::new(gpa, Layout::new::<u64>(), 100)?.acquire();
        drop(BufferPool::<_, 64>::new(gpa, 100, 3)?.get());
        drop(Scratch::<_, 4096>::new(gpa, 100)?.acquire());
        Ok::<(), AllocError>(())
    });
    // Whatever fails, values are whole and nothing leaks.
    for fail in 0..8 {
        survive_in_maps(fail);
        let heap = Counting::new(FailingAllocator::new(Global).requests(Fail::From(fail)));
        let pool = Pool::<[u8; 100], _>::over(&heap);
        let values: Vec<_> = (0..200).map_while(|i| pool.create([i; 100]).ok()).collect();
        assert_eq!(values.is_empty(), fail == 0, "{fail} {:?}", heap.counts());
        assert!(values.iter().zip(0..).all(|(value, i)| **value == [i; 100]));
        drop(values);
        drop(pool);
        assert_eq!(heap.counts().live_blocks, 0);
    }
}

/// Nodes of six layouts in pools of 1 to 63: words are written to each and found again, first with more
/// acquired than released, then the other way round.
#[test]
fn nodes_of_all_counts() {
    let shapes = [(8, 8), (16, 16), (32, 8), (64, 64), (24, 4), (4096, 4096)];
    let counts = if cfg!(miri) { 5..8 } else { 1..64 };
    for (size, align) in shapes {
        for count in counts.clone() {
            let layout = Layout::from_size_align(size, align).unwrap();
            churn_nodes(NodePool::new(Global, layout, count).unwrap(), count, align);
        }
    }
}

fn churn_nodes(mut pool: NodePool<Global>, count: usize, align: usize) {
    let mut numbers = Numbers(count as u64);
    let mut held: HashMap<NonNull<u8>, u64> = HashMap::new();
    for (round, acquire_share) in (0..300).map(|r| (r, if r < 150 { 60 } else { 40 })) {
        if numbers.below(100) < acquire_share {
            let node = pool.acquire();
            assert_eq!(node.is_none(), held.len() == count);
            let Some(node) = node else { continue };
            assert!(node.addr().get().is_multiple_of(align));
            // SAFETY: a node of at least eight bytes, held by this test alone.
            unsafe { node.cast::<u64>().write_unaligned(round) };
            assert_eq!(held.insert(node, round), None, "a node is handed out once");
        } else if let Some(node) = held.keys().next().copied() {
            // SAFETY: as above; written when it was acquired.
            let word = unsafe { node.cast::<u64>().read_unaligned() };
            assert_eq!(Some(word), held.remove(&node));
            assert_eq!(pool.release(node), Ok(()));
        }
        assert_eq!(pool.available() + held.len(), count);
    }
    for node in held.into_keys() {
        pool.release(node).unwrap();
    }
    assert_eq!(pool.finish(), Ok(()));
}

/// 70 nodes of 16 bytes, all of them acquired.
fn nodes_in_use() -> (NodePool<Global>, Vec<NonNull<u8>>) {
    let mut pool = NodePool::new(Global, Layout::new::<[u64; 2]>(), 70).unwrap();
    let nodes: Vec<_> = std::iter::from_fn(|| pool.acquire()).collect();
    assert_eq!((nodes.len(), pool.available()), (70, 0));
    (pool, nodes)
}

#[test]
fn an_address_inside_a_node_is_told() {
    let (mut pool, nodes) = nodes_in_use();
    let inside = nodes[65].map_addr(|addr| addr.checked_add(3).unwrap());
    let error = pool.release(inside).unwrap_err();
    assert_eq!(error, Misuse::Interior { index: 65, offset: 3 });
    assert_eq!(error.to_string(), "the address lies 3 bytes inside node 65");
    assert_eq!((pool.available(), pool.release(nodes[65])), (0, Ok(())));
}

#[test]
fn a_foreign_address_is_told() {
    let (mut pool, nodes) = nodes_in_use();
    let behind = nodes[69].map_addr(|addr| addr.checked_add(16).unwrap());
    let before = nodes[0].map_addr(|addr| (addr.get() - 1).try_into().unwrap());
    for address in [behind, before, NonNull::from(&1u8), NonNull::dangling()] {
        assert_eq!(pool.release(address), Err(Misuse::Foreign));
    }
    let error = pool.release(behind).unwrap_err();
    assert_eq!(
        (pool.available(), error.to_string().as_str()),
        (0, "the address is no node of this pool")
    );
}

#[test]
fn a_second_release_is_told() {
    let (mut pool, nodes) = nodes_in_use();
    pool.release(nodes[3]).unwrap();
    let error = pool.release(nodes[3]).unwrap_err();
    assert_eq!(error, Misuse::AlreadyFree { index: 3 });
    assert_eq!((pool.available(), error.to_string().as_str()), (1, "node 3 is free already"));
    // One that was never acquired.
    let mut pool = NodePool::new(Global, Layout::new::<[u64; 2]>(), 2).unwrap();
    let node = pool.acquire().unwrap();
    let next = node.map_addr(|addr| addr.checked_add(16).unwrap());
    assert_eq!(pool.release(next), Err(Misuse::AlreadyFree { index: 1 }));
}

#[test]
fn nodes_that_are_outstanding_are_told() {
    let (mut pool, nodes) = nodes_in_use();
    pool.release(nodes[3]).unwrap();
    pool.release(nodes[0]).unwrap();
    let error = pool.finish().unwrap_err();
    assert_eq!(error, Outstanding { count: 68, first: 1 });
    assert_eq!(error.to_string(), "68 nodes were not released, the first is node 1");
    for (layout, count) in [(Layout::new::<u8>(), 0), (Layout::new::<()>(), 1)] {
        assert!(NodePool::new(Global, layout, count).is_err(), "there is nothing to hand out");
    }
}

#[test]
fn buffers_are_free_when_the_last_share_goes() {
    let pool = BufferPool::<_, 64>::new(Global, 100, 2).unwrap();
    assert_eq!((pool.capacity(), pool.available(), pool.buffer_len()), (2, 2, 128));
    let mut one = pool.get().unwrap();
    let two = pool.get().unwrap();
    assert!(pool.get().is_none());
    assert!(one.as_ptr().addr().is_multiple_of(64) && two.as_ptr().addr().is_multiple_of(64));
    one.get_mut().unwrap().fill(9);
    let shares: Vec<_> = (0..5).map(|_| one.clone()).collect();
    assert!(one.get_mut().is_none());
    drop(one);
    assert!(shares.iter().all(|share| **share == [9; 128]));
    assert_eq!(pool.available(), 0);
    drop(shares);
    assert_eq!(pool.available(), 1);
    let again = pool.get().unwrap();
    assert_eq!(again[0], if alloc_core::CHECKED { 0xaa } else { 9 });
    assert_eq!(*two, [0; 128], "the other one is untouched");
}

#[test]
fn a_scratch_buffer_has_one_user() {
    let scratch = Scratch::<_, 4096>::new(Global, 100).unwrap();
    let mut buffer = scratch.acquire().unwrap();
    assert!(buffer.as_ptr().addr().is_multiple_of(4096) && *buffer == [0; 100]);
    buffer[99] = 1;
    assert!(scratch.acquire().is_none());
    drop(buffer);
    let left = if alloc_core::CHECKED { 0xaa } else { 1 };
    assert_eq!(scratch.acquire().unwrap()[99], left);
}

/// A slot map agrees with a map that never forgets, whatever the order of calls.
#[test]
fn slot_map_agrees_with_a_model() {
    let mut map = SlotMap::over(Global);
    let mut model: HashMap<Handle, String> = HashMap::new();
    let mut stale = Vec::new();
    let mut numbers = Numbers(3);
    for round in 0..ROUNDS {
        match numbers.below(4) {
            0 | 1 => {
                let handle = map.insert(round.to_string()).unwrap();
                assert_eq!(Handle::from_bits(handle.to_bits()), Some(handle));
                // The generation behind a value's: while the entry is free.
                assert_eq!(Handle::from_bits(handle.to_bits() + (1 << 32)), None);
                assert_eq!(model.insert(handle, round.to_string()), None, "handles never repeat");
            }
            2 => {
                let Some(handle) = model.keys().next().copied() else { continue };
                assert_eq!(map.remove(handle), model.remove(&handle));
                stale.push(handle);
            }
            _ => {
                let Some(handle) = model.keys().next().copied() else { continue };
                map.get_mut(handle).unwrap().push('!');
                model.get_mut(&handle).unwrap().push('!');
            }
        }
        assert_eq!(map.len(), model.len());
    }
    assert!(model.iter().all(|(handle, value)| map[*handle] == *value));
    assert!(stale.iter().all(|handle| map.get(*handle).is_none()));
    assert_eq!(stale.iter().filter_map(|handle| map.remove(*handle)).count(), 0);
    for (handle, value) in map.iter_mut() {
        value.push('.');
        model.get_mut(&handle).unwrap().push('.');
    }
    let listed: HashMap<Handle, String> = map.iter().map(|(h, v)| (h, v.clone())).collect();
    assert_eq!(listed, model);
}

/// Every value is dropped once: by the map, or by who took it out.
#[test]
fn slot_map_drops_what_it_holds() {
    struct Counted(Rc<Cell<usize>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let drops = Rc::new(Cell::new(0));
    let mut map = SlotMap::over(Global);
    let fill = |map: &mut SlotMap<Counted, _>| -> Vec<Handle> {
        (0..10).map(|_| map.insert(Counted(drops.clone())).ok().unwrap()).collect()
    };
    let handles = fill(&mut map);
    drop(map.remove(handles[4]));
    assert_eq!(drops.get(), 1);
    map.clear();
    assert_eq!((drops.get(), map.len(), map.iter().count()), (10, 0, 0));
    assert!(handles.iter().all(|handle| !map.contains(*handle)));
    let again = fill(&mut map);
    assert!(again.iter().all(|handle| map.contains(*handle) && !handles.contains(handle)));
    drop(map);
    assert_eq!(drops.get(), 20);
}

/// A value whose drop panics keeps no other from being dropped, nor the memory from being freed.
#[test]
fn slot_map_drops_what_lies_behind_a_panic() {
    struct Third<'d>(usize, &'d Cell<usize>);
    impl Drop for Third<'_> {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
            assert_ne!(self.0, 3);
        }
    }
    let (drops, heap) = (Cell::new(0), Counting::new(Global));
    let mut map = SlotMap::over(&heap);
    for i in 0..10 {
        map.insert(Third(i, &drops)).ok().unwrap();
    }
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(map)));
    assert!(result.is_err());
    assert_eq!((drops.get(), heap.counts().live_blocks), (10, 0));
}

#[test]
fn a_stale_handle_says_who_removed_the_value() {
    let mut map = SlotMap::over(Global);
    let handle = map.insert(1).unwrap();
    let line = line!() + 1;
    map.remove(handle);
    assert_eq!(map.removed_by(handle).is_some(), alloc_core::CHECKED);
    let second = map.insert(2).unwrap();
    let site = map.removed_by(handle);
    assert_eq!(site.is_some(), alloc_core::CHECKED);
    assert!(site.is_none_or(|site| site.line() == line && site.file() == file!()));
    assert_eq!(map.removed_by(second), None, "it is there");
    let panic = std::panic::catch_unwind(|| map[handle]).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    match site {
        Some(site) => {
            assert!(message.ends_with(&format!("is stale: its value was removed at {site}")))
        }
        None => assert!(message.ends_with("leads to no value")),
    }
    map[second] += 1;
    assert_eq!(map.remove(second), Some(3));
    assert_eq!(map.removed_by(handle), None, "forgotten, rather than told of another value");
    assert_eq!(map.removed_by(second).is_some(), alloc_core::CHECKED);
}

/// A string that is there is found, and interned again, without memory; one that is not costs nothing
/// where there is none.
#[test]
fn interning_what_is_there_never_allocates() {
    let limited = Limited::new(Global, 4096);
    let mut names = Interner::over(&limited);
    let words: Vec<String> = (0..50).map(|i| format!("word {i}")).collect();
    let symbols: Vec<_> = words.iter().map(|word| names.intern(word).unwrap()).collect();
    let mut refused = 0;
    for i in 50.. {
        if names.intern(&format!("word {i}")).is_err() {
            refused = i;
            break;
        }
    }
    assert_eq!(names.get(&format!("word {refused}")), None, "a failure leaves nothing behind");
    for (word, symbol) in words.iter().zip(&symbols) {
        assert_eq!(names.get(word), Some(*symbol));
        assert_eq!(names.intern(word), Ok(*symbol));
        assert_eq!(names.resolve(*symbol), Some(word.as_str()));
    }
    assert_eq!(names.len(), refused);
    assert_eq!(names.iter().map(|(_, word)| word.len()).min(), Some("word 0".len()));
    assert_eq!(Interner::over(NeverAlloc).get("x"), None);
    assert!(Interner::over(NeverAlloc).intern("x").is_err());
}

#[test]
fn a_bounded_array_is_a_vector_with_an_end() {
    let mut array = BoundedArray::<Rc<u32>, 4>::new();
    let item = Rc::new(0);
    for _ in 0..4 {
        array.push(item.clone()).unwrap();
    }
    assert!(array.push(item.clone()).is_err() && array.insert(0, item.clone()).is_err());
    assert_eq!(Rc::strong_count(&item), 5);
    array.truncate(1);
    assert_eq!(Rc::strong_count(&item), 2);
    drop(array.clone());
    drop(array);
    assert_eq!(Rc::strong_count(&item), 1);
    let mut model = Vec::new();
    let mut array = BoundedArray::<usize, 8>::new();
    let mut numbers = Numbers(5);
    for round in 0..ROUNDS {
        let index = numbers.below(9);
        match numbers.below(5) {
            0 if array.push(round).is_ok() => model.push(round),
            1 => assert_eq!(array.pop(), model.pop()),
            2 if array.insert(index, round).is_ok() => model.insert(index, round),
            3 => {
                assert_eq!(array.remove(index), (index < model.len()).then(|| model.remove(index)))
            }
            4 => {
                let expected = (index < model.len()).then(|| model.swap_remove(index));
                assert_eq!(array.swap_remove(index), expected);
            }
            _ => assert!(model.len() == 8 || model.len() < index),
        }
        assert_eq!(*array, *model);
        assert_eq!(array.room(), 8 - model.len());
        assert_eq!((array.remove(usize::MAX), array.swap_remove(usize::MAX)), (None, None));
    }
    for item in &mut array {
        *item += 1;
    }
    assert!((&array).into_iter().eq(model.iter().map(|item| item + 1).collect::<Vec<_>>().iter()));
    // Items without bytes, and no place for any.
    let mut units = BoundedArray::<(), 2>::new();
    assert_eq!((units.push(()), units.push(()), units.push(())), (Ok(()), Ok(()), Err(())));
    assert_eq!((units.remove(0), units.pop(), units.pop()), (Some(()), Some(()), None));
    assert_eq!(BoundedArray::<u8, 0>::new().push(1), Err(1));
}
