//! The shared arena: chunks that grow where they are, the limit, resets, what is taken back.
#![cfg(all(feature = "alloc", not(loom)))]

use std::mem::MaybeUninit;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use alloc_arena::{Growth, Reset, SharedArena};
use alloc_core::{AllocError, Allocator, AllocatorExt, Counting, Global, Layout, Limited, forward};
use alloc_fixed::SharedFixedBuffer;
use alloc_testing::hostile::Backing;
use std::ptr::NonNull;

fn room<const LEN: usize>() -> Vec<MaybeUninit<u8>> {
    vec![MaybeUninit::uninit(); LEN]
}

/// Where the backing can make the chunk longer, new blocks of all threads stay in it: it is one to the end,
/// and the backing is used to its last byte.
#[test]
fn a_shared_chunk_grows_in_place() {
    let mut buffer = room::<{ 64 << 10 }>();
    let fixed = SharedFixedBuffer::new(&mut buffer);
    let counting = Counting::new(&fixed);
    let arena = SharedArena::over(&counting).with_growth(Growth::geometric(100, 150));
    let mut count = 0;
    while arena.put(count).is_ok() {
        count += 1;
    }
    assert_eq!(counting.counts().total_blocks, 1, "{arena:?}");
    // The buffer, without the header, the alignment of the buffer, and less than one value.
    let value_len = size_of_val(&count).next_multiple_of(GRANULE);
    let used = (64 << 10) - count as usize * value_len;
    assert!(used < 32 + 7 + value_len, "{used} bytes are not used");
    assert!(arena.reserved() <= fixed.used() && fixed.used() - arena.reserved() < 8);
    drop(arena);
    assert_eq!(counting.counts().live_blocks, 0);
}

/// The last block grows beyond its chunk, where the backing makes that longer; another one does not.
#[test]
fn the_last_shared_block_grows_beyond_its_chunk() {
    let mut buffer = room::<{ 64 << 10 }>();
    let fixed = SharedFixedBuffer::new(&mut buffer);
    let arena = SharedArena::over(&fixed).with_growth(Growth::fixed(200));
    let mut first = (&arena).alloc::<u8>(100).unwrap();
    let mut last = (&arena).alloc::<u8>(50).unwrap();
    last.fill(MaybeUninit::new(2));
    let addr = last.as_ptr();
    assert!((&arena).resize(&mut last, 40_000));
    assert_eq!((last.as_ptr(), last.len()), (addr, 40_000));
    // SAFETY: written before the growth, which keeps them.
    assert!(last[..50].iter().all(|byte| unsafe { byte.assume_init() } == 2));
    assert!(arena.capacity() < 41_000, "as long as it needs, and the rule's step");
    assert!(!(&arena).resize(&mut first, 101), "not the last one");
    assert!(!(&arena).resize(&mut last, 64 << 10), "more than the buffer has");
}

