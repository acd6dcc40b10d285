//! Code of users that runs in the middle of an operation: a backing, a destructor, a hasher.
#![cfg(feature = "alloc")]

use std::alloc::Layout;
use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use alloc_core::{AllocError, Allocator, Global, Owned, forward};
use alloc_pool::{Interner, Pool};

/// How many values the backing makes while it is asked for a slab: more than one slab has.
const INNER_COUNT: usize = 20;

thread_local! {
    static POOL: Pool<u64, MakesValues> = const { Pool::over(MakesValues(Global)) };
    static IS_DUE: Cell<bool> = const { Cell::new(false) };
}

/// The program's heap, but where a slab of `POOL` is due values are made in that pool first.
struct MakesValues(Global);

// SAFETY: 1 to 7 as `Global`, which serves every request.
unsafe impl Allocator for MakesValues {
    forward!(self.0; except raw_alloc);

    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if IS_DUE.take() {
            POOL.with(|pool| {
                for number in 0..INNER_COUNT {
                    Owned::leak(pool.create(number as u64)?);
                }
                drop(pool.create(0)?);
                Ok(())
            })?;
        }
        self.0.raw_alloc(layout)
    }
}

/// Goal: a backing that makes values in the pool that asks it loses no slot of it. Method: the pool's own count,
/// and every slot it has is handed out before it asks for memory again.
#[test]
fn a_backing_makes_values_in_the_pool_it_serves() {
    POOL.with(|pool| {
        IS_DUE.set(true);
        let first = pool.create(1000).unwrap();
        assert!(!IS_DUE.get(), "the backing was asked");
        assert_eq!(pool.live(), INNER_COUNT + 1);
        let capacity = pool.capacity();
        let others: Vec<_> =
            (pool.live()..capacity).map(|number| pool.create(number as u64).unwrap()).collect();
        assert_eq!((pool.live(), pool.capacity()), (capacity, capacity), "no slot is lost");
        let mut places: Vec<usize> =
            others.iter().chain([&first]).map(|value| Owned::as_ptr(value).addr()).collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "none is handed out twice");
        assert_eq!(*first, 1000);
    });
}

/// The program's heap, but each of its calls uses the pool that it serves first: makes and drops values, gets slabs,
/// gives slabs back.
struct Meddles(Global);

thread_local! {
    static MEDDLED: Pool<[u64; 5], Meddles> = const { Pool::over(Meddles(Global)) };
    /// How many calls there were; and whether one is being answered.
    static CALLS: Cell<(usize, bool)> = const { Cell::new((0, false)) };
    /// How many values the backing has leaked.
    static LEAK_COUNT: Cell<usize> = const { Cell::new(0) };
}

impl Meddles {
    fn meddle() {
        let (count, is_busy) = CALLS.get();
        CALLS.set((count + 1, true));
        if !is_busy {
            // No error where the thread ends, and its pool with it.
            let _ = MEDDLED.try_with(|pool| match count % 7 {
                0 => (0..20).for_each(|number| {
                    Owned::leak(pool.create([number; 5]).expect("there is memory"));
                    LEAK_COUNT.set(LEAK_COUNT.get() + 1);
                }),
                1 => drop(pool.preheat(3)),
                2 => pool.shrink_to(count % 40),
                3 => drop((pool.create([1; 5]), pool.create([2; 5]))),
                _ => pool.shrink_to(0),
            });
        }
        CALLS.set((count + 1, is_busy));
    }
}

// SAFETY: 1 to 7 as `Global`, which serves every request.
unsafe impl Allocator for Meddles {
    forward!(self.0; except raw_alloc, raw_free);

    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        Self::meddle();
        self.0.raw_alloc(layout)
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        Self::meddle();
        // SAFETY: the caller's contract.
        unsafe { self.0.raw_free(block, layout) };
    }
}

/// Goal: whatever a backing does to the pool in the middle of a call, also of one that gives slabs back, values keep
/// their places and their bytes, and no slot is lost or doubled. Method: the pool's own count beside ours.
#[test]
fn a_backing_meddles_with_the_pool_it_serves() {
    MEDDLED.with(|pool| {
        let mut values = Vec::new();
        for round in 0..if cfg!(miri) { 30 } else { 300u64 } {
            for number in 0..round % 7 {
                values.push((round + number, pool.create([round + number; 5]).unwrap()));
            }
            if round % 4 == 0 {
                pool.preheat(1 + round as usize % 9).unwrap();
            }
            pool.shrink_to(round as usize % 50);
            if round % 3 == 0 {
                values.truncate(values.len() / 2);
            }
            assert!(values.iter().all(|(number, value)| **value == [*number; 5]));
            assert_eq!(pool.live(), values.len() + LEAK_COUNT.get(), "round {round}");
            assert!(pool.live() <= pool.capacity());
        }
        let mut places: Vec<usize> =
            values.iter().map(|(_, value)| Owned::as_ptr(value).addr()).collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[0] + 40 <= pair[1]), "they do not overlap");
        assert_ne!(LEAK_COUNT.get(), 0, "the backing was asked");
    });
}

/// A value makes others in its own pool while it is dropped, some of which are forgotten: no place is handed out
/// twice, and all that is alive is counted.
#[test]
fn a_drop_makes_values_in_the_same_pool() {
    struct Node<'p> {
        pool: &'p Pool<Node<'p>>,
        depth: usize,
        forgotten: &'p Cell<usize>,
    }
    impl Drop for Node<'_> {
        fn drop(&mut self) {
            let Some(depth) = self.depth.checked_sub(1) else { return };
            let Ok(child) = self.pool.create(Node { depth, ..*self }) else { return };
            if depth % 3 == 0 {
                self.forgotten.set(self.forgotten.get() + 1);
                Owned::leak(child);
            }
            assert_eq!(self.depth, depth + 1, "the child has another place");
        }
    }
    let forgotten = Cell::new(0);
    let pool = Pool::new();
    for depth in 0..40 {
        drop(pool.create(Node { pool: &pool, depth, forgotten: &forgotten }));
        assert_eq!(pool.live(), forgotten.get());
    }
}

/// A hash that is another one each time, and panics at times: nothing is found again, and nothing breaks.
#[test]
fn a_hasher_lies() {
    struct Liar(Cell<u64>);
    struct Lie(u64);
    impl Hasher for Lie {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, _: &[u8]) {}
    }
    impl BuildHasher for Liar {
        type Hasher = Lie;
        fn build_hasher(&self) -> Lie {
            let number = self.0.get();
            self.0.set(number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1));
            if number % 97 == 5 {
                // No hook, no message.
                resume_unwind(Box::new(()));
            }
            Lie(if number.is_multiple_of(3) { 0 } else { number })
        }
    }
    let mut names = Interner::with_hasher(Global, Liar(Cell::new(1)));
    let mut panic_count = 0;
    for number in 0..if cfg!(miri) { 200 } else { 3000 } {
        let name = format!("ä{}", number % 50);
        let len = names.len();
        match catch_unwind(AssertUnwindSafe(|| names.intern(&name).unwrap())) {
            Ok(symbol) => assert_eq!(names.resolve(symbol), Some(&*name)),
            Err(_) => {
                panic_count += 1;
                assert_eq!(names.len(), len, "it is as it was");
            }
        }
    }
    assert!(0 < panic_count && 50 < names.len());
    assert!(names.iter().all(|(symbol, name)| names.resolve(symbol) == Some(name)));
}
