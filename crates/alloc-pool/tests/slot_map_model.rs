//! Every operation of a slot map in random order, with memory that runs out and user code that panics, against a
//! table of what is alive.
#![cfg(feature = "alloc")]

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::panicking;

use alloc_core::{Allocator, Counting, Global, Limited};
use alloc_pool::{Handle, SlotMap};

mod common;

use common::Numbers;

const SEED_COUNT: u64 = if cfg!(miri) { 2 } else { 60 };
const ROUND_COUNT: usize = if cfg!(miri) { 60 } else { 300 };

/// What all values of a map share.
#[derive(Default)]
struct World {
    live_count: Cell<usize>,
    /// So many drops and clones later one of them panics; 0: none does.
    fuse: Cell<usize>,
}

impl World {
    fn burn(&self) {
        if self.fuse.get() != 0 && !panicking() {
            self.fuse.set(self.fuse.get() - 1);
            if self.fuse.get() == 0 {
                // No hook, no message.
                resume_unwind(Box::new(()));
            }
        }
    }

    /// Runs what may panic.
    fn attempt<R>(&self, fuse: usize, run: impl FnOnce() -> R) -> Option<R> {
        self.fuse.set(fuse);
        let result = catch_unwind(AssertUnwindSafe(run)).ok();
        self.fuse.set(0);
        result
    }

    fn value(&self, number: usize) -> Value<'_> {
        self.live_count.set(self.live_count.get() + 1);
        Value { number, world: self }
    }
}

struct Value<'w> {
    number: usize,
    world: &'w World,
}

impl Drop for Value<'_> {
    fn drop(&mut self) {
        self.world.live_count.set(self.world.live_count.get() - 1);
        self.world.burn();
    }
}

impl Clone for Value<'_> {
    fn clone(&self) -> Self {
        self.world.burn();
        self.world.value(self.number)
    }
}

/// A map, and what it should hold.
struct Both<'w, A: Allocator> {
    map: SlotMap<Value<'w>, A>,
    model: HashMap<Handle, usize>,
    /// Every handle that there ever was, in order: none repeats.
    all: Vec<Handle>,
    seen: HashSet<Handle>,
}

impl<'w, A: Allocator + Copy> Both<'w, A> {
    fn note(&mut self, handle: Handle, number: usize) {
        assert!(self.seen.insert(handle), "{handle:?} repeats");
        self.all.push(handle);
        self.model.insert(handle, number);
    }

    fn step(&mut self, numbers: &mut Numbers, world: &'w World, round: usize) {
        let fuse = if numbers.below(6) == 0 { 1 + numbers.below(10) } else { 0 };
        match numbers.below(12) {
            0..=4 => {
                if let Ok(handle) = self.map.insert(world.value(round)) {
                    self.note(handle, round);
                }
            }
            5 | 6 => {
                let Some(&handle) = self.all.get(numbers.below(self.all.len().max(1))) else {
                    return;
                };
                let removed = self.map.remove(handle).map(|value| value.number);
                assert_eq!(removed, self.model.remove(&handle));
            }
            7 => {
                let Ok(place) = self.map.vacant_entry() else { return };
                let handle = place.handle();
                if numbers.below(2) == 0 {
                    let _ = ManuallyDrop::new(place);
                    return;
                }
                place.insert(world.value(round));
                self.note(handle, round);
            }
            8 => {
                let rest = numbers.below(5);
                world.attempt(fuse, || self.map.retain(|_, value| value.number % 5 != rest));
                self.model.retain(|handle, _| self.map.contains(*handle));
            }
            9 if numbers.below(3) == 0 => {
                let (count, is_leaked) = (numbers.below(5), numbers.below(3) == 0);
                world.attempt(fuse, || {
                    let mut drain = ManuallyDrop::new(self.map.drain());
                    (0..count).for_each(|_| drop((drain.next(), drain.next_back())));
                    if !is_leaked {
                        drop(ManuallyDrop::into_inner(drain));
                    }
                });
                self.model.retain(|handle, _| self.map.contains(*handle));
            }
            10 => drop((self.map.shrink_to_fit(), self.map.reserve(numbers.below(50)))),
            11 => {
                let Some(Ok(mut copy)) = world.attempt(fuse, || self.map.try_clone()) else {
                    return;
                };
                assert_eq!(copy.len(), self.map.len());
                assert!(copy.iter().all(|(handle, v)| self.model[&handle] == v.number));
                drop(copy.insert(world.value(round)));
                world.attempt(fuse, || copy.into_iter().take(2).for_each(drop));
            }
            _ => {}
        }
    }
}

/// Goal: what is alive is what is in the map, no handle repeats, and no value is dropped twice, whatever panics and
/// whatever the backing refuses. A failure names its seed.
#[test]
fn random_operations_agree_with_the_model() {
    for seed in 0..SEED_COUNT {
        let mut numbers = Numbers(seed);
        let world = World::default();
        let len_max = if seed % 2 == 0 { 4000 } else { 1 << 20 };
        let heap = Counting::new(Limited::new(Global, len_max));
        let map = SlotMap::over(&heap);
        let mut both = Both { map, model: HashMap::new(), all: Vec::new(), seen: HashSet::new() };
        for round in 0..ROUND_COUNT {
            both.step(&mut numbers, &world, round);
            let Both { map, model, .. } = &both;
            assert_eq!((map.len(), map.iter().count()), (model.len(), model.len()), "seed {seed}");
            assert_eq!(world.live_count.get(), map.len(), "seed {seed}, round {round}");
            assert!(map.iter().all(|(handle, v)| model[&handle] == v.number), "seed {seed}");
            assert_eq!(map.iter().rev().count(), model.len(), "seed {seed}");
        }
        drop(both);
        assert_eq!((world.live_count.get(), heap.counts().live_blocks), (0, 0), "seed {seed}");
    }
}