/// Threads make a chunk longer while others take blocks of it: no two blocks are one, and what was made in
/// one thread is whole in the end.
#[test]
fn threads_make_a_chunk_longer() {
    let mut buffer = room::<{ 1 << 20 }>();
    let fixed = SharedFixedBuffer::new(&mut buffer);
    let mut arena = SharedArena::over(&fixed).with_growth(Growth::fixed(500));
    for _ in 0..5 {
        let lists = thread::scope(|threads| {
            let workers: Vec<_> = (0..4u64)
                .map(|worker| {
                    let arena = &arena;
                    let value = move |index: u64| worker << 32 | index;
                    threads.spawn(move || {
                        let put =
                            |index| arena.put_slice_fill(1 + index as usize % 9, value(index));
                        (0..300)
                            .map(|index| (value(index), put(index).unwrap()))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
        });
        for (value, items) in lists.iter().flatten() {
            assert!(items.iter().all(|item| item == value));
        }
        drop(lists);
        assert!(arena.reserved() <= fixed.used());
        arena.reset(Reset::FreeAll);
        assert_eq!((arena.reserved(), arena.capacity()), (0, 0));
    }
}

/// What each block is a multiple of: under the address sanitizer, which tells no smaller pieces apart, eight bytes.
const GRANULE: usize = if cfg!(sanitized) { 8 } else { 1 };

/// A limit holds to the byte: the chunks fill it and never pass it, and it can be raised; also where chunks
/// grow in place.
#[test]
fn a_shared_limit_is_kept() {
    for limit in [0, 32, 33, 1000, 1008, 1009, 5000] {
        let backing = Backing::new();
        let mut buffer = room::<{ 16 << 10 }>();
        let fixed = SharedFixedBuffer::new(&mut buffer);
        check_limit(&backing, limit, 32 * 6);
        check_limit(&fixed, limit, 32);
    }
}

fn check_limit(backing: &(dyn Allocator + Sync), limit: usize, lost_max: usize) {
    let watched = Limited::new(backing, usize::MAX);
    let arena = SharedArena::over(&watched).with_limit(limit);
    let mut count = 0;
    while arena.put(0u8).is_ok() {
        count += 1;
        assert!(watched.used() <= limit && watched.used() == arena.reserved());
    }
    let taken = count * GRANULE;
    let lost_max = lost_max + GRANULE - 1;
    assert!(limit < 32 + GRANULE || 0 < count, "limit {limit}");
    assert!(taken <= limit && (count == 0 || limit <= taken + lost_max), "{taken} of {limit}");
    arena.set_limit(limit + 200);
    assert_eq!(arena.limit(), limit + 200);
    assert!(arena.put([0u8; 100]).is_ok());
    assert!(arena.put([0u8; 200]).is_err());
}

/// Threads that ask at once never pass the limit together.
#[test]
fn threads_keep_the_limit_together() {
    let watched = Limited::new(Backing::new(), usize::MAX);
    let arena = SharedArena::over(&watched).with_growth(Growth::exact()).with_limit(10_000);
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                while arena.put([0u8; 60]).is_ok() {
                    assert!(watched.used() <= 10_000);
                }
            });
        }
    });
    assert!(9_800 < arena.reserved() && arena.reserved() <= 10_000, "{arena:?}");
    assert_eq!(arena.reserved(), watched.used());
}

/// A backing that gives memory once, to the second of two requests at once, and refuses the first when the
/// other thread is done. There is one thread here: the other one is the backing itself.
struct Faster(Global);

static CONTENDED: LazyLock<SharedArena<Faster>> =
    LazyLock::new(|| SharedArena::over(Faster(Global)).with_growth(Growth::fixed(1000)));
static REQUESTS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all promises by forwarding to one that keeps them; a request may be refused.
unsafe impl Allocator for Faster {
    forward!(self.0; except raw_alloc);

    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        match REQUESTS.fetch_add(1, Relaxed) {
            0 => {
                assert_eq!(*CONTENDED.put(1u64).unwrap(), 1);
                Err(AllocError)
            }
            1 => self.0.raw_alloc(layout),
            _ => Err(AllocError),
        }
    }
}

/// A thread that the backing refuses a chunk takes its block of the one that another thread has got.
#[test]
fn a_refused_thread_looks_for_what_others_got() {
    assert_eq!(*CONTENDED.put(2u64).unwrap(), 2);
    assert_eq!((CONTENDED.used(), CONTENDED.reserved()), (16, 1000));
    assert!(CONTENDED.put([0u8; 1000]).is_err());
    assert_eq!(CONTENDED.reserved(), 1000);
}

/// A backing of one block, which it makes longer for the other thread only: that comes when this one has asked
/// for everything. The other thread is the backing itself.
struct Longer(SharedFixedBuffer<'static>, AtomicUsize, AtomicBool);

static LENGTHENED: LazyLock<SharedArena<Longer>> = LazyLock::new(|| {
    let buffer = room::<{ 4 << 10 }>().leak();
    let backing =
        Longer(SharedFixedBuffer::new(buffer), AtomicUsize::new(0), AtomicBool::new(false));
    SharedArena::over(backing).with_growth(Growth::fixed(1000))
});

// SAFETY: all promises by forwarding to one that keeps them; a request may be refused.
unsafe impl Allocator for Longer {
    forward!(self.0; except raw_alloc, raw_resize);

    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        match self.1.fetch_add(1, Relaxed) {
            0 => return self.0.raw_alloc(layout),
            // The last of three requests: as long as the rule says, and as long as the block needs.
            2 => {
                self.2.store(true, Relaxed);
                assert_eq!(*LENGTHENED.put(3u64).unwrap(), 3);
                self.2.store(false, Relaxed);
            }
            _ => {}
        }
        Err(AllocError)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        // SAFETY: this function's contract.
        self.2.load(Relaxed) && unsafe { self.0.raw_resize(block, layout, new_size) }
    }
}

/// A thread that the backing refuses everything takes its block of the chunk that another thread has made longer.
#[test]
fn a_refused_thread_looks_for_a_longer_chunk() {
    // The first chunk, to its end.
    assert_eq!(*LENGTHENED.put(1u64).unwrap(), 1);
    while LENGTHENED.used() < LENGTHENED.capacity() {
        LENGTHENED.put(1u8).unwrap();
    }
    assert_eq!(*LENGTHENED.put(2u64).unwrap(), 2);
    assert_eq!(LENGTHENED.backing().1.load(Relaxed), 3, "requests");
}

/// A backing that can be switched off.
struct Switch(Backing, AtomicBool);

// SAFETY: all promises by forwarding to one that keeps them; a request may be refused.
unsafe impl Allocator for Switch {
    forward!(self.0; except raw_alloc, raw_resize);

    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if self.1.load(Relaxed) { self.0.raw_alloc(layout) } else { Err(AllocError) }
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        // SAFETY: the caller keeps the same contract.
        self.1.load(Relaxed) && unsafe { self.0.raw_resize(block, layout, new_size) }
    }
}

/// Goal: a reset whose one chunk the backing refuses says so, leaks nothing, and leaves an arena that works.
/// Method: the backing is switched off for the reset alone; limits around every chunk's size.
#[test]
fn a_refused_shared_reset_leaves_a_valid_arena() {
    let load = |arena: &SharedArena<Switch>| {
        for size in (0..100).map(|index| index * 37 % 400) {
            arena.put_slice_fill(size, 7u8).unwrap();
        }
    };
    for limit in [0, 1, 100, 1000, 2000, 3000, 5000, 10_000, usize::MAX] {
        let mut arena = SharedArena::over(Switch(Backing::new(), AtomicBool::new(true)));
        load(&arena);
        let before = arena.capacity();
        arena.backing().1.store(false, Relaxed);
        let is_complete = arena.reset(Reset::RetainWithLimit(limit));
        assert_eq!(is_complete, arena.capacity() == before.min(limit), "limit {limit}");
        assert!(arena.capacity() <= limit && arena.backing().0.live_count() <= 1);
        assert!(limit < usize::MAX || 0 < arena.capacity(), "one of the old ones is kept");
        assert_eq!((arena.used(), arena.reserved()), (0, arena.backing().0.live_bytes()));
        arena.backing().1.store(true, Relaxed);
        load(&arena);
        arena.reset(Reset::FreeAll);
        assert_eq!((arena.backing().0.live_count(), arena.backing().0.misuses().len()), (0, 0));
    }
}

/// A loop with the same load asks the backing for nothing once it is warm.
#[test]
fn a_warm_shared_loop_asks_for_nothing() {
    let counting = Counting::new(Backing::new().refuse_changes());
    let mut arena = SharedArena::over(&counting);
    let mut totals = vec![];
    for _ in 0..6 {
        for size in [10, 3000, 100, 9000, 1, 500, 20_000] {
            arena.put_slice_fill(size, 1u8).unwrap();
        }
        totals.push(counting.counts().total_blocks);
        assert!(arena.reset(Reset::RetainCapacity));
    }
    assert!(1 < totals[0]);
    assert!(totals[1..].iter().all(|total| *total == totals[1]), "{totals:?}");
}

/// In builds with checks, what a reset took back is filled.
#[test]
#[cfg(any(debug_assertions, alloc_check))]
fn what_a_shared_reset_takes_back_is_poisoned() {
    let mut buffer = [0u8; 4096];
    alloc_fixed::FixedBuffer::with_bytes(&mut buffer, |fixed| {
        let mut arena = SharedArena::over(&*fixed);
        arena.put_slice_fill(500, 1u8).unwrap();
        arena.reset(Reset::RetainCapacity);
    });
    // The header of the chunk is not filled; what else is in it, and between its fields, is anything.
    assert!(!buffer.windows(64).any(|bytes| bytes == [1; 64]));
    assert!(500 <= buffer.iter().filter(|byte| **byte == 0x55).count());
}
